//! Questions about all keys of a database: SCAN, RANDOMKEY, digests, what a flush has to mark.

use super::{Database, Locked};
use crate::cells::{decode_own, place_of};
use crate::counts::Counts;
use crate::error::StoreError;
use crate::hash::{SHARDS, SLICES, hash_key};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;
use tandem_merge::{Object, Origins, Stamp};

/// Hash bits below a cursor: keys that share the upper 48 bits come together.
pub const CURSOR_SHIFT: u32 = 16;

impl Database {
    /// One step of SCAN: calls `each` with at least `count` objects (fewer at the end) in order of
    /// their hash, from `cursor` on, and returns the next cursor, 0 at the end. An object that is
    /// there during the whole scan is seen; the cursor is below 2^48 and needs no memory here.
    pub fn scan(
        &self,
        cursor: u64,
        count: usize,
        mut each: impl FnMut(&Object),
    ) -> Result<u64, StoreError> {
        let from = cursor.checked_shl(CURSOR_SHIFT).unwrap_or(u64::MAX);
        let (shard, slice) = place_of(from);
        let (mut seen, mut last, mut next) = (0usize, 0u64, None);
        for place in shard * SLICES + slice..SHARDS * SLICES {
            self.cells.visit_slice(
                (place / SLICES, place % SLICES),
                from,
                |_| {},
                |hash, object| {
                    let here = hash >> CURSOR_SHIFT;
                    if seen >= count && here != last {
                        next = Some(here);
                        return false;
                    }
                    each(object);
                    seen += 1;
                    last = here;
                    true
                },
            )?;
            if let Some(next) = next {
                return Ok(next);
            }
        }
        Ok(0)
    }

    /// A visible key, by chance; `draw` gives 64 random bits.
    pub fn random_key(
        &self,
        now: Stamp,
        draw: &mut dyn FnMut() -> u64,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let origins = self.commit().history.origins.clone();
        for whole in [false, true] {
            for _ in 0..if whole { 1 } else { 8 } {
                let from = if whole { 0 } else { draw() >> CURSOR_SHIFT };
                let mut found = Vec::new();
                self.scan(from, if whole { usize::MAX } else { 16 }, |object| {
                    if found.len() < 64 && object.kind(now, &origins).is_some() {
                        found.push(object.key().to_vec());
                    }
                })?;
                if !found.is_empty() {
                    let at = draw() as usize % found.len();
                    return Ok(Some(found.swap_remove(at)));
                }
            }
        }
        Ok(None)
    }

    /// A digest of everything visible at `now`: equal on two instances exactly when type, elements,
    /// values and deadlines of all keys are (up to a 128-bit collision). Returns it with the number
    /// of keys.
    pub fn digest(&self, now: Stamp) -> Result<(u128, u64), StoreError> {
        let origins = self.commit().history.origins.clone();
        let (mut sum, mut keys) = (0u128, 0);
        self.cells.visit_all(|_, object| {
            if let Some(one) = digest_object(object, now, &origins) {
                sum = sum.wrapping_add(one);
                keys += 1;
            }
            true
        })?;
        Ok((sum, keys))
    }
}

fn digest_object(object: &Object, now: Stamp, origins: &Origins) -> Option<u128> {
    let kind = object.kind(now, origins)?;
    let mut all = SipHasher13::new();
    all.write(object.key());
    all.write_u8(kind as u8);
    all.write_u64(object.visible_deadline(now).unwrap_or(0));
    let mut elements = 0u128;
    for (name, value) in object.elements(kind, now, origins) {
        let mut one = SipHasher13::new();
        one.write_usize(name.len());
        one.write(name);
        one.write(&value);
        elements = elements.wrapping_add(one.finish128().as_u128());
    }
    all.write_u128(elements);
    Some(all.finish128().as_u128())
}

impl Locked<'_> {
    /// Calls `each` with the objects from hash `from` on, in order of (hash, key), until it says
    /// false. The whole database must be locked.
    pub fn visit_from(
        &self,
        from: u64,
        mut each: impl FnMut(u64, &Object) -> bool,
    ) -> Result<(), StoreError> {
        let (first, slice) = place_of(from);
        let start = first * SLICES + slice;
        for (at, shard) in self.guards.shards().enumerate().skip(first) {
            for slice in 0..SLICES {
                let place = (at, slice);
                if at * SLICES + slice >= start
                    && !self
                        .database
                        .cells
                        .visit_locked(shard, place, from, &mut each)?
                {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Counts of the locked shards: of the whole database when all are.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in self.guards.shards() {
            counts += shard.counts;
        }
        counts
    }

    /// Brings every object with contributions into memory and calls `each` with it: a flush has to
    /// carry their watermarks. The whole database must be locked. Free unless counters were used.
    pub fn load_contributors(&mut self) -> Result<(), StoreError> {
        let cells = &self.database.cells;
        if !cells.counted() {
            return Ok(());
        }
        for stored in cells.tree().scan(0, u64::MAX) {
            let stored = stored?;
            let Some(shard) = self.guards.shard_mut(stored.hash) else {
                continue;
            };
            if shard.find(stored.hash, stored.key()).is_none() {
                let object = decode_own(stored.key(), stored.state())?;
                if object.has_contributions() {
                    shard.admit(stored.hash, object);
                }
            }
        }
        Ok(())
    }

    /// The objects in memory that have contributions.
    pub fn contributors(&self) -> impl Iterator<Item = &Object> {
        let counted = self.database.cells.counted();
        self.guards
            .shards()
            .filter(move |_| counted)
            .flat_map(|shard| (0..SLICES).flat_map(move |slice| shard.slice(slice)))
            .filter(|object| object.has_contributions())
    }

    /// Fingerprint of a key's state as it is now, for WATCH. The key must be locked.
    pub fn fingerprint(&self, key: &[u8]) -> Option<u64> {
        let hash = hash_key(key);
        let object = self.guards.shard(hash)?.find(hash, key)?;
        object
            .kind(self.now, &self.origins())
            .map(|_| object.fingerprint())
    }
}
