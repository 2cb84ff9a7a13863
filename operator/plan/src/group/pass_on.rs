//! A claimed instance that does not open loses the claim: to the next best one, or back to the one
//! that had the role when it still writes, for then nobody holds more.

use super::decision::{Blocked, Clock, Decision, Group, Vacancy};
use super::fill::{fill, has_opened, promotion};
use crate::claim::Claim;
use crate::detection::{Cause, Witness};
use crate::observed::Observed;
use crate::timing::MISSED_PROBES_MIN;

/// What becomes of a claim whose instance has not opened.
pub(super) enum Passing {
    /// Its time is not over, or it was open.
    NotDue,
    /// It goes to another instance.
    To(Box<Decision>),
    /// It would, and there is nobody.
    Nobody(Blocked),
}

/// Takes the claim from an instance that had its time to open.
pub(super) fn pass_on(
    group: Group<'_>,
    claim: &Claim,
    witnesses: &[Witness],
    observed: &Observed,
    clock: Clock<'_>,
) -> Passing {
    let waited_ms = clock.now_ms.saturating_sub(claim.at_ms);
    let is_due = waited_ms >= claim.patience_ms(clock.timing)
        && !has_opened(group, claim, observed)
        && was_tried(group, claim, observed, clock);
    if !is_due {
        return Passing::NotDue;
    }
    let cause = Cause::NotOpened {
        instance: claim.instance.clone(),
        waited_ms,
    };
    let why = cause.to_string();
    let vacancy = Vacancy {
        cause: Some(cause),
        witnesses: witnesses.to_vec(),
        old: Some(claim.instance.clone()),
    };
    let decision = fill(group, Some(claim), vacancy, observed, clock);
    if decision.claim.is_some() {
        return Passing::To(Box::new(decision));
    }
    let others = decision
        .blocked
        .map_or_else(|| why.clone(), |blocked| blocked.message);
    Passing::Nobody(Blocked::new("ClaimNotOpened", others))
}

/// An operator that just came, or was stopped itself, has not given it its time.
fn was_tried(group: Group<'_>, claim: &Claim, observed: &Observed, clock: Clock<'_>) -> bool {
    let Some(seen) = observed.instances.get(&claim.instance) else {
        return false;
    };
    if seen.heard(clock.timing).is_none() {
        return seen.is_gone() || seen.missed_probes >= MISSED_PROBES_MIN;
    }
    let promotion = promotion(group, claim, observed, clock).word();
    let is_it = |key: &str| {
        let rest = key.strip_prefix(&promotion);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    observed.attempts.keys().any(|key| is_it(key))
}
