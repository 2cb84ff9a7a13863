//! What was applied and is not known to be durable yet, and the acks that tell of both.

use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_merge::VersionVector;
use tandem_replicate::{Ack, Message};
use tandem_store::Database;

use super::receiver::origins_from;

/// Batches that wait to be durable; beyond it the oldest two become one.
const PENDING_MAX: usize = 4_096;

/// One database's account.
struct Page {
    database: Arc<Database>,
    /// Origins of the own table that the source was told of.
    announced: usize,
    /// The vector that was acknowledged last.
    acked: VersionVector,
    applied_lsn: u64,
    durable_lsn: u64,
    /// Batches: (own lsn behind it, source's lsn behind it, when).
    pending: VecDeque<(u64, u64, Instant)>,
}

/// The accounts of all databases of one link.
#[derive(Default)]
pub(super) struct AckBook {
    pages: Mutex<BTreeMap<u32, Page>>,
}

impl AckBook {
    /// Opens a database's account. `announced` origins are known to the source from the hello.
    pub(super) fn open(&self, database: &Arc<Database>, announced: usize, lsn: u64) {
        let page = Page {
            database: Arc::clone(database),
            announced,
            acked: VersionVector::new(),
            applied_lsn: lsn,
            durable_lsn: lsn,
            pending: VecDeque::new(),
        };
        self.pages.lock().insert(database.number, page);
    }

    /// Everything up to `source_lsn` is applied: appends the ack.
    pub(super) fn applied(&self, number: u32, source_lsn: u64, out: &mut Vec<u8>) {
        let mut pages = self.pages.lock();
        let Some(page) = pages.get_mut(&number) else {
            return;
        };
        let (rows, head) = {
            let commit = page.database.commit();
            let origins = origins_from(&commit.history.origins, page.announced);
            if !origins.is_empty() {
                let first = page.announced as u32;
                page.announced += origins.len();
                Message::Origins {
                    database: number,
                    first,
                    origins,
                }
                .encode(out);
            }
            let mut rows = Vec::new();
            for (index, row) in commit.history.vv.rows() {
                if row.high > page.acked.high(index) {
                    rows.push((index, row.high));
                    page.acked.raise(index, row.high);
                }
            }
            (rows, commit.head())
        };
        page.applied_lsn = page.applied_lsn.max(source_lsn);
        if page.pending.len() >= PENDING_MAX {
            page.pending.pop_back();
        }
        page.pending.push_back((head, source_lsn, Instant::now()));
        page.settle();
        page.ack(rows, out);
    }

    /// Everything up to `source_lsn` is taken in, but not in force: a full resync goes on.
    pub(super) fn taken(&self, number: u32, source_lsn: u64, out: &mut Vec<u8>) {
        if let Some(page) = self.pages.lock().get_mut(&number) {
            page.applied_lsn = page.applied_lsn.max(source_lsn);
            page.ack(Vec::new(), out);
        }
    }

    /// Appends acks for what has become durable since.
    pub(super) fn durable(&self, out: &mut Vec<u8>) {
        for page in self.pages.lock().values_mut() {
            if page.settle() {
                page.ack(Vec::new(), out);
            }
        }
    }

    /// Age of the oldest batch that is not durable.
    pub(super) fn oldest_age(&self) -> Duration {
        let pages = self.pages.lock();
        let oldest = |page: &Page| page.pending.front().map(|(_, _, at)| at.elapsed());
        pages.values().filter_map(oldest).max().unwrap_or_default()
    }

    /// Makes everything received durable. Blocks.
    pub(super) fn sync(&self) {
        let databases: Vec<_> = self
            .pages
            .lock()
            .values()
            .map(|page| Arc::clone(&page.database))
            .collect();
        for database in databases {
            if let Err(error) = database.log.sync() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    database = database.number,
                    "received records are not durable"
                );
            }
        }
    }

    /// The state of a full resync is in force, durably, with all up to `source_lsn`: the own table's
    /// origins beyond those announced are announced, and the whole vector is told.
    pub(super) fn replaced(&self, number: u32, source_lsn: u64, out: &mut Vec<u8>) {
        let mut pages = self.pages.lock();
        let Some(page) = pages.get_mut(&number) else {
            return;
        };
        let database = Arc::clone(&page.database);
        let commit = database.commit();
        let origins = origins_from(&commit.history.origins, page.announced);
        if !origins.is_empty() {
            let first = page.announced as u32;
            page.announced += origins.len();
            Message::Origins {
                database: number,
                first,
                origins,
            }
            .encode(out);
        }
        page.acked = commit.history.vv.clone();
        Message::FullDone {
            database: number,
            vv: commit.history.vv.clone(),
        }
        .encode(out);
        drop(commit);
        page.pending.clear();
        page.applied_lsn = page.applied_lsn.max(source_lsn);
        page.durable_lsn = page.durable_lsn.max(source_lsn);
        page.ack(Vec::new(), out);
    }
}

impl Page {
    /// Moves the durable position on. Returns whether it has moved.
    fn settle(&mut self) -> bool {
        let (durable, before) = (self.database.log.durable(), self.durable_lsn);
        while let Some((_, source_lsn, _)) =
            self.pending.pop_front_if(|(own, _, _)| *own <= durable)
        {
            self.durable_lsn = self.durable_lsn.max(source_lsn);
        }
        self.durable_lsn > before
    }

    fn ack(&self, applied: Vec<(tandem_merge::OriginIndex, u64)>, out: &mut Vec<u8>) {
        Message::Ack(Ack {
            database: self.database.number,
            applied,
            applied_lsn: self.applied_lsn,
            durable_lsn: self.durable_lsn,
        })
        .encode(out);
    }
}
