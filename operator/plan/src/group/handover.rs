//! A primary that lives gives its role to another instance: claim, promote it while it collects from
//! the old one, then the old one is fenced behind it and what it took meanwhile is handed over.

use tandem_api::InstanceName;

use super::decision::{Clock, Decision, Group, Vacancy};
use super::fill::{before, next_step, start_report};
use crate::claim::Claim;
use crate::detection::Cause;
use crate::election::{Candidate, Electorate, elect};
use crate::failover_start::Kind;
use crate::observed::Observed;
use crate::outcome::ClaimStep;
use crate::state::State;

/// What a hand-over is to do.
#[derive(Debug, Clone)]
pub struct Handover {
    /// Why the primary shall go.
    pub cause: Cause,
    /// Whether it is called a failover: a person did not want to wait for the old one.
    pub is_forced: bool,
    /// Who may take over.
    pub candidates: Vec<InstanceName>,
    /// Who may not, and why.
    pub refused: Vec<Candidate>,
}

/// Plans it, or says why nobody can take over.
pub fn hand_over(
    group: Group<'_>,
    claim: &Claim,
    wanted: Handover,
    observed: &Observed,
    clock: Clock<'_>,
) -> Result<Decision, String> {
    let passed = claim.passed_lately(clock.now_ms, clock.timing);
    let electorate = Electorate {
        candidates: &wanted.candidates,
        group: group.instances,
        server_id: group.server_id,
        holder: None,
        passed: &passed,
    };
    let mut election = elect(electorate, observed, clock.timing);
    election.candidates.extend(wanted.refused);
    let Some(chosen) = election.chosen else {
        let others: Vec<String> = election
            .candidates
            .iter()
            .map(|candidate| format!("{}: {}", candidate.instance, candidate.refused))
            .collect();
        return Err(if others.is_empty() {
            format!("{} has no replica", claim.instance)
        } else {
            format!(
                "nobody can take over from {}: {}",
                claim.instance,
                others.join("; ")
            )
        });
    };
    let new = before(group, Some(claim), observed).next(chosen, clock.now_ms, clock.timing);
    let kind = if wanted.is_forced {
        Kind::Failover
    } else {
        Kind::Switchover
    };
    let vacancy = Vacancy {
        cause: Some(wanted.cause),
        witnesses: Vec::new(),
        old: Some(claim.instance.clone()),
    };
    let mut decision = Decision::in_state(State::Opening {
        primary: new.instance.clone(),
        epoch: new.epoch,
    });
    decision.disruptive = Some(next_step(group, &new, observed, clock));
    let mut start = start_report(
        group,
        Some(claim),
        &new,
        vacancy,
        election.candidates,
        observed,
    );
    start.kind = kind;
    if kind == Kind::Switchover {
        // The old primary lives: it is collected from, and what it takes until it is fenced follows.
        start.loss = crate::failover_start::Loss::default();
        start.lost_ms_ago = 0;
    }
    decision.failover = Some(start);
    decision.claim = Some(ClaimStep {
        group: group.name.clone(),
        expected: Some(claim.clone()),
        claim: new,
    });
    Ok(decision)
}
