//! A database's objects: shards in memory over a tree, without log or version vector.
//!
//! The main state of a database and the side state of a full resync are both one of these.

mod key;

use crate::counts::Counts;
use crate::error::StoreError;
use crate::hash::{SHARDS, SLICES, hash_key, shard_of, slice_of, slice_range};
use crate::shard::{Place, Shard, WARMED, mark, tree_marks};
use crate::span::Span;
use crate::tree::{Stored, Tree};
use parking_lot::{Mutex, MutexGuard, RwLock};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_merge::{
    Context, Dot, Effect, EffectReader, NEVER, Object, OriginIndex, Origins, Stamp,
};

/// Shards over a tree.
#[derive(Debug)]
pub struct Cells {
    shards: Vec<Mutex<Shard>>,
    tree: RwLock<Arc<Tree>>,
    /// Whether a counter was ever written here.
    counted: AtomicBool,
}

/// The locks of the shards that a command or record touches, taken in order.
#[derive(Debug)]
pub struct Guards<'c> {
    list: SmallVec<[(usize, MutexGuard<'c, Shard>); 2]>,
}

impl Guards<'_> {
    /// The locked shard of a hash.
    #[inline]
    pub fn shard(&self, hash: u64) -> Option<&Shard> {
        let wanted = shard_of(hash);
        if self.list.len() == SHARDS {
            return self.list.get(wanted).map(|(_, guard)| &**guard);
        }
        self.list
            .iter()
            .find(|(at, _)| *at == wanted)
            .map(|(_, guard)| &**guard)
    }

    /// The same for changing it.
    #[inline]
    pub fn shard_mut(&mut self, hash: u64) -> Option<&mut Shard> {
        let wanted = shard_of(hash);
        if self.list.len() == SHARDS {
            return self.list.get_mut(wanted).map(|(_, guard)| &mut **guard);
        }
        self.list
            .iter_mut()
            .find(|(at, _)| *at == wanted)
            .map(|(_, guard)| &mut **guard)
    }

    /// The origin table as of now.
    #[inline]
    pub fn origins(&self) -> Option<&Arc<Origins>> {
        self.list.first().map(|(_, guard)| &guard.origins)
    }

    /// Whether all shards are locked.
    pub fn is_whole(&self) -> bool {
        self.list.len() == SHARDS
    }

    /// All locked shards.
    pub fn shards(&self) -> impl Iterator<Item = &Shard> {
        self.list.iter().map(|(_, guard)| &**guard)
    }

    /// All locked shards, for changing them.
    pub fn shards_mut(&mut self) -> impl Iterator<Item = &mut Shard> {
        self.list.iter_mut().map(|(_, guard)| &mut **guard)
    }
}

/// Decodes a state whose origin numbers are this database's own.
pub fn decode_own(key: &[u8], state: &[u8]) -> Result<Object, StoreError> {
    Ok(Object::decode(key, state, &|index: OriginIndex| {
        Some(index)
    })?)
}

impl Cells {
    /// Empty shards over `tree`.
    pub fn new(tree: Arc<Tree>, origins: &Arc<Origins>, counts: Counts, counted: bool) -> Self {
        let whole = tree.is_empty();
        let cells = Self {
            shards: (0..SHARDS)
                .map(|_| Mutex::new(Shard::new(Arc::clone(origins), whole)))
                .collect(),
            tree: RwLock::new(tree),
            counted: AtomicBool::new(counted),
        };
        // What the tree holds is not known by slice: all are looked at once, if anything ends at all.
        let soonest = if counts.expires > 0 || counted {
            0
        } else {
            NEVER
        };
        for shard in &cells.shards {
            shard.lock().soonest.fill(soonest);
        }
        cells.shards[0].lock().counts = counts;
        cells
    }

    /// The tree in force.
    pub fn tree(&self) -> Arc<Tree> {
        Arc::clone(&self.tree.read())
    }

    /// Puts another tree in force and returns the old one. All shards must be locked.
    pub fn replace_tree(&self, tree: Arc<Tree>) -> Arc<Tree> {
        std::mem::replace(&mut *self.tree.write(), tree)
    }

    /// Whether a counter was ever written.
    pub fn counted(&self) -> bool {
        self.counted.load(Ordering::Acquire)
    }

    /// Notes that counters are written.
    pub fn set_counted(&self, counted: bool) {
        self.counted.store(counted, Ordering::Release);
    }

    /// Locks one shard.
    #[inline]
    pub fn lock_shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock()
    }

    /// Locks the shard of one key and makes sure that its object is in memory if it exists.
    #[inline]
    pub fn lock_one(&self, hash: u64, key: &[u8]) -> Result<Guards<'_>, StoreError> {
        let at = shard_of(hash);
        let mut guard = self.shards[at].lock();
        self.load(&mut guard, hash, key)?;
        let mut list = SmallVec::new();
        list.push((at, guard));
        Ok(Guards { list })
    }

    /// Locks the shards of these keys in order and loads their objects.
    pub fn lock_keys<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> Result<Guards<'_>, StoreError> {
        let hashed: SmallVec<[(u64, &[u8]); 8]> = keys.map(|key| (hash_key(key), key)).collect();
        let mut wanted = hashed
            .iter()
            .fold(0u64, |set, (hash, _)| set | 1 << shard_of(*hash));
        let mut guards = Guards {
            list: SmallVec::new(),
        };
        while wanted != 0 {
            let at = wanted.trailing_zeros() as usize;
            guards.list.push((at, self.shards[at].lock()));
            wanted &= wanted - 1;
        }
        for (hash, key) in hashed {
            if let Some(shard) = guards.shard_mut(hash) {
                self.load(shard, hash, key)?;
            }
        }
        Ok(guards)
    }

    /// Locks everything.
    pub fn lock_all(&self) -> Guards<'_> {
        Guards {
            list: self.shards.iter().map(Mutex::lock).enumerate().collect(),
        }
    }

    #[inline]
    fn load(&self, shard: &mut Shard, hash: u64, key: &[u8]) -> Result<(), StoreError> {
        if shard.place(hash, key).is_none() {
            self.load_cold(shard, hash, key)?;
        }
        Ok(())
    }

    /// Brings in what the tree holds of a key; tells where it is now, and whether the tree was read.
    fn load_cold(
        &self,
        shard: &mut Shard,
        hash: u64,
        key: &[u8],
    ) -> Result<(Option<Place>, bool), StoreError> {
        if shard.is_whole(slice_of(hash)) {
            return Ok((None, false));
        }
        let tree = self.tree.read();
        if tree.is_empty() {
            return Ok((None, false));
        }
        match tree.get(hash, key)? {
            Some(state) => Ok((Some(shard.admit(hash, decode_own(key, &state)?)), true)),
            None => Ok((None, true)),
        }
    }

    /// Makes sure that a key's object is in memory; its shard must be among the guards.
    pub fn load_into(&self, guards: &mut Guards<'_>, key: &[u8]) -> Result<(), StoreError> {
        let hash = hash_key(key);
        if let Some(shard) = guards.shard_mut(hash) {
            self.load(shard, hash, key)?;
        }
        Ok(())
    }

    /// Applies a record's effects to locked shards whose objects are loaded. A flush needs all
    /// shards and an empty tree to go on with, from `fresh`; it returns the old tree.
    pub fn apply(
        &self,
        guards: &mut Guards<'_>,
        effects: &[u8],
        dot: Dot,
        stamp: Stamp,
        context: Context<'_>,
        fresh: &mut dyn FnMut() -> Result<Arc<Tree>, StoreError>,
    ) -> Result<Option<Arc<Tree>>, StoreError> {
        let mut reader = EffectReader::new(effects);
        let mut old_tree = None;
        while let Some(effect) = reader.next_effect()? {
            let Some(key) = effect.key() else {
                old_tree = Some(self.flush(guards, &effect, dot, stamp, context, fresh()?)?);
                continue;
            };
            if matches!(effect, Effect::Add { .. }) && !self.counted() {
                self.set_counted(true);
            }
            let hash = hash_key(key);
            let Some(shard) = guards.shard_mut(hash) else {
                continue;
            };
            let place = shard.place(hash, key);
            shard.apply((hash, key), place, &effect, (dot, stamp), context)?;
        }
        Ok(old_tree)
    }

    /// Everything the context covers goes in O(1) when it covers all; else survivors are sought.
    fn flush(
        &self,
        guards: &mut Guards<'_>,
        effect: &Effect<'_>,
        dot: Dot,
        stamp: Stamp,
        context: Context<'_>,
        fresh: Arc<Tree>,
    ) -> Result<Arc<Tree>, StoreError> {
        assert!(guards.is_whole(), "a flush holds every shard");
        let survivors = match context {
            Context::Everything if !self.counted() => Vec::new(),
            _ => self.survivors(guards, effect, dot, stamp, context)?,
        };
        for shard in guards.shards_mut() {
            shard.clear();
        }
        for survivor in survivors {
            let hash = hash_key(survivor.key());
            if let Some(shard) = guards.shard_mut(hash) {
                shard.insert(hash, survivor);
            }
        }
        Ok(self.replace_tree(fresh))
    }

    fn survivors(
        &self,
        guards: &mut Guards<'_>,
        effect: &Effect<'_>,
        dot: Dot,
        stamp: Stamp,
        context: Context<'_>,
    ) -> Result<Vec<Object>, StoreError> {
        let mut survivors = Vec::new();
        let Some(origins) = guards.origins().cloned() else {
            return Ok(survivors);
        };
        let mut state = Vec::new();
        for shard in guards.shards_mut() {
            for slice in 0..SLICES {
                for object in shard.slice(slice) {
                    state.clear();
                    object.encode(&mut state);
                    let mut copy = decode_own(object.key(), &state)?;
                    copy.apply(effect, dot, stamp, context, &origins)?;
                    if !copy.is_void() {
                        survivors.push(copy);
                    }
                }
            }
        }
        for stored in self.tree().scan(0, u64::MAX) {
            let stored = stored?;
            let resident = guards
                .shard(stored.hash)
                .is_some_and(|s| s.find(stored.hash, stored.key()).is_some());
            if !resident {
                let mut copy = decode_own(stored.key(), stored.state())?;
                copy.apply(effect, dot, stamp, context, &origins)?;
                if !copy.is_void() {
                    survivors.push(copy);
                }
            }
        }
        Ok(survivors)
    }

    /// Calls `each` with the objects of one slice from hash `from` on, in order of (hash, key), while
    /// the shard is locked; stops when it says false. `begin` runs once under the lock, before.
    pub fn visit_slice(
        &self,
        (at, slice): (usize, usize),
        from: u64,
        begin: impl FnOnce(&Shard),
        each: impl FnMut(u64, &Object) -> bool,
    ) -> Result<(), StoreError> {
        let shard = self.shards[at].lock();
        begin(&shard);
        self.visit_locked(&shard, (at, slice), from, each)?;
        Ok(())
    }

    /// The same for a shard that is locked already. Returns whether `each` wants more.
    pub fn visit_locked(
        &self,
        shard: &Shard,
        (at, slice): (usize, usize),
        from: u64,
        mut each: impl FnMut(u64, &Object) -> bool,
    ) -> Result<bool, StoreError> {
        let mut resident: Vec<(u64, &Object)> = shard
            .slice(slice)
            .map(|object| (hash_key(object.key()), object))
            .filter(|(hash, _)| *hash >= from)
            .collect();
        resident.sort_unstable_by(|a, b| (a.0, a.1.key()).cmp(&(b.0, b.1.key())));
        let (first, last) = slice_range(at, slice);
        let tree = self.tree();
        let mut stored: Box<dyn Iterator<Item = _>> = if tree.is_empty() || shard.is_whole(slice) {
            Box::new(std::iter::empty())
        } else {
            Box::new(tree.scan(first.max(from), last))
        };
        let mut resident = resident.into_iter().peekable();
        let mut cold: Option<Stored> = stored.next().transpose()?;
        loop {
            let order = match (resident.peek(), &cold) {
                (None, None) => return Ok(true),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((hash, object)), Some(cold)) => {
                    (*hash, object.key()).cmp(&(cold.hash, cold.key()))
                }
            };
            let goes_on = if order.is_le() {
                if order.is_eq() {
                    cold = stored.next().transpose()?;
                }
                resident
                    .next()
                    .is_none_or(|(hash, object)| object.is_void() || each(hash, object))
            } else if let Some(stored_now) = cold.take() {
                cold = stored.next().transpose()?;
                each(
                    stored_now.hash,
                    &decode_own(stored_now.key(), stored_now.state())?,
                )
            } else {
                true
            };
            if !goes_on {
                return Ok(false);
            }
        }
    }

    /// Calls `each` with every object, slice by slice; stops when it says false.
    pub fn visit_all(&self, mut each: impl FnMut(u64, &Object) -> bool) -> Result<(), StoreError> {
        let mut goes_on = true;
        for at in 0..SHARDS {
            for slice in 0..SLICES {
                self.visit_slice(
                    (at, slice),
                    0,
                    |_| {},
                    |hash, object| {
                        goes_on = each(hash, object);
                        goes_on
                    },
                )?;
                if !goes_on {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Keys with content, expired ones included.
    pub fn keys(&self) -> i64 {
        self.counts().keys
    }

    /// Keys with content, and those of them that have an end.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for shard in &self.shards {
            counts += shard.lock().counts;
        }
        counts
    }

    /// (heap bytes, dirty heap bytes) of the tables.
    pub fn memory(&self) -> (usize, usize) {
        self.shards.iter().fold((0, 0), |(bytes, dirty), shard| {
            let shard = shard.lock();
            (bytes + shard.bytes, dirty + shard.dirty_bytes)
        })
    }

    /// Tells every shard a new origin table. Must be called before a dot of a new origin arrives.
    pub fn set_origins(&self, origins: &Arc<Origins>) {
        for shard in &self.shards {
            shard.lock().origins = Arc::clone(origins);
        }
    }

    /// Brings the memory of a slice's objects near, a few at a time, so that whoever visits them all
    /// under the shard's lock does not hold it for as long as memory takes.
    pub(crate) fn warm(&self, at: usize, slice: usize) {
        let mut from = 0;
        while self.shards[at].lock().warm(slice, from, WARMED) {
            from += WARMED;
        }
    }

    /// Hands every dirty object to the tree in one sorted run; `grown` is raised by the number of
    /// keys that the tree gains (also on failure: their marks say so already, and they stay dirty).
    /// Objects stay marked [`mark::FLUSHING`] until [`Cells::flushed`]. `seal` runs when all is
    /// written and before any of it counts: a tree in force must never be ahead of the log.
    pub fn ingest_dirty(
        &self,
        tree: &Tree,
        grown: &mut Counts,
        seal: impl FnOnce() -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let result = tree.ingest(|sink| {
            let mut arena = Vec::new();
            let mut spans: Vec<Span> = Vec::new();
            for at in 0..SHARDS {
                for slice in 0..SLICES {
                    arena.clear();
                    spans.clear();
                    self.warm(at, slice);
                    *grown +=
                        take_dirty(&mut self.shards[at].lock(), slice, &mut arena, &mut spans);
                    spans.sort_unstable_by(|a, b| {
                        (a.hash, a.key(&arena)).cmp(&(b.hash, b.key(&arena)))
                    });
                    for span in &spans {
                        sink.put(span.hash, span.key(&arena), span.state(&arena))?;
                    }
                }
            }
            seal()
        });
        if result.is_err() {
            self.settle(|marks| marks | mark::DIRTY);
        }
        result
    }

    /// The run that [`Cells::ingest_dirty`] wrote is in force.
    pub fn flushed(&self) {
        self.settle(|marks| marks);
    }

    /// The run went to a tree that has been replaced meanwhile. The tree in force is empty, so nothing
    /// of what is here lies in it: all has to be written once more.
    pub fn flushed_in_vain(&self) {
        let in_tree = mark::IN_TREE | mark::TREE_PRESENT | mark::TREE_EXPIRES;
        self.settle(|marks| (marks & !in_tree) | mark::DIRTY);
    }

    /// Ends the flushing of every object; `change` gives its marks.
    fn settle(&self, change: impl Fn(u8) -> u8) {
        for (at, shard) in self.shards.iter().enumerate() {
            for slice in 0..SLICES {
                self.warm(at, slice);
                let mut shard = shard.lock();
                let (mut void, mut again) = (false, 0);
                for object in shard.slice_mut(slice) {
                    let marks = object.marks();
                    if marks & mark::FLUSHING != 0 {
                        let changed = change(marks & !mark::FLUSHING);
                        if changed & !marks & mark::DIRTY != 0 {
                            again += object.heap_bytes();
                        }
                        object.set_marks(changed);
                        void |= object.is_void();
                    }
                }
                shard.dirty_bytes += again;
                if void {
                    shard.evict(slice, |object| {
                        !object.is_void() || object.marks() & mark::DIRTY != 0
                    });
                }
            }
        }
    }

    /// Forgets clean objects that nobody touched since the last pass over this slice; returns the
    /// bytes gained.
    pub fn evict_slice(&self, at: usize, slice: usize) -> usize {
        let mut shard = self.shards[at].lock();
        let before = shard.bytes;
        shard.evict(slice, |object| {
            let marks = object.marks();
            if marks & (mark::DIRTY | mark::FLUSHING) != 0 {
                return true;
            }
            if marks & mark::TOUCHED != 0 {
                object.set_marks(marks & !mark::TOUCHED);
                return true;
            }
            false
        });
        before - shard.bytes
    }

    /// Exchanges the contents of two states of the same database. Both must be locked by nobody else.
    pub fn swap(&self, guards: &mut Guards<'_>, other: &Self) -> Arc<Tree> {
        for (mine, theirs) in guards.shards_mut().zip(&other.shards) {
            std::mem::swap(mine, &mut *theirs.lock());
        }
        self.set_counted(other.counted());
        self.replace_tree(other.tree())
    }
}

fn take_dirty(
    shard: &mut Shard,
    slice: usize,
    arena: &mut Vec<u8>,
    spans: &mut Vec<Span>,
) -> Counts {
    let mut grown = Counts::default();
    let mut cleaned = 0;
    for object in shard.slice_mut(slice) {
        let marks = object.marks();
        if marks & mark::DIRTY == 0 {
            continue;
        }
        grown += Counts::of(object);
        grown -= Counts {
            keys: i64::from(marks & mark::TREE_PRESENT != 0),
            expires: i64::from(marks & mark::TREE_EXPIRES != 0),
        };
        cleaned += object.heap_bytes();
        spans.push(Span::copy(hash_key(object.key()), object, arena));
        object.set_marks(
            (marks & !(mark::DIRTY | mark::TREE_PRESENT | mark::TREE_EXPIRES))
                | mark::FLUSHING
                | mark::IN_TREE
                | tree_marks(object),
        );
    }
    shard.dirty_bytes = shard.dirty_bytes.saturating_sub(cleaned);
    grown
}

/// The slice a hash lies in, as (shard, slice).
pub fn place_of(hash: u64) -> (usize, usize) {
    (shard_of(hash), slice_of(hash))
}
