//! The receiver's side of a full resync, from the first chunk to the switch.

use super::ingest::Ingest;
use super::side::Side;
use super::source::Chunk;
use super::{Mode, room};
use crate::database::{Database, OriginMap};
use crate::error::StoreError;
use crate::log::{Class, LogReader, ReadError};
use crate::tree::Tree;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_merge::{History, RecordHeader, VersionVector};

enum Stage {
    /// Chunks come in, for a tree on top of this floor.
    Scan(Ingest, Box<History>),
    /// Records come in.
    Records(Box<Side>),
    /// It failed, or it is over.
    Ended,
}

/// A full resync of one database that is being received. Dropped before the switch, it leaves
/// nothing behind.
pub struct Intake {
    pub(super) database: Arc<Database>,
    pub(super) mode: Mode,
    pub(super) tree: Arc<Tree>,
    /// Whether a manifest may name the new tree.
    pub(super) is_named: bool,
    stage: Stage,
    /// The own log from where the floor was taken.
    pub(super) own: LogReader,
    map: Arc<OriginMap>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake")
            .field("database", &self.database.number)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Scan(ingest, _) => ingest.abandon(),
            Stage::Records(side) if !self.is_named => side.doom(),
            Stage::Records(_) | Stage::Ended => {}
        }
        if !self.is_named {
            self.tree.doom();
        }
        self.database.pin.store(u64::MAX, Ordering::Release);
        self.database.resyncing.store(false, Ordering::Release);
    }
}

fn read_error(error: &ReadError) -> StoreError {
    StoreError::Resync(format!("failed to read the own log: {error}"))
}

impl Intake {
    /// Begins. `theirs` is the source's history at the start of its scan, whose origins `map` knows
    /// by the source's numbers; `bytes` is the rough size of its state.
    pub fn begin(
        database: &Arc<Database>,
        mode: Mode,
        theirs: &History,
        map: &OriginMap,
        bytes: u64,
    ) -> Result<Self, StoreError> {
        let own_bytes = match mode {
            Mode::Merge => database.cells.tree().disk_bytes(),
            Mode::Replace => 0,
        };
        let needed = bytes.saturating_add(own_bytes);
        room::check(&*database.disk, &database.directory, needed)?;
        if database.resyncing.swap(true, Ordering::AcqRel) {
            let text = "another full resync of this database is being received";
            return Err(StoreError::Resync(text.to_owned()));
        }
        database.pin.store(0, Ordering::Release);
        let begun = Self::prepare(database, mode, theirs, map);
        if begun.is_err() {
            database.pin.store(u64::MAX, Ordering::Release);
            database.resyncing.store(false, Ordering::Release);
        }
        begun
    }

    fn prepare(
        database: &Arc<Database>,
        mode: Mode,
        theirs: &History,
        map: &OriginMap,
    ) -> Result<Self, StoreError> {
        let (floor, lsn) = {
            let commit = database.commit();
            let mut floor = commit.history.clone();
            if floor.origins.len() < map.len() {
                return Err(StoreError::Resync("unannounced origins".to_owned()));
            }
            let known = floor.origins.len();
            let adopted = floor.adopt(theirs);
            if floor.origins.len() > known {
                return Err(StoreError::Resync(
                    "a history with unannounced origins".to_owned(),
                ));
            }
            match mode {
                Mode::Merge if !floor.may_take(&adopted.vv) => {
                    let text = "refused: hole; a state is taken only from a source without holes \
                                that fills the own ones and holds all else";
                    return Err(StoreError::Resync(text.to_owned()));
                }
                Mode::Merge => floor.join_state(theirs),
                Mode::Replace => floor = adopted,
            }
            (floor, commit.head())
        };
        database.pin.store(lsn, Ordering::Release);
        database.flush(lsn)?;
        let own =
            LogReader::open(Arc::clone(&database.log), lsn).map_err(|error| read_error(&error))?;
        let tree = database.fresh_tree()?;
        let ingest = Ingest::begin(database, &tree, mode)?;
        Ok(Self {
            database: Arc::clone(database),
            mode,
            tree,
            is_named: false,
            stage: Stage::Scan(ingest, Box::new(floor)),
            own,
            map: Arc::new(map.clone()),
        })
    }

    /// What becomes of the own state.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The source has announced more origins.
    pub fn learn(&mut self, map: &OriginMap) {
        if map.len() != self.map.len() {
            self.map = Arc::new(map.clone());
        }
        if let Stage::Records(side) = &mut self.stage {
            side.learn(&self.database.commit().history.origins);
        }
    }

    /// Takes the next chunk, with the source's numbers. Waits while earlier ones are merged.
    pub fn chunk(&mut self, chunk: Chunk, packed: Vec<u8>) -> Result<(), StoreError> {
        let Stage::Scan(ingest, _) = &self.stage else {
            return Err(StoreError::Resync("a chunk after the scan".to_owned()));
        };
        if ingest.chunk(chunk, packed, Arc::clone(&self.map)) {
            return Ok(());
        }
        self.end_scan()
    }

    /// The source's scan is complete: its records follow.
    pub fn end_scan(&mut self) -> Result<(), StoreError> {
        let Stage::Scan(ingest, floor) = std::mem::replace(&mut self.stage, Stage::Ended) else {
            return Err(StoreError::Resync("the scan ended twice".to_owned()));
        };
        let ingested = ingest.end()?;
        let counted =
            ingested.counted || (self.mode == Mode::Merge && self.database.cells.counted());
        let mut side = Side::new(Arc::clone(&self.tree), *floor, ingested.counts, counted);
        side.learn(&self.database.commit().history.origins);
        self.stage = Stage::Records(Box::new(side));
        Ok(())
    }

    /// Whether the scan is complete.
    pub fn is_scanned(&self) -> bool {
        matches!(self.stage, Stage::Records(_))
    }

    pub(super) fn side(&mut self) -> Result<&mut Side, StoreError> {
        match &mut self.stage {
            Stage::Records(side) => Ok(side),
            _ => Err(StoreError::Resync(
                "records before the scan is complete".to_owned(),
            )),
        }
    }

    pub(super) fn take_side(&mut self) -> Result<Box<Side>, StoreError> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Records(side) => Ok(side),
            _ => Err(StoreError::Resync(
                "switch before the scan is complete".to_owned(),
            )),
        }
    }

    pub(super) fn put_back(&mut self, side: Box<Side>) {
        self.stage = Stage::Records(side);
    }

    /// Applies a record of the source's log.
    pub fn record(&mut self, record: &[u8]) -> Result<bool, StoreError> {
        let (header, effects) = RecordHeader::decode(record)?;
        let header = self.map.header(header)?;
        let database = Arc::clone(&self.database);
        let side = self.side()?;
        let applied = side.record(&database, &header, effects)?;
        side.bound_memory()?;
        Ok(applied)
    }

    /// Whether all that this vector (own numbers) covers is in the new state. Takes the own log's
    /// records over as far as they go, too.
    pub fn holds(&mut self, vv: &VersionVector) -> Result<bool, StoreError> {
        if !self.is_scanned() {
            return Ok(false);
        }
        if self.mode == Mode::Merge {
            self.database.flush_all()?;
            let written = self.database.log.written();
            let mut side = self.take_side()?;
            let replayed = self.replay_own(&mut side, written);
            self.stage = Stage::Records(side);
            replayed?;
        }
        Ok(vv.within(&self.side()?.history.vv))
    }

    /// Replays the own log up to `limit`, an lsn that is written. Returns the bytes replayed.
    pub(super) fn replay_own(&mut self, side: &mut Side, limit: u64) -> Result<u64, StoreError> {
        let from = self.own.lsn();
        while let Some(entry) = self.own.next(limit).map_err(|error| read_error(&error))? {
            if entry.class != Class::Record {
                continue;
            }
            let (header, effects) = RecordHeader::decode(entry.payload)?;
            if side.history.origins.origin(header.origin).is_none()
                || header
                    .gains
                    .iter()
                    .any(|(o, _)| side.history.origins.origin(*o).is_none())
            {
                side.learn(&self.database.commit().history.origins);
            }
            side.record(&self.database, &header, effects)?;
            side.bound_memory()?;
        }
        Ok(self.own.lsn() - from)
    }
}
