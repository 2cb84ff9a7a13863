//! The claim: who may be a group's primary, under which epoch.
//!
//! One record per group, changed only by compare-and-swap, always before the promotion it is for.
//! The epoch only grows:  seen by any instance <= claim.epoch < next claim.epoch
//!
//! ```text
//! opened ──▶ next claim: epoch + 1
//! not opened in its time ──▶ next claim: epoch + 2, and the one that lost it is shown the epoch
//!                            between before the next one opens, so that it never opens late
//! ```

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;

use crate::timing::Timing;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// Epoch that `instance` writes under. Grows with each claim of the group.
    pub epoch: u64,
    /// The one instance that may be promoted under it.
    pub instance: InstanceName,
    /// Unix milliseconds of the claim, by the clock of who made it.
    pub at_ms: u64,
    /// Whether it took the role from an instance that was only silent: the next one of that kind
    /// waits for the quiet time.
    #[serde(default)]
    pub by_silence: bool,
    /// Who had the role open last: what may be missing was written by that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<InstanceName>,
    /// Instances that were claimed lately and did not open, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<Passed>,
}

/// An instance that was claimed and did not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// The instance.
    pub instance: InstanceName,
    /// The highest epoch that it was given.
    pub epoch: u64,
    /// Unix milliseconds of the moment it lost the claim.
    pub at_ms: u64,
    /// How often in a row.
    pub times: u32,
}

impl Passed {
    /// Milliseconds until it may be chosen again without need; 0 when it may.
    pub fn rests_ms(&self, now_ms: u64, timing: &Timing) -> u64 {
        let until_ms = self.at_ms.saturating_add(timing.rest_ms(self.times));
        until_ms.saturating_sub(now_ms)
    }

    /// Whether it is still to be counted: twice as long as it rests.
    fn counts(&self, now_ms: u64, timing: &Timing) -> bool {
        let rest_ms = timing.rest_ms(self.times);
        now_ms.saturating_sub(self.at_ms) < rest_ms.saturating_mul(2)
    }
}

/// What a new claim follows.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The claim before it.
    pub claim: Option<&'a Claim>,
    /// Whether that one's instance was ever seen to write under it.
    pub is_open: bool,
    /// The highest epoch of the group that anybody was ever seen to know.
    pub epoch: u64,
}

impl Before<'_> {
    /// The claim of `instance` that comes next.
    pub fn next(&self, instance: InstanceName, now_ms: u64, timing: &Timing) -> Claim {
        let mut next = Claim {
            epoch: self.epoch + 1,
            instance,
            at_ms: now_ms,
            by_silence: false,
            from: None,
            passed: Vec::new(),
        };
        let Some(claim) = self.claim else {
            return next;
        };
        next.passed = claim.passed_lately(now_ms, timing);
        if self.is_open {
            next.from = Some(claim.instance.clone());
            next.passed
                .retain(|passed| passed.instance != claim.instance);
            return next;
        }
        next.from.clone_from(&claim.from);
        if claim.instance == next.instance {
            return next;
        }
        next.epoch += 1;
        let before = next
            .passed
            .iter()
            .position(|passed| passed.instance == claim.instance)
            .map(|index| next.passed.remove(index));
        next.passed.push(Passed {
            instance: claim.instance.clone(),
            epoch: claim.epoch,
            at_ms: now_ms,
            times: before.map_or(0, |passed| passed.times) + 1,
        });
        next
    }
}

impl Claim {
    /// Instances that did not open and are not forgotten.
    pub fn passed_lately(&self, now_ms: u64, timing: &Timing) -> Vec<Passed> {
        let counts = |passed: &&Passed| passed.counts(now_ms, timing);
        self.passed.iter().filter(counts).cloned().collect()
    }

    /// How long its instance has to open: longer with each that did not.
    pub fn patience_ms(&self, timing: &Timing) -> u64 {
        let times = self.passed.iter().map(|passed| passed.times).max();
        timing.patience_ms(times.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use tandem_api::double_master::Failover;

    use super::*;

    fn name(ordinal: u8) -> InstanceName {
        InstanceName::parse(&format!("dm-a-{ordinal}")).unwrap()
    }

    #[test]
    fn each_attempt_is_counted_until_one_opens_or_it_is_forgotten() {
        let timing = Timing::from(&Failover::default());
        let after = |claim: &Claim, is_open, to, at_ms| {
            let before = Before {
                claim: Some(claim),
                is_open,
                epoch: claim.epoch,
            };
            before.next(name(to), at_ms, &timing)
        };
        let none = Before {
            claim: None,
            is_open: false,
            epoch: 0,
        };
        let first = none.next(name(0), 0, &timing);
        let second = after(&first, true, 1, 10);
        assert_eq!((second.epoch, second.from.clone()), (2, Some(name(0))));
        let third = after(&second, false, 2, 20);
        assert_eq!((third.epoch, third.from.clone()), (4, Some(name(0))));
        let fourth = after(&third, false, 1, 30);
        let times = fourth
            .passed
            .iter()
            .map(|p| (p.instance.ordinal(), p.epoch, p.times));
        assert_eq!(times.collect::<Vec<_>>(), [(1, 2, 1), (2, 4, 1)]);
        let fifth = after(&fourth, false, 2, 40);
        assert_eq!(
            fifth.passed.last().map(|p| (p.instance.ordinal(), p.times)),
            Some((1, 2))
        );
        assert!(fifth.patience_ms(&timing) > third.patience_ms(&timing));
        let opened = after(&fifth, true, 0, 50);
        assert_eq!((opened.epoch, opened.from.clone()), (9, Some(name(2))));
        assert_eq!(
            opened
                .passed
                .iter()
                .map(|p| p.instance.ordinal())
                .collect::<Vec<_>>(),
            [1]
        );
        let long = 50 + 4 * timing.rest_ms(2);
        assert!(after(&opened, true, 1, long).passed.is_empty());
    }
}
