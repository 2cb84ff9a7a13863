//! The state that is being built beside the one that serves.

use crate::cells::Cells;
use crate::counts::Counts;
use crate::database::{Database, context_of, lock_effects};
use crate::error::StoreError;
use crate::tree::Tree;
use std::sync::Arc;
use tandem_merge::history::Admission;
use tandem_merge::{Dot, History, Origins, RecordHeader};

/// Dirty bytes at which the side's objects are written to its tree.
const DIRTY_BYTES_MAX: usize = 64 << 20;

/// Cells and history that nobody reads yet.
pub(super) struct Side {
    pub(super) cells: Cells,
    pub(super) history: History,
    /// Keys with content in the tree.
    pub(super) tree_counts: Counts,
    /// Trees that a flush of the whole database has replaced.
    pub(super) retired: Vec<Arc<Tree>>,
}

impl Side {
    /// Takes over what the scan gave: `keys` in `tree`, on top of the floor.
    pub(super) fn new(tree: Arc<Tree>, floor: History, counts: Counts, counted: bool) -> Self {
        let origins = Arc::new(floor.origins.clone());
        let cells = Cells::new(tree, &origins, counts, counted);
        Self {
            cells,
            history: floor,
            tree_counts: counts,
            retired: Vec::new(),
        }
    }

    /// Takes over the database's table of origins, which only grows.
    pub(super) fn learn(&mut self, origins: &Origins) {
        let known = self.history.origins.len();
        if origins.len() > known {
            self.history.origins = origins.clone();
            self.cells.set_origins(&Arc::new(origins.clone()));
        }
    }

    /// Applies a record whose numbers are the database's. Returns whether it was not held.
    pub(super) fn record(
        &mut self,
        database: &Database,
        header: &RecordHeader,
        effects: &[u8],
    ) -> Result<bool, StoreError> {
        // The own life's records come from the own log as anybody's, so no life is the own one.
        if self.history.admit(header, None)? == Admission::Skip {
            return Ok(false);
        }
        // NOTE: cells may be newer than the history (fuzzy cut): the vector itself is asked, never
        // the short way that it covers everything.
        let vector = self
            .history
            .last_context(header.origin)
            .cloned()
            .unwrap_or_default();
        self.history.note(header);
        let mut guards = lock_effects(&self.cells, effects)?;
        let dot = Dot {
            origin: header.origin,
            sequence: header.sequence,
        };
        let context = context_of(Some(&vector), header);
        let mut fresh = || database.fresh_tree();
        let old = self
            .cells
            .apply(&mut guards, effects, dot, header.stamp, context, &mut fresh)?;
        drop(guards);
        if old.is_some() {
            self.tree_counts = Counts::default();
        }
        self.retired.extend(old);
        Ok(true)
    }

    /// Writes dirty objects to the tree when there are many.
    pub(super) fn bound_memory(&mut self) -> Result<(), StoreError> {
        let (bytes, dirty) = self.cells.memory();
        if dirty > DIRTY_BYTES_MAX {
            self.write_dirty()?;
        }
        if bytes > 4 * DIRTY_BYTES_MAX {
            for at in 0..crate::hash::SHARDS * crate::hash::SLICES {
                let place = (at / crate::hash::SLICES, at % crate::hash::SLICES);
                self.cells.evict_slice(place.0, place.1);
            }
        }
        Ok(())
    }

    /// Writes all dirty objects to the tree.
    pub(super) fn write_dirty(&mut self) -> Result<(), StoreError> {
        let tree = self.cells.tree();
        // No manifest names this tree yet; the switch makes the log durable before one does.
        self.cells
            .ingest_dirty(&tree, &mut self.tree_counts, || Ok(()))?;
        self.cells.flushed();
        Ok(())
    }

    /// All its trees go when nobody uses them any more.
    pub(super) fn doom(&self) {
        self.cells.tree().doom();
        for tree in &self.retired {
            tree.doom();
        }
    }
}
