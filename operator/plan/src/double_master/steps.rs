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
use crate::step::Step;
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

/// Plans one slot's steps. `other` is the peer slot; `resync_elsewhere` holds back a full resync,
/// since one at a time is enough load.
pub(super) fn plan_slot(
    valid: &Validated,
    own: &SlotState<'_>,
    other: &SlotState<'_>,
    observed: &Observed,
    resync_elsewhere: bool,
) -> SlotSteps {
    let timing = &valid.timing;
    let mut steps = SlotSteps::default();
    let mut disruptive: Vec<Step> = own.decision.disruptive.iter().cloned().collect();
    let mut gentle = own.decision.repairs.clone();
    steps
        .waits_for
        .extend(own.decision.waits_for.iter().cloned());

    let life = lifecycle::plan(&own.instances, &own.unwanted, observed, timing);
    steps.waits_for.extend(life.waits_for);
    gentle.extend(life.starts);
    disruptive.extend(life.disruptive);

    let peering = plan_peer(own, other, observed, timing);
    steps.paired = peering.paired;
    steps.waits_for.extend(peering.waits_for);
    gentle.extend(peering.peer);
    match peering.resync {
        Some(step) if resync_elsewhere => steps.waits_for.push(Waiting::new(
            step.to_string(),
            "another full resync runs; one at a time",
        )),
        Some(step) => disruptive.push(step),
        None => {}
    }
    gentle.extend(plan_members(valid, own, observed));

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
        let goes_through = match step {
            Step::Promote { .. } => !busy.starts_with("promote"),
            Step::Start { .. } | Step::Restart { .. } => {
                !busy.starts_with("start") && !busy.starts_with("restart")
            }
            _ => false,
        };
        if !goes_through {
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
    match link.state {
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
            peering.resync = Some(Step::FullResync { instance, source });
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
        Step::Promote { .. } | Step::Members { .. } => None,
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
        Step::FullResync { instance, source } => Some(Event::new(
            Reason::ResyncRequested,
            format!("{instance} lost its place in the log of {source} and merges its state"),
        )),
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
