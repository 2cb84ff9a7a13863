//! One group's failover: who is its primary, and what brings the rest of it behind that one.
//!
//! ```text
//!                 no claim                     claimed, not open
//!   Assembling ────────────▶ Opening ◀───────────────────────────┐
//!       ▲                       │ promoted                       │ claim epoch + 1
//!       │ restarted, no role    ▼          silence     vote      │
//!       └─────────────────── Serving ─────▶ Suspect ───────▶ dead, a candidate
//!                               ▲              │             dead, nobody (yet): Lost ─▶ restart
//!                               └──────────────┘ heard again
//! ```
//!
//! Invariants, each with its why:
//! - a promotion is planned only under a claim of exactly its epoch and instance, which is on record
//!   or made by the same plan: two planners, or a crash in between, cannot make two of one epoch;
//! - an epoch is above any that an instance or a record of the group was seen to carry;
//! - one disruptive step at a time: its effect is observed before the next is chosen;
//! - an instance without whole data is never chosen.

use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName};
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};

use crate::claim::Claim;
use crate::detection::{Cause, Judgement, Verdict, Witness, is_booting, judge};
use crate::election::{Candidate, elect, held};
use crate::observed::{Observed, Process, is_writer, link_to};
use crate::outcome::{ClaimStep, Waiting};
use crate::report::{FailoverStart, Kind, Loss};
use crate::step::Step;
use crate::timing::Timing;

/// A group as its kind presents it.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a GroupName,
    /// Its server id.
    pub server_id: u32,
    /// Its instances.
    pub instances: &'a [InstanceName],
    /// Writers of other groups that pull from this one: witnesses.
    pub outside: &'a [InstanceName],
}

/// The state of a group, in the order in which the predicates are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No primary, and instances that may hold more have not answered yet.
    Assembling {
        /// Those.
        waiting_for: Vec<InstanceName>,
    },
    /// A primary is claimed and has to open.
    Opening {
        /// The claimed instance.
        primary: InstanceName,
        /// The claimed epoch.
        epoch: u64,
    },
    /// The claimed primary writes.
    Serving {
        /// The primary.
        primary: InstanceName,
        /// Its epoch.
        epoch: u64,
    },
    /// The primary is silent, which is not yet established as its end.
    Suspect {
        /// The primary.
        primary: InstanceName,
        /// Its epoch.
        epoch: u64,
        /// What is missing for a verdict.
        missing: String,
    },
    /// No primary and nobody to promote.
    Lost {
        /// Why.
        why: String,
    },
}

impl State {
    /// The instance that writes or may still write.
    pub fn primary(&self) -> Option<&InstanceName> {
        match self {
            Self::Serving { primary, .. } | Self::Suspect { primary, .. } => Some(primary),
            Self::Assembling { .. } | Self::Opening { .. } | Self::Lost { .. } => None,
        }
    }

    /// The instance that writes, by its own recent word.
    pub fn serving(&self) -> Option<&InstanceName> {
        match self {
            Self::Serving { primary, .. } => Some(primary),
            _ => None,
        }
    }

    /// The epoch of the claim.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Opening { epoch, .. }
            | Self::Serving { epoch, .. }
            | Self::Suspect { epoch, .. } => Some(*epoch),
            Self::Assembling { .. } | Self::Lost { .. } => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assembling { waiting_for } => {
                let names: Vec<&str> = waiting_for.iter().map(InstanceName::as_str).collect();
                write!(f, "assembling, waits for {}", names.join(" "))
            }
            Self::Opening { primary, epoch } => write!(f, "opening {primary} epoch {epoch}"),
            Self::Serving { primary, epoch } => write!(f, "serving {primary} epoch {epoch}"),
            Self::Suspect {
                primary,
                epoch,
                missing,
            } => {
                write!(f, "suspect {primary} epoch {epoch}: {missing}")
            }
            Self::Lost { why } => write!(f, "lost: {why}"),
        }
    }
}

/// What to do about a group's roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its state.
    pub state: State,
    /// The claim to make first.
    pub claim: Option<ClaimStep>,
    /// Why it is made.
    pub failover: Option<FailoverStart>,
    /// The one step that decides who writes.
    pub disruptive: Option<Step>,
    /// Steps behind it, in any order.
    pub repairs: Vec<Step>,
    /// Instances that stream from the primary.
    pub followers: Vec<InstanceName>,
    /// Instances that answer and do not.
    pub strays: Vec<InstanceName>,
    /// What it waits for.
    pub waits_for: Vec<Waiting>,
}

impl Decision {
    fn in_state(state: State) -> Self {
        Self {
            state,
            claim: None,
            failover: None,
            disruptive: None,
            repairs: Vec::new(),
            followers: Vec::new(),
            strays: Vec::new(),
            waits_for: Vec::new(),
        }
    }

    fn waiting(state: State, what: impl Into<String>, why: impl Into<String>) -> Self {
        let mut decision = Self::in_state(state);
        decision.waits_for.push(Waiting::new(what, why));
        decision
    }
}

/// The times a decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Intervals.
    pub timing: &'a Timing,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// Decides what a group needs.
pub fn decide(group: Group<'_>, observed: &Observed, clock: Clock<'_>) -> Decision {
    let claim = observed.claims.get(group.name);
    if let Some(decision) = adopt_newer_writer(group, claim, observed, clock) {
        return decision;
    }
    let Some(claim) = claim else {
        let reason = Vacancy {
            cause: None,
            witnesses: Vec::new(),
            old: None,
        };
        return fill_when_assembled(group, None, reason, observed, clock);
    };
    let holder = &claim.instance;
    let observers: Vec<&InstanceName> = group
        .instances
        .iter()
        .chain(group.outside)
        .filter(|name| *name != holder)
        .collect();
    let Judgement { verdict, witnesses } = judge(holder, &observers, observed, clock.timing);
    match verdict {
        Verdict::Alive => match observed.heard(holder, clock.timing) {
            Some(status) => with_living_holder(group, claim, status, observed, clock),
            None => suspect(claim, "its answer is not fresh".into(), &[]),
        },
        Verdict::Booting => Decision::waiting(
            State::Assembling {
                waiting_for: vec![holder.clone()],
            },
            format!("{holder}"),
            "its process was just started",
        ),
        Verdict::Suspect { missing } => suspect(claim, missing, &witnesses),
        Verdict::Dead(cause) => {
            let quiet_until_ms = claim.at_ms.saturating_add(clock.timing.quiet_ms);
            if claim.by_silence && cause.is_silence() && clock.now_ms < quiet_until_ms {
                let left_ms = quiet_until_ms - clock.now_ms;
                let why = format!("{holder}: {cause}, soon after a failover by silence");
                let what = format!("the quiet time to pass, {left_ms} ms");
                return Decision::waiting(State::Lost { why: why.clone() }, what, why);
            }
            let vacancy = Vacancy {
                cause: Some(cause),
                witnesses,
                old: Some(holder.clone()),
            };
            fill(group, Some(claim), vacancy, observed, clock)
        }
    }
}

fn suspect(claim: &Claim, missing: String, witnesses: &[Witness]) -> Decision {
    let words: Vec<String> = witnesses.iter().map(Witness::to_string).collect();
    let why = if words.is_empty() {
        missing.clone()
    } else {
        words.join("; ")
    };
    Decision::waiting(
        State::Suspect {
            primary: claim.instance.clone(),
            epoch: claim.epoch,
            missing,
        },
        format!("a verdict on {}", claim.instance),
        why,
    )
}

/// Why there is no primary.
struct Vacancy {
    cause: Option<Cause>,
    witnesses: Vec<Witness>,
    old: Option<InstanceName>,
}

/// A writer above the claim was promoted by hand, or the claims are lost: it is believed.
fn adopt_newer_writer(
    group: Group<'_>,
    claim: Option<&Claim>,
    observed: &Observed,
    clock: Clock<'_>,
) -> Option<Decision> {
    let known = claim.map_or(0, |claim| claim.epoch);
    let (name, epoch) = group
        .instances
        .iter()
        .filter_map(|name| Some((name, observed.heard(name, clock.timing)?)))
        .filter(|(_, status)| is_writer(status.role) && status.epoch > known)
        .map(|(name, status)| (name, status.epoch))
        .max_by_key(|(_, epoch)| *epoch)?;
    let mut decision = Decision::in_state(State::Serving {
        primary: name.clone(),
        epoch,
    });
    decision.claim = Some(ClaimStep {
        group: group.name.clone(),
        expected: claim.cloned(),
        claim: Claim {
            epoch,
            instance: name.clone(),
            at_ms: clock.now_ms,
            by_silence: false,
        },
    });
    Some(decision)
}

fn with_living_holder(
    group: Group<'_>,
    claim: &Claim,
    status: &InstanceStatus,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let holder = &claim.instance;
    if is_writer(status.role) && status.epoch == claim.epoch {
        return serving(group, claim, observed, clock);
    }
    let opening = State::Opening {
        primary: holder.clone(),
        epoch: claim.epoch,
    };
    let is_promoted_now = observed
        .instances
        .get(holder)
        .and_then(|seen| seen.busy.as_deref())
        .is_some_and(|busy| busy.starts_with("promote"));
    if is_promoted_now {
        return Decision::waiting(opening, format!("{holder} to open"), "it is being promoted");
    }
    if status.epoch < claim.epoch && status.eligible {
        let mut decision = Decision::in_state(opening);
        decision.disruptive = Some(promotion(group, claim, observed, clock));
        return decision;
    }
    let vacancy = Vacancy {
        cause: None,
        witnesses: Vec::new(),
        old: Some(holder.clone()),
    };
    fill_when_assembled(group, Some(claim), vacancy, observed, clock)
}

/// Fills a vacancy that nobody is in a hurry about: instances that were just started and may hold
/// more are heard first, within a bound.
fn fill_when_assembled(
    group: Group<'_>,
    claim: Option<&Claim>,
    vacancy: Vacancy,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let waiting_for: Vec<InstanceName> = group
        .instances
        .iter()
        .filter(|name| is_booting(name, observed, clock.timing))
        .cloned()
        .collect();
    if waiting_for.is_empty() {
        return fill(group, claim, vacancy, observed, clock);
    }
    let names: Vec<&str> = waiting_for.iter().map(InstanceName::as_str).collect();
    let what = names.join(", ");
    Decision::waiting(
        State::Assembling { waiting_for },
        what,
        "it may hold more than the others and has not answered since its start",
    )
}

/// Claims the role for the best candidate and promotes it, or says that there is none.
fn fill(
    group: Group<'_>,
    claim: Option<&Claim>,
    vacancy: Vacancy,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let holder = claim.map(|claim| &claim.instance);
    let eligible: Vec<InstanceName> = group
        .instances
        .iter()
        .filter(|name| vacancy.cause.is_none() || holder != Some(*name))
        .cloned()
        .collect();
    let mut election = elect(&eligible, group.server_id, holder, observed, clock.timing);
    let Some(chosen) = election.chosen else {
        return nobody(&vacancy, &election.candidates);
    };
    if let (Some(cause), Some(old)) = (&vacancy.cause, &vacancy.old) {
        election.candidates.push(Candidate {
            instance: old.clone(),
            own_records: held_by(old, group.server_id, observed).0,
            total_records: held_by(old, group.server_id, observed).1,
            refused: cause.to_string(),
        });
    }
    let new = Claim {
        epoch: highest_seen(group, claim, observed) + 1,
        instance: chosen,
        at_ms: clock.now_ms,
        by_silence: vacancy.cause.as_ref().is_some_and(Cause::is_silence),
    };
    let mut decision = Decision::in_state(State::Opening {
        primary: new.instance.clone(),
        epoch: new.epoch,
    });
    decision.disruptive = Some(promotion(group, &new, observed, clock));
    decision.failover = Some(start_report(
        group,
        claim,
        &new,
        vacancy,
        election.candidates,
        observed,
    ));
    decision.claim = Some(ClaimStep {
        group: group.name.clone(),
        expected: claim.cloned(),
        claim: new,
    });
    decision
}

fn nobody(vacancy: &Vacancy, candidates: &[Candidate]) -> Decision {
    let lost = vacancy.cause.as_ref().map_or_else(
        || "no primary".to_string(),
        |cause| {
            let old = vacancy
                .old
                .as_ref()
                .map_or("the primary", InstanceName::as_str);
            format!("{old} is lost ({cause})")
        },
    );
    let others: Vec<String> = candidates
        .iter()
        .map(|candidate| format!("{}: {}", candidate.instance, candidate.refused))
        .collect();
    let why = if others.is_empty() {
        format!("{lost} and has no replica")
    } else {
        format!("{lost} and nobody can take over: {}", others.join("; "))
    };
    Decision::waiting(
        State::Lost { why: why.clone() },
        "an instance to promote",
        why,
    )
}

fn start_report(
    group: Group<'_>,
    claim: Option<&Claim>,
    new: &Claim,
    vacancy: Vacancy,
    candidates: Vec<Candidate>,
    observed: &Observed,
) -> FailoverStart {
    let kind = match claim {
        None => Kind::First,
        Some(claim) if claim.instance == new.instance => Kind::Resume,
        Some(_) => Kind::Failover,
    };
    let old_seen = vacancy
        .old
        .as_ref()
        .and_then(|old| observed.instances.get(old));
    let missing = |old: &InstanceName| {
        let had = held_by(old, group.server_id, observed).0;
        had.saturating_sub(held_by(&new.instance, group.server_id, observed).0)
    };
    let ended_ms_ago = old_seen.and_then(|seen| match &seen.process {
        Process::Exited { age_ms, .. } => Some(*age_ms),
        Process::Absent | Process::Running { .. } | Process::Unknown => None,
    });
    let silent_ms = old_seen
        .filter(|_| vacancy.cause.is_some())
        .map_or(0, |seen| seen.silent_ms);
    let lost_ms_ago = ended_ms_ago.unwrap_or(silent_ms);
    let answer_age_ms = old_seen
        .and_then(|seen| seen.answer.as_ref())
        .map_or(0, |answer| answer.age_ms);
    FailoverStart {
        group: group.name.clone(),
        kind,
        cause: vacancy.cause,
        witnesses: vacancy.witnesses,
        candidates,
        loss: Loss {
            known_missing_records: vacancy.old.as_ref().map_or(0, missing),
            unseen_ms: answer_age_ms.saturating_sub(ended_ms_ago.unwrap_or(0)),
        },
        old: vacancy.old,
        old_epoch: claim.map_or(0, |claim| claim.epoch),
        new: new.instance.clone(),
        epoch: new.epoch,
        lost_ms_ago,
    }
}

/// Records of the group's own origins, and of all, that an instance was last seen to hold.
fn held_by(name: &InstanceName, server_id: u32, observed: &Observed) -> (u64, u64) {
    let status = observed
        .instances
        .get(name)
        .and_then(|seen| seen.last_status());
    status.map_or((0, 0), |status| held(status, server_id))
}

/// The highest epoch of the group that anybody was ever seen to know.
fn highest_seen(group: Group<'_>, claim: Option<&Claim>, observed: &Observed) -> u64 {
    let of_instances = group
        .instances
        .iter()
        .filter_map(|name| observed.instances.get(name)?.last_status())
        .map(|status| status.epoch);
    let of_origins = observed
        .instances
        .values()
        .filter_map(|seen| seen.last_status())
        .flat_map(|status| &status.databases)
        .flat_map(|database| &database.version_vector)
        .filter(|row| row.server_id == group.server_id)
        .map(|row| row.epoch);
    of_instances
        .chain(of_origins)
        .chain(claim.map(|claim| claim.epoch))
        .max()
        .unwrap_or(0)
}

fn promotion(group: Group<'_>, claim: &Claim, observed: &Observed, clock: Clock<'_>) -> Step {
    let has_data = |name: &&InstanceName| {
        observed
            .heard(name, clock.timing)
            .is_some_and(|status| held(status, 0).1 > 0)
    };
    let collect_from = group
        .instances
        .iter()
        .filter(|name| **name != claim.instance)
        .filter(has_data)
        .cloned()
        .collect();
    Step::Promote {
        instance: claim.instance.clone(),
        epoch: claim.epoch,
        collect_from,
    }
}

/// The primary serves: everyone else who answers is brought behind it.
fn serving(group: Group<'_>, claim: &Claim, observed: &Observed, clock: Clock<'_>) -> Decision {
    let primary = &claim.instance;
    let mut decision = Decision::in_state(State::Serving {
        primary: primary.clone(),
        epoch: claim.epoch,
    });
    for name in group.instances.iter().filter(|name| *name != primary) {
        let Some(status) = observed.heard(name, clock.timing) else {
            continue;
        };
        if is_writer(status.role) {
            decision.strays.push(name.clone());
            let fence = Step::Fence {
                instance: name.clone(),
                epoch: claim.epoch,
                primary: primary.clone(),
            };
            decision.disruptive.get_or_insert(fence);
            continue;
        }
        match follow(name, status, claim, observed) {
            Following::Streams => decision.followers.push(name.clone()),
            Following::Comes(why) => {
                decision.strays.push(name.clone());
                decision
                    .waits_for
                    .push(Waiting::new(format!("{name} to follow {primary}"), why));
            }
            Following::Not => {
                decision.strays.push(name.clone());
                decision.repairs.push(Step::Follow {
                    instance: name.clone(),
                    epoch: claim.epoch,
                    primary: primary.clone(),
                });
            }
        }
    }
    decision
}

enum Following {
    Streams,
    Comes(String),
    Not,
}

fn follow(
    name: &InstanceName,
    status: &InstanceStatus,
    claim: &Claim,
    observed: &Observed,
) -> Following {
    let Some(primary) = observed.instances.get(&claim.instance) else {
        return Following::Not;
    };
    let Some(link) = link_to(status, LinkKind::Replica, &primary.address) else {
        return Following::Not;
    };
    if status.epoch < claim.epoch {
        return Following::Not;
    }
    match link.state {
        LinkState::Streaming => Following::Streams,
        LinkState::Connecting => Following::Comes(format!("{name} connects: {}", link.reason)),
        LinkState::FullResync => Following::Comes("a full resync runs".into()),
        LinkState::LostPlace | LinkState::Refused => Following::Not,
    }
}
