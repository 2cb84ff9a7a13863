//! The thread that merges chunks with the own objects of the same range, straight into one sorted
//! run of the side tree.

use super::Mode;
use super::image::{Buffers, Image};
use super::packed::PackedObjects;
use super::source::Chunk;
use crate::background::step_back;
use crate::cells::decode_own;
use crate::counts::Counts;
use crate::database::{Database, OriginMap};
use crate::error::StoreError;
use crate::hash::{hash_key, shard_of};
use crate::tree::{Sink, Tree};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tandem_merge::{Object, OriginIndex, VersionVector, merge_objects};

/// Chunks that may wait for the thread.
const WAITING_CHUNKS: usize = 2;
/// Own objects that are merged at a time, in bytes.
const OWN_BYTES: usize = if cfg!(test) { 300 } else { 256 << 10 };

enum Job {
    Chunk {
        chunk: Chunk,
        packed: Vec<u8>,
        map: Arc<OriginMap>,
    },
    /// Everything was sent.
    End,
}

/// What the scan gave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ingested {
    pub(super) counts: Counts,
    pub(super) counted: bool,
}

/// The running thread.
pub(super) struct Ingest {
    jobs: SyncSender<Job>,
    thread: JoinHandle<Result<Ingested, StoreError>>,
}

impl Ingest {
    pub(super) fn begin(
        database: &Arc<Database>,
        tree: &Arc<Tree>,
        mode: Mode,
    ) -> Result<Self, StoreError> {
        let (jobs, waiting) = sync_channel(WAITING_CHUNKS);
        let (database, tree) = (Arc::clone(database), Arc::clone(tree));
        let name = format!("tandem-resync{}", database.number);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                step_back();
                run(&database, &tree, mode, &waiting)
            })
            .map_err(StoreError::io("start the resync thread"))?;
        Ok(Self { jobs, thread })
    }

    /// Hands a chunk over; waits while others wait. False: the thread has ended and says why at
    /// [`end`](Self::end).
    pub(super) fn chunk(&self, chunk: Chunk, packed: Vec<u8>, map: Arc<OriginMap>) -> bool {
        self.jobs.send(Job::Chunk { chunk, packed, map }).is_ok()
    }

    /// Everything was handed over.
    pub(super) fn end(self) -> Result<Ingested, StoreError> {
        // When the thread has ended already, its result says why.
        drop(self.jobs.send(Job::End));
        drop(self.jobs);
        let gone = || StoreError::Resync("the resync thread failed".to_owned());
        self.thread.join().map_err(|_| gone())?
    }
}

impl Ingest {
    /// Ends the thread and waits for that; what it wrote is of no use.
    pub(super) fn abandon(self) {
        drop(self.jobs);
        drop(self.thread.join());
    }
}

/// Own objects with their hashes, what was held when they were taken, and the last hash they reach.
type Own = (Vec<(u64, Object)>, VersionVector, u64);

struct Merging<'d> {
    database: &'d Database,
    mode: Mode,
    /// First hash of the chunk that comes next; `None` when all have come.
    next: Option<u64>,
    done: Ingested,
    state: Vec<u8>,
}

fn run(
    database: &Database,
    tree: &Tree,
    mode: Mode,
    waiting: &Receiver<Job>,
) -> Result<Ingested, StoreError> {
    let done = Ingested::default();
    let mut merging = Merging {
        database,
        mode,
        next: Some(0),
        done,
        state: Vec::new(),
    };
    tree.ingest(|sink| {
        loop {
            match waiting.recv() {
                Ok(Job::Chunk { chunk, packed, map }) => {
                    merging.chunk(sink, &chunk, &packed, &map)?;
                }
                Ok(Job::End) if merging.next.is_none() => return Ok(()),
                Ok(Job::End) | Err(_) => {
                    return Err(StoreError::Resync("the scan ended early".to_owned()));
                }
            }
        }
    })?;
    Ok(merging.done)
}

impl Merging<'_> {
    fn chunk(
        &mut self,
        sink: &mut Sink<'_>,
        chunk: &Chunk,
        packed: &[u8],
        map: &OriginMap,
    ) -> Result<(), StoreError> {
        let (first, last) = (chunk.first, chunk.last);
        if self.next != Some(first) || last < first || shard_of(first) != shard_of(last) {
            return Err(StoreError::Resync(format!(
                "chunk {first:x}..{last:x} out of order"
            )));
        }
        self.next = last.checked_add(1);
        let vv = map.vector(&chunk.vv)?;
        let is_same_table = (0..map.len() as u32)
            .map(OriginIndex)
            .all(|index| map.get(index) == Some(index));
        let mut theirs = Theirs {
            packed: PackedObjects::new(packed),
            map,
            range: (first, last),
            before: None,
        };
        let mut their = theirs.next()?;
        let mut from = Some(first);
        while let Some(part) = from.filter(|from| *from <= last) {
            let (own, own_vv, end) = self.own(part, last)?;
            let is_nothing = own_vv.rows().all(|(_, row)| row.high == 0);
            let mut own = own.into_iter().peekable();
            loop {
                let order = match (own.peek(), &their) {
                    (None, None) => break,
                    (Some(_), None) => Ordering::Less,
                    (None, Some(their)) if their.hash > end => break,
                    (None, Some(_)) => Ordering::Greater,
                    (Some((hash, mine)), Some(their)) => {
                        (*hash, mine.key()).cmp(&(their.hash, their.object.key()))
                    }
                };
                let hash = match (own.peek(), &their) {
                    (Some((hash, _)), _) if order.is_le() => *hash,
                    (_, Some(their)) => their.hash,
                    (_, None) => end,
                };
                let mine = own.next_if(|_| order.is_le()).map(|(_, object)| object);
                let mut other = None;
                if order.is_ge() {
                    other = their.take();
                    their = theirs.next()?;
                }
                // Where nothing is held here there is nothing to merge with.
                if let (Some(other), true) = (&other, is_nothing) {
                    let state = is_same_table.then_some(other.state);
                    self.put(sink, (hash, &other.object), state)?;
                    continue;
                }
                let other = other.map(|other| other.object);
                if let Some(object) = merge_objects(mine, &own_vv, other, &vv) {
                    self.put(sink, (hash, &object), None)?;
                }
            }
            from = end.checked_add(1);
        }
        Ok(())
    }

    /// Own objects from `first` on, up to `last` at most, with what was held at that moment and the
    /// last hash that they reach.
    fn own(&self, first: u64, last: u64) -> Result<Own, StoreError> {
        if self.mode == Mode::Replace {
            return Ok((Vec::new(), VersionVector::new(), last));
        }
        let mut image = Image::take(self.database, (first, last), OWN_BYTES, Buffers::default());
        let (vv, mut end) = (std::mem::take(&mut image.vv), image.last);
        let (mut objects, mut bytes) = (Vec::new(), 0);
        let full = 2 * OWN_BYTES + image.copied();
        image.visit(|hash, key, state| {
            if bytes >= full && objects.last().is_some_and(|(last, _)| *last != hash) {
                end = hash - 1;
                return Ok(false);
            }
            bytes += key.len() + state.len();
            objects.push((hash, decode_own(key, state)?));
            Ok(true)
        })?;
        Ok((objects, vv, end))
    }

    /// Writes an object with this hash, whose encoded `state` is known, or not.
    fn put(
        &mut self,
        sink: &mut Sink<'_>,
        (hash, object): (u64, &Object),
        state: Option<&[u8]>,
    ) -> Result<(), StoreError> {
        if object.is_void() {
            return Ok(());
        }
        if state.is_none() {
            self.state.clear();
            object.encode(&mut self.state);
        }
        sink.put(hash, object.key(), Some(state.unwrap_or(&self.state)))?;
        self.done.counts += Counts::of(object);
        self.done.counted |= object.has_contributions();
        Ok(())
    }
}

/// One of the source's objects, with its state as it came.
struct Their<'c> {
    hash: u64,
    object: Object,
    state: &'c [u8],
}

/// The source's objects of a chunk, in order.
struct Theirs<'c> {
    packed: PackedObjects<'c>,
    map: &'c OriginMap,
    range: (u64, u64),
    before: Option<(u64, &'c [u8])>,
}

impl<'c> Theirs<'c> {
    fn next(&mut self) -> Result<Option<Their<'c>>, StoreError> {
        let Some((key, state)) = self.packed.next_object()? else {
            return Ok(None);
        };
        let place = (hash_key(key), key);
        let (first, last) = self.range;
        if place.0 < first || place.0 > last || self.before.is_some_and(|b| b >= place) {
            return Err(StoreError::Resync("objects out of order".to_owned()));
        }
        self.before = Some(place);
        let object = Object::decode(key, state, &|index| self.map.get(index))?;
        let hash = place.0;
        Ok(Some(Their {
            hash,
            object,
            state,
        }))
    }
}
