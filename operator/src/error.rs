//! What can go wrong in the shell. Each message says what failed; the remedy stands at the edge.

use std::io;
use std::path::{Path, PathBuf};

use tandem_plan::double_master::InvalidSpec;

/// A failure of the shell.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file or directory could not be written.
    #[error("failed to write `{}`", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of ours does not parse.
    #[error("failed to decode `{}`", path.display())]
    Decode {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A value could not be written as JSON.
    #[error("failed to encode {what}")]
    Encode {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A manifest is no YAML, or not of the expected shape.
    #[error("failed to parse `{}`", path.display())]
    ParseManifest {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_yaml::Error,
    },
    /// A manifest is of another kind.
    #[error("`{}` {found}, expected a tandem.dev/v1alpha1 DoubleMaster", path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// A manifest without content.
    #[error(
        "`{}` is empty; it needs one tandem.dev/v1alpha1 DoubleMaster", path.display()
    )]
    EmptyManifest {
        /// Which.
        path: PathBuf,
    },
    /// A manifest with several documents.
    #[error(
        "`{}` has {count} documents; keep one of them, each further one goes into a file and a \
         --dir of its own",
        path.display()
    )]
    SeveralDocuments {
        /// Which.
        path: PathBuf,
        /// How many.
        count: usize,
    },
    /// The servers would not start with a configuration key of the manifest.
    #[error("spec.config cannot be used; correct or remove `{key}`")]
    ConfigKey {
        /// The key.
        key: String,
        /// What a server says.
        #[source]
        source: Box<tandem_node::config::ConfigError>,
    },
    /// The runtime's directory cannot be made.
    #[error("failed to write `{}`; give another --dir", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A specification cannot be planned for.
    #[error("the specification cannot be used")]
    Spec(#[from] InvalidSpec),
    /// Another local runtime holds the directory.
    #[error(
        "`{}` is in use by another `tandem local`{holder}; stop that one, or give another --dir",
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Its process, when known: ` (pid 123)`.
        holder: String,
    },
    /// A directory holds another resource.
    #[error(
        "`{}` holds the data of `{found}`, not of `{wanted}`; give another --dir, or --reset to \
         drop that data",
        path.display()
    )]
    ForeignDirectory {
        /// The directory.
        path: PathBuf,
        /// The resource it belongs to.
        found: String,
        /// The resource asked for.
        wanted: String,
    },
    /// A directory with something that is not ours.
    #[error(
        "`{}` is not empty and no directory of `tandem local`; it is not touched, give another --dir",
        path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },
    /// A port is taken.
    #[error(
        "failed to listen on {address} for {what}; stop who uses it, or give another --base-port"
    )]
    Listen {
        /// Where.
        address: String,
        /// For which service.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Ports run out of the 16 bits.
    #[error("base port {base} leaves no room: instances need up to base + 30, links 2000 more")]
    BasePort {
        /// The port asked for.
        base: u16,
    },
    /// A process could not be started.
    #[error("failed to start {instance}")]
    Spawn {
        /// Which instance.
        instance: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A running process could not be signalled or watched.
    #[error("failed to {verb} process {pid}")]
    Signal {
        /// What was tried.
        verb: &'static str,
        /// The process.
        pid: u32,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An old process of an instance does not end.
    #[error("process {pid} of {instance} from an earlier run does not end; kill it")]
    WillNotEnd {
        /// The instance.
        instance: String,
        /// The process.
        pid: u32,
    },
    /// A directory to ask about could not be told.
    #[error("{0}")]
    WhichDirectory(String),
    /// The API server did not do it.
    #[error("failed to {verb} `{name}`")]
    Api {
        /// What was asked.
        verb: &'static str,
        /// Of which object.
        name: String,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// There is no API server to talk to.
    #[error(
        "failed to connect to Kubernetes; give a kubeconfig, or run in a pod with a service account"
    )]
    Connect {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object that was never stored.
    #[error("the object has no uid: it is not from an API server")]
    NotStored,
    /// A pod is about to go, and nothing can take its name until then.
    #[error("pod `{name}` is still there and is being ended")]
    PodGoes {
        /// Which.
        name: String,
    },
    /// A volume is about to go.
    #[error("volume claim `{name}` is being deleted; it is made anew when it is gone")]
    VolumeGoes {
        /// Which.
        name: String,
    },
    /// The node of a pod does not report.
    #[error(
        "the node of `{name}` does not report, so its pod cannot be ended; the taint node.kubernetes.io/out-of-service gives it up"
    )]
    NodeSilent {
        /// Which instance.
        name: String,
    },
    /// A Secret has no password.
    #[error("secret `{secret}` has no key `password` with text in it; add it")]
    NoPassword {
        /// Which.
        secret: String,
    },
    /// The system gives no random bytes.
    #[error("failed to draw a random password")]
    Random {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Another operator leads.
    #[error("this operator does not lead any more: {why}")]
    NotLeader {
        /// What happened.
        why: String,
    },
    /// A port of the operator is taken.
    #[error("failed to serve metrics and probes on {address}; give another --metrics-address")]
    Serve {
        /// Where.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An instance is not known.
    #[error("instance `{0}` is not known to the runtime")]
    UnknownInstance(String),
}

impl Error {
    /// A failed call of the API server.
    pub fn api(verb: &'static str, name: &str) -> impl FnOnce(kube::Error) -> Self {
        let name = name.to_string();
        move |source| Self::Api {
            verb,
            name,
            source: Box::new(source),
        }
    }

    /// A failed read of `path`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Read { path, source }
    }

    /// A failed write of `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Write { path, source }
    }
}

/// The causes of an error, outermost first, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
