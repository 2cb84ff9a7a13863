//! Switches for tests: each names a rule of DESIGN.md section 2 that can be left out, so that a test
//! shows what goes wrong without it. Outside tests every rule always holds and costs nothing here.

/// A rule that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Rule {
    /// Rule 4: only the next sequence of an origin is applied.
    Dense,
    /// Rule 4: a record waits for all that its context names.
    ContextCheck,
    /// Rule 4: what is held already is skipped.
    Idempotence,
    /// Rule 7: what is skipped over without data is a hole.
    Holes,
    /// Rule 7: an instance with holes takes a state only from one that holds all it holds.
    RepairOrder,
    /// Rule 7: an instance with holes is never the source of a state.
    HoleSource,
    /// Rule 3: contexts travel with states.
    Contexts,
    /// Rule 8: each life has random bits of its own.
    Incarnation,
    /// Rule 9: removals take the observed part of a counter by watermarks.
    Watermarks,
    /// Rule 9: a dead entry goes only when its owner has seen the removal.
    Owner,
    /// Rule 10: a life is over only when every member's settled context covers the closing.
    ClosedLives,
    /// Rule 11: a key is swept only when every member has passed its end.
    Heard,
    /// Rule 11: content stamped after the end stays.
    LateContent,
    /// Rule 12: a write takes away the other types it had observed.
    Types,
    /// A state is merged on a side tree and switched to as one.
    SideTree,
    /// Not a rule of the data: plain strings and counters are packed into one allocation. Left out,
    /// every key is held in full, to compare both forms.
    Packing,
}

impl Rule {
    /// All rules of the data.
    pub const ALL: [Self; 15] = [
        Self::Dense,
        Self::ContextCheck,
        Self::Idempotence,
        Self::Holes,
        Self::RepairOrder,
        Self::HoleSource,
        Self::Contexts,
        Self::Incarnation,
        Self::Watermarks,
        Self::Owner,
        Self::ClosedLives,
        Self::Heard,
        Self::LateContent,
        Self::Types,
        Self::SideTree,
    ];
}

#[cfg(any(test, feature = "switches"))]
mod switch {
    use super::Rule;
    use std::cell::Cell;

    thread_local! {
        static LEFT_OUT: Cell<u32> = const { Cell::new(0) };
    }

    pub(crate) fn off(rule: Rule) -> bool {
        LEFT_OUT.with(|bits| bits.get() & (1 << rule as u8) != 0)
    }

    /// Leaves a rule out, for this thread, until the returned guard is dropped.
    #[must_use]
    pub fn without(rule: Rule) -> Without {
        LEFT_OUT.with(|bits| bits.set(bits.get() | (1 << rule as u8)));
        Without(rule)
    }

    /// Puts the rule back when dropped.
    #[derive(Debug)]
    pub struct Without(Rule);

    impl Drop for Without {
        fn drop(&mut self) {
            LEFT_OUT.with(|bits| bits.set(bits.get() & !(1 << self.0 as u8)));
        }
    }
}

#[cfg(any(test, feature = "switches"))]
pub use switch::{Without, without};

#[cfg(any(test, feature = "switches"))]
pub(crate) use switch::off;

/// Whether a rule is left out; never outside tests.
#[cfg(not(any(test, feature = "switches")))]
#[inline]
pub(crate) const fn off(_rule: Rule) -> bool {
    false
}
