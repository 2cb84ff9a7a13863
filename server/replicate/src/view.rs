//! What a receiver is known to hold (rule 5): raised by its acks and by everything received from it,
//! so that nothing is echoed.
//!
//! One view per instance and database. It speaks the numbers of the local table; rows of origins
//! that the table does not have yet wait by name.

use std::collections::BTreeMap;
use tandem_merge::{Origin, OriginIndex, Origins, VersionVector};

/// What one instance is known to hold of one database.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The life of its process that this speaks of; 0: none yet.
    run: u64,
    highs: Vec<u64>,
    unknown: BTreeMap<Origin, u64>,
    own: Option<Origin>,
    own_index: Option<OriginIndex>,
}

impl View {
    /// The instance said who it is. In a new life it may hold less than before: all is forgotten.
    pub fn meet(&mut self, run: u64) {
        if self.run != run {
            *self = Self {
                run,
                ..Self::default()
            };
        }
    }

    /// Whether this speaks of the instance's present life.
    pub fn is_of(&self, run: u64) -> bool {
        self.run == run
    }

    /// The life it writes under: it holds all of that.
    pub fn set_own(&mut self, own: Option<Origin>, origins: &Origins) {
        self.own = own;
        self.own_index = own.and_then(|origin| origins.get(&origin));
    }

    /// Forgets what it held: its state was replaced.
    pub fn clear(&mut self) {
        self.highs.clear();
        self.unknown.clear();
    }

    /// It holds an origin's records up to `high`.
    pub fn raise(&mut self, origin: Origin, high: u64, origins: &Origins) {
        if let Some(index) = origins.get(&origin) {
            self.raise_index(index, high);
            return;
        }
        let row = self.unknown.entry(origin).or_default();
        *row = (*row).max(high);
    }

    /// The same by local number.
    #[inline]
    pub fn raise_index(&mut self, index: OriginIndex, high: u64) {
        if self.highs.len() <= index.at() {
            self.highs.resize(index.at() + 1, 0);
        }
        let row = &mut self.highs[index.at()];
        *row = (*row).max(high);
    }

    /// The local table has grown: rows that waited find their numbers.
    pub fn learn(&mut self, origins: &Origins) {
        if self.own_index.is_none() {
            self.own_index = self.own.and_then(|origin| origins.get(&origin));
        }
        if self.unknown.is_empty() {
            return;
        }
        for (origin, high) in std::mem::take(&mut self.unknown) {
            self.raise(origin, high, origins);
        }
    }

    /// Highest sequence of an origin that it holds.
    #[inline]
    pub fn high(&self, index: OriginIndex) -> u64 {
        self.highs.get(index.at()).copied().unwrap_or(0)
    }

    /// Whether a record need not be sent. What lies in its holes comes by a state, never by a log.
    #[inline]
    pub fn holds(&self, index: OriginIndex, sequence: u64) -> bool {
        sequence <= self.high(index) || self.own_index == Some(index)
    }

    /// Whether a record was written by the life that the instance writes under now: sending it
    /// would be an echo.
    #[inline]
    pub fn is_own(&self, index: OriginIndex) -> bool {
        self.own_index == Some(index)
    }

    /// Whether it holds all up to these highest sequences, its own life's aside.
    pub fn reaches(&self, vv: &VersionVector) -> bool {
        vv.rows()
            .all(|(index, row)| row.high <= self.high(index) || self.is_own(index))
    }

    /// Whether all that it is known to hold lies within these highest sequences.
    pub fn is_within(&self, vv: &VersionVector) -> bool {
        self.unknown.is_empty()
            && self
                .highs
                .iter()
                .enumerate()
                .all(|(at, high)| *high <= vv.high(OriginIndex(at as u32)))
    }

    /// Records up to these highest sequences that it does not hold.
    pub fn lacks(&self, vv: &VersionVector) -> u64 {
        vv.rows()
            .filter(|(index, _)| !self.is_own(*index))
            .map(|(index, row)| row.high.saturating_sub(self.high(index)))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(server_id: u32) -> Origin {
        Origin {
            server_id,
            epoch: 1,
            incarnation: u64::from(server_id),
        }
    }

    fn origins(count: u32) -> Origins {
        let mut origins = Origins::default();
        for server_id in 0..count {
            origins.intern(origin(server_id));
        }
        origins
    }

    #[test]
    fn rows_only_rise_within_a_life() {
        let (mut view, table) = (View::default(), origins(2));
        view.meet(7);
        view.raise(origin(1), 5, &table);
        view.raise(origin(1), 3, &table);
        view.meet(7);
        assert!(view.holds(OriginIndex(1), 5) && !view.holds(OriginIndex(1), 6));
        view.meet(8);
        assert!(!view.holds(OriginIndex(1), 1), "a new life may hold less");
    }

    #[test]
    fn origins_not_in_the_table_wait_for_their_number() {
        let mut view = View::default();
        view.raise(origin(1), 9, &origins(1));
        assert!(!view.holds(OriginIndex(1), 9));
        view.learn(&origins(2));
        assert!(view.holds(OriginIndex(1), 9));
    }

    #[test]
    fn its_own_life_is_held_without_being_told() {
        let mut view = View::default();
        view.set_own(Some(origin(1)), &origins(1));
        assert!(
            !view.is_own(OriginIndex(1)),
            "the table does not have it yet"
        );
        view.learn(&origins(2));
        assert!(view.is_own(OriginIndex(1)) && view.holds(OriginIndex(1), u64::MAX));
        assert!(!view.holds(OriginIndex(0), 1));
    }

    #[test]
    fn what_it_lacks_is_counted_without_its_own_life() {
        let (mut view, table) = (View::default(), origins(3));
        let mut vv = VersionVector::new();
        for (at, high) in [(0, 10), (1, 20), (2, 30)] {
            vv.raise(OriginIndex(at), high);
        }
        view.set_own(Some(origin(2)), &table);
        view.raise(origin(0), 4, &table);
        assert!(!view.reaches(&vv));
        assert_eq!(view.lacks(&vv), 6 + 20);
        view.raise(origin(0), 10, &table);
        assert!(view.is_within(&vv));
        view.raise(origin(1), 25, &table);
        assert!(view.reaches(&vv) && !view.is_within(&vv));
        assert_eq!(view.lacks(&vv), 0);
        view.clear();
        assert_eq!(view.lacks(&vv), 30);
    }
}
