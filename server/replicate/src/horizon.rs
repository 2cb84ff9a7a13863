//! How far the log of one database may be purged: what every known receiver has durably passed.
//!
//! A receiver that is away keeps its place up to a bound; past it, it is written off and comes back
//! by a state.

use std::collections::BTreeMap;

/// One known receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Lsn that it has durably passed.
    pub lsn: u64,
    /// When it was last heard, Unix milliseconds.
    pub heard_ms: u64,
}

/// The receivers of one database, by instance id.
#[derive(Debug, Clone, Default)]
pub struct Horizon {
    places: BTreeMap<String, Place>,
}

impl Horizon {
    /// A receiver begins to read here: it may be below where it was, when it lost its tail.
    pub fn begin(&mut self, instance: &str, lsn: u64, now_ms: u64) {
        self.places.insert(
            instance.to_owned(),
            Place {
                lsn,
                heard_ms: now_ms,
            },
        );
    }

    /// A receiver was heard; `lsn` is what it has durably passed.
    pub fn raise(&mut self, instance: &str, lsn: u64, now_ms: u64) {
        if let Some(place) = self.places.get_mut(instance) {
            place.lsn = place.lsn.max(lsn);
            place.heard_ms = place.heard_ms.max(now_ms);
        }
    }

    /// A receiver is of no concern any more.
    pub fn forget(&mut self, instance: &str) {
        self.places.remove(instance);
    }

    /// Writes off who was not heard for longer than `absence_ms`; returns their ids.
    pub fn write_off(&mut self, absence_ms: u64, now_ms: u64) -> Vec<String> {
        let gone: Vec<String> = self
            .places
            .iter()
            .filter(|(_, place)| now_ms.saturating_sub(place.heard_ms) > absence_ms)
            .map(|(instance, _)| instance.clone())
            .collect();
        for instance in &gone {
            self.places.remove(instance);
        }
        gone
    }

    /// The lowest place of all; `None` when nobody is known.
    pub fn lowest(&self) -> Option<u64> {
        self.places.values().map(|place| place.lsn).min()
    }

    /// All places, by instance id.
    pub fn places(&self) -> impl Iterator<Item = (&str, Place)> {
        self.places
            .iter()
            .map(|(instance, place)| (instance.as_str(), *place))
    }

    /// Takes over places that were written down before a restart.
    pub fn restore(&mut self, places: impl IntoIterator<Item = (String, Place)>) {
        self.places.extend(places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_receiver_decides() {
        let mut horizon = Horizon::default();
        assert_eq!(horizon.lowest(), None);
        horizon.begin("a", 100, 0);
        horizon.begin("b", 50, 0);
        horizon.raise("b", 70, 1);
        horizon.raise("b", 60, 2);
        assert_eq!(horizon.lowest(), Some(70));
        horizon.raise("b", 500, 3);
        assert_eq!(horizon.lowest(), Some(100));
        horizon.forget("a");
        assert_eq!(horizon.lowest(), Some(500));
    }

    #[test]
    fn whoever_begins_again_lower_counts_from_there() {
        let mut horizon = Horizon::default();
        horizon.begin("a", 100, 0);
        horizon.begin("a", 40, 1);
        assert_eq!(horizon.lowest(), Some(40));
    }

    #[test]
    fn acks_of_strangers_do_not_hold_the_log() {
        let mut horizon = Horizon::default();
        horizon.raise("a", 1, 0);
        assert_eq!(horizon.lowest(), None);
    }

    #[test]
    fn the_absent_are_written_off_past_the_bound_only() {
        let mut horizon = Horizon::default();
        horizon.begin("a", 1, 1_000);
        horizon.begin("b", 2, 5_000);
        assert_eq!(horizon.write_off(4_000, 5_000), Vec::<String>::new());
        assert_eq!(horizon.write_off(4_000, 5_001), ["a"]);
        assert_eq!(horizon.lowest(), Some(2));
    }

    #[test]
    fn places_survive_being_written_down() {
        let mut horizon = Horizon::default();
        horizon.begin("a", 10, 3);
        let written: Vec<_> = horizon
            .places()
            .map(|(instance, place)| (instance.to_owned(), place))
            .collect();
        let mut again = Horizon::default();
        again.restore(written);
        assert_eq!(again.lowest(), Some(10));
    }
}
