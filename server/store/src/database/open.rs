//! Opening a database: the manifest's tree, and one unbroken run of the log on top of it.

use super::checkpoint::Upkeep;
use super::{Commit, Database, Options};
use crate::cells::Cells;
use crate::counts::Counts;
use crate::database::apply::{context_of, lock_effects};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::log::{Class, Corruption, Entry, Frame, Log, LogOptions, SegmentHead, scan};
use crate::manifest::Manifest;
use crate::tree::{Engine, Tree};
use parking_lot::Mutex;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use tandem_merge::history::{Admission, Refused};
use tandem_merge::{
    Clock, Context, Dot, History, OriginIndex, Origins, RecordHeader, VersionVector,
};

/// What recovery did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Records replayed from the log.
    pub replayed: u64,
    /// Bytes of torn tail that were cut.
    pub torn_bytes: u64,
    /// Damaged places below the durable end; their records are holes now.
    pub corruptions: Vec<Corruption>,
}

struct Replay {
    cells: Cells,
    history: History,
    seen: u64,
    fresh: Box<dyn FnMut() -> Result<Arc<Tree>, StoreError>>,
    retired: Vec<Arc<Tree>>,
    replayed: u64,
}

impl Replay {
    fn learn(&mut self, origins: &Origins) {
        if self.history.origins.len() < origins.len() {
            for (_, origin) in origins.iter().skip(self.history.origins.len()) {
                self.history.origins.intern(origin);
            }
            self.cells
                .set_origins(&Arc::new(self.history.origins.clone()));
        }
    }

    fn entry(&mut self, entry: Entry<'_>, origins: &Origins) -> Result<(), StoreError> {
        self.learn(origins);
        if entry.class == Class::Head {
            let head = SegmentHead::decode(entry.payload)?;
            self.swallowed(&head.vv);
            return Ok(());
        }
        let (header, effects) = RecordHeader::decode(entry.payload)?;
        self.seen = self.seen.max(header.stamp);
        if self.admit(&header)? == Admission::Skip {
            return Ok(());
        }
        let vector = match self.history.context(&header) {
            Context::Everything => None,
            Context::Of { vector, .. } => Some(vector.clone()),
        };
        // NOTE: cells may be newer than the history here (fuzzy cut), so no context is known to
        // cover everything; the vector itself must be asked.
        let vector = vector
            .or_else(|| self.history.last_context(header.origin).cloned())
            .unwrap_or_default();
        self.history.note(&header);
        let mut guards = lock_effects(&self.cells, effects)?;
        let dot = Dot {
            origin: header.origin,
            sequence: header.sequence,
        };
        let context = context_of(Some(&vector), &header);
        let fresh = &mut self.fresh;
        let old = self
            .cells
            .apply(&mut guards, effects, dot, header.stamp, context, fresh)?;
        self.retired.extend(old);
        self.replayed += 1;
        Ok(())
    }

    /// A segment behind damage says what was held when it began: what is not held now was
    /// swallowed, and is a hole even if nothing that follows names it.
    fn swallowed(&mut self, held: &VersionVector) {
        for (origin, row) in held.rows() {
            let have = self.history.vv.high(origin);
            if row.high > have {
                add_hole(&mut self.history.vv, origin, have + 1, row.high);
            }
        }
    }

    /// A gap in the own log is what corruption swallowed: it becomes a hole.
    fn admit(&mut self, header: &RecordHeader) -> Result<Admission, StoreError> {
        loop {
            let (origin, first, last) = match self.history.admit(header, None) {
                Ok(admission) => return Ok(admission),
                Err(Refused::Gap { origin, have, got }) => (origin, have + 1, got - 1),
                Err(Refused::ContextNotHeld {
                    origin,
                    have,
                    needs,
                }) => (origin, have + 1, needs),
                Err(refused) => return Err(refused.into()),
            };
            let index = self.history.origins.intern(origin);
            add_hole(&mut self.history.vv, index, first, last);
        }
    }
}

fn add_hole(vv: &mut VersionVector, origin: OriginIndex, first: u64, last: u64) {
    let row = vv.row_mut(origin);
    row.high = row.high.max(last);
    match row.holes.last_mut() {
        Some(hole) if hole.1 + 1 == first => hole.1 = last,
        _ => row.holes.push((first, last)),
    }
}

fn tree_numbers(listed: Vec<PathBuf>) -> Vec<(u64, PathBuf)> {
    let number = |path: &Path| {
        path.file_name()?
            .to_str()?
            .strip_prefix("tree-")?
            .parse()
            .ok()
    };
    let numbered = |path: PathBuf| Some((number(&path)?, path));
    listed.into_iter().filter_map(numbered).collect()
}

impl Database {
    /// Opens or creates database `number` in `directory`.
    pub fn open(
        number: u32,
        directory: &Path,
        disk: &Arc<dyn Disk>,
        engine: &Engine,
        options: Options,
    ) -> Result<(Arc<Self>, OpenReport), StoreError> {
        disk.create_dir(directory)
            .map_err(StoreError::io("create the database directory"))?;
        let manifest = Manifest::load(&**disk, directory)
            .map_err(StoreError::io("load the manifest"))?
            .unwrap_or_else(fresh_manifest);
        let listed = engine.list(&**disk, directory);
        let trees = tree_numbers(listed.map_err(StoreError::io("list trees"))?);
        for (_, path) in &trees {
            if !path.ends_with(&manifest.tree) {
                // It only takes space, and the next start tries again.
                drop(engine.remove(path));
            }
        }
        let next_tree = trees.iter().map(|(number, _)| *number).max().unwrap_or(1) + 1;
        let next_tree = Arc::new(AtomicU64::new(next_tree));
        let tree = Arc::new(Tree::open(engine, &directory.join(&manifest.tree))?);
        let origins = Arc::new(manifest.history.origins.clone());
        let mut replay = Replay {
            cells: Cells::new(tree, &origins, manifest.counts, manifest.counted),
            seen: manifest.history.seen,
            history: manifest.history,
            fresh: fresh_trees(engine, directory, &next_tree),
            retired: Vec::new(),
            replayed: 0,
        };
        let recovered = replay_log(disk, directory, manifest.replay_from, &mut replay)?;
        let report = OpenReport {
            replayed: replay.replayed,
            torn_bytes: recovered.torn_bytes,
            corruptions: recovered.corruptions.clone(),
        };
        replay.learn(&recovered.announced);
        let mut history = replay.history;
        let oldest = recovered.segments.values().next();
        if let Some(oldest) = oldest.filter(|info| info.base >= manifest.serve_from) {
            history.base.join(&oldest.vv);
        }
        // What is damaged cannot be sent; with holes the log stays open for their repair.
        if !recovered.corruptions.is_empty() {
            history.purge_all();
        }
        let log_options = LogOptions {
            segment_bytes: options.segment_bytes,
        };
        let frame = Frame::resume(&recovered, log_options);
        let mut clock = Clock::new(options.skew_max_ms);
        clock.last = manifest.stamp;
        clock.seen = replay.seen;
        let log = Log::new(Arc::clone(disk), directory.join("log"), recovered);
        let upkeep = Upkeep {
            tree_counts: manifest.counts,
            replay_from: manifest.replay_from,
            ..Upkeep::default()
        };
        let holes = AtomicBool::new(history.vv.has_holes());
        let commit = Commit {
            frame,
            history,
            clock,
            own: None,
            own_sequence: 0,
            header: Vec::new(),
        };
        let database = Self {
            number,
            cells: replay.cells,
            log: Arc::new(log),
            commit: Mutex::new(commit),
            directory: directory.to_path_buf(),
            disk: Arc::clone(disk),
            engine: engine.clone(),
            options,
            clock_floor: AtomicU64::new(manifest.stamp),
            holes,
            upkeep: Mutex::new(upkeep),
            retired: Mutex::new(replay.retired),
            replay_from: AtomicU64::new(manifest.replay_from),
            serve_from: AtomicU64::new(manifest.serve_from),
            concurrent: AtomicU64::new(0),
            distrusts_log: AtomicBool::new(false),
            pin: AtomicU64::new(u64::MAX),
            resyncing: AtomicBool::new(false),
            next_tree,
            sharing: Mutex::new(()),
            own: AtomicU32::new(u32::MAX),
        };
        Ok((Arc::new(database), report))
    }
}

/// The manifest of a database that was never checkpointed.
fn fresh_manifest() -> Manifest {
    Manifest {
        tree: "tree-1".to_owned(),
        replay_from: 0,
        history: History::default(),
        counts: Counts::default(),
        counted: false,
        stamp: 0,
        serve_from: 0,
    }
}

fn fresh_trees(
    engine: &Engine,
    directory: &Path,
    next: &Arc<AtomicU64>,
) -> Box<dyn FnMut() -> Result<Arc<Tree>, StoreError>> {
    let (engine, directory, next) = (engine.clone(), directory.to_path_buf(), Arc::clone(next));
    Box::new(move || {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(Arc::new(Tree::open(
            &engine,
            &directory.join(format!("tree-{number}")),
        )?))
    })
}

fn replay_log(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
    replay: &mut Replay,
) -> Result<crate::log::Recovered, StoreError> {
    let first = SegmentHead {
        number: 1,
        base: 0,
        origins: replay.history.origins.clone(),
        vv: replay.history.vv.clone(),
    };
    let mut failed = None;
    let scanned = scan(
        disk,
        &directory.join("log"),
        from,
        &first,
        |entry, origins| {
            replay.entry(entry, origins).map_err(|error| {
                let text = io::Error::other(error.to_string());
                failed = Some(error);
                text
            })
        },
    );
    match (scanned, failed) {
        (_, Some(error)) => Err(error),
        (scanned, None) => scanned.map_err(StoreError::io("recover the log")),
    }
}
