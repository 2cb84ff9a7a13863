//! The steps of a slot: its failover's, its processes', its peer link's; filtered so that nothing is
//! done twice at once or too fast, and at most one of them is disruptive.

use tandem_api::InstanceName;
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};

use super::state::SlotState;
use super::validate::Validated;
use crate::events::{Event, Reason};
use crate::lifecycle;
use crate::observed::{Observed, link_to};
use crate::outcome::Waiting;
use crate::step::{Resync, Step};
use crate::timing::{Timing, backoff_ms};

/// Steps of one slot with what they announce.
#[derive(Debug, Default)]
pub(super) struct SlotSteps {
    /// At most one disruptive, first.
    pub(super) steps: Vec<Step>,
    /// Their events.
    pub(super) events: Vec<Event>,
    /// What was held back, and what is awaited.
    pub(super) waits_for: Vec<Waiting>,
    /// Whether the primary streams from the other slot's.
    pub(super) paired: bool,
}

/// What the resource as a whole wants of one slot.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Extra<'a> {
    /// Holds back a full resync, since one at a time is enough load.
    pub(super) resync_elsewhere: bool,
    /// The replacement whose turn it is.
    pub(super) replace: Option<&'a Step>,
    /// A full resync that a person asked for.
    pub(super) resync: Option<&'a Step>,
}

/// Plans one slot's steps. `other` is the peer slot.
pub(super) fn plan_slot(
    valid: &Validated,
    own: &SlotState<'_>,
    other: &SlotState<'_>,
    observed: &Observed,
    extra: Extra<'_>,
) -> SlotSteps {
    let timing = &valid.timing;
    let mut steps = SlotSteps::default();
    let mut disruptive: Vec<Step> = own.decision.disruptive.iter().cloned().collect();
    let mut gentle = own.decision.repairs.clone();
    steps
        .waits_for
        .extend(own.decision.waits_for.iter().cloned());

    let (wanted, stuck) = without_foreign_volumes(own, observed);
    steps.waits_for.extend(stuck);
    let done = surplus(own, observed, timing, &mut steps.waits_for);
    let life = lifecycle::plan(&wanted, &done, observed, timing);
    steps.waits_for.extend(life.waits_for);
    gentle.extend(life.starts);
    disruptive.extend(life.disruptive);
    match extra.resync {
        Some(step) if extra.resync_elsewhere => steps.waits_for.push(Waiting::new(
            step.to_string(),
            "another full resync runs; one at a time",
        )),
        resync => disruptive.extend(resync.cloned()),
    }

    let peering = plan_peer(own, other, observed, timing);
    steps.paired = peering.paired;
    steps.waits_for.extend(peering.waits_for);
    gentle.extend(peering.peer);
    match peering.resync {
        Some(step) if extra.resync_elsewhere => steps.waits_for.push(Waiting::new(
            step.to_string(),
            "another full resync runs; one at a time",
        )),
        Some(step) => disruptive.push(step),
        None => {}
    }
    disruptive.extend(extra.replace.cloned());
    gentle.extend(plan_members(valid, own, observed));
    gentle.extend(plan_settings(valid, own, observed));

    let claimed_now = own.decision.claim.is_some();
    let may_go = |step: &Step, waits_for: &mut Vec<Waiting>| {
        let held = held_back(step, observed)
            .filter(|_| !(claimed_now && matches!(step, Step::Promote { .. })));
        match held {
            Some(why) => {
                waits_for.push(Waiting::new(step.to_string(), why));
                false
            }
            None => true,
        }
    };
    if let Some(step) = disruptive
        .into_iter()
        .find(|step| may_go(step, &mut steps.waits_for))
    {
        steps.steps.push(step);
    }
    let taken: Option<InstanceName> = steps.steps.first().map(|step| step.instance().clone());
    for step in gentle {
        let is_taken = taken.as_ref() == Some(step.instance());
        if !is_taken && may_go(&step, &mut steps.waits_for) {
            steps.steps.push(step);
        }
    }
    steps.events = steps
        .steps
        .iter()
        .filter_map(|step| event(step, observed))
        .collect();
    steps
}

/// Why a step has to wait: another one is under way on the instance, or it was tried just now.
fn held_back(step: &Step, observed: &Observed) -> Option<String> {
    let busy = observed
        .instances
        .get(step.instance())
        .and_then(|seen| seen.busy.as_deref());
    if let Some(busy) = busy {
        let waits = match step {
            // One that collects from fewer does not wait for one that collects from more.
            Step::Promote { .. } => busy == step.key(),
            Step::Withdraw { .. } => busy.starts_with("withdraw"),
            Step::Start { .. } | Step::Restart { .. } => {
                busy.starts_with("start") || busy.starts_with("restart")
            }
            _ => true,
        };
        if waits {
            return Some(format!("`{busy}` is under way"));
        }
    }
    let attempt = observed.attempts.get(&step.key())?;
    let wait_ms = backoff_ms(attempt.failures);
    (attempt.age_ms < wait_ms).then(|| {
        let error = if attempt.error.is_empty() {
            "no effect seen yet"
        } else {
            &attempt.error
        };
        format!("tried {} times: {error}", attempt.failures)
    })
}

#[derive(Debug, Default)]
struct Peering {
    peer: Option<Step>,
    resync: Option<Step>,
    paired: bool,
    waits_for: Vec<Waiting>,
}

/// Points this slot's primary at the other slot's, when both serve.
fn plan_peer(
    own: &SlotState<'_>,
    other: &SlotState<'_>,
    observed: &Observed,
    timing: &Timing,
) -> Peering {
    let mut peering = Peering::default();
    let (Some(writer), Some(peer)) = (own.decision.state.serving(), other.decision.state.serving())
    else {
        return peering;
    };
    let (Some(status), Some(peer_seen)) =
        (observed.heard(writer, timing), observed.instances.get(peer))
    else {
        return peering;
    };
    let Some(link) = link_to(status, LinkKind::Peer, &peer_seen.address) else {
        peering.peer = Some(Step::Peer {
            instance: writer.clone(),
            peer: peer.clone(),
            server_id: other.slot.server_id,
        });
        return peering;
    };
    let what = || format!("the link {writer} <- {peer}");
    let answer_age_ms = observed
        .instances
        .get(writer)
        .and_then(|seen| seen.answer.as_ref())
        .map_or(0, |answer| answer.age_ms);
    let silent_ms = link.last_contact_ms.unwrap_or(0) + answer_age_ms;
    match link.state {
        LinkState::Streaming if silent_ms >= timing.link_silent_ms() => {
            let why = format!("calls itself streaming and has heard nothing for {silent_ms} ms");
            peering.waits_for.push(Waiting::new(what(), why));
        }
        LinkState::Streaming => peering.paired = true,
        LinkState::Connecting => peering
            .waits_for
            .push(Waiting::new(what(), connecting(link))),
        LinkState::FullResync => {
            peering
                .waits_for
                .push(Waiting::new(what(), "a full resync runs"));
        }
        LinkState::LostPlace => {
            let (instance, source) = (writer.clone(), peer.clone());
            let epoch = own.decision.state.epoch().unwrap_or_default();
            let mode = Resync::Mend;
            peering.resync = Some(Step::FullResync {
                instance,
                source,
                epoch,
                mode,
            });
        }
        LinkState::Refused => {
            peering
                .waits_for
                .push(Waiting::new(what(), format!("refused: {}", link.reason)));
        }
    }
    peering
}

fn connecting(link: &tandem_proto::status::LinkStatus) -> String {
    if link.reason.is_empty() {
        "connecting".into()
    } else {
        link.reason.clone()
    }
}

/// Whether this slot's primary streams from the other slot's.
pub(super) fn streams_from_peer(
    own: &SlotState<'_>,
    other: &SlotState<'_>,
    observed: &Observed,
    timing: &Timing,
) -> bool {
    plan_peer(own, other, observed, timing).paired
}

/// Instances beyond the wanted number that can be stopped: what each alone held was taken, or it does
/// not answer. Never while the slot has no primary: they may be all it has.
fn surplus(
    own: &SlotState<'_>,
    observed: &Observed,
    timing: &Timing,
    waits_for: &mut Vec<Waiting>,
) -> Vec<InstanceName> {
    let mut done = Vec::new();
    for name in &own.unwanted {
        let Some(seen) = observed.instances.get(name).filter(|seen| !seen.is_gone()) else {
            continue;
        };
        let is_taken = own.decision.followers.contains(name) || seen.heard(timing).is_none();
        if own.decision.state.serving().is_some() && is_taken && !seen.placement.terminating {
            done.push(name.clone());
        } else {
            let why = "what it alone holds was not taken yet";
            waits_for.push(Waiting::new(format!("the end of {name}"), why));
        }
    }
    done
}

/// Wanted instances less those whose volume holds another group's data, which are not started.
fn without_foreign_volumes(
    own: &SlotState<'_>,
    observed: &Observed,
) -> (Vec<InstanceName>, Vec<Waiting>) {
    let mut waits_for = Vec::new();
    let mut wanted = own.instances.clone();
    wanted.retain(|name| {
        let foreign = foreign_volume(own, name, observed);
        if let Some(found) = foreign {
            let why = format!("its volume holds data of server id {found}");
            waits_for.push(Waiting::new(format!("another volume for {name}"), why));
        }
        foreign.is_none()
    });
    (wanted, waits_for)
}

/// The server id that an instance's volume names, when it is not that of its slot.
pub(super) fn foreign_volume(
    own: &SlotState<'_>,
    name: &InstanceName,
    observed: &Observed,
) -> Option<u32> {
    let found = observed.retained.get(name)?.server_id;
    (found != own.slot.server_id).then_some(found)
}

fn plan_settings(valid: &Validated, own: &SlotState<'_>, observed: &Observed) -> Vec<Step> {
    own.instances
        .iter()
        .filter(|name| observed.heard(name, &valid.timing).is_some())
        .filter_map(|name| {
            let have = observed.instances.get(name)?.settings.as_ref()?;
            let settings = valid.settings_to_apply(have);
            let instance = name.clone();
            (!settings.is_empty()).then_some(Step::Configure { instance, settings })
        })
        .collect()
}

/// Whether an instance has a full resync of its peer link under way.
pub(super) fn resyncs_from_peer(status: &InstanceStatus) -> bool {
    status
        .links
        .iter()
        .any(|link| link.kind == LinkKind::Peer && link.state == LinkState::FullResync)
}

fn plan_members(valid: &Validated, own: &SlotState<'_>, observed: &Observed) -> Vec<Step> {
    let wanted = valid.server_ids();
    own.instances
        .iter()
        .filter(|name| {
            observed.heard(name, &valid.timing).is_some_and(|status| {
                let mut told = status.members.clone();
                told.sort_unstable();
                told != wanted
            })
        })
        .map(|name| Step::Members {
            instance: name.clone(),
            server_ids: wanted.clone(),
        })
        .collect()
}

fn event(step: &Step, observed: &Observed) -> Option<Event> {
    match step {
        Step::Promote { .. } | Step::Withdraw { .. } | Step::Members { .. } => None,
        Step::Fence {
            instance,
            epoch,
            primary,
        } => Some(Event::new(
            Reason::OldWriterFenced,
            format!(
                "{instance} wrote under an older epoch; it follows {primary} (epoch {epoch}), \
                 which takes what {instance} alone holds"
            ),
        )),
        Step::Follow {
            instance,
            epoch,
            primary,
        } => Some(Event::new(
            Reason::ReplicaRepointed,
            format!("{instance} follows {primary}, epoch {epoch}"),
        )),
        Step::Peer {
            instance,
            peer,
            server_id,
        } => Some(Event::new(
            Reason::PeerFormed,
            format!("{instance} pulls from {peer}, server id {server_id}"),
        )),
        Step::FullResync {
            instance,
            source,
            mode,
            ..
        } => {
            let message = match mode {
                Resync::Mend => {
                    format!("{instance} lost its place in the log of {source} and merges its state")
                }
                Resync::Merge => format!("{instance} merges the state of {source}: asked for"),
                Resync::Replace => format!("{instance} takes the state of {source}: asked for"),
            };
            Some(Event::new(Reason::ResyncRequested, message))
        }
        Step::Configure { instance, settings } => {
            let keys: Vec<&str> = settings.keys().map(String::as_str).collect();
            Some(Event::new(
                Reason::SettingsApplied,
                format!("{instance} is given new values of {}", keys.join(", ")),
            ))
        }
        Step::Start { .. } | Step::Restart { .. } | Step::Stop { .. } | Step::Replace { .. } => {
            lifecycle::event(step, observed)
        }
    }
}
