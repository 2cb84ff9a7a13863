//! The claim: who may be a group's primary, under which epoch.
//!
//! One record per group, changed only by compare-and-swap, always before the promotion it is for.
//! The epoch only grows:  seen by any instance <= claim.epoch < next claim.epoch

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Epoch that `instance` writes under. Grows with each claim of the group.
    pub epoch: u64,
    /// The one instance that may be promoted under it.
    pub instance: InstanceName,
    /// Unix milliseconds of the claim, by the clock of who made it.
    pub at_ms: u64,
    /// Whether it took the role from an instance that was only silent: the next one of that kind
    /// waits for the quiet time.
    #[serde(default)]
    pub by_silence: bool,
}
