//! The source's side: all objects, chunk by chunk, each as of one moment, while writes go on.

use super::image::{Buffers, Image, range_end};
use super::packed::pack_object;
use crate::database::Database;
use crate::error::StoreError;
use crate::hash::{SHARDS, SLICES};
use std::sync::Arc;
use tandem_merge::{History, VersionVector};

/// A range of hashes, whole, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// First hash.
    pub first: u64,
    /// Last hash, inclusive; of the same shard.
    pub last: u64,
    /// What the database held at that moment, by its own numbers.
    pub vv: VersionVector,
}

/// A scan of one database.
pub struct Source {
    database: Arc<Database>,
    history: History,
    lsn: u64,
    /// First hash that comes next; `None` when all have come.
    next: Option<u64>,
    buffers: Buffers,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("lsn", &self.lsn)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Begins a scan. The log has to be sent from [`lsn`](Self::lsn) on afterwards.
    pub fn begin(database: &Arc<Database>) -> Result<Self, StoreError> {
        let (history, lsn) = {
            let commit = database.commit();
            (commit.history.clone(), commit.head())
        };
        if history.vv.has_holes() {
            let text = "refused: hole; an instance with holes is never the source of a state";
            return Err(StoreError::Resync(text.to_owned()));
        }
        database.flush(lsn)?;
        let database = Arc::clone(database);
        Ok(Self {
            database,
            history,
            lsn,
            next: Some(0),
            buffers: Buffers::default(),
        })
    }

    /// What was held when the scan began.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Lsn behind the last record that was held when the scan began.
    pub fn lsn(&self) -> u64 {
        self.lsn
    }

    /// Rough size of all objects in bytes.
    pub fn bytes(&self) -> u64 {
        let (_, dirty) = self.database.cells.memory();
        self.database.cells.tree().disk_bytes() + dirty as u64
    }

    /// Packs the next objects, about `bytes_max` bytes of them, into `out`; `None` at the end.
    pub fn next_chunk(
        &mut self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Chunk>, StoreError> {
        let Some(first) = self.next else {
            return Ok(None);
        };
        // About as many slices as fill a chunk from the tree; what memory holds ends it by itself.
        let slice_bytes = self.database.cells.tree().disk_bytes() / (SHARDS * SLICES) as u64;
        let slices = (bytes_max as u64 / slice_bytes.max(1)).clamp(1, SLICES as u64);
        let end = range_end(first, slices as usize);
        let buffers = std::mem::take(&mut self.buffers);
        let mut image = Image::take(&self.database, (first, end), bytes_max, buffers);
        let (vv, mut last) = (std::mem::take(&mut image.vv), image.last);
        let (begun, mut packed) = (out.len(), None);
        let full = 2 * bytes_max + image.copied();
        self.buffers = image.visit(|hash, key, state| {
            if out.len() - begun >= full && packed != Some(hash) {
                last = hash - 1;
                return Ok(false);
            }
            packed = Some(hash);
            pack_object(out, key, state);
            Ok(true)
        })?;
        self.next = last.checked_add(1);
        Ok(Some(Chunk { first, last, vv }))
    }
}
