//! The source's side: all objects, chunk by chunk, each as of one moment, while writes go on.

use super::packed::pack_object;
use crate::database::Database;
use crate::error::StoreError;
use crate::hash::{SHARDS, SLICES, slice_range};
use std::sync::Arc;
use tandem_merge::{History, VersionVector};

/// A range of hashes, whole, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// First hash.
    pub first: u64,
    /// Last hash, inclusive; of the same slice.
    pub last: u64,
    /// What the database held at that moment, by its own numbers.
    pub vv: VersionVector,
}

/// A scan of one database.
pub struct Source {
    database: Arc<Database>,
    history: History,
    lsn: u64,
    place: usize,
    from: u64,
    state: Vec<u8>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("lsn", &self.lsn)
            .field("from", &self.from)
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
            place: 0,
            from: 0,
            state: Vec::new(),
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

    /// Part of the hash space that is done, from 0 to 1.
    pub fn progress(&self) -> f64 {
        self.place as f64 / (SHARDS * SLICES) as f64
    }

    /// Packs the next objects, about `bytes_max` bytes of them, into `out`; `None` at the end.
    pub fn next_chunk(
        &mut self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<Option<Chunk>, StoreError> {
        if self.place >= SHARDS * SLICES {
            return Ok(None);
        }
        let place = (self.place / SLICES, self.place % SLICES);
        let (first, last) = slice_range(place.0, place.1);
        let first = first.max(self.from);
        let mut vv = VersionVector::new();
        let (mut stopped, mut last_hash) = (None, None);
        let (database, state, begun) = (&self.database, &mut self.state, out.len());
        database.cells.visit_slice(
            place,
            first,
            |_| vv = database.commit().history.vv.clone(),
            |hash, object| {
                if out.len() - begun >= bytes_max && last_hash != Some(hash) {
                    stopped = Some(hash);
                    return false;
                }
                last_hash = Some(hash);
                state.clear();
                object.encode(state);
                pack_object(out, object.key(), state);
                true
            },
        )?;
        let last = if let Some(hash) = stopped {
            self.from = hash;
            hash - 1
        } else {
            self.place += 1;
            self.from = 0;
            last
        };
        if self.state.capacity() > 1 << 20 {
            self.state = Vec::new();
        }
        Ok(Some(Chunk { first, last, vv }))
    }
}
