//! The table of contents: slots, their steps, services, events, status.

use std::collections::BTreeMap;

use tandem_api::condition::Condition;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_api::{InstanceName, ServiceName};

use super::moves::{Answers, answer_requests, move_primaries};
use super::roll::{Roll, plan_roll};
use super::services::{plan_services, service_events};
use super::state::{SlotState, decide_slots};
use super::status::build;
use super::steps::{Extra, SlotSteps, plan_slot, resyncs_from_peer};
use super::validate::Validated;
use super::view::View;
use crate::detection::Cause;
use crate::events::{Event, Reason};
use crate::failover_start::Kind;
use crate::group::Clock;
use crate::group::explain;
use crate::observed::Observed;
use crate::outcome::{DesiredInstance, GroupPlan, Plan, Waiting};
use crate::report::FailoverReport;
use crate::step::Step;
use crate::suffix::SUFFIX_RW;

/// The plan of a `DoubleMaster`.
pub type DoubleMasterPlan = Plan<DoubleMasterStatus>;

/// Looked again after this long when nothing is awaited.
const IDLE_MS: u64 = 1000;

/// Plans. `previous` are the conditions published last; `now_ms` is Unix time.
pub fn plan(
    valid: &Validated,
    observed: &Observed,
    previous: &[Condition],
    now_ms: u64,
) -> DoubleMasterPlan {
    let clock = Clock {
        timing: &valid.timing,
        now_ms,
    };
    let mut slots = decide_slots(valid, observed, clock);
    let mut roll = plan_roll(valid, &slots, observed);
    let mut answers = if valid.pause {
        Answers::default()
    } else {
        let answers = answer_requests(valid, &mut slots, observed, clock);
        move_primaries(valid, &mut slots, &roll, observed, clock);
        answers
    };
    if slots.iter().any(|slot| slot.decision.claim.is_some()) {
        roll.replace = None;
    }
    if let Some(slot) = roll.vacate.and_then(|index| slots.get_mut(index)) {
        let what = "its replacement".into();
        slot.wish = Some(Cause::Outdated { what });
    }
    let services = plan_services(valid, &slots, observed);
    let mut steps = plan_steps(valid, &slots, observed, &roll, &answers);
    answers.resync_taken(steps.iter().flat_map(|slot| &slot.steps));
    if valid.pause {
        for slot in &mut steps {
            *slot = SlotSteps {
                paired: slot.paired,
                ..SlotSteps::default()
            };
        }
    }
    let mut events = Vec::new();
    let mut waits_for = Vec::new();
    if valid.pause {
        waits_for.push(Waiting::new(
            "the end of spec.pause",
            "nothing is changed until then",
        ));
    } else {
        events.extend(slots.iter().filter_map(|state| claim_event(state, now_ms)));
        events.extend(answers.events);
        events.extend(service_events(&services, observed));
        events.extend(steps.iter().flat_map(|slot| slot.events.iter().cloned()));
        waits_for.extend(roll.waits_for.iter().cloned());
        waits_for.extend(steps.iter().flat_map(|slot| slot.waits_for.iter().cloned()));
    }
    let services = if valid.pause {
        observed.services.clone()
    } else {
        services
    };
    let view = View {
        valid,
        slots: &slots,
        steps: &steps,
        services: &services,
        roll: &roll,
        observed,
        now_ms,
    };
    let status = build(&view, &waits_for, previous);
    let look_again_ms = if waits_for.is_empty() {
        IDLE_MS
    } else {
        valid.timing.probe_interval_ms
    };
    let instances = desired(&slots);
    let explanations = slots
        .iter()
        .map(|slot| explain(slot.group(), &slot.decision, observed, clock))
        .collect();
    let released = released(valid, &slots, &steps, &services, observed);
    let [a, b] = slots;
    let [steps_a, steps_b] = steps;
    let [released_a, released_b] = released;
    let groups = vec![
        finish(a, steps_a, released_a, valid.pause),
        finish(b, steps_b, released_b, valid.pause),
    ];
    Plan {
        instances,
        groups,
        services,
        status,
        events,
        replies: answers.replies,
        explanations,
        waits_for,
        look_again_ms,
    }
}

/// Primaries without anybody to hand over to whose place goes, once clients have the peer.
fn released(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    steps: &[SlotSteps; 2],
    services: &BTreeMap<ServiceName, Vec<InstanceName>>,
    observed: &Observed,
) -> [Vec<InstanceName>; 2] {
    let [a, b] = slots;
    let rw = services.get(&valid.name.service(SUFFIX_RW));
    let of = |own: &SlotState<'_>, other: &SlotState<'_>| {
        let primary = own.decision.state.serving();
        let peer = other.decision.state.serving();
        let goes = |name: &&InstanceName| {
            observed
                .instances
                .get(*name)
                .is_some_and(|seen| seen.placement.going().is_some())
        };
        let peer_has_rw = rw.is_some_and(|rw| peer.is_some_and(|peer| rw.contains(peer)));
        let peer_stays = peer.is_some_and(|peer| !goes(&peer));
        let is_paired = steps.iter().all(|slot| slot.paired);
        primary
            .filter(goes)
            .filter(|_| valid.replicas == 0 && peer_has_rw && peer_stays && is_paired)
            .filter(|primary| !observed.sent_to.contains(*primary))
            .cloned()
            .into_iter()
            .collect()
    };
    [of(a, b), of(b, a)]
}

fn plan_steps(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
    roll: &Roll,
    answers: &Answers,
) -> [SlotSteps; 2] {
    let extra = |index: usize, resync_elsewhere: bool| {
        let of_slot = |step: &&Step| {
            slots
                .get(index)
                .is_some_and(|slot| slot.members.contains(step.instance()))
        };
        Extra {
            resync_elsewhere,
            replace: roll.replace.as_ref().map(|(_, step)| step).filter(of_slot),
            resync: answers
                .resync
                .as_ref()
                .map(|(_, step)| step)
                .filter(of_slot),
        }
    };
    let [a, b] = slots;
    let runs = observed
        .instances
        .values()
        .any(|seen| seen.heard(&valid.timing).is_some_and(resyncs_from_peer));
    let steps_a = plan_slot(valid, a, b, observed, extra(0, runs));
    let begins = steps_a
        .steps
        .iter()
        .any(|step| matches!(step, Step::FullResync { .. }));
    let steps_b = plan_slot(valid, b, a, observed, extra(1, runs || begins));
    [steps_a, steps_b]
}

fn desired(slots: &[SlotState<'_>; 2]) -> Vec<DesiredInstance> {
    slots
        .iter()
        .flat_map(|state| {
            state.instances.iter().map(|name| DesiredInstance {
                name: name.clone(),
                group: state.slot.name.clone(),
                server_id: state.slot.server_id,
            })
        })
        .collect()
}

fn finish(
    state: SlotState<'_>,
    steps: SlotSteps,
    released: Vec<InstanceName>,
    pause: bool,
) -> GroupPlan {
    let decision = state.decision;
    GroupPlan {
        group: state.slot.name.clone(),
        state: decision.state,
        claim: decision.claim.filter(|_| !pause),
        failover: decision.failover.filter(|_| !pause),
        steps: steps.steps,
        followers: decision.followers,
        strays: decision.strays,
        paired: steps.paired,
        released,
    }
}

fn claim_event(state: &SlotState<'_>, now_ms: u64) -> Option<Event> {
    let claim = state.decision.claim.as_ref()?;
    let Some(start) = &state.decision.failover else {
        let message = format!(
            "slot {}: {} writes under epoch {}, which no claim had given; it is believed",
            state.slot.name, claim.claim.instance, claim.claim.epoch
        );
        return Some(Event::new(Reason::PrimaryResumes, message));
    };
    let reason = match start.kind {
        _ if matches!(start.cause, Some(Cause::NotOpened { .. })) => Reason::ClaimPassedOn,
        Kind::First => Reason::FirstPrimary,
        Kind::Failover => Reason::FailoverStarted,
        Kind::Resume => Reason::PrimaryResumes,
        Kind::Switchover => Reason::SwitchoverStarted,
    };
    let mut report = FailoverReport::open(start.clone(), false, now_ms);
    report.phases.clear();
    Some(Event::new(reason, report.headline()))
}
