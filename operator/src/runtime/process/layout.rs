//! Where everything lies in a local runtime's directory.
//!
//! ```text
//! .tandem/dm/  lock            held by the one runtime that works here
//!              state.json      resource, ports, processes
//!              status.json     the latest status, for `tandem status`
//!              runtime.log     log lines of the runtime
//!              claims/a.json   who may be primary, under which epoch
//!              failovers/      one report a failover
//!              secrets/        passwords, readable by their owner
//!              instances/dm-a-0/data/  server.log  server.conf
//! ```

use std::path::{Path, PathBuf};

use tandem_api::{GroupName, InstanceName};

/// Paths below one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether this is a name that a runtime gives to something right below the root.
    pub fn is_ours(&self, path: &Path) -> bool {
        let own = [
            self.lock(),
            self.state(),
            self.status(),
            self.log(),
            self.claims(),
            self.failovers(),
            self.root.join("secrets"),
            self.root.join("instances"),
        ];
        // A file that is written beside its place has the same stem.
        own.iter().any(|known| {
            known == path || (known.file_stem() == path.file_stem() && known.extension().is_some())
        })
    }

    /// Lock of the runtime.
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// State of the runtime.
    pub fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Latest published status.
    pub fn status(&self) -> PathBuf {
        self.root.join("status.json")
    }

    /// Log of the runtime.
    pub fn log(&self) -> PathBuf {
        self.root.join("runtime.log")
    }

    /// Directory of the claims.
    pub fn claims(&self) -> PathBuf {
        self.root.join("claims")
    }

    /// Claim of a group.
    pub fn claim(&self, group: &GroupName) -> PathBuf {
        self.claims().join(format!("{group}.json"))
    }

    /// Directory of the failover reports.
    pub fn failovers(&self) -> PathBuf {
        self.root.join("failovers")
    }

    /// A secret's file.
    pub fn secret(&self, name: &str) -> PathBuf {
        self.root.join("secrets").join(name)
    }

    /// Directory of all instances.
    pub fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// Directory of an instance.
    pub fn instance(&self, name: &InstanceName) -> PathBuf {
        self.instances().join(name.as_str())
    }

    /// Data of an instance.
    pub fn data(&self, name: &InstanceName) -> PathBuf {
        self.instance(name).join("data")
    }

    /// Output of an instance's process.
    pub fn instance_log(&self, name: &InstanceName) -> PathBuf {
        self.instance(name).join("server.log")
    }

    /// Configuration of an instance that must not stand on a command line.
    pub fn instance_config(&self, name: &InstanceName) -> PathBuf {
        self.instance(name).join("server.conf")
    }
}
