//! The thread that merges chunks with the own objects of the same range, straight into one sorted
//! run of the side tree.

use super::Mode;
use super::packed::PackedObjects;
use super::source::Chunk;
use crate::cells::place_of;
use crate::database::{Database, OriginMap};
use crate::error::StoreError;
use crate::hash::hash_key;
use crate::tree::{Sink, Tree};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use tandem_merge::{Object, VersionVector, merge_objects};

/// Chunks that may wait for the thread.
const WAITING_CHUNKS: usize = 2;

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
    pub(super) keys: i64,
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
            .spawn(move || run(&database, &tree, mode, &waiting))
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
        if self.next != Some(first) || last < first || place_of(first) != place_of(last) {
            return Err(StoreError::Resync(format!(
                "chunk {first:x}..{last:x} out of order"
            )));
        }
        self.next = last.checked_add(1);
        let their_vv = map.vector(&chunk.vv)?;
        let (own, own_vv) = self.own(first, last)?;
        let mut own = own.into_iter().peekable();
        let mut theirs = PackedObjects::new(packed);
        let mut their = theirs.next_object()?;
        let mut before: Option<(u64, &[u8])> = None;
        loop {
            let order = match (own.peek(), their) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((hash, object)), Some((key, _))) => {
                    (*hash, object.key()).cmp(&(hash_key(key), key))
                }
            };
            let mine = if order.is_le() {
                own.next().map(|(_, object)| object)
            } else {
                None
            };
            let mut other = None;
            if let (true, Some((key, state))) = (order.is_ge(), their) {
                let place = (hash_key(key), key);
                if place.0 < first || place.0 > last || before.is_some_and(|b| b >= place) {
                    return Err(StoreError::Resync("objects out of order".to_owned()));
                }
                before = Some(place);
                other = Some(Object::decode(key, state, &|index| map.get(index))?);
                their = theirs.next_object()?;
            }
            if let Some(object) = merge_objects(mine, &own_vv, other, &their_vv) {
                self.put(sink, &object)?;
            }
        }
    }

    /// Own objects of the range with what was held at that moment.
    fn own(
        &self,
        first: u64,
        last: u64,
    ) -> Result<(Vec<(u64, Object)>, VersionVector), StoreError> {
        let (mut objects, mut vv) = (Vec::new(), VersionVector::new());
        if self.mode == Mode::Merge {
            let database = self.database;
            database.cells.visit_slice(
                place_of(first),
                first,
                |_| vv = database.commit().history.vv.clone(),
                |hash, object| {
                    if hash > last {
                        return false;
                    }
                    objects.push((hash, object.clone()));
                    true
                },
            )?;
        }
        Ok((objects, vv))
    }

    fn put(&mut self, sink: &mut Sink<'_>, object: &Object) -> Result<(), StoreError> {
        if object.is_void() {
            return Ok(());
        }
        self.state.clear();
        object.encode(&mut self.state);
        sink.put(object.key(), Some(&self.state))?;
        self.done.keys += i64::from(object.has_content());
        self.done.counted |= object.has_contributions();
        Ok(())
    }
}
