//! The source's half of a link: the handshake's answer, then states and log, less what the receiver
//! is known to hold, within its window.

use crate::failure::Failure;
use crate::instance::Instance;
use crate::random::Random;
use crate::sabotage::Sabotage;
use std::sync::Arc;
use tandem_merge::record::peek;
use tandem_merge::{Origin, VersionVector};
use tandem_proto::status::LinkKind;
use tandem_replicate::handshake::{Held, Local, decide, judge};
use tandem_replicate::message::{RecordsFrame, WelcomeDatabase};
use tandem_replicate::{
    Ack, FullMode, Hello, Message, Refusal, RefuseCode, Verdict, Welcome, Window,
};
use tandem_store::Database;
use tandem_store::log::{Class, LogReader, ReadError};
use tandem_store::resync::Source;

/// Records of one batch.
const BATCH_RECORDS: u64 = 7;
/// Parts of a scan between two steps of the world.
const CHUNKS: usize = 1_500;
/// Bytes of one part.
const CHUNK_BYTES: usize = 100;

enum Stage {
    /// The objects.
    Scan(Box<Source>),
    /// The whole log behind the scan, until the receiver serves the state.
    Behind,
    /// The log, less what the receiver holds.
    Stream,
}

/// Why a source ended a link.
#[derive(Debug)]
pub(crate) enum End {
    /// It no longer has what the receiver lacks.
    LostPlace,
    /// Something that passes.
    Passing(String),
    /// What must never be.
    Broken(Failure),
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Io { .. } => Self::Passing(error.to_string()),
            ReadError::Purged { .. } | ReadError::Damaged { .. } => Self::LostPlace,
        }
    }
}

/// One database on its way to one receiver.
pub(crate) struct Feed {
    database: Arc<Database>,
    receiver: String,
    reader: LogReader,
    stage: Stage,
    window: Window,
    /// Origins that the receiver was told of.
    announced: usize,
    /// Origins by the receiver's numbers.
    numbering: Vec<Origin>,
    own: Option<Origin>,
    told: VersionVector,
    told_lsn: u64,
    /// What was held when the scan began: the log goes on from there.
    scanned_from: Option<VersionVector>,
    sabotage: Sabotage,
}

/// The source's answer to a hello.
pub(crate) fn answer(
    source: &Instance,
    hello: &Hello,
    members: &[u32],
    sabotage: Sabotage,
) -> Result<Welcome, Refusal> {
    let Some(database) = &source.database else {
        return Err(Refusal::new(RefuseCode::Failed, "down"));
    };
    let local = Local {
        cluster_id: "world",
        cluster_agreed: true,
        server_id: source.identity.server_id,
        instance_id: &source.name,
        epoch: source.identity.epoch,
        peer: None,
        members,
        passwords: &[],
    };
    let decision = decide(hello, &local)?;
    let theirs = &hello.databases[0];
    let commit = database.commit();
    let history = &commit.history;
    let held = Held::new(&theirs.origins, &theirs.vv, &history.origins);
    let mut verdict = judge(
        hello.kind,
        &held,
        theirs.wish,
        history,
        decision.same_cluster,
    );
    if sabotage == Sabotage::AlwaysPartial {
        verdict = Verdict::Partial;
    }
    Ok(Welcome {
        cluster_id: decision.cluster_id,
        server_id: source.identity.server_id,
        instance_id: source.name.clone(),
        run: source.run,
        epoch: source.identity.epoch,
        port: 0,
        databases: vec![WelcomeDatabase {
            number: 0,
            origins: history.origins.clone(),
            vv: history.vv.clone(),
            verdict,
        }],
    })
}

impl Feed {
    /// Begins with what the welcome promised.
    pub(crate) fn begin(
        source: &mut Instance,
        hello: &Hello,
        welcome: &Welcome,
        window_records: u64,
        now_ms: u64,
        sabotage: Sabotage,
        out: &mut Vec<u8>,
    ) -> Result<Self, End> {
        let Some(database) = source.database.clone() else {
            return Err(End::Passing("down".to_owned()));
        };
        let theirs = &hello.databases[0];
        let view = source.views.entry(hello.instance_id.clone()).or_default();
        let run = if sabotage == Sabotage::ViewOutlivesRun {
            1
        } else {
            hello.run
        };
        view.meet(run);
        {
            let commit = database.commit();
            let table = &commit.history.origins;
            if sabotage != Sabotage::BlindView {
                view.set_own(hello.own, table);
            }
            for (index, row) in theirs.vv.rows() {
                if let Some(origin) = theirs.origins.origin(index) {
                    view.raise(origin, row.high, table);
                }
            }
        }
        let segments = database.log.segments();
        let reached = segments.iter().rev().find(|info| view.reaches(&info.vv));
        let mut lsn = reached.or(segments.first()).map_or(0, |info| info.base);
        let mut stage = Stage::Stream;
        let mut scanned_from = None;
        if let Verdict::Full(_) = welcome.databases[0].verdict {
            let scan = Source::begin(&database).map_err(|e| End::Passing(e.to_string()))?;
            lsn = scan.lsn();
            scanned_from = Some(scan.history().vv.clone());
            stage = Stage::Scan(Box::new(scan));
        }
        let mut feed = Self {
            reader: LogReader::open(Arc::clone(&database.log), lsn)?,
            database,
            receiver: hello.instance_id.clone(),
            stage,
            window: Window::new(window_records, 64 << 10),
            announced: welcome.databases[0].origins.len(),
            numbering: theirs.origins.iter().map(|(_, origin)| origin).collect(),
            own: hello.own,
            told: VersionVector::new(),
            told_lsn: lsn,
            scanned_from,
            sabotage,
        };
        if hello.kind != LinkKind::Handover {
            source.horizon.begin(&hello.instance_id, lsn, now_ms);
        }
        if let Verdict::Full(mode) = welcome.databases[0].verdict {
            feed.full_begin(mode, out);
        }
        Ok(feed)
    }

    fn full_begin(&mut self, mode: FullMode, out: &mut Vec<u8>) {
        self.announce(out);
        if let Stage::Scan(scan) = &self.stage {
            let mut history = Vec::new();
            scan.history().encode(&mut history);
            let message = Message::FullBegin {
                database: 0,
                mode,
                bytes: scan.bytes(),
                history: &history,
            };
            message.encode(out);
        }
    }

    fn announce(&mut self, out: &mut Vec<u8>) {
        let commit = self.database.commit();
        let known = commit.history.origins.iter();
        let origins: Vec<_> = known.skip(self.announced).map(|(_, o)| o).collect();
        if !origins.is_empty() {
            let first = self.announced as u32;
            self.announced += origins.len();
            let message = Message::Origins {
                database: 0,
                first,
                origins,
            };
            message.encode(out);
        }
    }

    /// Takes in what the receiver says.
    pub(crate) fn message(
        &mut self,
        source: &mut Instance,
        message: Message<'_>,
        now_ms: u64,
    ) -> Result<(), Failure> {
        let confused = || Failure::new("confused", "an ack of what was never announced");
        match message {
            Message::Origins { first, origins, .. } => {
                if self.numbering.len() != first as usize {
                    return Err(confused());
                }
                self.numbering.extend(origins);
            }
            Message::Ack(ack) => self.acked(source, &ack, now_ms).ok_or_else(confused)?,
            Message::FullDone { vv, .. } => {
                self.replaced(source, &vv).ok_or_else(confused)?;
            }
            other => return Err(Failure::new("confused", format!("{other:?}"))),
        }
        Ok(())
    }

    fn acked(&mut self, source: &mut Instance, ack: &Ack, now_ms: u64) -> Option<()> {
        let commit = self.database.commit();
        let view = source.views.entry(self.receiver.clone()).or_default();
        for (index, high) in &ack.applied {
            let origin = self.numbering.get(index.at())?;
            view.raise(*origin, *high, &commit.history.origins);
        }
        self.window.acknowledged(ack.applied_lsn);
        source
            .horizon
            .raise(&self.receiver, ack.durable_lsn, now_ms);
        Some(())
    }

    fn replaced(&mut self, source: &mut Instance, vv: &VersionVector) -> Option<()> {
        let commit = self.database.commit();
        let view = source.views.entry(self.receiver.clone()).or_default();
        view.clear();
        for (index, row) in vv.rows() {
            let origin = self.numbering.get(index.at())?;
            view.raise(*origin, row.high, &commit.history.origins);
        }
        self.stage = Stage::Stream;
        Some(())
    }

    /// Appends what may be sent now.
    pub(crate) fn step(
        &mut self,
        source: &mut Instance,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        // What another state brought in meanwhile is not in the log behind the scan.
        let serves = |from: &VersionVector| {
            let commit = self.database.commit();
            commit.history.base.reached_by(from)
        };
        let streams = matches!(self.stage, Stage::Stream);
        if !streams && !self.scanned_from.as_ref().is_none_or(serves) {
            return Err(End::Passing("the state changed under the scan".to_owned()));
        }
        if let Stage::Scan(scan) = &mut self.stage {
            for _ in 0..CHUNKS {
                let mut packed = Vec::new();
                let chunk = scan.next_chunk(CHUNK_BYTES, &mut packed);
                let Some(chunk) = chunk.map_err(|e| End::Passing(e.to_string()))? else {
                    self.announce(out);
                    let vv = self.database.commit().history.vv.clone();
                    Message::FullEnd { database: 0, vv }.encode(out);
                    self.stage = Stage::Behind;
                    return Ok(());
                };
                // NOTE: its vector may name origins that are new since.
                if chunk
                    .vv
                    .rows()
                    .any(|(index, _)| index.at() >= self.announced)
                {
                    let commit = self.database.commit();
                    let known = commit.history.origins.iter();
                    let origins: Vec<_> = known.skip(self.announced).map(|(_, o)| o).collect();
                    let first = self.announced as u32;
                    self.announced += origins.len();
                    let message = Message::Origins {
                        database: 0,
                        first,
                        origins,
                    };
                    message.encode(out);
                }
                let message = Message::FullSlice {
                    database: 0,
                    first: chunk.first,
                    last: chunk.last,
                    vv: chunk.vv,
                    packed: &packed,
                };
                message.encode(out);
            }
            return Ok(());
        }
        self.records(source, random, out)?;
        if random.below(8) == 0 {
            self.head(out);
        }
        Ok(())
    }

    fn records(
        &mut self,
        source: &mut Instance,
        random: &mut Random,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        if !self.window.is_open() {
            return Ok(());
        }
        // In this order: what is written was announced and is known to the view before.
        let limit = self.database.log.written();
        self.announce(out);
        let view = source.views.entry(self.receiver.clone()).or_default();
        {
            let commit = self.database.commit();
            view.learn(&commit.history.origins);
            let below = !view.reaches(&commit.history.base);
            let streams = matches!(self.stage, Stage::Stream);
            if below && streams && self.sabotage != Sabotage::AlwaysPartial {
                return Err(End::LostPlace);
            }
        }
        let own = {
            let commit = self.database.commit();
            self.own.and_then(|own| commit.history.origins.get(&own))
        };
        let mut frame = RecordsFrame::begin(out, 0);
        while let Some(entry) = self.reader.next(limit)? {
            if entry.class == Class::Record {
                let (origin, sequence) = peek(entry.payload)
                    .map_err(|e| End::Broken(Failure::new("decode", e.to_string())))?;
                let streams = matches!(self.stage, Stage::Stream);
                if !streams || !view.holds(origin, sequence) {
                    if streams && own == Some(origin) {
                        let text =
                            format!("{} sends {} its own {sequence}", source.name, self.receiver);
                        return Err(End::Broken(Failure::new("echo", text)));
                    }
                    let lost = self.sabotage == Sabotage::LostRecords && random.below(50) == 0;
                    if !lost {
                        frame.push(out, entry.payload);
                    }
                }
            }
            if frame.count() >= BATCH_RECORDS {
                break;
            }
        }
        let (lsn, bytes) = (self.reader.lsn(), frame.bytes(out));
        let sent = frame.finish(out, lsn);
        if sent > 0 {
            self.told_lsn = lsn;
            self.window.sent(lsn, sent, bytes as u64);
        }
        Ok(())
    }

    /// How far the source is, when that is news.
    fn head(&mut self, out: &mut Vec<u8>) {
        self.announce(out);
        let (vv, head) = {
            let commit = self.database.commit();
            (commit.history.vv.clone(), commit.head())
        };
        let rows: Vec<_> = vv
            .rows()
            .filter(|(index, row)| row.high > self.told.high(*index))
            .map(|(index, row)| (index, row.high))
            .collect();
        let lsn = self.reader.lsn();
        if rows.is_empty() && lsn == self.told_lsn {
            return;
        }
        (self.told, self.told_lsn) = (vv, lsn);
        let message = Message::Head {
            database: 0,
            lsn,
            head,
            rows,
        };
        message.encode(out);
    }
}
