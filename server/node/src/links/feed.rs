//! One database on its way to one receiver.
//!
//! ```text
//! Stream:  log ─ filter by view ─▶ Records        full resync: Scan ─▶ Log (unfiltered) ─ done ─▶ Stream
//! ```

use super::receiver::{Receiver, origins_from};
use super::shared::{Shared, SharedView};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_merge::record::peek;
use tandem_merge::{OriginIndex, VersionVector};
use tandem_proto::status::LinkState;
use tandem_replicate::message::RecordsFrame;
use tandem_replicate::{Message, Verdict, View};
use tandem_store::Database;
use tandem_store::log::{Class, LogReader, ReadError};
use tokio::task::block_in_place;

/// Records and bytes of one batch, and bytes of log that are read for one at most.
const BATCH_RECORDS: u64 = 2_000;
const BATCH_BYTES: usize = 256 << 10;
const SCAN_BYTES: u64 = 4 << 20;

/// Why a database cannot be sent on.
#[derive(Debug, thiserror::Error)]
pub(super) enum FeedError {
    /// The log does not hold what is missing any more.
    #[error("lost place: the log no longer holds what the receiver lacks")]
    LostPlace,
    /// The log could not be read.
    #[error(transparent)]
    Read(ReadError),
    /// A record in the log does not decode.
    #[error(transparent)]
    Decode(#[from] tandem_merge::DecodeError),
}

impl From<ReadError> for FeedError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Purged { .. } => Self::LostPlace,
            other => Self::Read(other),
        }
    }
}

/// One database on its way to one receiver.
pub(super) struct Feed {
    database: Arc<Database>,
    view: SharedView,
    reader: LogReader,
    /// Origins that the receiver was told of.
    announced: usize,
    /// Lsn that the receiver was told it has passed.
    told_lsn: u64,
    /// The vector it was told last.
    told: VersionVector,
    /// Number of the life that the receiver writes under.
    own: Option<OriginIndex>,
}

impl Feed {
    pub(super) fn new(
        database: &Arc<Database>,
        view: SharedView,
        _verdict: &Verdict,
        announced: usize,
    ) -> Result<Self, FeedError> {
        let known = view.lock().clone();
        let lsn = start_lsn(database, &known);
        Ok(Self {
            database: Arc::clone(database),
            view,
            reader: LogReader::open(Arc::clone(&database.log), lsn)?,
            announced,
            told_lsn: lsn,
            told: VersionVector::new(),
            own: None,
        })
    }

    /// Lsn of what is read next.
    pub(super) fn lsn(&self) -> u64 {
        self.reader.lsn()
    }

    /// Whether something waits that may be sent now.
    pub(super) fn has_more(&self, receiver: &Receiver) -> bool {
        self.reader.lsn() < self.database.log.written() && self.window_open(receiver)
    }

    fn window_open(&self, receiver: &Receiver) -> bool {
        receiver
            .progress(self.database.number, |progress| progress.window.is_open())
            .unwrap_or(false)
    }

    /// Appends the next batch to `out`. False: there was nothing to do.
    pub(super) async fn step(
        &mut self,
        _shared: &Arc<Shared>,
        receiver: &Receiver,
        out: &mut Vec<u8>,
    ) -> Result<bool, FeedError> {
        if !self.has_more(receiver) {
            return Ok(false);
        }
        block_in_place(|| self.records(receiver, out))?;
        Ok(true)
    }

    fn records(&mut self, receiver: &Receiver, out: &mut Vec<u8>) -> Result<(), FeedError> {
        // NOTE: in this order, what is written was announced and is known to the view before.
        let limit = self.database.log.written();
        let view = self.announce(receiver, out)?;
        let number = self.database.number;
        let mut frame = RecordsFrame::begin(out, number);
        let stop = self.reader.lsn() + SCAN_BYTES;
        let mut echoes = 0;
        while let Some(entry) = self.reader.next(limit)? {
            if entry.class == Class::Record {
                let (origin, sequence) = peek(entry.payload)?;
                if !view.holds(origin, sequence) {
                    echoes += u64::from(self.own == Some(origin));
                    frame.push(out, entry.payload);
                }
            }
            let full = frame.count() >= BATCH_RECORDS || frame.bytes(out) >= BATCH_BYTES;
            if full || self.reader.lsn() >= stop {
                break;
            }
        }
        let (lsn, bytes) = (self.reader.lsn(), frame.bytes(out));
        let sent = frame.finish(out, lsn);
        if sent > 0 {
            self.told_lsn = lsn;
            receiver.echoes.fetch_add(echoes, Ordering::Relaxed);
            receiver.progress(number, |progress| {
                progress.window.sent(lsn, sent, bytes as u64)
            });
        }
        Ok(())
    }

    /// Announces new origins and gives the view as of now. An error when the log's base has risen
    /// above what the receiver holds.
    fn announce(&mut self, receiver: &Receiver, out: &mut Vec<u8>) -> Result<View, FeedError> {
        let commit = self.database.commit();
        let mut view = self.view.lock();
        view.learn(&commit.history.origins);
        if self.own.is_none() {
            self.own = receiver
                .own
                .and_then(|own| commit.history.origins.get(&own));
        }
        if !view.reaches(&commit.history.base) {
            return Err(FeedError::LostPlace);
        }
        let origins = origins_from(&commit.history.origins, self.announced);
        if !origins.is_empty() {
            let first = self.announced as u32;
            self.announced += origins.len();
            Message::Origins {
                database: self.database.number,
                first,
                origins,
            }
            .encode(out);
        }
        Ok(view.clone())
    }

    /// Appends how far the source is, when that is news.
    pub(super) fn head(&mut self, receiver: &Receiver, out: &mut Vec<u8>) {
        if self.announce(receiver, out).is_err() {
            return;
        }
        let (vv, head) = {
            let commit = self.database.commit();
            (commit.history.vv.clone(), commit.head())
        };
        let rows: Vec<_> = vv
            .rows()
            .filter(|(index, row)| index.at() < self.announced && row.high > self.told.high(*index))
            .map(|(index, row)| (index, row.high))
            .collect();
        let lsn = self.reader.lsn();
        if rows.is_empty() && lsn == self.told_lsn {
            return;
        }
        self.told_lsn = lsn;
        self.told = vv;
        Message::Head {
            database: self.database.number,
            lsn,
            head,
            rows,
        }
        .encode(out);
    }

    /// The state to show for this database.
    pub(super) fn state(&self) -> LinkState {
        LinkState::Streaming
    }
}

/// Where to begin to read: the newest segment that began with nothing the receiver lacks.
fn start_lsn(database: &Database, view: &View) -> u64 {
    let segments = database.log.segments();
    let reached = segments.iter().rev().find(|info| view.reaches(&info.vv));
    reached.or(segments.first()).map_or(0, |info| info.base)
}
