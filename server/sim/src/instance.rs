//! One instance: a disk with a real database on it, an identity, and what it knows of others.

use crate::disk::{Crash, SimDisk};
use crate::failure::Failure;
use crate::random::Random;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Origin, Row, Stamp};
use tandem_replicate::{FullMode, Horizon, View};
use tandem_store::database::OpenReport;
use tandem_store::disk::Disk;
use tandem_store::tree::Engine;
use tandem_store::{Database, Options};

/// A version vector that names origins in full.
pub(crate) type Held = BTreeMap<Origin, Row>;

/// How far ahead of the clock stamps are reserved, in milliseconds.
const STAMP_RESERVE_MS: u64 = 10_000;

/// What survives every crash beside the database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) server_id: u32,
    /// Highest epoch of the group that was seen.
    pub(crate) epoch: u64,
    pub(crate) writer_epoch: u64,
    pub(crate) incarnation: u64,
    pub(crate) is_writer: bool,
    stamp_ceiling: Stamp,
}

/// One instance.
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) group: usize,
    pub(crate) identity: Identity,
    pub(crate) disk: SimDisk,
    engine: Engine,
    pub(crate) options: Options,
    /// The running process's database.
    pub(crate) database: Option<Arc<Database>>,
    /// Random id of the process's life.
    pub(crate) run: u64,
    pub(crate) views: BTreeMap<String, View>,
    pub(crate) horizon: Horizon,
    pub(crate) skew_ms: i64,
    /// A full resync that it has to ask for.
    pub(crate) wish: Option<FullMode>,
    /// The same for the handover that it dials.
    pub(crate) handover_wish: Option<FullMode>,
    /// Whether bytes of its log were flipped.
    pub(crate) is_damaged: bool,
    /// When it starts again, if it is down.
    pub(crate) starts_ms: u64,
}

const DIRECTORY: &str = "db0";

impl Instance {
    pub(crate) fn new(name: String, group: usize, segment_bytes: u64, skew_ms: i64) -> Self {
        Self {
            name,
            group,
            identity: Identity {
                server_id: group as u32 + 1,
                epoch: 0,
                writer_epoch: 0,
                incarnation: 0,
                is_writer: false,
                stamp_ceiling: 0,
            },
            disk: SimDisk::default(),
            engine: Engine::memory(),
            options: Options {
                segment_bytes,
                checkpoint_log_bytes: u64::MAX,
                skew_max_ms: 500,
            },
            database: None,
            run: 0,
            views: BTreeMap::new(),
            horizon: Horizon::default(),
            skew_ms,
            wish: None,
            handover_wish: None,
            is_damaged: false,
            starts_ms: 0,
        }
    }

    /// The wall clock as this machine has it, as a stamp.
    pub(crate) fn wall(&self, now_ms: u64) -> Stamp {
        stamp_of_ms(now_ms.saturating_add_signed(self.skew_ms))
    }

    /// Starts the process: recovery, and nothing else.
    pub(crate) fn start(&mut self, random: &mut Random) -> Result<OpenReport, Failure> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let (directory, options) = (Path::new(DIRECTORY), self.options.clone());
        let (database, report) = Database::open(0, directory, &disk, &self.engine, options)
            .map_err(|error| Failure::new("recovery", format!("{}: {error}", self.name)))?;
        self.database = Some(database);
        self.run = random.bits();
        self.views.clear();
        Ok(report)
    }

    /// Ends the process, and the machine with it if power is lost.
    pub(crate) fn stop(&mut self, how: Crash, random: &mut Random) {
        self.database = None;
        self.disk.crash(how, &mut |count| random.below(count));
    }

    /// Why it must not write; `None` when it may.
    pub(crate) fn not_eligible(&self) -> Option<&'static str> {
        let Some(database) = &self.database else {
            return Some("down");
        };
        if database.has_holes() {
            Some("holes")
        } else if database.log.is_poisoned() {
            Some("poisoned")
        } else {
            None
        }
    }

    /// Takes the writer role under a new life; `same` is the fault that keeps the old one.
    pub(crate) fn become_writer(
        &mut self,
        epoch: u64,
        now_ms: u64,
        random: &mut Random,
        same: bool,
    ) {
        let wall = self.wall(now_ms);
        let reserve = stamp_of_ms(STAMP_RESERVE_MS);
        let identity = &mut self.identity;
        identity.epoch = identity.epoch.max(epoch);
        identity.writer_epoch = epoch;
        identity.is_writer = true;
        if !same || identity.incarnation == 0 {
            identity.incarnation = random.bits();
        }
        let floor = if wall + reserve >= identity.stamp_ceiling {
            0
        } else {
            identity.stamp_ceiling
        };
        identity.stamp_ceiling = identity.stamp_ceiling.max(wall + reserve);
        let life = self.life();
        if let (Some(database), Some(life)) = (&self.database, life) {
            database.begin_life(life, floor);
        }
    }

    /// Stops writing.
    pub(crate) fn become_replica(&mut self, epoch: u64) {
        self.identity.epoch = self.identity.epoch.max(epoch);
        self.identity.is_writer = false;
        if let Some(database) = &self.database {
            database.end_life();
        }
    }

    /// Keeps the reserved stamps ahead of those given.
    pub(crate) fn reserve_stamps(&mut self, now_ms: u64) {
        let given = self.database.as_ref().map_or(0, |database| database.now(0));
        let wanted = given.max(self.wall(now_ms)) + stamp_of_ms(STAMP_RESERVE_MS);
        self.identity.stamp_ceiling = self.identity.stamp_ceiling.max(wanted);
    }

    /// The life it writes under now.
    pub(crate) fn life(&self) -> Option<Origin> {
        self.identity.is_writer.then_some(Origin {
            server_id: self.identity.server_id,
            epoch: self.identity.writer_epoch,
            incarnation: self.identity.incarnation,
        })
    }

    /// The life that its database writes under, once it does.
    pub(crate) fn own(&self) -> Option<Origin> {
        let database = self.database.as_ref()?;
        database.own().and_then(|_| self.life())
    }

    /// What it holds, with origins in full.
    pub(crate) fn held(&self) -> Held {
        let Some(database) = &self.database else {
            return Held::new();
        };
        let commit = database.commit();
        let history = &commit.history;
        let named = |(index, row): (_, &Row)| Some((history.origins.origin(index)?, row.clone()));
        let rows = history.vv.rows().filter(|(_, row)| row.high > 0);
        rows.filter_map(named).collect()
    }
}
