//! Which primaries hand over: asked for by a person, driven out by their place, beyond the wanted
//! number, or outdated. At most one slot at a time, and never in silence when it cannot be done.

use tandem_api::{GroupName, InstanceName};

use super::health::troubles;
use super::resync::resync;
use super::roll::Roll;
use super::services::clients_leave_first;
use super::state::SlotState;
use super::validate::Validated;
use crate::detection::Cause;
use crate::election::Candidate;
use crate::events::{Event, Reason};
use crate::group::{Blocked, Clock, Handover, hand_over};
use crate::observed::Observed;
use crate::outcome::Waiting;
use crate::request::{Reply, Request, RequestKind, Target};
use crate::state::State;
use crate::step::Step;
use crate::suffix::SUFFIX_RW;

/// A claim younger than this has answered a request that names nobody.
const ANSWERED_MS: u64 = 10_000;

/// What a hand-over of a primary that is reached through `-rw` waits for.
const LEAVING: &str = "clients of -rw go to the other slot first";

/// What became of what persons asked for.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) replies: Vec<Reply>,
    pub(super) events: Vec<Event>,
    /// A full resync that was asked for, answered once its step is taken.
    pub(super) resync: Option<(Request, Step)>,
}

impl Answers {
    /// Answers the request for a full resync when its step is among those that are taken.
    pub(super) fn resync_taken<'a>(&mut self, mut steps: impl Iterator<Item = &'a Step>) {
        let taken = self
            .resync
            .take_if(|(_, step)| steps.any(|taken| taken == step));
        if let Some((request, step)) = taken {
            self.reply(&request, Ok(format!("begun: {step}")));
        }
    }

    fn reply(&mut self, request: &Request, outcome: Result<String, String>) {
        let (done, message) = match outcome {
            Ok(message) => (true, message),
            Err(message) => (false, message),
        };
        let reason = if done {
            Reason::RequestDone
        } else {
            Reason::RequestRefused
        };
        self.events
            .push(Event::new(reason, format!("{request}: {message}")));
        self.replies.push(Reply {
            request: request.clone(),
            done,
            message,
        });
    }
}

/// Takes what persons ask for, first things first.
pub(super) fn answer_requests(
    valid: &Validated,
    slots: &mut [SlotState<'_>; 2],
    observed: &Observed,
    clock: Clock<'_>,
) -> Answers {
    let mut answers = Answers::default();
    for request in &observed.requests {
        let outcome = match request.target() {
            Err(error) => Some(Err(error)),
            Ok(Target::Instance(_)) if answers.resync.is_some() => None,
            Ok(Target::Instance(name)) => match resync(slots, &name, observed, clock) {
                Ok(step) => {
                    answers.resync = Some((request.clone(), step));
                    None
                }
                Err(refused) => Some(refused),
            },
            Ok(Target::Slot { group, to }) => {
                let is_forced = request.kind == RequestKind::Failover;
                move_slot(
                    valid,
                    slots,
                    (&group, to.as_ref()),
                    is_forced,
                    observed,
                    clock,
                )
                .transpose()
            }
        };
        // One that is not answered yet is found again in the next round.
        if let Some(outcome) = outcome {
            answers.reply(request, outcome);
        }
    }
    answers
}

/// `None` while clients leave the primary.
fn move_slot(
    valid: &Validated,
    slots: &mut [SlotState<'_>; 2],
    (group, to): (&GroupName, Option<&InstanceName>),
    is_forced: bool,
    observed: &Observed,
    clock: Clock<'_>,
) -> Result<Option<String>, String> {
    if slots
        .iter()
        .any(|slot| slot.slot.name != *group && slot.decision.claim.is_some())
    {
        return Err("the other slot gets a new primary in this moment; ask again".into());
    }
    let no_slot = || format!("there is no slot {group}; give a or b");
    let index = slots.iter().position(|slot| slot.slot.name == *group);
    let index = index.ok_or_else(no_slot)?;
    let waits = !is_forced && clients_leave_first(valid, slots, index, observed);
    let slot = slots.get_mut(index).ok_or_else(no_slot)?;
    if let Some(to) = to.filter(|to| !slot.members.contains(*to)) {
        return Err(format!("slot {group} has no instance {to}"));
    }
    let claim = slot.claim.ok_or("the slot has no primary yet")?;
    if to == Some(&claim.instance) {
        return Ok(Some(format!(
            "{} has the role, epoch {}",
            claim.instance, claim.epoch
        )));
    }
    let age_ms = clock.now_ms.saturating_sub(claim.at_ms);
    if to.is_none() && age_ms < ANSWERED_MS && claim.epoch > 1 {
        return Ok(Some(format!(
            "{} took the role {age_ms} ms ago, epoch {}",
            claim.instance, claim.epoch
        )));
    }
    let may_go = match slot.decision.state {
        State::Serving { .. } => slot.decision.claim.is_none(),
        State::Suspect { .. } => is_forced,
        State::Assembling { .. } | State::Opening { .. } | State::Lost { .. } => false,
    };
    if !may_go {
        return Err(format!("slot {group}: {}", slot.decision.state));
    }
    let mut wanted = candidates(valid, slot, Cause::Requested, is_forced, observed, clock);
    wanted
        .candidates
        .retain(|name| to.is_none_or(|to| to == name));
    wanted
        .refused
        .retain(|refused| to.is_none_or(|to| *to == refused.instance));
    let decision = hand_over(slot.group(), claim, wanted, observed, clock)?;
    let new = decision
        .failover
        .as_ref()
        .map(|start| start.new.to_string());
    slot.wish = Some(Cause::Requested);
    if waits {
        let what = format!("{} to hand over (asked for)", claim.instance);
        slot.decision.waits_for.push(Waiting::new(what, LEAVING));
        return Ok(None);
    }
    slot.decision = decision;
    Ok(Some(format!(
        "{} hands over to {}",
        claim.instance,
        new.unwrap_or_default()
    )))
}

/// Who may take over for this reason, and why not the others.
fn candidates(
    valid: &Validated,
    slot: &SlotState<'_>,
    cause: Cause,
    is_forced: bool,
    observed: &Observed,
    clock: Clock<'_>,
) -> Handover {
    let mut wanted = Handover {
        is_forced,
        candidates: Vec::new(),
        refused: Vec::new(),
        cause,
    };
    let holder = slot.claim.map(|claim| &claim.instance);
    let rests = |name: &InstanceName| {
        let passed = slot
            .claim?
            .passed
            .iter()
            .find(|passed| passed.instance == *name)?;
        let left_ms = passed.rests_ms(clock.now_ms, clock.timing);
        (left_ms > 0).then(|| {
            let times = passed.times;
            format!("it was claimed and did not open, {times} times; again in {left_ms} ms")
        })
    };
    for name in slot.members.iter().filter(|name| Some(*name) != holder) {
        let placement = observed.instances.get(name).map(|seen| &seen.placement);
        let going = placement.and_then(|placement| placement.going());
        let outdated = placement.and_then(|placement| placement.outdated.as_deref());
        let refused = if !is_forced && !slot.decision.followers.contains(name) {
            Some("it does not stream from the primary".to_string())
        } else if let Some(going) = going {
            Some(format!("it goes, too: {going}"))
        } else if !matches!(wanted.cause, Cause::Requested)
            && let Some(why) = rests(name)
        {
            Some(why)
        } else if matches!(wanted.cause, Cause::Outdated { .. }) {
            outdated.map(|what| format!("it is outdated, too: {what}"))
        } else if matches!(wanted.cause, Cause::Surplus) && name.ordinal() > valid.replicas {
            Some("it is beyond the wanted number, too".into())
        } else if let Cause::Together { node } = &wanted.cause {
            let is_elsewhere = placement.is_some_and(|placement| placement.is_elsewhere(node));
            (!is_elsewhere).then(|| format!("it is not on another node than {node}"))
        } else {
            None
        };
        match refused {
            None => wanted.candidates.push(name.clone()),
            Some(refused) => wanted.refused.push(Candidate {
                instance: name.clone(),
                own_records: 0,
                total_records: 0,
                refused,
            }),
        }
    }
    wanted
}

/// Lets primaries hand over that have a reason to, one slot at a time.
pub(super) fn move_primaries(
    valid: &Validated,
    slots: &mut [SlotState<'_>; 2],
    roll: &Roll,
    observed: &Observed,
    clock: Clock<'_>,
) {
    for index in 0..slots.len() {
        let Some(cause) = cause(valid, slots, index, roll, observed, clock) else {
            continue;
        };
        let is_elsewhere = slots.iter().enumerate().any(|(other, slot)| {
            other != index && matches!(slot.decision.state, State::Opening { .. })
        });
        let waits = clients_leave_first(valid, slots, index, observed);
        let Some(slot) = slots.get_mut(index) else {
            continue;
        };
        let Some(claim) = slot.claim else { continue };
        let is_for_place_alone = matches!(cause, Cause::Together { .. });
        slot.wish = Some(cause.clone());
        let what = format!("{} to hand over ({cause})", claim.instance);
        if is_elsewhere || slot.decision.disruptive.is_some() {
            let why = "another change of roles is under way";
            slot.decision.waits_for.push(Waiting::new(what, why));
            continue;
        }
        let wanted = candidates(valid, slot, cause, false, observed, clock);
        match hand_over(slot.group(), claim, wanted, observed, clock) {
            Ok(_) if waits => slot.decision.waits_for.push(Waiting::new(what, LEAVING)),
            Ok(decision) => slot.decision = decision,
            // Not worth a word: nothing is lost by staying.
            Err(_) if is_for_place_alone => slot.wish = None,
            Err(why) => {
                slot.decision
                    .waits_for
                    .push(Waiting::new(what, why.clone()));
                slot.decision.blocked = Some(Blocked::new("NobodyToHandOverTo", why));
            }
        }
    }
}

/// Why a primary that serves shall not stay it.
fn cause(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    index: usize,
    roll: &Roll,
    observed: &Observed,
    clock: Clock<'_>,
) -> Option<Cause> {
    let slot = slots.get(index)?;
    let primary = slot.decision.state.serving()?;
    if slot.decision.claim.is_some() {
        return None;
    }
    let placement = &observed.instances.get(primary)?.placement;
    if let Some(why) = placement.going() {
        return Some(Cause::Leaving { why: why.into() });
    }
    if let Some((at, cause)) = &roll.hand_over
        && *at == index
    {
        return Some(cause.clone());
    }
    let is_surplus = primary.ordinal() > valid.replicas;
    let is_well = || troubles(valid, slots, observed, None).is_empty();
    if is_surplus {
        return is_well().then_some(Cause::Surplus);
    }
    let node = together(valid, slots, index, observed, clock)?;
    is_well().then(|| Cause::Together { node: node.into() })
}

/// The node of both primaries, when that of slot `index` is the one to go elsewhere: the one that `-rw`
/// does not lead to, unless only the other one can. Roles that changed lately rest first.
fn together<'o>(
    valid: &Validated,
    slots: &[SlotState<'_>; 2],
    index: usize,
    observed: &'o Observed,
    clock: Clock<'_>,
) -> Option<&'o str> {
    let apart_ms = clock.timing.apart_ms;
    let rests = |slot: &SlotState<'_>| {
        let claimed_ms = slot.claim.map(|claim| claim.at_ms);
        claimed_ms.is_some_and(|at_ms| clock.now_ms.saturating_sub(at_ms) >= apart_ms)
    };
    let placement = |name: &InstanceName| Some(&observed.instances.get(name)?.placement);
    let node_of = |slot: &SlotState<'_>| placement(slot.decision.state.serving()?)?.node.as_deref();
    let [a, b] = slots;
    let node = node_of(a).filter(|node| node_of(b) == Some(node))?;
    if apart_ms == 0 || !slots.iter().all(rests) {
        return None;
    }
    let rw = observed.services.get(&valid.name.service(SUFFIX_RW));
    let is_writer = |slot: &SlotState<'_>| {
        let primary = slot.decision.state.serving();
        primary.is_some_and(|primary| rw.is_some_and(|rw| rw.contains(primary)))
    };
    let can_go = |slot: &SlotState<'_>| {
        let mut followers = slot.decision.followers.iter();
        followers.any(|name| placement(name).is_some_and(|placement| placement.is_elsewhere(node)))
    };
    let order = if is_writer(b) { [0, 1] } else { [1, 0] };
    let first = order
        .into_iter()
        .find(|at| slots.get(*at).is_some_and(can_go));
    (first == Some(index)).then_some(node)
}
