//! The catalogue of events: every change of role, place or process that a plan decides on.
//!
//! Events belong to actions; a plan without actions has none.

use serde::{Deserialize, Serialize};

/// How loud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Severity {
    /// A change that was meant.
    Normal,
    /// Something was lost or is not as it should be.
    Warning,
}

/// What kind of event; the word is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A group gets its first primary.
    FirstPrimary,
    /// A primary was lost and another instance takes over.
    FailoverStarted,
    /// A claimed instance did not open, and another one is claimed.
    ClaimPassedOn,
    /// A restarted primary takes its role again.
    PrimaryResumes,
    /// `-rw` points at another writer.
    WriterSwitched,
    /// `-rw` has nothing to point at.
    WriterLost,
    /// `-a`, `-b` points elsewhere.
    SlotSwitched,
    /// `-a`, `-b` has nothing to point at.
    SlotLost,
    /// An old writer is made a replica.
    OldWriterFenced,
    /// A replica is pointed at its primary.
    ReplicaRepointed,
    /// The writers are pointed at each other.
    PeerFormed,
    /// A link that lost its place merges the other's state.
    ResyncRequested,
    /// A process is started.
    InstanceStarted,
    /// A hung process is killed and started again.
    InstanceRestarted,
    /// An instance beyond the wanted count is stopped.
    InstanceStopped,
    /// A primary that lives hands over to another instance.
    SwitchoverStarted,
    /// An instance is replaced by one that the present specification wants.
    InstanceReplaced,
    /// Configuration is changed while an instance runs.
    SettingsApplied,
    /// What a person asked for cannot be done.
    RequestRefused,
    /// What a person asked for was there already, or is begun.
    RequestDone,
}

impl Reason {
    /// How loud this reason is.
    pub fn severity(self) -> Severity {
        match self {
            Self::FailoverStarted
            | Self::ClaimPassedOn
            | Self::WriterLost
            | Self::SlotLost
            | Self::OldWriterFenced
            | Self::ResyncRequested
            | Self::InstanceRestarted
            | Self::RequestRefused => Severity::Warning,
            Self::FirstPrimary
            | Self::PrimaryResumes
            | Self::WriterSwitched
            | Self::SlotSwitched
            | Self::ReplicaRepointed
            | Self::PeerFormed
            | Self::InstanceStarted
            | Self::InstanceStopped
            | Self::SwitchoverStarted
            | Self::InstanceReplaced
            | Self::SettingsApplied
            | Self::RequestDone => Severity::Normal,
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

impl Event {
    /// An event of this kind.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:?} {:?}: {}",
            self.reason.severity(),
            self.reason,
            self.message
        )
    }
}
