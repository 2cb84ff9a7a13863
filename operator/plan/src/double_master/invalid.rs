//! What makes a specification unusable: each message names the field and the remedy.

use tandem_api::NameError;

/// Replicas behind a master, at most.
pub(super) const REPLICAS_MAX: u8 = 5;
/// The largest server id.
pub(super) const SERVER_ID_MAX: u32 = 127;

/// A specification that cannot be planned for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSpec {
    /// metadata.name is absent or unusable.
    #[error("metadata.name cannot be used")]
    Name(#[source] NameError),
    /// replicasPerMaster is out of range.
    #[error("spec.replicasPerMaster is {found}; give 0..{REPLICAS_MAX}, at most {REPLICAS_MAX}")]
    Replicas {
        /// The refused number.
        found: u8,
    },
    /// A server id is out of range.
    #[error("spec.serverIds.{slot} is {found}; a server id is 1..{SERVER_ID_MAX}")]
    ServerId {
        /// The slot.
        slot: &'static str,
        /// The refused id.
        found: u32,
    },
    /// Both slots have one id.
    #[error("spec.serverIds: both slots have {found}; give them different ids")]
    EqualServerIds {
        /// The id.
        found: u32,
    },
    /// A configuration key that the operator sets.
    #[error("spec.config has `{key}`, which belongs to the operator; remove it")]
    OperatorKey {
        /// The key.
        key: String,
    },
    /// A configuration key or value that cannot stand on one line.
    #[error("spec.config has `{key}`, which is no configuration key with a one-line value")]
    MalformedKey {
        /// The key.
        key: String,
    },
    /// More acks asked for than there are replicas.
    #[error(
        "spec.sync.durableAcks is {acks}, but there are {replicas} replicas and no write would ever \
         be taken; lower it, or raise spec.replicasPerMaster"
    )]
    TooManyAcks {
        /// Acks.
        acks: u8,
        /// Replicas.
        replicas: u8,
    },
    /// An interval is out of range.
    #[error("spec.failover.{field} is {found}; give milliseconds from {least} to {most}")]
    Interval {
        /// The field.
        field: &'static str,
        /// The refused value.
        found: u64,
        /// The least possible one.
        least: u64,
        /// The largest possible one.
        most: u64,
    },
    /// The size of the volumes is no quantity.
    #[error("spec.storage.size is `{found}`; give a number of bytes with a unit, such as 20Gi")]
    Size {
        /// The refused text.
        found: String,
    },
    /// The Secret's name is none.
    #[error(
        "spec.auth.secretName is `{found}`; give lower-case letters, digits, `-` and `.`, with a \
         letter or digit at both ends"
    )]
    SecretName {
        /// The refused name.
        found: String,
    },
    /// The hang timeout does not span two probes.
    #[error(
        "spec.failover.hangTimeoutMs is {hang_ms}, and two probes of {probe_ms} ms have to fit into \
         it; raise it, or lower spec.failover.probeIntervalMs"
    )]
    HangTimeout {
        /// Hang timeout.
        hang_ms: u64,
        /// Probe interval.
        probe_ms: u64,
    },
    /// The time to open does not span a promotion.
    #[error(
        "spec.failover.openMs is {open_ms}, and a promotion that collects for {collect_ms} ms and \
         a silence of {hang_ms} ms have to fit into it; raise it, or leave it out"
    )]
    OpenTime {
        /// Time to open.
        open_ms: u64,
        /// How long a promotion collects.
        collect_ms: u64,
        /// Hang timeout.
        hang_ms: u64,
    },
}
