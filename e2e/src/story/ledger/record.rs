//! What was acknowledged, and what may have been done besides.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What an unanswered write would have made of a key or field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsure(pub(super) Option<String>);

/// What a key or field must be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Expected {
    /// Its value by the last acknowledged write; `None`: absent.
    pub(super) value: Option<String>,
    /// What it is instead when the last write, which had no answer, was done.
    pub(super) or: Option<Unsure>,
}

impl Expected {
    pub(super) fn allows(&self, found: Option<&str>) -> bool {
        found == self.value.as_deref()
            || self.or.as_ref().is_some_and(|or| found == or.0.as_deref())
    }
}

/// Increments of a counter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// By acknowledged writes.
    pub(super) sure: u64,
    /// By writes without an answer.
    pub(super) unsure: u64,
}

/// One counter: a key, or a field of one.
pub(super) type Counter = (String, Option<String>);

/// A time without acknowledgements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Its begin: the last acknowledgement.
    pub from: Instant,
    /// Its length.
    pub length: Duration,
}

/// Everything that some writers have been told.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) strings: BTreeMap<String, Expected>,
    /// Keys of `strings` that must have a TTL.
    pub(super) with_ttl: Vec<String>,
    /// Keys that must be gone at that time, with the latest one they can end.
    pub(super) short_lived: Vec<(String, Instant)>,
    pub(super) fields: BTreeMap<(String, String), Expected>,
    /// Two keys written by each transaction: always equal.
    pub(super) twins: Vec<(String, String)>,
    pub(super) counters: BTreeMap<Counter, Sum>,
    pub(super) acknowledged: u64,
    pub(super) unanswered: u64,
    pub(super) gaps: Vec<Gap>,
}

impl Ledger {
    /// Writes that were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Writes that were refused or never answered.
    pub fn unanswered(&self) -> u64 {
        self.unanswered
    }

    /// Times without an acknowledgement to one of the writers, of 20 ms and more, by their begin.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The longest time in which one of the writers had no acknowledgement.
    pub fn longest_gap(&self) -> Duration {
        let lengths = self.gaps.iter().map(|gap| gap.length);
        lengths.max().unwrap_or_default()
    }

    /// Adds what other writers were told.
    pub fn merge(&mut self, other: Self) {
        self.strings.extend(other.strings);
        self.with_ttl.extend(other.with_ttl);
        self.short_lived.extend(other.short_lived);
        self.fields.extend(other.fields);
        self.twins.extend(other.twins);
        for (counter, sum) in other.counters {
            let entry = self.counters.entry(counter).or_default();
            entry.sure += sum.sure;
            entry.unsure += sum.unsure;
        }
        self.acknowledged += other.acknowledged;
        self.unanswered += other.unanswered;
        self.gaps.extend(other.gaps);
        self.gaps.sort_by_key(|gap| gap.from);
    }
}
