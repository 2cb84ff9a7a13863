//! Hybrid logical stamps and deadlines (DESIGN.md section 2, rules 11 and 15).
//!
//! A stamp is 48 bits of Unix milliseconds and 16 bits of counter. A deadline is a stamp too: the
//! last one of its millisecond, so that "stamped up to the end" is one comparison.

/// A hybrid logical clock reading: `milliseconds << 16 | counter`.
pub type Stamp = u64;

/// The deadline that PERSIST and a SET without TTL write: beats any other, never passes.
pub const NEVER: Stamp = u64::MAX;

/// Largest Unix millisecond a deadline can name.
pub const DEADLINE_MS_MAX: u64 = (1 << 48) - 2;

/// The first stamp of a millisecond.
#[inline]
pub fn stamp_of_ms(ms: u64) -> Stamp {
    ms << 16
}

/// The deadline that ends with this Unix millisecond (inclusive).
#[inline]
pub fn deadline_of_ms(ms: u64) -> Stamp {
    (ms.min(DEADLINE_MS_MAX) << 16) | 0xffff
}

/// The Unix millisecond of a stamp or deadline.
#[inline]
pub fn ms_of(stamp: Stamp) -> u64 {
    stamp >> 16
}

/// The clock of one database: own stamps rise, and follow what was observed within the allowed skew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The last own stamp given.
    pub last: Stamp,
    /// The largest stamp observed in any record.
    pub seen: Stamp,
    /// How far ahead of the wall clock an observed stamp may pull ours.
    pub skew_max: Stamp,
}

impl Clock {
    /// A clock that has seen nothing. `skew_max_ms` bounds how far others may pull it ahead.
    pub fn new(skew_max_ms: u64) -> Self {
        Self {
            last: 0,
            seen: 0,
            skew_max: stamp_of_ms(skew_max_ms),
        }
    }

    /// Gives the next own stamp: max(own last + 1, wall, min(observed, wall + skew)).
    #[inline]
    pub fn tick(&mut self, wall: Stamp) -> Stamp {
        let observed = self.seen.min(wall.saturating_add(self.skew_max));
        self.last = (self.last + 1).max(wall).max(observed);
        self.last
    }

    /// What readers take as now: never behind an own stamp.
    #[inline]
    pub fn now(&self, wall: Stamp) -> Stamp {
        self.last.max(wall)
    }

    /// Takes note of a stamp in a record of any origin.
    #[inline]
    pub fn observe(&mut self, stamp: Stamp) {
        self.seen = self.seen.max(stamp);
    }
}
