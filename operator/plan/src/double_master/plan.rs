//! The table of contents: slots, their steps, services, events, status.

use tandem_api::condition::Condition;
use tandem_api::double_master::DoubleMasterStatus;

use super::services::{plan_services, service_events};
use super::state::{SlotState, decide_slots};
use super::status::{View, build};
use super::steps::{SlotSteps, plan_slot, resyncs_from_peer};
use super::validate::Validated;
use crate::events::{Event, Reason};
use crate::failover_start::Kind;
use crate::group::Clock;
use crate::observed::Observed;
use crate::outcome::{DesiredInstance, GroupPlan, Plan, Waiting};
use crate::report::FailoverReport;
use crate::step::Step;

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
    let slots = decide_slots(valid, observed, clock);
    let services = plan_services(valid, &slots, observed);
    let mut steps = plan_steps(valid, &slots, observed);
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
        events.extend(service_events(&services, observed));
        events.extend(steps.iter().flat_map(|slot| slot.events.iter().cloned()));
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
    let [a, b] = slots;
    let [steps_a, steps_b] = steps;
    let groups = vec![
        finish(a, steps_a, valid.pause),
        finish(b, steps_b, valid.pause),
    ];
    Plan {
        instances,
        groups,
        services,
        status,
        events,
        replies: Vec::new(),
        waits_for,
        look_again_ms,
    }
}

fn plan_steps(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    observed: &Observed,
) -> [SlotSteps; 2] {
    let [a, b] = slots;
    let runs = observed
        .instances
        .values()
        .any(|seen| seen.heard(&valid.timing).is_some_and(resyncs_from_peer));
    let steps_a = plan_slot(valid, a, b, observed, runs);
    let begins = steps_a
        .steps
        .iter()
        .any(|step| matches!(step, Step::FullResync { .. }));
    let steps_b = plan_slot(valid, b, a, observed, runs || begins);
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

fn finish(state: SlotState<'_>, steps: SlotSteps, pause: bool) -> GroupPlan {
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
        released: Vec::new(),
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
        Kind::First => Reason::FirstPrimary,
        Kind::Failover => Reason::FailoverStarted,
        Kind::Resume => Reason::PrimaryResumes,
        Kind::Switchover => Reason::SwitchoverStarted,
    };
    let mut report = FailoverReport::open(start.clone(), false, now_ms);
    report.phases.clear();
    Some(Event::new(reason, report.headline()))
}
