//! One database on its way to one receiver.
//!
//! ```text
//! Stream        log ─ filter by view ─▶ Records
//! full resync   Waiting ─ a place is free ─▶ Scan ─ all sent ─▶ Log (unfiltered) ─ taken over ─▶ Stream
//! ```

use super::receiver::{Receiver, SharedView, origins_from};
use super::scanning::{Scanned, Scanning};
use super::shared::{Shared, count};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_merge::record::peek;
use tandem_merge::{OriginIndex, VersionVector};
use tandem_proto::status::LinkState;
use tandem_replicate::message::{FRAME_BYTES_MAX, RecordsFrame};
use tandem_replicate::{FullMode, Message, Verdict, View};
use tandem_store::log::{Class, Entry, LogReader, ReadError};
use tandem_store::{Database, StoreError};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::block_in_place;

/// Records and bytes of one batch, and bytes of log that are read for one at most.
const BATCH_RECORDS: u64 = 2_000;
const BATCH_BYTES: usize = 256 << 10;
/// A record above this passes no link; only a log from before records were bounded holds one.
const LOG_RECORD_MAX: usize = FRAME_BYTES_MAX - (1 << 20);
const SCAN_BYTES: u64 = 4 << 20;
/// A chunk of a full resync above this is sent in parts of this size.
const PART_BYTES: usize = 4 << 20;

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
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state that is being sent was replaced under the scan.
    #[error("the source has taken over another state itself; its full resync begins again")]
    Replaced,
}

/// What is sent.
enum Stage {
    /// Records that the receiver lacks.
    Stream,
    /// Nothing: other full resyncs are served.
    Waiting(FullMode),
    /// All objects.
    Scan(Box<Scanning>),
    /// All records since the scan began.
    Log,
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
    stage: Stage,
    /// The place among the full resyncs that are served at a time.
    place: Option<OwnedSemaphorePermit>,
    /// What was held when the scan began.
    begun: VersionVector,
}

impl Feed {
    pub(super) fn new(
        database: &Arc<Database>,
        view: SharedView,
        verdict: &Verdict,
        announced: usize,
    ) -> Result<Self, FeedError> {
        let (stage, lsn) = match verdict {
            Verdict::Full(mode) => {
                database.flush_all()?;
                (Stage::Waiting(*mode), database.log.written())
            }
            _ => (Stage::Stream, start_lsn(database, &view.lock())),
        };
        Ok(Self {
            database: Arc::clone(database),
            view,
            reader: LogReader::open(Arc::clone(&database.log), lsn)?,
            announced,
            told_lsn: lsn,
            told: VersionVector::new(),
            own: None,
            stage,
            place: None,
            begun: VersionVector::new(),
        })
    }

    /// Lsn of what is read next.
    pub(super) fn lsn(&self) -> u64 {
        self.reader.lsn()
    }

    /// Whether something waits that may be sent now.
    pub(super) fn has_more(&self, receiver: &Receiver) -> bool {
        match self.stage {
            // Asked again at every tick.
            Stage::Waiting(_) => false,
            Stage::Scan(..) => true,
            Stage::Stream => {
                self.reader.lsn() < self.database.log.written()
                    && is_open(self.database.number, receiver)
            }
            Stage::Log => {
                let number = self.database.number;
                receiver.is_done(number)
                    || (self.reader.lsn() < self.database.log.written()
                        && is_open(number, receiver))
            }
        }
    }

    /// Appends the next batch to `out`. False: there was nothing to do.
    pub(super) fn step(
        &mut self,
        shared: &Arc<Shared>,
        receiver: &Receiver,
        out: &mut Vec<u8>,
    ) -> Result<bool, FeedError> {
        match &self.stage {
            Stage::Waiting(mode) => {
                let mode = *mode;
                let Ok(place) = Arc::clone(&shared.fulls).try_acquire_owned() else {
                    return Ok(false);
                };
                block_in_place(|| self.begin_scan(mode, place, receiver, out))?;
                count(&shared.served_full);
            }
            Stage::Scan(..) => block_in_place(|| self.scan(receiver, out))?,
            Stage::Log if receiver.is_done(self.database.number) => {
                self.stage = Stage::Stream;
                self.place = None;
                let streams = LinkState::Streaming;
                receiver.progress(self.database.number, |progress| progress.state = streams);
            }
            Stage::Stream | Stage::Log => {
                if !self.has_more(receiver) {
                    return Ok(false);
                }
                block_in_place(|| self.records(receiver, out))?;
            }
        }
        Ok(true)
    }

    fn begin_scan(
        &mut self,
        mode: FullMode,
        place: OwnedSemaphorePermit,
        receiver: &Receiver,
        out: &mut Vec<u8>,
    ) -> Result<(), FeedError> {
        let source = Scanning::begin(&self.database)?;
        self.begun = source.history().vv.clone();
        // NOTE: what was scanned speaks of origins that are announced afterwards, in front of it.
        self.announce(receiver, out)?;
        let mut history = Vec::new();
        source.history().encode(&mut history);
        Message::FullBegin {
            database: self.database.number,
            mode,
            bytes: source.bytes(),
            history: &history,
        }
        .encode(out);
        self.reader = LogReader::open(Arc::clone(&self.database.log), source.lsn())?;
        self.stage = Stage::Scan(Box::new(source));
        self.place = Some(place);
        Ok(())
    }

    /// The next chunk, or the end of the scan.
    fn scan(&mut self, receiver: &Receiver, out: &mut Vec<u8>) -> Result<(), FeedError> {
        let Stage::Scan(source) = &mut self.stage else {
            return Ok(());
        };
        let number = self.database.number;
        let found = source.next()?;
        let ended = match &found {
            Scanned::NotYet => return Ok(()),
            Scanned::Chunk(..) => None,
            Scanned::End => Some(self.database.commit().history.vv.clone()),
        };
        self.announce(receiver, out)?;
        if let Scanned::Chunk(chunk, packed) = found {
            let mut rest = packed.as_slice();
            while let Some((part, more)) = rest.split_at_checked(PART_BYTES) {
                Message::FullPart {
                    database: number,
                    packed: part,
                }
                .encode(out);
                rest = more;
            }
            Message::FullSlice {
                database: number,
                first: chunk.first,
                last: chunk.last,
                vv: chunk.vv,
                packed: rest,
            }
            .encode(out);
            if let Stage::Scan(source) = &self.stage {
                source.give_back(packed);
            }
        } else if let Some(vv) = ended {
            Message::FullEnd {
                database: number,
                vv,
            }
            .encode(out);
            self.stage = Stage::Log;
        }
        Ok(())
    }

    fn records(&mut self, receiver: &Receiver, out: &mut Vec<u8>) -> Result<(), FeedError> {
        // NOTE: in this order, what is written was announced and is known to the view before.
        let limit = self.database.log.written();
        let view = self.announce(receiver, out)?;
        let filters = matches!(self.stage, Stage::Stream);
        let number = self.database.number;
        let mut frame = RecordsFrame::begin(out, number);
        let stop = self.reader.lsn() + SCAN_BYTES;
        let mut echoes = 0;
        while let Some(entry) = next_entry(&self.database, &mut self.reader, limit)? {
            if entry.class == Class::Record {
                if entry.payload.len() > LOG_RECORD_MAX {
                    let (start, bytes) = (entry.start, entry.payload.len());
                    tracing::error!(database = number, bytes, "a record is too large for a link");
                    return Err(give_up(&self.database, start));
                }
                let (origin, sequence) = peek(entry.payload)?;
                if !filters {
                    frame.push(out, entry.payload);
                } else if !view.holds(origin, sequence) {
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
                progress.window.sent(lsn, sent, bytes as u64);
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
        match self.stage {
            Stage::Stream if !view.reaches(&commit.history.base) => {
                return Err(FeedError::LostPlace);
            }
            Stage::Stream | Stage::Waiting(_) => {}
            // The log lacks what was taken over meanwhile; part of the scan lacks it, too.
            Stage::Scan(..) | Stage::Log => {
                if !commit.history.base.reached_by(&self.begun) {
                    return Err(FeedError::Replaced);
                }
            }
        }
        if !matches!(self.stage, Stage::Waiting(_))
            && self.reader.lsn() < self.database.serve_from()
        {
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
    pub(super) fn head(&mut self, receiver: &Receiver, out: &mut Vec<u8>) -> Result<(), FeedError> {
        if !matches!(self.stage, Stage::Stream) {
            return Ok(());
        }
        self.announce(receiver, out)?;
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
            return Ok(());
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
        Ok(())
    }
}

/// The next entry. Damage is told loudly, and the receiver gets a state instead of the log.
fn next_entry<'r>(
    database: &Database,
    reader: &'r mut LogReader,
    limit: u64,
) -> Result<Option<Entry<'r>>, FeedError> {
    let start = reader.lsn();
    reader.next(limit).map_err(|error| match error {
        ReadError::Damaged { position, damage } => {
            tracing::error!(
                database = database.number,
                segment = position.segment,
                offset = position.offset,
                %damage,
                "log damaged: receivers that lack what stands there need a full resync"
            );
            give_up(database, start)
        }
        error => error.into(),
    })
}

/// The log cannot be sent from this lsn on.
fn give_up(database: &Database, lsn: u64) -> FeedError {
    database.give_up_log_at(lsn);
    FeedError::LostPlace
}

fn is_open(database: u32, receiver: &Receiver) -> bool {
    receiver
        .progress(database, |progress| progress.window.is_open())
        .unwrap_or(false)
}

/// Where to begin to read: the newest segment that began with nothing the receiver lacks.
fn start_lsn(database: &Database, view: &View) -> u64 {
    let segments = database.log.segments();
    let reached = segments.iter().rev().find(|info| view.reaches(&info.vv));
    let lsn = reached.or(segments.first()).map_or(0, |info| info.base);
    lsn.max(database.serve_from())
}
