//! Checkpoints: dirty objects go to the tree in one sorted run, and the log before them is no longer
//! needed for recovery.
//!
//! ```text
//! 1 under the commit lock: P = head, history at P
//! 2 slice by slice under its shard lock: encode what is dirty (may be newer than P: a fuzzy cut)
//! 3 log durable to its present head, then the run counts: the tree is never ahead of the log
//! 4 manifest: tree, P, history at P           ← in force
//! ```
//!
//! Replay from P over newer cells is harmless because effects are absolute (rule 2).

use super::Database;
use crate::counts::Counts;
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::tree::Tree;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What only one thread at a time may do to a database.
#[derive(Debug, Default)]
pub(crate) struct Upkeep {
    /// Keys with content in the tree.
    pub(crate) tree_counts: Counts,
    /// Lsn of the manifest in force.
    pub(crate) replay_from: u64,
    /// Trees that the manifest in force may still name.
    pub(crate) retired: Vec<Arc<Tree>>,
    /// Whether the tree in force is not the manifest's.
    pub(crate) tree_changed: bool,
}

/// Sorted runs that make reads slow enough to compact.
const RUNS_MAX: usize = 4;
/// Sorted runs that make the next checkpoint wait for it.
const RUNS_WAIT: usize = 16;

impl Database {
    /// Keeps an old tree until a manifest no longer names it. May be called with shards locked.
    pub(crate) fn retire(&self, old: Arc<Tree>) {
        self.retired.lock().push(old);
    }

    /// A manifest is stored, and with it the tree in force: nothing names an older one any more.
    pub(crate) fn manifest_in_force(&self, upkeep: &mut Upkeep, replay_from: u64) {
        upkeep.replay_from = replay_from;
        upkeep.tree_changed = false;
        self.replay_from.store(replay_from, Ordering::Release);
        for old in upkeep.retired.drain(..) {
            old.doom();
        }
    }

    /// Lsn from which a restart would replay.
    pub fn replay_from(&self) -> u64 {
        self.replay_from.load(Ordering::Acquire)
    }

    /// Whether the log has grown enough since the last checkpoint.
    pub fn wants_checkpoint(&self) -> bool {
        let grown = self.log.written().saturating_sub(self.replay_from());
        grown >= self.options.checkpoint_log_bytes || self.distrusts_log.load(Ordering::Acquire)
    }

    /// Whether a checkpoint is being written.
    pub fn is_checkpointing(&self) -> bool {
        self.upkeep.is_locked()
    }

    /// Writes a checkpoint. Returns false when a flush of the whole database overtook it: try again.
    pub fn checkpoint(&self) -> Result<bool, StoreError> {
        let mut upkeep = self.upkeep.lock();
        let distrusted = self.distrusts_log.swap(false, Ordering::AcqRel);
        let done = self.write_checkpoint(&mut upkeep, distrusted);
        if distrusted && !matches!(done, Ok(true)) {
            self.distrusts_log.store(true, Ordering::Release);
        }
        if !done? {
            return Ok(false);
        }
        let tree = self.cells.tree();
        if tree.run_count() > RUNS_WAIT {
            // Nothing more is written before there are fewer runs.
            tree.compact()?;
        }
        drop(upkeep);
        if tree.run_count() > RUNS_MAX && !tree.is_compacting() {
            tree.compact()?;
        }
        Ok(true)
    }

    fn write_checkpoint(&self, upkeep: &mut Upkeep, distrusted: bool) -> Result<bool, StoreError> {
        let (replay_from, history, stamp) = {
            let commit = self.commit.lock();
            (commit.head(), commit.history.clone(), commit.clock.last)
        };
        // Before the old trees are taken: a flush between the two shows below, as one that overtook.
        let tree = self.cells.tree();
        let retired = std::mem::take(&mut *self.retired.lock());
        if !retired.is_empty() {
            upkeep.tree_counts = Counts::default();
            upkeep.tree_changed = true;
            upkeep.retired.extend(retired);
        }
        if replay_from == upkeep.replay_from && !upkeep.tree_changed && !distrusted {
            return Ok(true);
        }
        let ingested = self.cells.ingest_dirty(&tree, &mut upkeep.tree_counts, || {
            self.flush_all()?;
            self.log.sync()?;
            Ok(())
        });
        if !Arc::ptr_eq(&tree, &self.cells.tree()) {
            // What was written behind the flush, and taken for the tree that is gone.
            self.cells.flushed_in_vain();
            upkeep.tree_counts = Counts::default();
            upkeep.tree_changed = true;
            return ingested.map(|()| false);
        }
        ingested?;
        let manifest = Manifest {
            tree: tree.name(),
            replay_from,
            history,
            counts: upkeep.tree_counts,
            counted: self.cells.counted(),
            stamp,
            serve_from: self.serve_from(),
        };
        manifest
            .store(&*self.disk, &self.directory)
            .map_err(StoreError::io("write the manifest"))?;
        self.cells.flushed();
        self.manifest_in_force(upkeep, replay_from);
        Ok(true)
    }
}
