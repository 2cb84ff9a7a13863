//! Where the services point: `-rw` one writer, `-a` and `-b` the slots' primaries, `-ro` the replicas.
//!
//! Targets are only ever instances that said a moment ago that they can serve, so that switching
//! needs no claim. `-rw` stays where it is as long as it can: moving it is never the aim, and a
//! writer that came back does not take it back.

use std::collections::BTreeMap;

use tandem_api::{InstanceName, ServiceName};

use super::state::SlotState;
use super::validate::Validated;
use crate::events::{Event, Reason};
use crate::observed::Observed;
use crate::suffix::{SUFFIX_RO, SUFFIX_RW};

/// Targets of all services.
pub(super) fn plan_services(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> BTreeMap<ServiceName, Vec<InstanceName>> {
    let rw = valid.name.service(SUFFIX_RW);
    let current = observed
        .services
        .get(&rw)
        .and_then(|targets| targets.first());
    let mut services = BTreeMap::new();
    services.insert(rw, one(writer(valid, slots, current, observed)));
    services.insert(
        valid.name.service(SUFFIX_RO),
        readers(valid, slots, observed),
    );
    for state in slots {
        let name = valid.name.service(state.slot.name.as_str());
        services.insert(name, one(state.decision.state.primary().cloned()));
    }
    services
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
    let stays = |name: &InstanceName| {
        slots.iter().any(|state| {
            // A primary under suspicion keeps the service: without a verdict nobody is better.
            state.decision.state.primary() == Some(name)
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
    if !followers.is_empty() {
        return followers;
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
        events.push(Event::new(reason, format!("{service}: {from} -> {to}")));
    }
    events
}
