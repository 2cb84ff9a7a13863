//! One key: what nearly every command locks, fetched ahead of its turn, and changed at its place.

use super::Cells;
use crate::error::StoreError;
use crate::hash::shard_of;
use crate::shard::{Place, Shard};
use parking_lot::MutexGuard;
use tandem_merge::{Context, Dot, Effect, EffectReader, Stamp};

impl Cells {
    /// Locks the shard of one key and tells where its object is, which is in memory then, and
    /// whether it took a wait for another thread or a look into the tree.
    #[inline]
    pub fn lock_key(
        &self,
        hash: u64,
        key: &[u8],
    ) -> Result<(MutexGuard<'_, Shard>, Option<Place>, bool), StoreError> {
        let shard = &self.shards[shard_of(hash)];
        let (mut guard, has_waited) = match shard.try_lock() {
            Some(guard) => (guard, false),
            None => (shard.lock(), true),
        };
        if let Some(place) = guard.place(hash, key) {
            return Ok((guard, Some(place), has_waited));
        }
        let (place, is_read) = self.load_cold(&mut guard, hash, key)?;
        Ok((guard, place, has_waited || is_read))
    }

    /// Asks for the slot of a key that is needed soon, unless its shard is busy.
    #[inline]
    pub fn prefetch_slot(&self, hash: u64) {
        if let Some(shard) = self.shards[shard_of(hash)].try_lock() {
            shard.prefetch_slot(hash);
        }
    }

    /// Asks for the object of a key that is needed soon, unless its shard is busy.
    #[inline]
    pub fn prefetch_object(&self, hash: u64) {
        if let Some(shard) = self.shards[shard_of(hash)].try_lock() {
            shard.prefetch_object(hash);
        }
    }

    /// Applies effects on one key, whose shard is locked and whose object is at `place`.
    #[inline]
    pub fn apply_key(
        &self,
        shard: &mut Shard,
        (hash, key): (u64, &[u8]),
        mut place: Option<Place>,
        effects: &[u8],
        (dot, stamp): (Dot, Stamp),
        context: Context<'_>,
    ) -> Result<Option<Place>, StoreError> {
        let mut reader = EffectReader::new(effects);
        while let Some(effect) = reader.next_effect()? {
            debug_assert!(effect.key() == Some(key), "effects of a command on one key");
            if matches!(effect, Effect::Add { .. }) && !self.counted() {
                self.set_counted(true);
            }
            place = shard.apply((hash, key), place, &effect, (dot, stamp), context)?;
        }
        Ok(place)
    }
}
