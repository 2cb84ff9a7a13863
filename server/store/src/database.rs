//! One database: cells, log and history under one roof, and the commit of local and received
//! records.
//!
//! Lock order: checkpoint → shards (ascending) → commit. Nothing waits for I/O under the commit
//! lock; a shard lock may wait for a tree read of a cold key.

mod apply;
mod checkpoint;
mod forget;
mod key;
mod keyspace;
mod open;
mod purge;
mod shed;

pub use apply::{Applied, OriginMap};
pub(crate) use apply::{context_of, lock_effects};
pub(crate) use checkpoint::Upkeep;
pub use forget::{Dropped, Ended, Found};
pub use key::LockedKey;
pub use keyspace::CURSOR_SHIFT;
pub use open::OpenReport;
pub use purge::Retention;

use crate::cells::{Cells, Guards};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::hash::hash_key;
use crate::log::{Frame, Log, Position, Tail};
use crate::tree::{Engine, Tree};
use parking_lot::{Mutex, MutexGuard};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use tandem_merge::record::{RECORD_BYTES_MAX, encode_plain};
use tandem_merge::{
    Clock, Context, Dot, EffectWriter, History, Object, Objects, Origin, OriginIndex, Origins,
    RecordHeader, Stamp,
};

/// Sizes and bounds of a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// Log segment size in bytes.
    pub segment_bytes: u64,
    /// A checkpoint begins when the log has grown by this many bytes since the last one.
    pub checkpoint_log_bytes: u64,
    /// How far another clock may pull ours ahead, in milliseconds.
    pub skew_max_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 100 << 20,
            checkpoint_log_bytes: 512 << 20,
            skew_max_ms: 10_000,
        }
    }
}

/// What the commit lock guards: the end of the log and everything that a record's place depends on.
#[derive(Debug)]
pub struct Commit {
    frame: Frame,
    /// What is held, and whom it was heard from.
    pub history: History,
    /// The database's clock.
    pub clock: Clock,
    own: Option<OriginIndex>,
    own_sequence: u64,
    header: Vec<u8>,
}

impl Tail for Commit {
    fn frame(&mut self) -> &mut Frame {
        &mut self.frame
    }
}

impl Commit {
    /// The origin this instance writes under, while it is a writer.
    pub fn own(&self) -> Option<OriginIndex> {
        self.own
    }

    /// Lsn behind everything appended.
    pub fn head(&self) -> u64 {
        self.frame.head()
    }

    /// The head as INFO shows it.
    pub fn position(&self) -> Position {
        self.frame.position()
    }
}

/// What a local write became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Names the record.
    pub dot: Dot,
    /// Lsn behind it: the reply waits until the log is whole up to here.
    pub lsn: u64,
    /// Its stamp.
    pub stamp: Stamp,
}

/// One database of an instance.
pub struct Database {
    /// Number as in SELECT.
    pub number: u32,
    /// Its objects.
    pub cells: Cells,
    /// Its log.
    pub log: Arc<Log>,
    commit: Mutex<Commit>,
    pub(crate) directory: PathBuf,
    pub(crate) disk: Arc<dyn Disk>,
    engine: Engine,
    options: Options,
    clock_floor: AtomicU64,
    pub(crate) holes: AtomicBool,
    pub(crate) upkeep: Mutex<checkpoint::Upkeep>,
    pub(crate) retired: Mutex<Vec<Arc<Tree>>>,
    pub(crate) replay_from: AtomicU64,
    /// Lsn before which the log belongs to a state that was given up: it is never served.
    pub(crate) serve_from: AtomicU64,
    /// Records merged whose writer had not seen all that was held.
    concurrent: AtomicU64,
    /// A checkpoint is wanted since the log turned out to be damaged.
    pub(crate) distrusts_log: AtomicBool,
    /// Lsn from which a full resync still needs the log; `u64::MAX` while there is none.
    pub(crate) pin: AtomicU64,
    /// Whether a full resync is being received.
    pub(crate) resyncing: AtomicBool,
    next_tree: Arc<AtomicU64>,
    sharing: Mutex<()>,
    /// Number of the own origin, for drafting; `u32::MAX` when not a writer. The commit checks it.
    own: AtomicU32,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The commit lock, for readers of history and clock.
    pub fn commit(&self) -> MutexGuard<'_, Commit> {
        self.commit.lock()
    }

    /// What readers take as now: never behind the last own stamp.
    #[inline]
    pub fn now(&self, wall: Stamp) -> Stamp {
        wall.max(self.clock_floor.load(Ordering::Relaxed))
    }

    /// Lsn before which the log is never served: it belongs to a state that was given up.
    pub fn serve_from(&self) -> u64 {
        self.serve_from.load(Ordering::Acquire)
    }

    /// Records merged since start whose writer had not seen all that was held here.
    pub fn concurrent(&self) -> u64 {
        self.concurrent.load(Ordering::Relaxed)
    }

    /// Whether a full resync is being received.
    pub fn is_resyncing(&self) -> bool {
        self.resyncing.load(Ordering::Acquire)
    }

    /// Whether some records are known of but not held.
    pub fn has_holes(&self) -> bool {
        self.holes.load(Ordering::Acquire)
    }

    /// Begins a writer's life: from now on local writes are accepted under this origin. The caller
    /// has put the incarnation on disk before.
    pub fn begin_life(&self, origin: Origin, stamp_floor: Stamp) {
        let index = {
            let mut commit = self.commit.lock();
            let index = commit.history.origins.intern(origin);
            commit.clock.last = commit.clock.last.max(stamp_floor);
            index
        };
        self.share_origins();
        let mut commit = self.commit.lock();
        commit.own_sequence = commit.history.vv.high(index);
        commit.own = Some(index);
        self.own.store(index.0, Ordering::Release);
    }

    /// Ends the writer's life: local writes are refused from here on.
    pub fn end_life(&self) {
        let mut commit = self.commit.lock();
        commit.own = None;
        self.own.store(u32::MAX, Ordering::Release);
    }

    /// Makes the origin table known to every shard; must precede the first dot of a new origin.
    pub(crate) fn share_origins(&self) {
        let _one_at_a_time = self.sharing.lock();
        let origins = Arc::new(self.commit.lock().history.origins.clone());
        self.cells.set_origins(&origins);
    }

    /// The own origin, while this instance is a writer.
    #[inline]
    pub fn own(&self) -> Option<OriginIndex> {
        let index = self.own.load(Ordering::Acquire);
        (index != u32::MAX).then_some(OriginIndex(index))
    }

    /// Locks one key for a command.
    #[inline]
    pub fn lock_one<'d>(&'d self, key: &[u8], wall: Stamp) -> Result<Locked<'d>, StoreError> {
        let hash = hash_key(key);
        let guards = self.cells.lock_one(hash, key)?;
        Ok(self.locked(guards, wall))
    }

    /// Locks one key, whose hash is known, for a command that reads and writes nothing else.
    #[inline]
    pub fn lock_key<'d, 'k>(
        &'d self,
        hash: u64,
        key: &'k [u8],
        wall: Stamp,
    ) -> Result<LockedKey<'d, 'k>, StoreError> {
        let (shard, place, has_waited) = self.cells.lock_key(hash, key)?;
        Ok(LockedKey {
            database: self,
            shard,
            hash,
            key,
            place,
            has_waited,
            own: self.own(),
            now: self.now(wall),
            wall,
        })
    }

    /// Locks several keys for a command or transaction.
    pub fn lock_keys<'d, 'k>(
        &'d self,
        keys: impl Iterator<Item = &'k [u8]>,
        wall: Stamp,
    ) -> Result<Locked<'d>, StoreError> {
        let guards = self.cells.lock_keys(keys)?;
        Ok(self.locked(guards, wall))
    }

    /// Locks the whole database; keys are then loaded by [`Locked::load`].
    pub fn lock_all(&self, wall: Stamp) -> Locked<'_> {
        self.locked(self.cells.lock_all(), wall)
    }

    #[inline]
    fn locked<'d>(&'d self, guards: Guards<'d>, wall: Stamp) -> Locked<'d> {
        Locked {
            database: self,
            guards,
            own: self.own(),
            now: self.now(wall),
            wall,
        }
    }

    /// Gives the log up to this lsn to the kernel; the reply to a write waits for it.
    #[inline]
    pub fn flush(&self, lsn: u64) -> Result<(), StoreError> {
        Ok(self.log.flush(lsn, &self.commit)?)
    }

    /// Gives everything appended to the kernel.
    pub fn flush_all(&self) -> Result<(), StoreError> {
        let head = self.commit.lock().head();
        self.flush(head)
    }

    /// Makes everything durable and says so in the log: the last thing before an orderly end.
    pub fn seal(&self) -> Result<(), StoreError> {
        self.flush_all()?;
        self.log.sync()?;
        self.commit.lock().frame.seal(self.log.durable());
        self.flush_all()?;
        self.log.sync()?;
        Ok(())
    }

    /// A new, empty tree for this database.
    pub(crate) fn fresh_tree(&self) -> Result<Arc<Tree>, StoreError> {
        let number = self.next_tree.fetch_add(1, Ordering::Relaxed);
        let directory = self.directory.join(format!("tree-{number}"));
        Ok(Arc::new(Tree::open(&self.engine, &directory)?))
    }

    /// Appends a mark: a record without effects, which tells the others that this life goes on.
    /// `settled` says that the writer holds all that any instance of its group holds; it then closes
    /// the named earlier lives (rule 10).
    pub fn append_mark(
        &self,
        wall: Stamp,
        settled: bool,
        closes: &[Origin],
    ) -> Result<Receipt, StoreError> {
        self.append_own(self.own(), &[], wall, settled, closes)
    }

    /// Appends a local record. The caller holds the locks of all shards it touches.
    #[inline]
    fn append_own(
        &self,
        drafted_by: Option<OriginIndex>,
        effects: &[u8],
        wall: Stamp,
        settled: bool,
        closes: &[Origin],
    ) -> Result<Receipt, StoreError> {
        self.log.check()?;
        if effects.len() > RECORD_BYTES_MAX {
            return Err(too_large(effects.len()));
        }
        let mut guard = self.commit.lock();
        let commit = &mut *guard;
        let own = commit
            .own
            .filter(|_| commit.own == drafted_by)
            .ok_or(StoreError::NotWriter)?;
        let stamp = commit.clock.tick(wall);
        let sequence = commit.own_sequence + 1;
        let (gains, whole) = commit.history.own_gains(own);
        commit.header.clear();
        if gains.is_empty() && !whole && !settled && closes.is_empty() {
            encode_plain(own, sequence, stamp, &mut commit.header);
        } else {
            let mut header = RecordHeader::plain(own, sequence, stamp);
            (header.gains, header.whole) = (gains, whole);
            (header.settled, header.closes) = (settled, closes.to_vec());
            header.encode(&mut commit.header);
        }
        let history = &commit.history;
        let lsn = commit
            .frame
            .append([&commit.header, effects], &history.origins, &history.vv);
        commit
            .history
            .note_own(own, sequence, stamp, settled, closes);
        commit.own_sequence = sequence;
        self.clock_floor.store(stamp, Ordering::Relaxed);
        Ok(Receipt {
            dot: Dot {
                origin: own,
                sequence,
            },
            lsn,
            stamp,
        })
    }
}

#[cold]
fn too_large(bytes: usize) -> StoreError {
    StoreError::TooLarge { bytes }
}

static EMPTY_ORIGINS: std::sync::LazyLock<Origins> = std::sync::LazyLock::new(Origins::default);

/// Keys locked for one command or transaction.
#[derive(Debug)]
pub struct Locked<'d> {
    database: &'d Database,
    guards: Guards<'d>,
    own: Option<OriginIndex>,
    now: Stamp,
    wall: Stamp,
}

impl Objects for Locked<'_> {
    #[inline]
    fn object(&self, key: &[u8]) -> Option<&Object> {
        let hash = hash_key(key);
        self.guards.shard(hash)?.find(hash, key)
    }
}

impl Locked<'_> {
    /// Number of the database.
    pub fn number(&self) -> u32 {
        self.database.number
    }

    /// The time that this command sees.
    #[inline]
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// The same without counting a reference.
    #[inline]
    pub fn origins_ref(&self) -> &Origins {
        self.guards
            .origins()
            .map_or(&EMPTY_ORIGINS, |origins| origins)
    }

    /// The origin table as of now.
    #[inline]
    pub fn origins(&self) -> Arc<Origins> {
        self.guards.origins().cloned().unwrap_or_default()
    }

    /// Own origin, while this instance is a writer.
    pub fn own(&self) -> Option<OriginIndex> {
        self.own
    }

    /// Loads a key whose shard is locked.
    pub fn load(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.database.cells.load_into(&mut self.guards, key)
    }

    /// Whether [`commit`](Self::commit) would take these effects, as far as that is known before: for
    /// a transaction over several databases, all of which write or none.
    pub fn admits(&self, effects: &EffectWriter) -> Result<(), StoreError> {
        let bytes = effects.bytes().len();
        if bytes > RECORD_BYTES_MAX {
            return Err(too_large(bytes));
        }
        if bytes > 0 {
            self.database.log.check()?;
            if self.own.is_none() || self.own != self.database.own() {
                return Err(StoreError::NotWriter);
            }
        }
        Ok(())
    }

    /// Writes the effects as one record and applies them. Without effects nothing is written.
    #[inline]
    pub fn commit(&mut self, effects: &EffectWriter) -> Result<Option<Receipt>, StoreError> {
        if effects.is_empty() {
            return Ok(None);
        }
        let database = self.database;
        let receipt = database.append_own(self.own, effects.bytes(), self.wall, false, &[])?;
        let old = database.cells.apply(
            &mut self.guards,
            effects.bytes(),
            receipt.dot,
            receipt.stamp,
            Context::Everything,
            &mut || database.fresh_tree(),
        )?;
        if let Some(old) = old {
            database.retire(old);
        }
        Ok(Some(receipt))
    }
}
