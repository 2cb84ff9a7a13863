//! The LSM tree behind a database's tables: keys in order of their hash, written by sorted ingestion
//! only. It has no log of its own; what it lacks is replayed from ours.

mod memory;

use crate::disk::Disk;
use lsm_tree::{
    AbstractTree, AnyTree, Cache, CompressionType, Config, DescriptorTable, Guard,
    SequenceNumberCounter, Slice, compaction::Leveled, config::CompressionPolicy,
};
use memory::{MemoryTree, MemoryTrees};
use parking_lot::Mutex;
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a tree operation can fail with: the disk, or damaged tables.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} the tree in `{}`", directory.display())]
pub struct TreeError {
    /// What was being done.
    pub verb: &'static str,
    /// Where.
    pub directory: PathBuf,
    /// Why.
    pub source: lsm_tree::Error,
}

/// What all trees of a process share: block cache and open files.
#[derive(Clone)]
pub struct Engine(Place);

#[derive(Clone)]
enum Place {
    Files {
        cache: Arc<Cache>,
        descriptors: Arc<DescriptorTable>,
    },
    Memory(MemoryTrees),
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Engine {
    /// A block cache of this many bytes, and at most `files` open tables.
    pub fn new(cache_bytes: u64, files: usize) -> Self {
        Self(Place::Files {
            cache: Arc::new(Cache::with_capacity_bytes(cache_bytes)),
            descriptors: Arc::new(DescriptorTable::new(files)),
        })
    }

    /// Trees in memory, for simulations: they live as long as a clone of this engine does.
    pub fn memory() -> Self {
        Self(Place::Memory(MemoryTrees::default()))
    }

    /// What a database's directory holds, trees included.
    pub(crate) fn list(&self, disk: &dyn Disk, directory: &Path) -> io::Result<Vec<PathBuf>> {
        match &self.0 {
            Place::Files { .. } => disk.list(directory),
            Place::Memory(trees) => Ok(trees.list(directory)),
        }
    }

    /// Removes a tree that nobody has open.
    pub(crate) fn remove(&self, directory: &Path) -> io::Result<()> {
        match &self.0 {
            Place::Files { .. } => std::fs::remove_dir_all(directory),
            Place::Memory(trees) => {
                trees.remove(directory);
                Ok(())
            }
        }
    }
}

enum Inner {
    Files {
        tree: AnyTree,
        visible: SequenceNumberCounter,
    },
    Memory(MemoryTree),
}

/// One tree in a directory of its own.
pub struct Tree {
    inner: Inner,
    engine: Engine,
    directory: PathBuf,
    empty: AtomicBool,
    /// Held by whoever compacts.
    compacting: Mutex<()>,
    /// Removes the directory once nobody reads it any more.
    doomed: AtomicBool,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tree")
            .field("directory", &self.directory)
            .finish_non_exhaustive()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Acquire)
            && let Err(error) = self.engine.remove(&self.directory)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                directory = %self.directory.display(),
                "old tree could not be removed; it only takes space and goes at the next start"
            );
        }
    }
}

/// Length of the hash in front of each tree key.
const HASH_BYTES: usize = 8;

fn tree_key(hash: u64, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HASH_BYTES + key.len());
    out.extend_from_slice(&hash.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// One key with its encoded state, as a scan gives it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Hash of the key.
    pub hash: u64,
    pair: (Slice, Slice),
}

impl Stored {
    fn new(pair: (Slice, Slice)) -> Self {
        let hash = pair.0.first_chunk::<HASH_BYTES>();
        Self {
            hash: hash.map_or(0, |bytes| u64::from_be_bytes(*bytes)),
            pair,
        }
    }

    /// The key.
    pub fn key(&self) -> &[u8] {
        self.pair.0.get(HASH_BYTES..).unwrap_or_default()
    }

    /// The encoded state.
    pub fn state(&self) -> &[u8] {
        &self.pair.1
    }
}

impl Tree {
    /// Opens or creates the tree in `directory`.
    pub fn open(engine: &Engine, directory: &Path) -> Result<Self, TreeError> {
        let (inner, empty) = match &engine.0 {
            Place::Memory(trees) => {
                let tree = trees.open(directory);
                let empty = tree.is_empty();
                (Inner::Memory(tree), empty)
            }
            Place::Files { cache, descriptors } => open_files(cache, descriptors, directory)?,
        };
        Ok(Self {
            inner,
            engine: engine.clone(),
            directory: directory.to_path_buf(),
            empty: AtomicBool::new(empty),
            compacting: Mutex::new(()),
            doomed: AtomicBool::new(false),
        })
    }

    fn error(&self, verb: &'static str, source: lsm_tree::Error) -> TreeError {
        TreeError {
            verb,
            directory: self.directory.clone(),
            source,
        }
    }

    /// Name of its directory inside the database's.
    pub fn name(&self) -> String {
        self.directory
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned())
    }

    /// Whether nothing was ever ingested: lets a miss skip the look-up.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Acquire)
    }

    /// Marks the directory for removal when the last user lets go.
    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
    }

    /// The stored state of a key.
    pub fn get(&self, hash: u64, key: &[u8]) -> Result<Option<Slice>, TreeError> {
        if self.is_empty() {
            return Ok(None);
        }
        match &self.inner {
            Inner::Files { tree, visible } => tree
                .get(tree_key(hash, key), visible.get())
                .map_err(|e| self.error("read", e)),
            Inner::Memory(tree) => Ok(tree.get(&tree_key(hash, key))),
        }
    }

    /// All keys with a hash from `first` to `last`, as of now, in order of (hash, key).
    pub fn scan(
        &self,
        first: u64,
        last: u64,
    ) -> Box<dyn Iterator<Item = Result<Stored, TreeError>> + Send> {
        let directory = self.directory.clone();
        let upper = match last.checked_add(1) {
            Some(next) => Bound::Excluded(next.to_be_bytes().to_vec()),
            None => Bound::Unbounded,
        };
        let range = (Bound::Included(first.to_be_bytes().to_vec()), upper);
        let (tree, seqno) = match &self.inner {
            Inner::Files { tree, visible } => (tree, visible.get()),
            Inner::Memory(tree) => {
                let pairs = tree.range(range).into_iter();
                return Box::new(pairs.map(|pair| Ok(Stored::new(pair))));
            }
        };
        let pairs = tree.range(range, seqno, None).map(move |guard| {
            let pair = guard.into_inner().map_err(|source| TreeError {
                verb: "scan",
                directory: directory.clone(),
                source,
            })?;
            Ok(Stored::new((pair.0, pair.1)))
        });
        Box::new(pairs)
    }

    /// Ingests a sorted run: `fill` is given a sink for (hash, key, state or tombstone) in ascending
    /// order. Nothing is visible unless all of it is.
    pub fn ingest<E: From<TreeError>>(
        &self,
        fill: impl FnOnce(&mut Sink<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let into = match &self.inner {
            Inner::Files { tree, .. } => {
                let run = tree.ingestion();
                Run::Files(Box::new(run.map_err(|e| self.error("begin writing", e))?))
            }
            Inner::Memory(_) => Run::Memory(Vec::new()),
        };
        let mut sink = Sink {
            into,
            count: 0,
            key: Vec::new(),
            directory: &self.directory,
        };
        fill(&mut sink)?;
        if sink.count == 0 {
            return Ok(());
        }
        match (sink.into, &self.inner) {
            (Run::Files(run), _) => {
                run.finish()
                    .map_err(|e| self.error("register tables of", e))?;
            }
            (Run::Memory(run), Inner::Memory(tree)) => tree.ingest(run),
            (Run::Memory(_), Inner::Files { .. }) => {}
        }
        self.empty.store(false, Ordering::Release);
        Ok(())
    }

    /// Merges runs until reads are cheap again. Blocks; for a background thread.
    pub fn compact(&self) -> Result<(), TreeError> {
        let Inner::Files { tree, visible } = &self.inner else {
            return Ok(());
        };
        let _one_at_a_time = self.compacting.lock();
        let strategy = Arc::new(Leveled::default());
        tree.compact(strategy, visible.get())
            .map_err(|e| self.error("compact", e))
    }

    /// Whether somebody merges its runs now.
    pub fn is_compacting(&self) -> bool {
        self.compacting.is_locked()
    }

    /// Sorted runs that a read may have to look into.
    pub fn run_count(&self) -> usize {
        match &self.inner {
            Inner::Files { tree, .. } => tree.l0_run_count(),
            Inner::Memory(_) => 1,
        }
    }

    /// Bytes on disk.
    pub fn disk_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Files { tree, .. } => tree.disk_space(),
            Inner::Memory(tree) => tree.bytes(),
        }
    }
}

fn open_files(
    cache: &Arc<Cache>,
    descriptors: &Arc<DescriptorTable>,
    directory: &Path,
) -> Result<(Inner, bool), TreeError> {
    let fail = |source| TreeError {
        verb: "open",
        directory: directory.to_path_buf(),
        source,
    };
    let sequence = SequenceNumberCounter::default();
    let visible = SequenceNumberCounter::default();
    let tree = Config::new(directory, sequence.clone(), visible.clone())
        .use_cache(Arc::clone(cache))
        .use_descriptor_table(Some(Arc::clone(descriptors)))
        .data_block_compression_policy(CompressionPolicy::new([
            CompressionType::None,
            CompressionType::None,
            CompressionType::Lz4,
        ]))
        .open()
        .map_err(fail)?;
    let highest = tree.get_highest_seqno().map_or(0, |seqno| seqno + 1);
    sequence.fetch_max(highest);
    visible.fetch_max(highest);
    let empty = tree.table_count() == 0;
    Ok((Inner::Files { tree, visible }, empty))
}

enum Run<'t> {
    Files(Box<lsm_tree::AnyIngestion<'t>>),
    Memory(Vec<(Vec<u8>, Option<Slice>)>),
}

/// Takes a sorted run.
pub struct Sink<'t> {
    into: Run<'t>,
    count: usize,
    /// Memory of a key with its hash.
    key: Vec<u8>,
    directory: &'t Path,
}

impl std::fmt::Debug for Sink<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sink")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Sink<'_> {
    /// Takes the next key, its hash and its state; `None` writes a tombstone.
    pub(crate) fn put(
        &mut self,
        hash: u64,
        key: &[u8],
        state: Option<&[u8]>,
    ) -> Result<(), TreeError> {
        self.key.clear();
        self.key.extend_from_slice(&hash.to_be_bytes());
        self.key.extend_from_slice(key);
        self.count += 1;
        let run = match &mut self.into {
            Run::Files(run) => run,
            Run::Memory(run) => {
                run.push((self.key.clone(), state.map(Slice::from)));
                return Ok(());
            }
        };
        let key = self.key.as_slice();
        match state {
            Some(state) => run.write(key, state),
            None => run.write_tombstone(key),
        }
        .map_err(|source| TreeError {
            verb: "write",
            directory: self.directory.to_path_buf(),
            source,
        })
    }
}
