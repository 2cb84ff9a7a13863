//! A decision explained.

use tandem_api::InstanceName;

use super::decision::{Clock, Decision, Group};
use crate::election::{Electorate, elect};
use crate::explanation::Explanation;
use crate::observed::Observed;

/// Explains a decision about `group`.
pub(crate) fn explain(
    group: Group<'_>,
    decision: &Decision,
    observed: &Observed,
    clock: Clock<'_>,
) -> Explanation {
    let claim = observed.claims.get(group.name);
    let others: Vec<InstanceName> = group
        .instances
        .iter()
        .filter(|name| claim.is_none_or(|claim| claim.instance != **name))
        .cloned()
        .collect();
    let passed = claim.map_or_else(Vec::new, |claim| {
        claim.passed_lately(clock.now_ms, clock.timing)
    });
    let electorate = Electorate {
        candidates: &others,
        group: group.instances,
        server_id: group.server_id,
        holder: None,
        passed: &passed,
    };
    Explanation {
        group: group.name.clone(),
        state: decision.state.to_string(),
        holder: claim.map(|claim| claim.instance.clone()),
        epoch: claim.map_or(0, |claim| claim.epoch),
        witnesses: decision.witnesses.clone(),
        candidates: elect(electorate, observed, clock.timing).candidates,
        blocked: decision
            .blocked
            .as_ref()
            .map_or_else(String::new, |blocked| blocked.message.clone()),
        waits_for: decision.waits_for.iter().map(ToString::to_string).collect(),
    }
}
