//! The switch: the new state takes the place of the old one in manifest and memory.
//!
//! ```text
//! merge     own log replayed to P ─▶ side tree holds all up to P ─▶ manifest (side tree, P) ─▶ pause,
//!           replay P..head, swap.  A crash in between restarts on the side tree and replays from P.
//! replace   side tree holds all ─▶ pause: manifest (side tree, P = head, nothing before P is served), swap
//! ```

use super::Mode;
use super::intake::Intake;
use super::side::Side;
use crate::cells::Guards;
use crate::database::{Commit, Database, Upkeep};
use crate::error::StoreError;
use crate::manifest::Manifest;
use parking_lot::MutexGuard;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_merge::History;

/// Own log bytes that may be left to replay while everything waits.
const PAUSE_BYTES: u64 = 64 << 10;
/// Rounds in which that has to be reached; then the pause is as long as it takes.
const ROUNDS_MAX: usize = 20;

impl Intake {
    /// Puts the new state in force. The caller has seen that it [`holds`](Self::holds) all that the
    /// source had scanned. For [`Mode::Replace`] the database must have no writer.
    ///
    /// An error leaves the old state in force.
    pub fn switch(mut self) -> Result<(), StoreError> {
        let mut side = self.take_side()?;
        let switched = match self.mode {
            Mode::Merge => self.switch_merged(&mut side),
            Mode::Replace => self.switch_replaced(&mut side),
        };
        if switched.is_err() {
            self.put_back(side);
        } else {
            // The side is what served before: nobody waits until it is freed.
            let forget = std::thread::Builder::new().name("tandem-forget".to_owned());
            drop(forget.spawn(move || drop(side)));
        }
        switched
    }

    fn switch_merged(&mut self, side: &mut Side) -> Result<(), StoreError> {
        self.follow_own(side)?;
        let database = Arc::clone(&self.database);
        let mut upkeep = database.upkeep.lock();
        side.write_dirty()?;
        for tree in side.retired.drain(..) {
            tree.doom();
        }
        let tree = side.cells.tree();
        let manifest = Manifest {
            tree: tree.name(),
            replay_from: self.own.lsn(),
            history: self.history_here(side)?,
            counts: side.tree_counts,
            counted: side.cells.counted(),
            stamp: database.commit().clock.last,
            serve_from: database.serve_from(),
        };
        // The tree must never be ahead of the log.
        database.flush_all()?;
        database.log.sync()?;
        // From here on the new tree may be named, even if storing fails.
        self.is_named = true;
        upkeep.tree_changed = true;
        manifest
            .store(&*database.disk, &database.directory)
            .map_err(StoreError::io("write the manifest"))?;
        self.follow_own(side)?;
        let guards = database.cells.lock_all();
        let mut commit = loop {
            database.flush_all()?;
            let written = database.log.written();
            self.replay_own(side, written)?;
            let commit = database.commit();
            if commit.head() == self.own.lsn() {
                break commit;
            }
        };
        let own = commit.own();
        side.learn(&commit.history.origins);
        let history = std::mem::take(&mut side.history);
        commit.history.switch(history, own)?;
        let flushed_after = std::mem::take(&mut side.retired);
        exchange(&database, side, guards, commit, &mut upkeep);
        database.manifest_in_force(&mut upkeep, manifest.replay_from);
        // A flush behind P has replaced the tree that the manifest names; the next checkpoint knows.
        for tree in flushed_after {
            database.retire(tree);
        }
        Ok(())
    }

    /// Replays the own log until little is left.
    fn follow_own(&mut self, side: &mut Side) -> Result<(), StoreError> {
        for _ in 0..ROUNDS_MAX {
            self.database.flush_all()?;
            let written = self.database.log.written();
            if self.replay_own(side, written)? <= PAUSE_BYTES {
                break;
            }
        }
        Ok(())
    }

    /// The side's history with the log's base as it is after the switch. Refuses when the source
    /// holds more of the own life than is held here.
    fn history_here(&self, side: &Side) -> Result<History, StoreError> {
        let (mut here, own) = {
            let commit = self.database.commit();
            (commit.history.clone(), commit.own())
        };
        let mut history = side.history.clone();
        here.switch(side.history.clone(), own)?;
        history.base = here.base;
        Ok(history)
    }

    fn switch_replaced(&mut self, side: &mut Side) -> Result<(), StoreError> {
        let database = Arc::clone(&self.database);
        let mut upkeep = database.upkeep.lock();
        side.write_dirty()?;
        for tree in side.retired.drain(..) {
            tree.doom();
        }
        let guards = database.cells.lock_all();
        let mut commit = loop {
            database.flush_all()?;
            database.log.sync()?;
            let commit = database.commit();
            if commit.head() == database.log.durable() {
                break commit;
            }
        };
        if commit.own().is_some() {
            let text = "a writer's state is not replaced while it writes";
            return Err(StoreError::Resync(text.to_owned()));
        }
        let mut history = std::mem::take(&mut side.history);
        history.origins = commit.history.origins.clone();
        history.seen = history.seen.max(commit.history.seen);
        // Nothing of the old log is served any more, so that a receiver without all this needs a state.
        history.base = history.vv.clone();
        let manifest = Manifest {
            tree: side.cells.tree().name(),
            replay_from: commit.head(),
            history,
            counts: side.tree_counts,
            counted: side.cells.counted(),
            stamp: commit.clock.last,
            serve_from: commit.head(),
        };
        self.is_named = true;
        upkeep.tree_changed = true;
        manifest
            .store(&*database.disk, &database.directory)
            .map_err(StoreError::io("write the manifest"))?;
        commit.history = manifest.history;
        database
            .serve_from
            .store(manifest.serve_from, Ordering::Release);
        exchange(&database, side, guards, commit, &mut upkeep);
        database.manifest_in_force(&mut upkeep, manifest.replay_from);
        Ok(())
    }
}

/// Puts the side's objects in the place of the database's, whose new history `commit` has already,
/// and lets everybody go on.
fn exchange(
    database: &Database,
    side: &Side,
    mut guards: Guards<'_>,
    mut commit: MutexGuard<'_, Commit>,
    upkeep: &mut Upkeep,
) {
    let old = database.cells.swap(&mut guards, &side.cells);
    let origins = Arc::new(commit.history.origins.clone());
    for shard in guards.shards_mut() {
        shard.origins = Arc::clone(&origins);
    }
    let seen = commit.history.seen;
    commit.clock.observe(seen);
    database
        .holes
        .store(commit.history.vv.has_holes(), Ordering::Release);
    // NOTE: before anybody goes on: a flush from then on retires a tree that the manifest names.
    upkeep.retired.append(&mut database.retired.lock());
    drop(commit);
    drop(guards);
    old.doom();
    upkeep.tree_counts = side.tree_counts;
}
