//! What an instance is, across restarts: ids, epoch, role, whom it follows. One JSON file in the
//! data directory, replaced as one step.

use crate::config::DoubleMasterPeer;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tandem_proto::status::Role;
use tandem_store::disk::Disk;

/// Name of the file.
pub const FILE: &str = "instance.json";

/// The role an instance was last given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredRole {
    /// It writes.
    Writer,
    /// It follows its group's primary.
    Replica,
    /// It waits to be told.
    Waiting,
}

/// An address with the client port; links dial that port + 2000.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Client port.
    pub port: u16,
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The other master of a pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// Where it is.
    pub target: Target,
    /// Its group's server id.
    pub server_id: u32,
}

impl From<DoubleMasterPeer> for Peer {
    fn from(peer: DoubleMasterPeer) -> Self {
        Self {
            target: Target {
                host: peer.address.host,
                port: peer.address.port,
            },
            server_id: peer.server_id,
        }
    }
}

/// Another instance of the own group that was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    /// Its data directory.
    pub instance_id: String,
    /// Where it was met last; `None` when it was only told of.
    pub target: Option<Target>,
}

/// The persistent part of an instance's identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Version of this file; 1.
    pub format: u32,
    /// Random id of this directory, 16 hex digits.
    pub instance_id: String,
    /// Random id of the data set, 40 hex digits.
    pub cluster_id: String,
    /// Whether the cluster id was confirmed by a contact (or is set): then another one is refused.
    pub cluster_agreed: bool,
    /// The group; 0 while none was given.
    pub server_id: u32,
    /// Highest epoch of the group seen or claimed.
    pub epoch: u64,
    /// Epoch under which this instance last took the writer role; 0 never.
    pub writer_epoch: u64,
    /// Incarnation of the current or last writer life.
    pub incarnation: u64,
    /// The role it was last given.
    pub role: StoredRole,
    /// Whom it follows, as a replica.
    pub follow: Option<Target>,
    /// Whom it exchanges with, as a writer.
    pub peer: Option<Peer>,
    /// The writing groups, as told.
    pub members: Vec<u32>,
    /// The other instances of the own group, as told or met.
    #[serde(default)]
    pub siblings: Vec<Sibling>,
    /// Stamps below this may have been given: own stamps start above it.
    pub stamp_ceiling: u64,
    /// A replace was begun and not finished: not eligible, needs a full resync.
    pub unfinished_resync: bool,
}

impl Meta {
    /// The role as it is told.
    pub fn role(&self) -> Role {
        match self.role {
            StoredRole::Writer if self.peer.is_some() => Role::DoubleMaster,
            StoredRole::Writer => Role::Primary,
            StoredRole::Replica => Role::Replica,
            StoredRole::Waiting => Role::Waiting,
        }
    }
}

/// The file of a [`Meta`].
pub struct MetaFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

impl std::fmt::Debug for MetaFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetaFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl MetaFile {
    /// The file in this data directory.
    pub fn new(disk: Arc<dyn Disk>, directory: &Path) -> Self {
        Self {
            disk,
            path: directory.join(FILE),
        }
    }

    /// Reads it; `None` for a fresh directory.
    pub fn load(&self) -> io::Result<Option<Meta>> {
        let Some(bytes) = self.disk.read(&self.path)? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let text = format!("failed to read `{}`: {error}", self.path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Replaces it.
    pub fn store(&self, meta: &Meta) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(meta).map_err(io::Error::other)?;
        self.disk.replace(&self.path, &bytes)
    }
}
