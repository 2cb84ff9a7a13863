//! Why a slot has the primary it has, and why it did or did not get another one: what a decision was
//! made from, as plain values.

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName};

use crate::detection::Witness;
use crate::election::{Candidate, Electorate, elect};
use crate::group::{Decision, Group};
use crate::observed::Observed;
use crate::timing::Timing;

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

/// Explains a decision about `group`.
pub(crate) fn explain(
    group: Group<'_>,
    decision: &Decision,
    observed: &Observed,
    timing: &Timing,
) -> Explanation {
    let claim = observed.claims.get(group.name);
    let others: Vec<InstanceName> = group
        .instances
        .iter()
        .filter(|name| claim.is_none_or(|claim| claim.instance != **name))
        .cloned()
        .collect();
    let electorate = Electorate {
        candidates: &others,
        group: group.instances,
        server_id: group.server_id,
        holder: None,
    };
    Explanation {
        group: group.name.clone(),
        state: decision.state.to_string(),
        holder: claim.map(|claim| claim.instance.clone()),
        epoch: claim.map_or(0, |claim| claim.epoch),
        witnesses: decision.witnesses.clone(),
        candidates: elect(electorate, observed, timing).candidates,
        blocked: decision
            .blocked
            .as_ref()
            .map_or_else(String::new, |blocked| blocked.message.clone()),
        waits_for: decision.waits_for.iter().map(ToString::to_string).collect(),
    }
}
