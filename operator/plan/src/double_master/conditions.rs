//! Conditions: what holds of the whole, each with a stable word and what is missing.

use tandem_api::InstanceName;
use tandem_api::condition::{Condition, ConditionStatus, rfc3339};

use super::state::SlotState;
use super::steps::foreign_volume;
use super::view::View;
use crate::state::State;
use crate::suffix::SUFFIX_RW;

pub(super) fn conditions(view: &View<'_>, previous: &[Condition]) -> Vec<Condition> {
    let writable = writable(view);
    let paired = paired(view);
    let redundant = redundant(view);
    let foreign = foreign_volumes(view);
    let full = full_volumes(view);
    let ready = foreign
        .iter()
        .chain(&full)
        .chain([&writable, &paired, &redundant])
        .find(|part| part.status != ConditionStatus::True)
        .map_or_else(
            || {
                condition(
                    view,
                    "Ready",
                    ConditionStatus::True,
                    "AllServing",
                    String::new(),
                )
            },
            |part| {
                condition(
                    view,
                    "Ready",
                    part.status,
                    &part.reason.clone(),
                    part.message.clone(),
                )
            },
        );
    let ready = if view.valid.pause {
        let message = "spec.pause is set: nothing is started, promoted or repointed; remove it";
        condition(view, "Ready", ready.status, "Paused", message.into())
    } else {
        ready
    };
    let progressing = progressing(view);
    let blocked = failover_blocked(view);
    [ready, writable, paired, redundant, progressing, blocked]
        .into_iter()
        .map(|condition| condition.keep_transition(previous))
        .collect()
}

fn condition(
    view: &View<'_>,
    kind: &str,
    status: ConditionStatus,
    reason: &str,
    message: String,
) -> Condition {
    Condition {
        kind: kind.into(),
        status,
        reason: reason.into(),
        message,
        observed_generation: view.valid.generation,
        last_transition_time: rfc3339(view.now_ms),
    }
}

fn writable(view: &View<'_>) -> Condition {
    let rw = view.valid.name.service(SUFFIX_RW);
    let has_target = view
        .services
        .get(&rw)
        .is_some_and(|targets| !targets.is_empty());
    let states: Vec<String> = view
        .slots
        .iter()
        .filter_map(|state| Some((state, not_writing(view, state)?)))
        .map(|(state, why)| format!("slot {}: {why}", state.slot.name))
        .collect();
    let has_target = has_target && states.len() < view.slots.len();
    let message = states.join("; ");
    if states.is_empty() {
        condition(
            view,
            "Writable",
            ConditionStatus::True,
            "BothMastersWrite",
            message,
        )
    } else if has_target {
        condition(
            view,
            "Writable",
            ConditionStatus::True,
            "OneMasterWrites",
            message,
        )
    } else {
        let refuses = view
            .slots
            .iter()
            .any(|state| state.decision.state.serving().is_some());
        let assembling = view
            .slots
            .iter()
            .any(|state| !matches!(state.decision.state, State::Lost { .. }));
        let reason = match (refuses, assembling) {
            (true, _) => "WritesRefused",
            (false, true) => "Starting",
            (false, false) => "NoMaster",
        };
        condition(view, "Writable", ConditionStatus::False, reason, message)
    }
}

/// Why a slot takes no writes, when it does not.
fn not_writing(view: &View<'_>, state: &SlotState<'_>) -> Option<String> {
    let Some(primary) = state.decision.state.serving() else {
        return Some(state.decision.state.to_string());
    };
    let status = view.observed.heard(primary, &view.valid.timing)?;
    let why = status.not_writable_reason.as_deref().unwrap_or_default();
    (!status.writable).then(|| format!("{primary} refuses writes: {why}"))
}

/// Instances that take nothing more until their volumes grow.
fn full_volumes(view: &View<'_>) -> Option<Condition> {
    let names: Vec<&str> = view
        .slots
        .iter()
        .flat_map(|state| &state.instances)
        .filter(|name| {
            let status = view.observed.heard(name, &view.valid.timing);
            status.is_some_and(|status| status.volume_full)
        })
        .map(InstanceName::as_str)
        .collect();
    let message = format!(
        "no space left on the volume of {}; raise spec.storage.size, or make space",
        names.join(", ")
    );
    (!names.is_empty())
        .then(|| condition(view, "Ready", ConditionStatus::False, "VolumeFull", message))
}

fn paired(view: &View<'_>) -> Condition {
    let missing: Vec<String> = view
        .slots
        .iter()
        .zip(view.steps)
        .filter(|(_, steps)| !steps.paired)
        .map(|(state, _)| format!("slot {} does not stream from its peer", state.slot.name))
        .collect();
    let status = ConditionStatus::of(missing.is_empty());
    let reason = if missing.is_empty() {
        "BothStream"
    } else {
        "PeerLinkDown"
    };
    condition(view, "Paired", status, reason, missing.join("; "))
}

fn redundant(view: &View<'_>) -> Condition {
    let wanted = usize::from(view.valid.replicas);
    let missing: Vec<String> = view
        .slots
        .iter()
        .filter(|state| state.decision.followers.len() < wanted)
        .map(|state| {
            let count = state.decision.followers.len();
            format!(
                "slot {}: {count} of {wanted} replicas stream",
                state.slot.name
            )
        })
        .collect();
    let status = ConditionStatus::of(missing.is_empty());
    let reason = if missing.is_empty() {
        "ReplicasStream"
    } else {
        "ReplicasMissing"
    };
    condition(view, "Redundant", status, reason, missing.join("; "))
}

/// A volume that names another group is no guess to be made: somebody has to say what it is.
fn foreign_volumes(view: &View<'_>) -> Option<Condition> {
    let found: Vec<String> = view
        .slots
        .iter()
        .flat_map(|slot| slot.instances.iter().map(move |name| (slot, name)))
        .filter_map(|(slot, name)| {
            let found = foreign_volume(slot, name, view.observed)?;
            let wanted = slot.slot.server_id;
            Some(format!(
                "the volume of {name} holds data of server id {found}, not {wanted}"
            ))
        })
        .collect();
    let message = format!(
        "{}; give spec.serverIds as they were, or remove the volume",
        found.join("; ")
    );
    (!found.is_empty()).then(|| {
        condition(
            view,
            "Ready",
            ConditionStatus::False,
            "ServerIdConflict",
            message,
        )
    })
}

/// Whether the instances are on their way to what the specification wants.
fn progressing(view: &View<'_>) -> Condition {
    let outdated: Vec<String> = view.roll.outdated.iter().map(ToString::to_string).collect();
    let surplus: Vec<String> = view
        .slots
        .iter()
        .flat_map(|slot| &slot.members)
        .filter(|name| name.ordinal() > view.valid.replicas)
        .map(ToString::to_string)
        .collect();
    let (status, reason, message) = if !outdated.is_empty() {
        let held: Vec<String> = view
            .roll
            .waits_for
            .iter()
            .map(ToString::to_string)
            .collect();
        let reason = if held.is_empty() {
            "Replacing"
        } else {
            "WaitingForHealth"
        };
        let message = format!("outdated: {}; {}", outdated.join(", "), held.join("; "));
        (ConditionStatus::True, reason, message)
    } else if !surplus.is_empty() {
        let message = format!("beyond the wanted number: {}", surplus.join(", "));
        (ConditionStatus::True, "ScalingDown", message)
    } else {
        (ConditionStatus::False, "UpToDate", String::new())
    };
    condition(view, "Progressing", status, reason, message)
}

/// Whether a slot needs another primary and cannot have one.
fn failover_blocked(view: &View<'_>) -> Condition {
    let blocked: Vec<_> = view
        .slots
        .iter()
        .filter_map(|slot| Some((slot, slot.decision.blocked.as_ref()?)))
        .collect();
    let message: Vec<String> = blocked
        .iter()
        .map(|(slot, blocked)| format!("slot {}: {}", slot.slot.name, blocked.message))
        .collect();
    let status = ConditionStatus::of(!blocked.is_empty());
    let reason = blocked
        .first()
        .map_or("NotNeeded", |(_, blocked)| blocked.reason);
    condition(view, "FailoverBlocked", status, reason, message.join("; "))
}
