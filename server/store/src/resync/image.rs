//! What a range of one shard holds as of one moment, read while writes go on.
//!
//! Under the shard lock the objects in memory are copied and the tree's present version is pinned;
//! the tree itself is read afterwards. What memory lacks is whole in the tree: a checkpoint leaves
//! its objects in memory until the tree shows them.

use crate::database::Database;
use crate::error::StoreError;
use crate::hash::{SLICES, hash_key, shard_of, slice_of, slice_range};
use crate::prefetch::prefetch;
use crate::span::Span;
use crate::tree::{Stored, TreeError};
use tandem_merge::{Object, VersionVector};

/// A slice is copied at once when it has up to so many times the bytes that are wanted.
const SLICE_PARTS: usize = 8;
/// How many objects ahead memory is asked for.
const FETCHED_AHEAD: usize = 8;

/// Memory of an image, for the next one.
#[derive(Default)]
pub(super) struct Buffers {
    arena: Vec<u8>,
    spans: Vec<Span>,
}

/// A range of one shard as of one moment.
pub(super) struct Image {
    /// Last hash that it has, inclusive.
    pub(super) last: u64,
    /// What the database held at that moment.
    pub(super) vv: VersionVector,
    buffers: Buffers,
    stored: Option<Box<dyn Iterator<Item = Result<Stored, TreeError>> + Send>>,
}

/// The end of the range that begins at `first`: so many slices of its shard.
pub(super) fn range_end(first: u64, slices: usize) -> u64 {
    let (shard, slice) = (shard_of(first), slice_of(first));
    let (_, last) = slice_range(shard, (slice + slices.max(1) - 1).min(SLICES - 1));
    last
}

impl Image {
    /// Takes the objects from `first` to `last`, which lie in one shard; those in memory up to about
    /// `bytes_max`, which may end it earlier.
    pub(super) fn take(
        database: &Database,
        (first, last): (u64, u64),
        bytes_max: usize,
        mut buffers: Buffers,
    ) -> Self {
        buffers.arena.clear();
        buffers.spans.clear();
        let at = shard_of(first);
        let mut image = Self {
            last,
            vv: VersionVector::new(),
            buffers,
            stored: None,
        };
        database.cells.warm(at, slice_of(first));
        let shard = database.cells.lock_shard(at);
        image.vv = database.commit().history.vv.clone();
        for slice in slice_of(first)..=slice_of(last) {
            let (begin, end) = slice_range(at, slice);
            let objects: Vec<&Object> = shard.slice(slice).collect();
            let bytes: usize = objects.iter().map(|object| object.heap_bytes()).sum();
            if begin < first || last < end || bytes > SLICE_PARTS * bytes_max {
                if !image.copy_part(&objects, (first, last), bytes_max) {
                    break;
                }
                continue;
            }
            image.copy_all(&objects);
            if image.buffers.arena.len() >= bytes_max {
                image.last = end;
                break;
            }
        }
        let tree = database.cells.tree();
        let last = slice_of(image.last);
        let is_resident = (slice_of(first)..=last).all(|slice| shard.is_whole(slice));
        if !tree.is_empty() && !is_resident {
            image.stored = Some(Box::new(tree.scan(first, image.last)));
        }
        drop(shard);
        let Buffers { arena, spans } = &mut image.buffers;
        spans.sort_unstable_by(|a, b| {
            a.hash
                .cmp(&b.hash)
                .then_with(|| a.key(arena).cmp(b.key(arena)))
        });
        image
    }

    /// Bytes of the objects that were in memory.
    pub(super) fn copied(&self) -> usize {
        self.buffers.arena.len()
    }

    /// Copies the objects of a slice as they come; they are put in order when the shard is free.
    fn copy_all(&mut self, objects: &[&Object]) {
        let Buffers { arena, spans } = &mut self.buffers;
        for (at, object) in objects.iter().enumerate() {
            if let Some(soon) = objects.get(at + FETCHED_AHEAD) {
                let (address, bytes) = soon.memory();
                prefetch(address, bytes);
            }
            spans.push(Span::copy(hash_key(object.key()), object, arena));
        }
    }

    /// Copies the objects of a slice that lie within the range, in order. False: it is full, and
    /// ends before the next one.
    fn copy_part(
        &mut self,
        objects: &[&Object],
        (first, last): (u64, u64),
        bytes_max: usize,
    ) -> bool {
        let mut order: Vec<(u64, &Object)> = objects
            .iter()
            .map(|object| (hash_key(object.key()), *object))
            .filter(|(hash, _)| (first..=last).contains(hash))
            .collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.key().cmp(b.1.key())));
        let Buffers { arena, spans } = &mut self.buffers;
        for (hash, object) in &order {
            let begun = spans.last().map(|span| span.hash);
            if arena.len() >= bytes_max && begun != Some(*hash) {
                self.last = hash - 1;
                return false;
            }
            spans.push(Span::copy(*hash, object, arena));
        }
        true
    }

    /// Calls `each` with hash, key and encoded state in order of (hash, key), until it says false.
    /// Gives the memory back.
    pub(super) fn visit(
        self,
        mut each: impl FnMut(u64, &[u8], &[u8]) -> Result<bool, StoreError>,
    ) -> Result<Buffers, StoreError> {
        let Self {
            buffers, stored, ..
        } = self;
        let Buffers { arena, spans } = &buffers;
        let mut stored = stored.into_iter().flatten();
        let mut cold = stored.next().transpose()?;
        for span in spans {
            let key = span.key(arena);
            while let Some(older) = &cold
                && (older.hash, older.key()) < (span.hash, key)
            {
                if !each(older.hash, older.key(), older.state())? {
                    return Ok(buffers);
                }
                cold = stored.next().transpose()?;
            }
            if cold
                .as_ref()
                .is_some_and(|older| older.hash == span.hash && older.key() == key)
            {
                cold = stored.next().transpose()?;
            }
            if let Some(state) = span.state(arena)
                && !each(span.hash, key, state)?
            {
                return Ok(buffers);
            }
        }
        while let Some(older) = cold {
            if !each(older.hash, older.key(), older.state())? {
                return Ok(buffers);
            }
            cold = stored.next().transpose()?;
        }
        Ok(buffers)
    }
}
