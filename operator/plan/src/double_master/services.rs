//! Where the services point: `-rw` one writer, `-a` and `-b` the slots' primaries, `-ro` the replicas.
//!
//! Targets are only ever instances that said a moment ago that they can serve, so that switching
//! needs no claim. `-rw` stays where it is as long as it can: moving it is never the aim, and a
//! writer that came back does not take it back.

use std::collections::BTreeMap;

use tandem_api::{InstanceName, ServiceName};

use super::state::SlotState;
use super::validate::Validated;
use crate::detection::Testimony;
use crate::events::{Event, Reason};
use crate::group::Decision;
use crate::observed::Observed;
use crate::state::State;
use crate::suffix::{SUFFIX_RO, SUFFIX_RW};

/// Targets of all services.
pub(super) fn plan_services(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> BTreeMap<ServiceName, Vec<InstanceName>> {
    if has_heard_nobody(slots, observed) {
        return observed.services.clone();
    }
    let rw = valid.name.service(SUFFIX_RW);
    let current = observed
        .services
        .get(&rw)
        .and_then(|targets| targets.first());
    let awaited = |name: &&InstanceName| {
        is_awaited(name, valid, observed) && !is_left_alone(name, valid, slots, observed)
    };
    let writer = match current.filter(awaited) {
        Some(awaited) => Some(awaited.clone()),
        None => writer(valid, slots, current, observed),
    };
    let mut services = BTreeMap::new();
    services.insert(rw, one(writer));
    services.insert(
        valid.name.service(SUFFIX_RO),
        readers(valid, slots, observed),
    );
    for state in slots {
        let name = valid.name.service(state.slot.name.as_str());
        let current = observed.services.get(&name).and_then(|t| t.first());
        let stays = |name: &&InstanceName| {
            still_writes(state, name, observed) || is_awaited(name, valid, observed)
        };
        let primary = state.decision.state.primary();
        let target = primary.or_else(|| current.filter(stays));
        services.insert(name, one(target.cloned()));
    }
    services
}

/// Whether this operator has not heard any instance yet that ran before it came: it has just begun, or
/// none takes its password. Clients stay where an operator sent them that had.
fn has_heard_nobody(slots: &[SlotState<'_>; 2], observed: &Observed) -> bool {
    let mut seen = slots
        .iter()
        .flat_map(|slot| &slot.members)
        .filter_map(|name| observed.instances.get(name));
    seen.clone().any(|one| one.ran_before) && seen.all(|one| one.answer.is_none())
}

/// Whether an instance that ran before this operator came may still answer its first question. Others of
/// its resource may have been quicker; clients stay until its silence says something.
fn is_awaited(name: &InstanceName, valid: &Validated, observed: &Observed) -> bool {
    observed.instances.get(name).is_some_and(|seen| {
        seen.ran_before
            && seen.answer.is_none()
            && !seen.is_gone()
            && seen.silent_ms < 2 * valid.timing.hang_ms
    })
}

fn one(target: Option<InstanceName>) -> Vec<InstanceName> {
    target.into_iter().collect()
}

fn writer(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    current: Option<&InstanceName>,
    observed: &Observed,
) -> Option<InstanceName> {
    let may_write = |name: &InstanceName| {
        observed
            .heard(name, &valid.timing)
            .is_some_and(|status| status.writable)
    };
    let usable: Vec<&InstanceName> = slots
        .iter()
        .filter_map(|state| state.decision.state.serving())
        .collect();
    let is_left = |name: &InstanceName| {
        slots.iter().any(|state| {
            state.wish.is_some() && state.claim.is_some_and(|claim| claim.instance == *name)
        })
    };
    let other = usable
        .iter()
        .copied()
        .find(|name| may_write(name) && !is_left(name));
    // A writer that shall go is left first, when the other one can take over.
    if current.is_some_and(is_left) && other.is_some() {
        return other.cloned();
    }
    let stays = |name: &InstanceName| {
        slots.iter().any(|state| {
            if still_writes(state, name, observed) {
                return true;
            }
            // A primary under suspicion keeps the service as long as somebody hears it, or nobody else
            // could have it.
            state.decision.state.primary() == Some(name)
                && !is_left_alone(name, valid, slots, observed)
                && (state.decision.state.serving().is_none() || may_write(name))
        })
    };
    current
        .filter(|name| stays(name))
        .or_else(|| usable.iter().copied().find(|name| may_write(name)))
        // Nobody takes writes (full disks): reads go on where they went, errors say why.
        .or_else(|| usable.iter().copied().find(|name| Some(*name) == current))
        .or_else(|| usable.first().copied())
        .cloned()
}

/// Whether nobody hears the primary of a slot, and the other slot can take its clients. That is no
/// verdict: the role stays. But the other master writes already, and whoever sends clients there loses
/// nothing.
fn is_left_alone(
    name: &InstanceName,
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> bool {
    slots.iter().enumerate().any(|(index, slot)| {
        slot.claim.is_some_and(|claim| claim.instance == *name)
            && is_heard_by_nobody(&slot.decision, valid)
            && can_take_clients(valid, slots, index, observed)
    })
}

/// Whether those who watch a primary have lost it: the operator, and nobody says that it hears it; or,
/// while the operator has not asked it for long enough, an instance, for longer than a link may be idle.
fn is_heard_by_nobody(decision: &Decision, valid: &Validated) -> bool {
    let words = decision.witnesses.iter().map(|witness| &witness.testimony);
    let words: Vec<&Testimony> = words.collect();
    let Some((operator, instances)) = words.split_first() else {
        return false;
    };
    let lost_ms = valid.timing.idle_link_lost_ms();
    let have_lost =
        |word: &&Testimony| matches!(word, Testimony::Dead { silent_ms } if *silent_ms >= lost_ms);
    let is_lost = match operator {
        Testimony::Dead { .. } => true,
        Testimony::Unknown { .. } => instances.iter().any(have_lost),
        Testimony::Alive { .. } | Testimony::NoLink => false,
    };
    let hears = |word: &&Testimony| matches!(word, Testimony::Alive { .. });
    is_lost && !instances.iter().any(hears)
}

/// Whether the other slot than `index` has a primary that writes and stays.
fn can_take_clients(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    index: usize,
    observed: &Observed,
) -> bool {
    let mut others = slots
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    others.any(|(_, slot)| {
        let peer = slot.decision.state.serving();
        let status = peer.and_then(|peer| observed.heard(peer, &valid.timing));
        slot.wish.is_none() && status.is_some_and(|status| status.writable)
    })
}

/// Whether clients have to leave the primary of slot `index` before anything is done to it: `-rw` may
/// still send them there, and the other slot can take them.
pub(super) fn clients_leave_first(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    index: usize,
    observed: &Observed,
) -> bool {
    let is_reached = slots
        .get(index)
        .and_then(|slot| slot.decision.state.serving())
        .is_some_and(|primary| observed.sent_to.contains(primary));
    is_reached && can_take_clients(valid, slots, index, observed)
}

/// Whether an instance whose role goes to another one still writes: clients stay until that one is
/// open.
fn still_writes(state: &SlotState<'_>, name: &InstanceName, observed: &Observed) -> bool {
    matches!(state.decision.state, State::Opening { .. })
        && state.members.contains(name)
        && observed.instances.get(name).is_some_and(|seen| {
            let status = seen
                .answer
                .as_ref()
                .filter(|_| !seen.is_gone() && seen.has_answered());
            seen.missed_probes == 0 && status.is_some_and(|answer| answer.status.writable)
        })
}

fn readers(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> Vec<InstanceName> {
    let followers: Vec<InstanceName> = slots
        .iter()
        .flat_map(|state| state.decision.followers.iter().cloned())
        .filter(|name| observed.heard(name, &valid.timing).is_some())
        .collect();
    let current = observed.services.get(&valid.name.service(SUFFIX_RO));
    let awaited = current
        .into_iter()
        .flatten()
        .filter(|name| is_awaited(name, valid, observed) && !followers.contains(name));
    let readers: Vec<InstanceName> = followers.iter().chain(awaited).cloned().collect();
    if !readers.is_empty() {
        return readers;
    }
    slots
        .iter()
        .filter_map(|state| state.decision.state.serving().cloned())
        .collect()
}

/// What changes for clients.
pub(super) fn service_events(
    planned: &BTreeMap<ServiceName, Vec<InstanceName>>,
    observed: &Observed,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (service, targets) in planned {
        let before = observed
            .services
            .get(service)
            .and_then(|targets| targets.first());
        let after = targets.first();
        if before == after || service.suffix() == SUFFIX_RO {
            continue;
        }
        let is_rw = service.suffix() == SUFFIX_RW;
        let from = before.map_or("nobody", InstanceName::as_str);
        let (switched, lost) = if is_rw {
            (Reason::WriterSwitched, Reason::WriterLost)
        } else {
            (Reason::SlotSwitched, Reason::SlotLost)
        };
        let reason = if after.is_some() { switched } else { lost };
        let to = after.map_or("nobody", InstanceName::as_str);
        let is_full = before
            .and_then(|name| observed.instances.get(name)?.last_status())
            .is_some_and(|status| status.volume_full);
        let why = if is_full {
            format!("; the volume of {from} is full")
        } else {
            String::new()
        };
        events.push(Event::new(
            reason,
            format!("{service}: {from} -> {to}{why}"),
        ));
    }
    events
}
