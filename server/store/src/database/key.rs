//! One locked key: what nearly every command works on, looked up once.

use super::{Database, Receipt};
use crate::error::StoreError;
use crate::hash::hash_key;
use crate::shard::{Place, Shard};
use parking_lot::MutexGuard;
use tandem_merge::{Context, EffectWriter, Object, Objects, OriginIndex, Origins, Stamp};

/// One key locked for one command.
#[derive(Debug)]
pub struct LockedKey<'d, 'k> {
    pub(super) database: &'d Database,
    pub(super) shard: MutexGuard<'d, Shard>,
    pub(super) hash: u64,
    pub(super) key: &'k [u8],
    /// Where the key's object is; `None`: it has none.
    pub(super) place: Option<Place>,
    pub(super) has_waited: bool,
    pub(super) own: Option<OriginIndex>,
    pub(super) now: Stamp,
    pub(super) wall: Stamp,
}

impl Objects for LockedKey<'_, '_> {
    fn object(&self, key: &[u8]) -> Option<&Object> {
        if key == self.key {
            return self.present();
        }
        debug_assert!(false, "a command on one key asks for another");
        self.shard.find(hash_key(key), key)
    }
}

impl LockedKey<'_, '_> {
    /// Number of the database.
    #[inline]
    pub fn number(&self) -> u32 {
        self.database.number
    }

    /// The time that this command sees.
    #[inline]
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// The origin table as of now.
    #[inline]
    pub fn origins(&self) -> &Origins {
        &self.shard.origins
    }

    /// Own origin, while this instance is a writer.
    #[inline]
    pub fn own(&self) -> Option<OriginIndex> {
        self.own
    }

    /// The key's object.
    #[inline]
    pub fn present(&self) -> Option<&Object> {
        self.shard.at(self.hash, self.place?)
    }

    /// Whether it took a wait for another thread or a look into the tree to get here.
    #[inline]
    pub fn has_waited(&self) -> bool {
        self.has_waited
    }

    /// Writes the effects, all of them on this key, as one record and applies them. Without effects
    /// nothing is written.
    #[inline]
    pub fn commit(&mut self, effects: &EffectWriter) -> Result<Option<Receipt>, StoreError> {
        if effects.is_empty() {
            return Ok(None);
        }
        let effects = effects.bytes();
        let receipt = self
            .database
            .append_own(self.own, effects, self.wall, false, &[])?;
        self.place = self.database.cells.apply_key(
            &mut self.shard,
            (self.hash, self.key),
            self.place,
            effects,
            (receipt.dot, receipt.stamp),
            Context::Everything,
        )?;
        Ok(Some(receipt))
    }
}
