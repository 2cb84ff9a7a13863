//! Whether the other side lives: pings at a period, and an end after silence.

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Nothing until this time (milliseconds of the same clock).
    Idle(u64),
    /// Send a ping.
    Ping,
    /// The other side is silent for too long: end the link.
    Dead,
}

/// One direction's watch over the other side.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_field_names,
    reason = "the unit stands last in every name"
)]
pub struct Keepalive {
    period_ms: u64,
    timeout_ms: u64,
    heard_ms: u64,
    pinged_ms: u64,
}

impl Keepalive {
    /// Watches from `now_ms` on.
    pub fn new(period_ms: u64, timeout_ms: u64, now_ms: u64) -> Self {
        Self {
            period_ms,
            timeout_ms,
            heard_ms: now_ms,
            pinged_ms: now_ms,
        }
    }

    /// Something arrived.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = self.heard_ms.max(now_ms);
    }

    /// When something arrived last.
    pub fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// What to do now; a ping counts as sent.
    pub fn poll(&mut self, now_ms: u64) -> Beat {
        if now_ms >= self.heard_ms.saturating_add(self.timeout_ms) {
            return Beat::Dead;
        }
        if now_ms >= self.pinged_ms.saturating_add(self.period_ms) {
            self.pinged_ms = now_ms;
            return Beat::Ping;
        }
        let next = self.pinged_ms + self.period_ms;
        Beat::Idle(next.min(self.heard_ms.saturating_add(self.timeout_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pings_at_the_period_and_dies_after_the_timeout() {
        let mut alive = Keepalive::new(1_000, 3_500, 0);
        let steps = [
            (0, Beat::Idle(1_000)),
            (999, Beat::Idle(1_000)),
            (1_000, Beat::Ping),
            (1_001, Beat::Idle(2_000)),
            (2_500, Beat::Ping),
            (2_600, Beat::Idle(3_500)),
            (3_499, Beat::Idle(3_500)),
            (3_500, Beat::Dead),
        ];
        for (now, expected) in steps {
            assert_eq!(alive.poll(now), expected, "at {now}");
        }
    }

    #[test]
    fn whatever_arrives_keeps_it_alive() {
        let mut alive = Keepalive::new(1_000, 2_000, 0);
        alive.heard(1_900);
        alive.heard(1_000);
        assert_eq!(alive.heard_ms(), 1_900);
        assert_eq!(alive.poll(3_899), Beat::Ping);
        assert_eq!(alive.poll(3_900), Beat::Dead);
    }
}
