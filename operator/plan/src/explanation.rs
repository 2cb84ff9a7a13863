//! Why a slot has the primary it has, and why it did or did not get another one: what a decision was
//! made from, as plain values.

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName};

use crate::detection::Witness;
use crate::election::Candidate;

/// One slot explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The slot.
    pub group: GroupName,
    /// Its state, for people.
    pub state: String,
    /// Who has the claim.
    pub holder: Option<InstanceName>,
    /// The claimed epoch.
    pub epoch: u64,
    /// Who said what of a holder that is silent.
    pub witnesses: Vec<Witness>,
    /// Who could take over now, best first, and why not the others. One that is not refused could.
    pub candidates: Vec<Candidate>,
    /// Why another primary is needed and cannot be had; empty when none is needed.
    pub blocked: String,
    /// What is awaited.
    pub waits_for: Vec<String>,
}
