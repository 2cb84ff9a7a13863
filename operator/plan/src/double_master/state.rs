//! The state of the two slots together: which instances each has, and what the group module decides.

use tandem_api::InstanceName;

use super::validate::{Slot, Validated};
use crate::claim::Claim;
use crate::detection::Cause;
use crate::group::{Clock, Decision, Group, decide};
use crate::observed::Observed;

/// A slot with its decision.
#[derive(Debug)]
pub(super) struct SlotState<'a> {
    /// The slot.
    pub(super) slot: &'a Slot,
    /// Instances that it should have.
    pub(super) instances: Vec<InstanceName>,
    /// Instances of it that are known and should not run.
    pub(super) unwanted: Vec<InstanceName>,
    /// Its claim as observed.
    pub(super) claim: Option<&'a Claim>,
    /// Instances that are wanted or still run: all that have a say and may hold something.
    pub(super) members: Vec<InstanceName>,
    /// The peer's claimed primary, a witness.
    pub(super) outside: Vec<InstanceName>,
    /// Why its primary shall not stay it: `-rw` leaves it first.
    pub(super) wish: Option<Cause>,
    /// What its failover decides.
    pub(super) decision: Decision,
}

impl SlotState<'_> {
    /// The slot as the group module takes it.
    pub(super) fn group(&self) -> Group<'_> {
        Group {
            name: &self.slot.name,
            server_id: self.slot.server_id,
            instances: &self.members,
            outside: &self.outside,
        }
    }
}

/// Decides both slots, `a` first. Each one's witness outside is the other one's claimed primary.
pub(super) fn decide_slots<'a>(
    valid: &'a Validated,
    observed: &'a Observed,
    clock: Clock<'_>,
) -> [SlotState<'a>; 2] {
    let [a, b] = &valid.slots;
    [
        decide_slot(valid, a, b, observed, clock),
        decide_slot(valid, b, a, observed, clock),
    ]
}

fn decide_slot<'a>(
    valid: &'a Validated,
    slot: &'a Slot,
    other: &'a Slot,
    observed: &'a Observed,
    clock: Clock<'_>,
) -> SlotState<'a> {
    let claim = observed.claims.get(&slot.name);
    let outside: Vec<InstanceName> = observed
        .claims
        .get(&other.name)
        .map(|claim| claim.instance.clone())
        .into_iter()
        .collect();
    let instances = valid.instances(slot, claim);
    let prefix = format!("{}-{}-", valid.name, slot.name);
    let unwanted: Vec<InstanceName> = observed
        .instances
        .keys()
        .filter(|name| name.as_str().starts_with(&prefix) && !instances.contains(name))
        .cloned()
        .collect();
    let still_runs = |name: &&InstanceName| {
        observed
            .instances
            .get(*name)
            .is_some_and(|seen| !seen.is_gone())
    };
    let members: Vec<InstanceName> = instances
        .iter()
        .chain(unwanted.iter().filter(still_runs))
        .cloned()
        .collect();
    let group = Group {
        name: &slot.name,
        server_id: slot.server_id,
        instances: &members,
        outside: &outside,
    };
    let decision = decide(group, observed, clock);
    SlotState {
        slot,
        instances,
        unwanted,
        claim,
        members,
        outside,
        wish: None,
        decision,
    }
}
