//! The way to instances as the specification wants them now: one at a time over the whole resource,
//! replicas before primaries, each only while everybody else is well.
//!
//! ```text
//! outdated and in trouble ─▶ replaced first and at once (a newer specification heals a bad one)
//! outdated replica        ─▶ gate ─▶ replaced
//! outdated primary        ─▶ gate ─▶ hands over, is a replica then
//! the same, no replicas   ─▶ gate ─▶ -rw at the peer ─▶ replaced
//! ```

use tandem_api::InstanceName;

use super::health::troubles;
use super::state::SlotState;
use super::validate::Validated;
use crate::detection::Cause;
use crate::observed::Observed;
use crate::outcome::Waiting;
use crate::step::Step;
use crate::suffix::SUFFIX_RW;

/// What the roll needs now; at most one of `replace` and `hand_over`.
#[derive(Debug, Default)]
pub(super) struct Roll {
    /// The slot and its step.
    pub(super) replace: Option<(usize, Step)>,
    /// The slot whose primary gives its role away before it is replaced.
    pub(super) hand_over: Option<(usize, Cause)>,
    /// The slot whose primary `-rw` has to leave.
    pub(super) vacate: Option<usize>,
    /// What holds it up.
    pub(super) waits_for: Vec<Waiting>,
    /// Instances that are outdated.
    pub(super) outdated: Vec<InstanceName>,
}

pub(super) fn plan_roll(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> Roll {
    let mut roll = Roll::default();
    let outdated: Vec<(usize, &InstanceName, &str)> = slots
        .iter()
        .enumerate()
        .flat_map(|(index, state)| state.instances.iter().map(move |name| (index, name)))
        .filter_map(|(index, name)| {
            let placement = &observed.instances.get(name)?.placement;
            let what = placement
                .outdated
                .as_deref()
                .filter(|_| !placement.terminating)?;
            Some((index, name, what))
        })
        .collect();
    roll.outdated = outdated
        .iter()
        .map(|(_, name, _)| (*name).clone())
        .collect();
    let replace = |name: &InstanceName, what: &str| Step::Replace {
        instance: name.clone(),
        reason: what.into(),
    };
    let is_stuck = |name: &&InstanceName| {
        observed.instances.get(*name).is_some_and(|seen| {
            seen.placement.trouble.is_some() && seen.heard(&valid.timing).is_none()
        })
    };
    if let Some((index, name, what)) = outdated.iter().find(|(_, name, _)| is_stuck(name)) {
        roll.replace = Some((*index, replace(name, what)));
        return roll;
    }
    let primary = |index: usize| {
        slots
            .get(index)
            .and_then(|slot| slot.decision.state.primary())
    };
    let replicas = outdated
        .iter()
        .filter(|(index, name, _)| primary(*index) != Some(*name));
    let primaries = outdated
        .iter()
        .filter(|(index, name, _)| primary(*index) == Some(*name));
    let Some((index, name, what)) = replicas.chain(primaries).next() else {
        return roll;
    };
    let found = troubles(valid, slots, observed, Some(name));
    if !found.is_empty() {
        let what = format!("the replacement of {name} ({what})");
        roll.waits_for.push(Waiting::new(what, found.join("; ")));
        return roll;
    }
    if primary(*index) != Some(*name) {
        roll.replace = Some((*index, replace(name, what)));
    } else if valid.replicas > 0 {
        roll.hand_over = Some((
            *index,
            Cause::Outdated {
                what: (*what).into(),
            },
        ));
    } else {
        let rw = observed.services.get(&valid.name.service(SUFFIX_RW));
        roll.vacate = Some(*index);
        let is_reached = observed.sent_to.contains(*name);
        if is_reached || rw.is_some_and(|targets| targets.contains(name)) {
            let why = format!("{name} has to be replaced: {what}");
            roll.waits_for.push(Waiting::new("-rw to leave it", why));
        } else {
            roll.replace = Some((*index, replace(name, what)));
        }
    }
    roll
}
