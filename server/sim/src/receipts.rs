//! What a receiver has applied and not yet made durable, and the acks that tell of both.

use std::collections::VecDeque;
use tandem_merge::{OriginIndex, Origins, VersionVector};
use tandem_replicate::{Ack, Message};
use tandem_store::Database;

/// One link's account at the receiver.
pub(crate) struct Receipts {
    /// Origins of the own table that the source was told of.
    announced: usize,
    acked: VersionVector,
    applied_lsn: u64,
    durable_lsn: u64,
    /// Batches: (own lsn behind it, source's lsn behind it).
    pending: VecDeque<(u64, u64)>,
}

impl Receipts {
    /// The source knows so many origins from the hello.
    pub(crate) fn new(announced: usize) -> Self {
        Self {
            announced,
            acked: VersionVector::new(),
            applied_lsn: 0,
            durable_lsn: 0,
            pending: VecDeque::new(),
        }
    }

    fn announce(&mut self, origins: &Origins, out: &mut Vec<u8>) {
        let new: Vec<_> = origins
            .iter()
            .skip(self.announced)
            .map(|(_, o)| o)
            .collect();
        if new.is_empty() {
            return;
        }
        let first = self.announced as u32;
        self.announced += new.len();
        let message = Message::Origins {
            database: 0,
            first,
            origins: new,
        };
        message.encode(out);
    }

    /// Everything up to `source_lsn` is applied.
    pub(crate) fn applied(&mut self, database: &Database, source_lsn: u64, out: &mut Vec<u8>) {
        let commit = database.commit();
        self.announce(&commit.history.origins, out);
        let mut rows = Vec::new();
        for (index, row) in commit.history.vv.rows() {
            if row.high > self.acked.high(index) {
                rows.push((index, row.high));
                self.acked.raise(index, row.high);
            }
        }
        self.applied_lsn = self.applied_lsn.max(source_lsn);
        self.pending.push_back((commit.head(), source_lsn));
        drop(commit);
        self.settle(database);
        self.ack(rows, out);
    }

    /// Everything up to `source_lsn` is in a state that is not served yet.
    pub(crate) fn passed(&mut self, source_lsn: u64, out: &mut Vec<u8>) {
        self.applied_lsn = self.applied_lsn.max(source_lsn);
        self.ack(Vec::new(), out);
    }

    /// Tells what has become durable since.
    pub(crate) fn durable(&mut self, database: &Database, out: &mut Vec<u8>) {
        if self.settle(database) {
            self.ack(Vec::new(), out);
        }
    }

    /// Another state is served now: tells all of it.
    pub(crate) fn replaced(&mut self, database: &Database, out: &mut Vec<u8>) {
        let commit = database.commit();
        self.announce(&commit.history.origins, out);
        self.acked = commit.history.vv.clone();
        let message = Message::FullDone {
            database: 0,
            vv: commit.history.vv.clone(),
        };
        message.encode(out);
    }

    fn settle(&mut self, database: &Database) -> bool {
        let (durable, before) = (database.log.durable(), self.durable_lsn);
        while let Some((_, lsn)) = self.pending.pop_front_if(|(own, _)| *own <= durable) {
            self.durable_lsn = self.durable_lsn.max(lsn);
        }
        self.durable_lsn > before
    }

    fn ack(&self, applied: Vec<(OriginIndex, u64)>, out: &mut Vec<u8>) {
        let ack = Ack {
            database: 0,
            applied,
            applied_lsn: self.applied_lsn,
            durable_lsn: self.durable_lsn,
        };
        Message::Ack(ack).encode(out);
    }
}
