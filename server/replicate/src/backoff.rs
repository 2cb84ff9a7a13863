//! When to dial again: at once after a link that worked, then ever later.

/// Shortest wait before a new attempt, in milliseconds.
pub const BACKOFF_MS_MIN: u64 = 50;
/// Longest wait before a new attempt, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 2_000;

/// Waits between attempts: doubled each time, jittered, bounded.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The link worked: the next attempt comes soon.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Milliseconds until the next attempt. `random` spreads instances that lost the same source:
    /// the wait is between half and all of the step.
    pub fn next_ms(&mut self, random: u64) -> u64 {
        let step = BACKOFF_MS_MIN
            .saturating_mul(1 << self.failures.min(16))
            .min(BACKOFF_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        step / 2 + random % (step / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_bound() {
        let mut backoff = Backoff::default();
        let longest: Vec<u64> = (0..8)
            .map(|_| {
                let mut copy = backoff.clone();
                let step = (0..2_000).map(|r| copy.clone().next_ms(r)).max();
                backoff.next_ms(0);
                copy.reset();
                step.unwrap_or(0)
            })
            .collect();
        assert_eq!(longest, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
    }

    #[test]
    fn jitter_keeps_at_least_half_of_the_step() {
        for random in 0..200 {
            let wait = Backoff::default().next_ms(random);
            assert!((25..=50).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn a_link_that_worked_starts_over() {
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.next_ms(7);
        }
        backoff.reset();
        assert!(backoff.next_ms(u64::MAX) <= 50);
    }
}
