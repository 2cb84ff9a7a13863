//! Marks: empty records by which a writer shows that its life goes on, while something waits for
//! that; settled ones close the group's earlier lives (DESIGN.md section 2, rules 10 and 11).

use crate::instance::{Instance, wall_ms};
use crate::links::Links;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_merge::Origin;
use tandem_merge::stamp::stamp_of_ms;
use tandem_store::database::Commit;
use tandem_store::{Database, StoreError};

/// What was written since start.
#[derive(Debug, Default)]
pub struct Counts {
    marks: AtomicU64,
    closed: AtomicU64,
}

impl Counts {
    /// Marks written.
    pub fn marks(&self) -> u64 {
        self.marks.load(Ordering::Relaxed)
    }

    /// Lives closed by them.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

/// Writes the marks that are waited for; once a second. `awaited`: databases in which the sweeper saw
/// that. Returns whether any was written.
pub fn write(instance: &Instance, links: &Links, awaited: &BTreeSet<u32>, counts: &Counts) -> bool {
    if !instance.is_writable() {
        return false;
    }
    let meta = instance.meta();
    // The writer holds all that any instance of its group holds.
    let settled = meta
        .siblings
        .iter()
        .all(|sibling| links.holds_all_of(&sibling.instance_id));
    let mut wrote = false;
    for database in instance.store.opened() {
        let (closes, asked) = if settled {
            let commit = database.commit();
            (
                closable(&commit, meta.server_id),
                is_settlement_awaited(&commit),
            )
        } else {
            (Vec::new(), false)
        };
        if !(asked || !closes.is_empty() || awaited.contains(&database.number)) {
            continue;
        }
        match mark(database, settled, &closes) {
            Ok(()) => {
                wrote = true;
                counts.marks.fetch_add(1, Ordering::Relaxed);
                counts
                    .closed
                    .fetch_add(closes.len() as u64, Ordering::Relaxed);
            }
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                database = database.number,
                "mark not written"
            ),
        }
    }
    wrote
}

fn mark(database: &Database, settled: bool, closes: &[Origin]) -> Result<(), StoreError> {
    let wall = stamp_of_ms(wall_ms());
    let receipt = database.append_mark(wall, settled, closes)?;
    database.flush(receipt.lsn)
}

/// Earlier lives of the own group that nobody has closed.
fn closable(commit: &Commit, server_id: u32) -> Vec<Origin> {
    let history = &commit.history;
    let Some(own) = commit.own() else {
        return Vec::new();
    };
    let earlier = history.origins.iter().filter(|(index, origin)| {
        *index != own
            && origin.server_id == server_id
            && history.vv.high(*index) > 0
            && !history.ends.contains_key(origin)
    });
    earlier.map(|(_, origin)| origin).collect()
}

/// Whether a life was closed by a record that the own settled context does not cover yet: others
/// wait for that before they take the life as over.
fn is_settlement_awaited(commit: &Commit) -> bool {
    let history = &commit.history;
    let Some(own) = commit.own() else {
        return false;
    };
    let settled = history
        .last
        .get(own.at())
        .and_then(|last| last.settled.as_ref());
    history
        .ends
        .values()
        .any(|by| by.origin != own && !settled.is_some_and(|context| context.covers(*by)))
}
