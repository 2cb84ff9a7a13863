//! The words of the handshake.

use tandem_merge::{Origin, Origins, VersionVector};
use tandem_proto::status::LinkKind;

/// What becomes of the receiver's own state in a full resync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FullMode {
    /// It is merged with the source's (rule 6).
    Merge,
    /// It is replaced, once what it alone holds was handed over.
    Replace,
    /// It is replaced whatever it holds.
    Overwrite,
}

/// What the receiver holds of one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HelloDatabase {
    /// Number as in SELECT.
    pub number: u32,
    /// Its table of origins.
    pub origins: Origins,
    /// What it holds, with holes.
    pub vv: VersionVector,
    /// A full resync that somebody asked for.
    pub wish: Option<FullMode>,
}

/// First word of the side that dials: who it is and what it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello {
    /// Version of the link protocol.
    pub format: u32,
    /// Why it dials.
    pub kind: LinkKind,
    /// Its data set.
    pub cluster_id: String,
    /// Whether that id was confirmed by a contact.
    pub cluster_agreed: bool,
    /// Its group; 0 while none was given.
    pub server_id: u32,
    /// Its data directory.
    pub instance_id: String,
    /// Random id of its process's life: within one, what it holds never shrinks unannounced.
    pub run: u64,
    /// The life it writes under now.
    pub own: Option<Origin>,
    /// Highest epoch of its group that it has seen.
    pub epoch: u64,
    /// Whether a human told it whom to follow: then the source takes that epoch over.
    pub by_hand: bool,
    /// Host under which others reach it; empty: the address it comes from.
    pub host: String,
    /// Its client port.
    pub port: u16,
    /// What the source's `requirepass` is compared with; empty: none.
    pub password: Vec<u8>,
    /// What it holds.
    pub databases: Vec<HelloDatabase>,
}

impl std::fmt::Debug for Hello {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hello")
            .field("kind", &self.kind)
            .field("server_id", &self.server_id)
            .field("instance_id", &self.instance_id)
            .field("epoch", &self.epoch)
            .finish_non_exhaustive()
    }
}

/// Why a link or a database of it was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum RefuseCode {
    /// The versions of the link protocol differ.
    Format = 1,
    /// The password is wrong.
    Auth = 2,
    /// Both sides are the same instance.
    Same = 3,
    /// The data sets differ.
    Cluster = 4,
    /// The server ids do not fit the kind of link.
    ServerId = 5,
    /// The source's claim to its role is older than one the receiver has seen.
    Superseded = 6,
    /// A life is written at two places: a volume was cloned.
    Cloned = 7,
    /// The receiver has data of which the new primary knows nothing.
    Foreign = 8,
    /// What the receiver alone holds has to be handed over first.
    HandoverFirst = 9,
    /// The source's log no longer holds what is missing.
    LostPlace = 10,
    /// What is missing lies in a hole of the source.
    Hole = 11,
    /// The source has no such database.
    Database = 12,
    /// Too many links or resyncs at once; later.
    Busy = 13,
    /// It could not be done: the text says what failed.
    Failed = 14,
}

impl RefuseCode {
    /// The code of this number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Format,
            2 => Self::Auth,
            3 => Self::Same,
            4 => Self::Cluster,
            5 => Self::ServerId,
            6 => Self::Superseded,
            7 => Self::Cloned,
            8 => Self::Foreign,
            9 => Self::HandoverFirst,
            10 => Self::LostPlace,
            11 => Self::Hole,
            12 => Self::Database,
            13 => Self::Busy,
            14 => Self::Failed,
            _ => return None,
        })
    }
}

/// A refusal with its remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// Kind.
    pub code: RefuseCode,
    /// Cause, consequence, remedy.
    pub reason: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: RefuseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

/// What the source does about one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The log goes on where the receiver stands.
    Partial,
    /// The state is sent first.
    Full(FullMode),
    /// Nothing; the other databases go on.
    Refused(Refusal),
}

/// The source's answer about one database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WelcomeDatabase {
    /// Number as in SELECT.
    pub number: u32,
    /// The source's table of origins.
    pub origins: Origins,
    /// What the source holds.
    pub vv: VersionVector,
    /// What it does.
    pub verdict: Verdict,
}

/// The source's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Welcome {
    /// The data set that both belong to from now on.
    pub cluster_id: String,
    /// The source's group.
    pub server_id: u32,
    /// The source's data directory.
    pub instance_id: String,
    /// Random id of the source's process's life.
    pub run: u64,
    /// Highest epoch of the source's group that it has seen.
    pub epoch: u64,
    /// The source's client port.
    pub port: u16,
    /// Per database.
    pub databases: Vec<WelcomeDatabase>,
}
