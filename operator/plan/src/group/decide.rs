//! Which state a group is in, from its claim and the verdict on who holds it.

use tandem_api::InstanceName;
use tandem_proto::status::InstanceStatus;

use super::decision::{Blocked, Clock, Decision, Group, Vacancy};
use super::fill::{fill, fill_when_assembled, has_opened, next_step, promotion};
use super::pass_on::{Passing, pass_on};
use super::serve::serving;
use crate::claim::Claim;
use crate::detection::{Judgement, Testimony, Verdict, Witness, judge};
use crate::observed::{Observed, is_writer};
use crate::outcome::ClaimStep;
use crate::state::State;
use crate::step::{COLLECTING, Step};

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
            None => suspect(claim, "its answer is not fresh", &[]),
        },
        Verdict::Booting => Decision {
            witnesses,
            ..Decision::waiting(
                State::Assembling {
                    waiting_for: vec![holder.clone()],
                },
                format!("{holder}"),
                "its process was just started",
            )
        },
        // Nobody watches one that never had the role: there is no majority to lose contact with it.
        Verdict::Suspect { missing } => match pass_on(group, claim, &witnesses, observed, clock) {
            Passing::To(decision) => *decision,
            Passing::Nobody(blocked) => {
                let mut decision = suspect(claim, &missing, &witnesses);
                decision.blocked = Some(blocked);
                decision
            }
            Passing::NotDue => suspect(claim, &missing, &witnesses),
        },
        Verdict::Dead(cause) => {
            let quiet_until_ms = claim.at_ms.saturating_add(clock.timing.quiet_ms);
            if claim.by_silence && cause.is_silence() && clock.now_ms < quiet_until_ms {
                let left_ms = quiet_until_ms - clock.now_ms;
                let why = format!("{holder}: {cause}, soon after a failover by silence");
                let what = format!("the quiet time to pass, {left_ms} ms");
                let lost = State::Lost { why: why.clone() };
                let mut decision = Decision::waiting(lost, what.clone(), why.clone());
                decision.blocked = Some(Blocked::new(
                    "QuietTime",
                    format!("{why}; waits for {what}"),
                ));
                decision.witnesses = witnesses;
                return decision;
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

fn suspect(claim: &Claim, missing: &str, witnesses: &[Witness]) -> Decision {
    let words: Vec<String> = witnesses.iter().map(Witness::to_string).collect();
    let why = if words.is_empty() {
        missing.to_owned()
    } else {
        words.join("; ")
    };
    let is_lost_to_operator = matches!(
        witnesses.first(),
        Some(Witness {
            testimony: Testimony::Dead { .. },
            ..
        })
    );
    let mut decision = Decision::waiting(
        State::Suspect {
            primary: claim.instance.clone(),
            epoch: claim.epoch,
            missing: missing.to_owned(),
        },
        format!("a verdict on {}", claim.instance),
        why.clone(),
    );
    // The operator alone never decides: it may be the one that is cut off.
    decision.blocked = is_lost_to_operator.then(|| {
        Blocked::new(
            "NotEstablished",
            format!("{}: {missing}: {why}", claim.instance),
        )
    });
    decision.witnesses = witnesses.to_vec();
    decision
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
            from: Some(name.clone()),
            passed: claim.map_or_else(Vec::new, |claim| claim.passed.clone()),
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
    if is_writer(status.role) && status.epoch == claim.epoch {
        return serving(group, claim, observed, clock);
    }
    let overdue = match pass_on(group, claim, &[], observed, clock) {
        Passing::To(decision) => return *decision,
        Passing::Nobody(blocked) => Some(blocked),
        Passing::NotDue => None,
    };
    let mut decision = opening(group, claim, status, observed, clock);
    if decision.blocked.is_none() {
        decision.blocked = overdue;
    }
    decision
}

/// Whether a promotion under way collects from an instance whose process has ended meanwhile: nothing
/// comes from there any more. The same promotion without it is asked for, and whichever is through
/// first opens the instance; what others hold is still collected.
fn waits_in_vain(busy: &str, promotion: &Step, observed: &Observed) -> bool {
    let sources = busy.strip_prefix(&promotion.word()).unwrap_or_default();
    let sources = sources.strip_prefix(COLLECTING).unwrap_or_default();
    let has_ended = |name: &str| {
        let seen = observed
            .instances
            .iter()
            .find(|(known, _)| known.as_str() == name);
        seen.is_none_or(|(_, seen)| seen.is_gone())
    };
    sources.split_whitespace().any(has_ended)
}

/// A claimed instance that answers is promoted.
fn opening(
    group: Group<'_>,
    claim: &Claim,
    status: &InstanceStatus,
    observed: &Observed,
    clock: Clock<'_>,
) -> Decision {
    let holder = &claim.instance;
    let opening = State::Opening {
        primary: holder.clone(),
        epoch: claim.epoch,
    };
    let busy = observed
        .instances
        .get(holder)
        .and_then(|seen| seen.busy.as_deref())
        .filter(|busy| busy.starts_with("promote"));
    if let Some(busy) = busy {
        let why = "it is being promoted";
        let mut decision = Decision::waiting(opening, format!("{holder} to open"), why);
        let promotion = promotion(group, claim, observed, clock);
        decision.disruptive = waits_in_vain(busy, &promotion, observed).then_some(promotion);
        return decision;
    }
    // An epoch that somebody saw in use, and that its holder knows nothing of: its data are gone. That
    // life is over, and what it wrote is not written again under the same epoch.
    let was_used = has_opened(group, claim, observed);
    if status.epoch < claim.epoch && status.eligible && !was_used {
        let mut decision = Decision::in_state(opening);
        decision.disruptive = Some(next_step(group, claim, observed, clock));
        return decision;
    }
    let vacancy = Vacancy {
        cause: None,
        witnesses: Vec::new(),
        old: Some(holder.clone()),
    };
    fill_when_assembled(group, Some(claim), vacancy, observed, clock)
}
