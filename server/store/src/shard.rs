//! A shard: a lock's worth of decoded objects in hash tables, one per slice of the hash space.
//!
//! It is memtable and cache in one. An object is in the table when it was touched and not evicted;
//! a dirty one differs from the tree; a void one that the tree still knows stays as a tombstone.

use crate::counts::{Counts, has_end};
use crate::hash::{SLICES, hash_key, slice_of, table_hash};
use crate::prefetch::prefetch;
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::sync::Arc;
use tandem_merge::{
    CellId, Context, DecodeError, Dot, Effect, NEVER, Object, OriginIndex, Origins, Stamp,
};

/// The store's bits in an object's marks.
pub mod mark {
    /// Differs from what the tree holds.
    pub const DIRTY: u8 = 1;
    /// Touched since the evictor passed.
    pub const TOUCHED: u8 = 2;
    /// The tree holds a version of this key.
    pub const IN_TREE: u8 = 4;
    /// That version has content.
    pub const TREE_PRESENT: u8 = 8;
    /// That version has an end.
    pub const TREE_EXPIRES: u8 = 32;
    /// Handed to a checkpoint that has not finished.
    pub const FLUSHING: u8 = 16;
}

/// Where an object lies in its slice's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

/// One shard.
#[derive(Debug)]
pub struct Shard {
    slices: Vec<HashTable<Object>>,
    /// The origin table as of now; the same in all shards of a database.
    pub origins: Arc<Origins>,
    /// Keys with content, and those of them with an end, in memory or tree.
    pub counts: Counts,
    /// By slice: no later than this something there ends or may be forgotten. A hint for the sweeper;
    /// [`NEVER`] for nothing.
    pub soonest: Vec<Stamp>,
    /// By slice: whether memory has every key that the tree holds, so that the tree need not be asked.
    whole: Vec<bool>,
    /// Heap bytes of the objects in the tables.
    pub bytes: usize,
    /// Heap bytes that became dirty since the last checkpoint began.
    pub dirty_bytes: usize,
}

/// What the tree is to know of an object.
pub(crate) fn tree_marks(object: &Object) -> u8 {
    let counts = Counts::of(object);
    let present = if counts.keys > 0 {
        mark::TREE_PRESENT
    } else {
        0
    };
    let expires = if counts.expires > 0 {
        mark::TREE_EXPIRES
    } else {
        0
    };
    present | expires
}

/// When the sweeper should look at an object that an effect has just changed: at its end, or at once
/// when only leftovers may be in it.
#[inline]
fn due_at(object: &Object, effect: &Effect<'_>) -> Stamp {
    if has_end(object) {
        object.deadline()
    } else if matches!(
        effect,
        Effect::Put {
            cell: CellId::Type(_),
            ..
        }
    ) {
        // The content of a new key follows in the same record.
        NEVER
    } else if !effect.marks().is_empty() || (!object.has_content() && !object.is_void()) {
        0
    } else {
        NEVER
    }
}

fn rehash(object: &Object) -> u64 {
    table_hash(hash_key(object.key()))
}

/// Objects that are brought near at a time, while the shard is locked.
pub(crate) const WARMED: usize = 128;

/// What the tables themselves take for one object, beside its allocation.
const SLOT_BYTES: usize = 20;

impl Shard {
    /// An empty shard; `whole`: over an empty tree.
    pub fn new(origins: Arc<Origins>, whole: bool) -> Self {
        Self {
            slices: (0..SLICES).map(|_| HashTable::new()).collect(),
            origins,
            counts: Counts::default(),
            soonest: vec![NEVER; SLICES],
            whole: vec![whole; SLICES],
            bytes: 0,
            dirty_bytes: 0,
        }
    }

    /// The object of a key, if it is in memory.
    #[inline]
    pub fn find(&self, hash: u64, key: &[u8]) -> Option<&Object> {
        self.slices[slice_of(hash)].find(table_hash(hash), |object| object.key() == key)
    }

    /// The same for changing its marks.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, key: &[u8]) -> Option<&mut Object> {
        self.slices[slice_of(hash)].find_mut(table_hash(hash), |object| object.key() == key)
    }

    /// Where a key's object is, if it is in memory. Good until the next change of the shard.
    #[inline]
    pub fn place(&self, hash: u64, key: &[u8]) -> Option<Place> {
        self.slices[slice_of(hash)]
            .find_bucket_index(table_hash(hash), |object| object.key() == key)
            .map(Place)
    }

    /// The object at a place that [`Shard::place`] or [`Shard::apply`] gave for this hash.
    #[inline]
    pub fn at(&self, hash: u64, place: Place) -> Option<&Object> {
        self.slices[slice_of(hash)].get_bucket(place.0)
    }

    /// Asks for the memory of what may be the slot of a key with this hash.
    #[inline]
    pub fn prefetch_slot(&self, hash: u64) {
        if let Some(slot) = self.slices[slice_of(hash)]
            .iter_hash(table_hash(hash))
            .next()
        {
            prefetch(slot, size_of::<Object>());
        }
    }

    /// Asks for the memory of what may be the object of a key with this hash; its slot should have
    /// been asked for before.
    #[inline]
    pub fn prefetch_object(&self, hash: u64) {
        if let Some(object) = self.slices[slice_of(hash)]
            .iter_hash(table_hash(hash))
            .next()
        {
            let (at, bytes) = object.memory();
            prefetch(at, bytes);
        }
    }

    /// Applies one effect to its key's object and keeps the books: key count, bytes, dirtiness. A
    /// void object stays only as a tombstone for the tree. `place` is where the object is, and the
    /// result where it is then.
    #[inline]
    pub fn apply(
        &mut self,
        (hash, key): (u64, &[u8]),
        place: Option<Place>,
        effect: &Effect<'_>,
        (dot, stamp): (Dot, Stamp),
        context: Context<'_>,
    ) -> Result<Option<Place>, DecodeError> {
        let at = slice_of(hash);
        let slice = &mut self.slices[at];
        let origins = &self.origins;
        if let Some(place) = place
            && let Some(object) = slice.get_bucket_mut(place.0)
        {
            let (had, before, marks) = (Counts::of(object), object.heap_bytes(), object.marks());
            object.apply(effect, dot, stamp, context, origins)?;
            let after = object.heap_bytes();
            if marks & mark::DIRTY == 0 {
                self.dirty_bytes += after;
            }
            object.set_marks(marks | mark::DIRTY | mark::TOUCHED);
            self.counts += Counts::of(object);
            self.counts -= had;
            self.soonest[at] = self.soonest[at].min(due_at(object, effect));
            self.bytes = self.bytes + after - before;
            if object.is_void() && marks & (mark::IN_TREE | mark::FLUSHING) == 0 {
                self.bytes -= after + SLOT_BYTES;
                if let Ok(slot) = slice.get_bucket_entry(place.0) {
                    slot.remove();
                }
                return Ok(None);
            }
            return Ok(Some(place));
        }
        let mut object = Object::create(key, effect, dot, stamp, context, origins)?;
        if object.is_void() {
            return Ok(None);
        }
        let bytes = object.heap_bytes();
        object.set_marks(mark::DIRTY | mark::TOUCHED);
        self.counts += Counts::of(&object);
        self.soonest[at] = self.soonest[at].min(due_at(&object, effect));
        self.bytes += bytes + SLOT_BYTES;
        self.dirty_bytes += bytes;
        let slot = slice.insert_unique(table_hash(hash), object, rehash);
        Ok(Some(Place(slot.bucket_index())))
    }

    /// Drops dead contributions of a key in memory, as far as `gone` says so of each one's origin and
    /// last removal. Returns whether any went.
    pub fn drop_dead(
        &mut self,
        hash: u64,
        key: &[u8],
        gone: &dyn Fn(OriginIndex, Dot) -> bool,
    ) -> bool {
        let slice = &mut self.slices[slice_of(hash)];
        let Ok(mut slot) = slice.find_entry(table_hash(hash), |object| object.key() == key) else {
            return false;
        };
        let object = slot.get_mut();
        let (had, before, marks) = (Counts::of(object), object.heap_bytes(), object.marks());
        if !object.drop_dead(gone) {
            return false;
        }
        let after = object.heap_bytes();
        if marks & mark::DIRTY == 0 {
            self.dirty_bytes += after;
        }
        object.set_marks(marks | mark::DIRTY);
        self.counts += Counts::of(object);
        self.counts -= had;
        self.bytes = self.bytes + after - before;
        if object.is_void() && marks & (mark::IN_TREE | mark::FLUSHING) == 0 {
            self.bytes -= after + SLOT_BYTES;
            slot.remove();
        }
        true
    }

    /// Puts in a whole object whose key is not in memory, as a change that the tree lacks.
    pub fn insert(&mut self, hash: u64, mut object: Object) {
        let bytes = object.heap_bytes();
        object.set_marks(mark::DIRTY | mark::TOUCHED);
        self.counts += Counts::of(&object);
        self.soonest[slice_of(hash)] = 0;
        self.bytes += bytes + SLOT_BYTES;
        self.dirty_bytes += bytes;
        self.slices[slice_of(hash)].insert_unique(table_hash(hash), object, rehash);
    }

    /// Puts in what the tree holds of a key that is not in memory. Counts nothing: it was counted.
    pub fn admit(&mut self, hash: u64, mut object: Object) -> Place {
        object.set_marks(mark::IN_TREE | mark::TOUCHED | tree_marks(&object));
        self.bytes += object.heap_bytes() + SLOT_BYTES;
        let slot = self.slices[slice_of(hash)].insert_unique(table_hash(hash), object, rehash);
        Place(slot.bucket_index())
    }

    /// Whether memory has every key of a slice that the tree holds.
    #[inline]
    pub fn is_whole(&self, slice: usize) -> bool {
        self.whole[slice]
    }

    /// Brings the memory of some objects of a slice near, from the `from`th on. False: there are no
    /// more.
    pub(crate) fn warm(&self, slice: usize, from: usize, count: usize) -> bool {
        let objects: SmallVec<[&Object; WARMED]> =
            self.slices[slice].iter().skip(from).take(count).collect();
        for object in &objects {
            let (address, bytes) = object.memory();
            prefetch(address, bytes);
        }
        let marks = objects.iter().map(|object| u64::from(object.marks()));
        std::hint::black_box(marks.sum::<u64>());
        objects.len() == count
    }

    /// The objects of one slice.
    pub fn slice(&self, slice: usize) -> impl Iterator<Item = &Object> {
        self.slices[slice].iter()
    }

    /// The same for changing marks; state must be changed through [`Shard::apply`].
    pub fn slice_mut(&mut self, slice: usize) -> impl Iterator<Item = &mut Object> {
        self.slices[slice].iter_mut()
    }

    /// Forgets the objects of a slice that `keep` does not want; they must be clean or void.
    pub fn evict(&mut self, slice: usize, mut keep: impl FnMut(&mut Object) -> bool) {
        let (bytes, whole) = (&mut self.bytes, &mut self.whole[slice]);
        self.slices[slice].retain(|object| {
            let kept = keep(object);
            if !kept {
                *whole &= object.is_void();
                *bytes -= object.heap_bytes() + SLOT_BYTES;
            }
            kept
        });
        let table = &mut self.slices[slice];
        if table.capacity() > 64 && table.len() * 4 < table.capacity() {
            table.shrink_to_fit(rehash);
        }
    }

    /// Forgets everything, tree included: after a flush of the whole database.
    pub fn clear(&mut self) {
        self.whole.fill(true);
        for slice in &mut self.slices {
            *slice = HashTable::new();
        }
        self.counts = Counts::default();
        self.soonest.fill(NEVER);
        self.bytes = 0;
        self.dirty_bytes = 0;
    }
}
