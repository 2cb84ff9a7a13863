//! Every answered write, kept beside the databases: what must be found in the end.
//!
//! Each writer's life has a set of its own, to which nobody else writes. An element is answered when
//! the log is whole up to its record, or durable when the client asked for that.

use std::collections::{BTreeMap, BTreeSet};
use tandem_merge::Origin;

#[derive(Debug, Clone, Copy)]
struct Write {
    lsn: u64,
    life: Origin,
    number: u64,
}

/// The ledger.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// By instance: written and not answered.
    waiting: BTreeMap<usize, Vec<Write>>,
    /// By instance: answered as whole in its log, lost if its power is.
    whole: BTreeMap<usize, Vec<Write>>,
    /// What must be there.
    due: BTreeMap<Origin, BTreeSet<u64>>,
    /// All that was ever tried.
    tried: BTreeMap<Origin, BTreeSet<u64>>,
    next: u64,
}

/// The set of a life.
pub(crate) fn key_of(life: Origin) -> Vec<u8> {
    format!("life-{}-{:x}", life.server_id, life.incarnation).into_bytes()
}

impl Ledger {
    /// The next element to write.
    pub(crate) fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(crate) fn tried(&mut self, at: usize, life: Origin, number: u64, lsn: u64) {
        self.tried.entry(life).or_default().insert(number);
        let write = Write { lsn, life, number };
        self.waiting.entry(at).or_default().push(write);
    }

    /// The log of an instance is whole up to `written` and durable up to `durable`, as it says.
    pub(crate) fn moved(&mut self, at: usize, written: u64, durable: u64) {
        let waiting = self.waiting.entry(at).or_default();
        let whole = self.whole.entry(at).or_default();
        whole.extend(waiting.extract_if(.., |write| write.lsn <= written));
        for write in whole.extract_if(.., |write| write.lsn <= durable) {
            self.due.entry(write.life).or_default().insert(write.number);
        }
    }

    /// The process died: what was not answered may be gone.
    pub(crate) fn process_died(&mut self, at: usize) {
        self.waiting.remove(&at);
    }

    /// Its machine lost power: what was not durable may be gone, too.
    pub(crate) fn power_lost(&mut self, at: usize) {
        self.waiting.remove(&at);
        self.whole.remove(&at);
    }

    /// Nothing more is lost: what was answered in any way has to be there.
    pub(crate) fn close(&mut self) {
        for write in std::mem::take(&mut self.whole).into_values().flatten() {
            self.due.entry(write.life).or_default().insert(write.number);
        }
    }

    /// Lives that wrote something.
    pub(crate) fn lives(&self) -> impl Iterator<Item = Origin> + '_ {
        self.tried.keys().copied()
    }

    /// What is wrong with the elements found of a life.
    pub(crate) fn compare(&self, life: Origin, found: &BTreeSet<u64>) -> Option<String> {
        let none = BTreeSet::new();
        let due = self.due.get(&life).unwrap_or(&none);
        let tried = self.tried.get(&life).unwrap_or(&none);
        let missing: Vec<_> = due.difference(found).take(5).collect();
        let invented: Vec<_> = found.difference(tried).take(5).collect();
        let wrong = !missing.is_empty() || !invented.is_empty();
        wrong.then(|| {
            format!(
                "of life {life:?}: answered and missing {missing:?}, never written {invented:?}"
            )
        })
    }

    /// How many writes were answered.
    pub(crate) fn answered(&self) -> usize {
        self.due.values().map(BTreeSet::len).sum()
    }
}
