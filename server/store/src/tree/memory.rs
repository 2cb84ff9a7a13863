//! Trees in memory, for the simulator: what was ingested is durable, and outlives whoever opened it.

use lsm_tree::Slice;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One tree's keys and states.
#[derive(Clone, Default)]
pub(super) struct MemoryTree(Arc<Mutex<BTreeMap<Vec<u8>, Slice>>>);

/// All trees, by directory.
#[derive(Clone, Default)]
pub(super) struct MemoryTrees(Arc<Mutex<BTreeMap<PathBuf, MemoryTree>>>);

impl MemoryTrees {
    /// The tree of a directory, which begins empty.
    pub(super) fn open(&self, directory: &Path) -> MemoryTree {
        let mut trees = self.0.lock();
        trees.entry(directory.to_path_buf()).or_default().clone()
    }

    /// Directories of trees inside a directory.
    pub(super) fn list(&self, parent: &Path) -> Vec<PathBuf> {
        let trees = self.0.lock();
        let inside = trees.keys().filter(|path| path.parent() == Some(parent));
        inside.cloned().collect()
    }

    /// Removes a tree; who has it open reads on.
    pub(super) fn remove(&self, directory: &Path) {
        self.0.lock().remove(directory);
    }
}

impl MemoryTree {
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Slice> {
        self.0.lock().get(key).cloned()
    }

    /// Keys and states of a range as of now.
    pub(super) fn range(&self, range: impl RangeBounds<Vec<u8>>) -> Vec<(Slice, Slice)> {
        let tree = self.0.lock();
        let pairs = tree.range(range);
        pairs
            .map(|(key, state)| (Slice::from(key.as_slice()), state.clone()))
            .collect()
    }

    /// Takes a run in; `None` is a tombstone.
    pub(super) fn ingest(&self, run: Vec<(Vec<u8>, Option<Slice>)>) {
        let mut tree = self.0.lock();
        for (key, state) in run {
            match state {
                Some(state) => tree.insert(key, state),
                None => tree.remove(&key),
            };
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        let tree = self.0.lock();
        tree.iter()
            .map(|(key, state)| (key.len() + state.len()) as u64)
            .sum()
    }
}
