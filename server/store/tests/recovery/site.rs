//! A database with its disk and trees, which can be opened again and again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Draft, EffectWriter, NEVER, Objects, Origin, Row};
use tandem_sim::disk::{Crash, SimDisk};
use tandem_store::database::OpenReport;
use tandem_store::disk::Disk;
use tandem_store::tree::Engine;
use tandem_store::{Database, Options, StoreError};

pub(crate) const DIRECTORY: &str = "db0";

pub(crate) struct Site {
    pub(crate) disk: SimDisk,
    pub(crate) engine: Engine,
    pub(crate) database: Arc<Database>,
    pub(crate) report: OpenReport,
    segment_bytes: u64,
    clock_ms: u64,
}

/// The n-th life of a writer.
pub(crate) fn life(number: u64) -> Origin {
    Origin {
        server_id: 1,
        epoch: number,
        incarnation: number * 1_000 + 7,
    }
}

/// The path of a segment.
pub(crate) fn segment(number: u64) -> PathBuf {
    Path::new(DIRECTORY).join(format!("log/log.{number:010}"))
}

pub(crate) fn open(
    disk: &SimDisk,
    engine: &Engine,
    segment_bytes: u64,
) -> Result<(Arc<Database>, OpenReport), StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let options = Options {
        segment_bytes,
        ..Options::default()
    };
    Database::open(0, Path::new(DIRECTORY), &disk, engine, options)
}

impl Site {
    pub(crate) fn new(segment_bytes: u64) -> Self {
        Self::on(SimDisk::default(), segment_bytes)
    }

    /// A database from a disk, with empty trees.
    pub(crate) fn on(disk: SimDisk, segment_bytes: u64) -> Self {
        let engine = Engine::memory();
        let (database, report) = open(&disk, &engine, segment_bytes).unwrap();
        Self {
            disk,
            engine,
            database,
            report,
            segment_bytes,
            clock_ms: 1_000,
        }
    }

    pub(crate) fn write_as(self, number: u64) -> Self {
        self.database.begin_life(life(number), 0);
        self
    }

    /// The same disk and trees after a crash, as a new process finds them.
    pub(crate) fn crash(self, how: Crash) -> Self {
        let Self {
            disk,
            engine,
            database,
            segment_bytes,
            clock_ms,
            ..
        } = self;
        drop(database);
        disk.crash(how, &mut |count| count / 2);
        let (database, report) = open(&disk, &engine, segment_bytes).unwrap();
        Self {
            disk,
            engine,
            database,
            report,
            segment_bytes,
            clock_ms,
        }
    }

    /// SET; false when it was refused.
    pub(crate) fn set(&mut self, key: &str, value: &str) -> bool {
        self.clock_ms += 3;
        let wall = stamp_of_ms(self.clock_ms);
        let mut locked = self.database.lock_one(key.as_bytes(), wall).unwrap();
        let mut effects = EffectWriter::default();
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            draft.set(key.as_bytes(), value.as_bytes(), NEVER);
            draft.finish(0, &mut effects);
        }
        locked.commit(&effects).is_ok()
    }

    /// FLUSHDB.
    pub(crate) fn flush_database(&mut self) {
        self.clock_ms += 3;
        let mut locked = self.database.lock_all(stamp_of_ms(self.clock_ms));
        let mut effects = EffectWriter::default();
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            draft.flush(locked.contributors());
            draft.finish(0, &mut effects);
        }
        locked.commit(&effects).unwrap();
    }

    pub(crate) fn get(&self, key: &str) -> Option<String> {
        let locked = self.database.lock_one(key.as_bytes(), 0).unwrap();
        let object = locked.object(key.as_bytes())?;
        let origins = locked.origins();
        let kind = object.kind(NEVER - 1, &origins)?;
        let (_, value) = object.elements(kind, NEVER - 1, &origins).next()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    pub(crate) fn sync(&self) {
        self.database.flush_all().unwrap();
        self.database.log.sync().unwrap();
    }

    /// Lsn behind everything appended.
    pub(crate) fn head(&self) -> u64 {
        self.database.commit().head()
    }

    pub(crate) fn digest(&self) -> (u128, u64) {
        self.database.digest(NEVER - 1).unwrap()
    }

    /// What is held of a life.
    pub(crate) fn row(&self, number: u64) -> Row {
        let commit = self.database.commit();
        let index = commit.history.origins.get(&life(number));
        index.map_or_else(Row::default, |index| commit.history.vv.row(index).clone())
    }

    /// Flips a bit of a segment, durably, in the first place after `from` where this text stands.
    pub(crate) fn spoil(&self, number: u64, text: &str) {
        let mut bytes = self.disk.bytes(&segment(number)).unwrap();
        let mut windows = bytes.windows(text.len());
        let at = windows
            .position(|window| window == text.as_bytes())
            .unwrap();
        bytes[at] ^= 1;
        self.disk.put(&segment(number), bytes);
    }
}
