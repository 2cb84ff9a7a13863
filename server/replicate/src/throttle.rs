//! Bounding a flow in bytes a second, with bursts of up to a tenth of a second.

/// A bucket that fills at a rate.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    /// When all that was taken so far is paid for, in microseconds.
    paid_us: u64,
}

/// How far behind its budget a flow may burst, in microseconds.
const BURST_US: u64 = 100_000;

impl Throttle {
    /// Takes `bytes` at `now_ms` under a rate of `bytes_per_second` (0: no bound). Returns the
    /// milliseconds to wait before the bytes are used.
    pub fn take(&mut self, bytes: u64, bytes_per_second: u64, now_ms: u64) -> u64 {
        if bytes_per_second == 0 {
            return 0;
        }
        let now_us = now_ms.saturating_mul(1_000);
        let cost_us = bytes.saturating_mul(1_000_000) / bytes_per_second;
        self.paid_us = self
            .paid_us
            .max(now_us.saturating_sub(BURST_US))
            .saturating_add(cost_us);
        self.paid_us.saturating_sub(now_us) / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_nothing_waits() {
        assert_eq!(Throttle::default().take(u64::MAX, 0, 5), 0);
    }

    #[test]
    fn over_ten_seconds_the_rate_holds_within_the_burst() {
        let mut throttle = Throttle::default();
        let (mut now, mut sent) = (1_000_000, 0u64);
        let end = now + 10_000;
        while now < end {
            now += throttle.take(64 << 10, 1 << 20, now);
            sent += 64 << 10;
        }
        let allowed = (10 << 20) + (1 << 20) / 10 + (128 << 10);
        assert!((9 << 20..=allowed).contains(&sent), "{sent}");
    }

    #[test]
    fn an_idle_time_earns_no_more_than_the_burst() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.take(1, 1_000, 1_000_000), 0);
        assert_eq!(throttle.take(1_000, 1_000, 9_000_000), 900);
    }
}
