//! Whoever lost a claim is told so before another one opens.

use super::decision::{Clock, Group};
use crate::claim::{Claim, Passed};
use crate::observed::Observed;
use crate::step::Step;

/// Tries to tell an instance that it lost the claim, before the newer epoch has to do.
const WITHDRAWALS_MAX: u32 = 3;

/// Takes the claim away from an instance that lost it and could still open under it.
pub(super) fn withdrawal(
    group: Group<'_>,
    claim: &Claim,
    observed: &Observed,
    clock: Clock<'_>,
) -> Option<Step> {
    let may_still_open = |passed: &&Passed| {
        let is_other = passed.instance != claim.instance;
        let status = observed.heard(&passed.instance, clock.timing);
        is_other && status.is_some_and(|status| status.epoch <= passed.epoch)
    };
    claim
        .passed
        .iter()
        .filter(|passed| group.instances.contains(&passed.instance))
        .filter(may_still_open)
        .map(|passed| Step::Withdraw {
            instance: passed.instance.clone(),
            epoch: claim.epoch - 1,
        })
        .find(|step| {
            let attempt = observed.attempts.get(&step.key());
            attempt.is_none_or(|attempt| attempt.failures < WITHDRAWALS_MAX)
        })
}
