//! A group without a primary gets one: who, under which epoch, and what the report says of it.

use tandem_api::InstanceName;

use super::decision::{Blocked, Clock, Decision, Group, Vacancy};
use super::withdraw::withdrawal;
use crate::claim::{Before, Claim};
use crate::detection::{Cause, is_booting};
use crate::election::{Candidate, Electorate, elect, held};
use crate::failover_start::{FailoverStart, Kind, Loss};
use crate::observed::{Observed, Process};
use crate::outcome::ClaimStep;
use crate::state::State;
use crate::step::Step;

/// Fills a vacancy that nobody is in a hurry about: instances that were just started and may hold
/// more are heard first, within a bound.
pub(super) fn fill_when_assembled(
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
pub(super) fn fill(
    group: Group<'_>,
    claim: Option<&Claim>,
    mut vacancy: Vacancy,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let holder = claim.map(|claim| &claim.instance);
    let passed = claim.map_or_else(Vec::new, |claim| {
        claim.passed_lately(clock.now_ms, clock.timing)
    });
    let eligible: Vec<InstanceName> = group
        .instances
        .iter()
        .filter(|name| vacancy.cause.is_none() || holder != Some(*name))
        .cloned()
        .collect();
    let electorate = Electorate {
        candidates: &eligible,
        group: group.instances,
        server_id: group.server_id,
        holder,
        passed: &passed,
    };
    let mut election = elect(electorate, observed, clock.timing);
    let Some(chosen) = election.chosen else {
        return nobody(&vacancy, &election.candidates);
    };
    if let (Some(cause), Some(holder)) = (&vacancy.cause, holder) {
        let (own_records, total_records) = held_by(holder, group.server_id, observed);
        election.candidates.push(Candidate {
            instance: holder.clone(),
            own_records,
            total_records,
            refused: cause.to_string(),
        });
    }
    let before = before(group, claim, observed);
    let mut new = before.next(chosen, clock.now_ms, clock.timing);
    new.by_silence = vacancy.cause.as_ref().is_some_and(Cause::is_silence);
    if !before.is_open && new.from.is_some() {
        // What may be missing was written by the last one that was open.
        vacancy.old.clone_from(&new.from);
    }
    let mut decision = Decision::in_state(State::Opening {
        primary: new.instance.clone(),
        epoch: new.epoch,
    });
    decision.disruptive = Some(next_step(group, &new, observed, clock));
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
    let reason = if others.is_empty() {
        "NoReplica"
    } else {
        "NoEligibleReplica"
    };
    let lost = State::Lost { why: why.clone() };
    let mut decision = Decision::waiting(lost, "an instance to promote", why.clone());
    decision.blocked = Some(Blocked::new(reason, why));
    decision.witnesses.clone_from(&vacancy.witnesses);
    decision
}

pub(super) fn start_report(
    group: Group<'_>,
    claim: Option<&Claim>,
    new: &Claim,
    vacancy: Vacancy,
    candidates: Vec<Candidate>,
    observed: &Observed,
) -> FailoverStart {
    let kind = match claim {
        None => Kind::First,
        Some(_) if vacancy.old.as_ref() == Some(&new.instance) => Kind::Resume,
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

/// What the next claim of a group follows.
pub(super) fn before<'a>(
    group: Group<'_>,
    claim: Option<&'a Claim>,
    observed: &Observed,
) -> Before<'a> {
    Before {
        claim,
        is_open: claim.is_some_and(|claim| has_opened(group, claim, observed)),
        epoch: highest_seen(group, claim, observed),
    }
}

/// Whether anybody was ever seen to know the epoch of a claim: its instance has written under it.
pub(super) fn has_opened(group: Group<'_>, claim: &Claim, observed: &Observed) -> bool {
    highest_seen(group, None, observed) >= claim.epoch
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
    let of_volumes = group
        .instances
        .iter()
        .filter_map(|name| observed.retained.get(name))
        .filter(|retained| retained.server_id == group.server_id)
        .map(|retained| retained.epoch);
    of_instances
        .chain(of_origins)
        .chain(of_volumes)
        .chain(claim.map(|claim| claim.epoch))
        .max()
        .unwrap_or(0)
}

/// Towards the promotion of a claimed instance: first, whoever lost the claim is told so.
pub(super) fn next_step(
    group: Group<'_>,
    claim: &Claim,
    observed: &Observed,
    clock: Clock<'_>,
) -> Step {
    withdrawal(group, claim, observed, clock)
        .unwrap_or_else(|| promotion(group, claim, observed, clock))
}

pub(super) fn promotion(
    group: Group<'_>,
    claim: &Claim,
    observed: &Observed,
    clock: Clock<'_>,
) -> Step {
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
