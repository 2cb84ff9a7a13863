//! What an instance says of itself: the answer of `TANDEM STATUS`, as JSON.
//!
//! The operator and the local runtime decide by these values alone, so they are part of the wire
//! contract: fields are added, never renamed, and readers ignore what they do not know.

use serde::{Deserialize, Serialize};

/// The whole answer of `TANDEM STATUS`.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, under a name that readers know"
)]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Version of this layout; 1.
    pub format: u32,
    /// Random id of this data directory, 16 hex digits; survives restarts.
    pub instance_id: String,
    /// Random id of the data set, 40 hex digits; equal on all that replicate with each other.
    pub cluster_id: String,
    /// The group's server id; 0 while none was given.
    pub server_id: u32,
    /// Highest epoch of the group this instance has seen or claimed.
    pub epoch: u64,
    /// Incarnation of the current writer life, 16 hex digits; absent on a replica.
    pub incarnation: Option<String>,
    /// The role it holds now.
    pub role: Role,
    /// Whether client writes are accepted now.
    pub writable: bool,
    /// Why writes are refused, when they are.
    pub not_writable_reason: Option<String>,
    /// Whether it may be promoted: whole data, nothing unfinished, no holes.
    pub eligible: bool,
    /// Why it may not be promoted, when it may not.
    pub not_eligible_reason: Option<String>,
    /// Election priority; lower is preferred, 0 is never (Redis `replica-priority`).
    pub priority: u32,
    /// Unix milliseconds of this instance's clock when it answered.
    pub now_ms: u64,
    /// Milliseconds since the process began to serve.
    pub uptime_ms: u64,
    /// Process id.
    pub pid: u32,
    /// Per database, only those that hold or held data.
    pub databases: Vec<DatabaseStatus>,
    /// Links this instance dials: whom it pulls from.
    pub links: Vec<LinkStatus>,
    /// Receivers that pull from this instance.
    pub receivers: Vec<ReceiverStatus>,
    /// Groups told by `TANDEM MEMBERS` or by configuration.
    pub members: Vec<u32>,
    /// Age of the last finished fsync of any log in milliseconds; tells a hung disk.
    pub last_sync_age_ms: u64,
    /// Whether a failed fsync poisoned a database (writes are refused until restart).
    pub poisoned: bool,
    /// Whether there is no space left for a log: writes are refused until there is some again.
    #[serde(default)]
    pub volume_full: bool,
    /// How far the newest stamp of any record is ahead of this instance's clock, in milliseconds.
    #[serde(default)]
    pub clock_skew_ms: u64,
}

/// Role of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes, alone or for replicas.
    Primary,
    /// Writes, and exchanges with another writing group.
    DoubleMaster,
    /// Follows its group's primary, read-only.
    Replica,
    /// Booted and waiting to be told: reads what it has, writes nothing.
    Waiting,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [
        Self::Primary,
        Self::DoubleMaster,
        Self::Replica,
        Self::Waiting,
    ];

    /// Its name, as the JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::DoubleMaster => "double_master",
            Self::Replica => "replica",
            Self::Waiting => "waiting",
        }
    }
}

/// One database's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStatus {
    /// Number as in SELECT.
    pub database: u32,
    /// Rows of the version vector.
    pub version_vector: Vec<VvRow>,
    /// Log head: segment number.
    pub segment: u64,
    /// Log head: byte offset in that segment.
    pub offset: u64,
    /// Visible keys, expired ones that were not swept included.
    pub keys: u64,
}

/// One row of a version vector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VvRow {
    /// Group id of the origin.
    pub server_id: u32,
    /// Epoch of the origin.
    pub epoch: u64,
    /// Incarnation of the origin, 16 hex digits.
    pub incarnation: String,
    /// Highest sequence held.
    pub high: u64,
    /// Ranges not held, both ends inclusive.
    pub holes: Vec<(u64, u64)>,
}

/// Why a link exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A replica pulls from its primary.
    Replica,
    /// A writer pulls from another writing group.
    Peer,
    /// A writer pulls what another instance of its own group alone holds.
    Handover,
}

impl LinkKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Replica, Self::Peer, Self::Handover];

    /// Its name, as the JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replica => "replica",
            Self::Peer => "peer",
            Self::Handover => "handover",
        }
    }
}

/// State of one pulled link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// Not connected; it tries again by itself.
    Connecting,
    /// A state is being taken over or merged.
    FullResync,
    /// Records flow.
    Streaming,
    /// The place in the source's log is lost: somebody must ask for a full resync (`slaveof`).
    LostPlace,
    /// Refused for a reason that waiting does not mend.
    Refused,
}

impl LinkState {
    /// All states.
    pub const ALL: [Self; 5] = [
        Self::Connecting,
        Self::FullResync,
        Self::Streaming,
        Self::LostPlace,
        Self::Refused,
    ];

    /// Its name, as the JSON has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::FullResync => "full_resync",
            Self::Streaming => "streaming",
            Self::LostPlace => "lost_place",
            Self::Refused => "refused",
        }
    }
}

/// One link this instance dials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkStatus {
    /// Why it exists.
    pub kind: LinkKind,
    /// Host dialled.
    pub host: String,
    /// Client port of the source (the link port is this + 2000).
    pub port: u16,
    /// Server id the source named; 0 before contact.
    pub server_id: u32,
    /// Instance id the source named; empty before contact.
    pub instance_id: String,
    /// State.
    pub state: LinkState,
    /// Last refusal or failure, empty when none.
    pub reason: String,
    /// Milliseconds since anything was received from the source; `None` before contact.
    pub last_contact_ms: Option<u64>,
    /// Records the source holds that are not applied here, by its last word.
    pub lag_records: u64,
    /// Full resyncs finished by this link since start.
    pub full_resyncs: u64,
    /// Partial resyncs (continuations) since start.
    pub partial_resyncs: u64,
}

/// One receiver that pulls from this instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiverStatus {
    /// Link kind, from the receiver's side.
    pub kind: LinkKind,
    /// Address it came from.
    pub host: String,
    /// Client port it announced.
    pub port: u16,
    /// Its server id.
    pub server_id: u32,
    /// Its instance id.
    pub instance_id: String,
    /// State.
    pub state: LinkState,
    /// Bytes of log between our head and what it has applied.
    pub lag_bytes: u64,
    /// Records held here that it has not acknowledged.
    #[serde(default)]
    pub lag_records: u64,
    /// Milliseconds since its last ack of any kind.
    pub last_ack_ms: u64,
    /// Milliseconds since its acknowledged durable position last reached our head.
    pub last_durable_ms: u64,
    /// Records sent to it that began in its own group's current life (echoes; must stay 0).
    pub echoes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(value: &impl Serialize) -> String {
        let text = serde_json::to_string(value).expect("is a word");
        text.trim_matches('"').to_owned()
    }

    #[test]
    fn names_are_those_of_the_json() {
        for role in Role::ALL {
            assert_eq!(role.as_str(), told(&role));
        }
        for kind in LinkKind::ALL {
            assert_eq!(kind.as_str(), told(&kind));
        }
        for state in LinkState::ALL {
            assert_eq!(state.as_str(), told(&state));
        }
    }
}
