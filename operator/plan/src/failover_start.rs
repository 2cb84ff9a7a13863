//! What a plan knows when it decides that a group gets another primary, or the same one again.

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName};

use crate::detection::{Cause, Witness};
use crate::election::Candidate;

/// Why a claim is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The group's first primary.
    First,
    /// The primary was lost and another instance takes over.
    Failover,
    /// The same instance takes its role again, under a new epoch.
    Resume,
    /// The primary lives and hands over to another instance: nothing is lost.
    Switchover,
}

/// What may be missing on the new primary until the old one's disk is back. An upper bound is known
/// only up to the last answer of the old primary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loss {
    /// Records that the old primary was seen to hold and the new one was not.
    pub known_missing_records: u64,
    /// Milliseconds before the end of which nothing is known: between its last answer and its loss.
    pub unseen_ms: u64,
}

/// What a plan knows when it decides on a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailoverStart {
    /// The group.
    pub group: GroupName,
    /// Why.
    pub kind: Kind,
    /// What ended the old primary.
    pub cause: Option<Cause>,
    /// Who said so.
    pub witnesses: Vec<Witness>,
    /// Everyone considered, with why not.
    pub candidates: Vec<Candidate>,
    /// The old primary.
    pub old: Option<InstanceName>,
    /// Its epoch.
    pub old_epoch: u64,
    /// The new primary.
    pub new: InstanceName,
    /// The claimed epoch.
    pub epoch: u64,
    /// Milliseconds since the last sign of life of the old primary.
    pub lost_ms_ago: u64,
    /// What may be missing.
    pub loss: Loss,
}
