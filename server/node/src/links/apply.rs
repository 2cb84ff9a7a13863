//! Applying what a link brings: a thread of its own, frames in order.

use super::acks::AckBook;
use super::dial::Dial;
use super::hello::{Adoption, Agreed};
use super::queue::Received;
use super::receiver::{SharedView, weight};
use super::shared::{Settings, Shared};
use super::ship::state_of;
use super::taking::Taking;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_merge::{Origin, OriginIndex, VersionVector};
use tandem_proto::status::{LinkKind, LinkState};
use tandem_replicate::message::{MessageError, PackedRecords, WelcomeDatabase};
use tandem_replicate::{Message, Refusal, Verdict};
use tandem_store::database::{Applied, OriginMap};
use tandem_store::resync::Chunk;
use tandem_store::{Database, StoreError};
use tokio::sync::mpsc::{Receiver, UnboundedSender};

/// Why applying ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A frame is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A frame has no place here.
    #[error("the source sent {0}")]
    Unexpected(&'static str),
    /// The identity could not be made durable, or the role was refused.
    #[error("failed to go on with the new state: {0}")]
    Role(String),
    /// No database may be pulled.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The thread ended without a word.
    #[error("the applying thread failed")]
    Gone,
}

/// One database on its way in.
pub(super) struct Incoming {
    pub(super) database: Arc<Database>,
    pub(super) map: OriginMap,
    /// What the source is known to hold: what it sends needs not be sent back.
    pub(super) view: SharedView,
    /// What the source said it holds, by own numbers.
    pub(super) source: VersionVector,
    /// What has to be held for a handover to be complete.
    goal: VersionVector,
    pub(super) state: LinkState,
    /// The full resync that was agreed on, until its state is in force.
    pub(super) taking: Option<Box<Taking>>,
}

/// Applies what a link brings.
pub(super) struct Applier {
    pub(super) shared: Arc<Shared>,
    pub(super) dial: Arc<Dial>,
    pub(super) source_run: u64,
    source_id: String,
    sync_always: bool,
    pub(super) databases: BTreeMap<u32, Incoming>,
    refused: BTreeMap<u32, Refusal>,
    pub(super) adoption: Adoption,
    pub(super) outgoing: UnboundedSender<Vec<u8>>,
    pub(super) books: Arc<AckBook>,
}

impl Applier {
    pub(super) fn new(
        shared: &Arc<Shared>,
        dial: &Arc<Dial>,
        settings: &Settings,
        agreed: Agreed,
        outgoing: &UnboundedSender<Vec<u8>>,
        books: &Arc<AckBook>,
    ) -> Result<Self, ApplyError> {
        let Agreed {
            hello,
            welcome,
            adoption,
        } = agreed;
        let mut applier = Self {
            shared: Arc::clone(shared),
            dial: Arc::clone(dial),
            source_run: welcome.run,
            source_id: welcome.instance_id.clone(),
            sync_always: settings.sync_always,
            databases: BTreeMap::new(),
            refused: BTreeMap::new(),
            adoption,
            outgoing: outgoing.clone(),
            books: Arc::clone(books),
        };
        for answer in &welcome.databases {
            if let Verdict::Refused(refusal) = &answer.verdict {
                applier.refused.insert(answer.number, refusal.clone());
            } else {
                let told = hello
                    .databases
                    .iter()
                    .find(|held| held.number == answer.number);
                applier.begin(answer, told.map_or(0, |held| held.origins.len()))?;
                if answer.verdict == Verdict::Partial {
                    dial.partial_resyncs.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        applier.show();
        Ok(applier)
    }

    /// Begins a database; the source was told of `told` origins of the own table.
    fn begin(&mut self, answer: &WelcomeDatabase, told: usize) -> Result<(), ApplyError> {
        let database =
            self.shared
                .instance
                .store
                .database(answer.number)?
                .ok_or(ApplyError::Unexpected(
                    "a database that does not exist here",
                ))?;
        let mut map = OriginMap::default();
        for (_, origin) in answer.origins.iter() {
            database.announce(&mut map, origin);
        }
        let source = map.vector(&answer.vv).map_err(StoreError::from)?;
        let view = self.shared.view(&self.source_id, answer.number);
        {
            let mut view = view.lock();
            view.meet(self.source_run);
            for (index, row) in source.rows() {
                view.raise_index(index, row.high);
            }
        }
        self.books.open(database, told, 0);
        let incoming = Incoming {
            database: Arc::clone(database),
            map,
            view,
            goal: source.clone(),
            source,
            state: state_of(&answer.verdict),
            taking: match answer.verdict {
                Verdict::Full(mode) => Some(Box::new(Taking::new(mode))),
                _ => None,
            },
        };
        self.databases.insert(answer.number, incoming);
        Ok(())
    }

    /// The worst state of any database, and why.
    pub(super) fn show(&self) {
        let states = self.databases.values().map(|incoming| incoming.state);
        let refusals = self
            .refused
            .values()
            .map(|refusal| state_of(&Verdict::Refused(refusal.clone())));
        let state = states.chain(refusals).max_by_key(|state| weight(*state));
        let refusal = self.refused.values().next();
        let reason = refusal.map_or_else(
            || self.taking_text().unwrap_or_default(),
            |refusal| refusal.reason.clone(),
        );
        self.dial
            .show(state.unwrap_or(LinkState::Streaming), &reason);
    }

    /// Applies until the queue ends, a handover is complete, or nothing of it may go on.
    pub(super) fn run(mut self, mut queue: Receiver<Received>) -> Result<(), ApplyError> {
        if self.databases.is_empty()
            && let Some(refusal) = self.refused.values().next()
        {
            return Err(refusal.clone().into());
        }
        loop {
            self.measure_lag();
            if self.dial.wanted.kind == LinkKind::Handover && self.is_complete() {
                return Ok(());
            }
            let Some(received) = queue.blocking_recv() else {
                return Ok(());
            };
            if self.shared.stalled.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(2));
            }
            self.frame(&received.payload)?;
        }
    }

    fn frame(&mut self, payload: &[u8]) -> Result<(), ApplyError> {
        match Message::decode(payload)? {
            Message::Origins {
                database,
                first,
                origins,
            } => self.announced(database, first, &origins),
            Message::Records {
                database,
                lsn,
                packed,
            } => self.records(database, lsn, packed),
            Message::Head {
                database,
                lsn,
                rows,
                ..
            } => self.head(database, lsn, &rows),
            Message::FullBegin {
                database,
                mode,
                bytes,
                history,
            } => self.full_begin(database, mode, bytes, history),
            Message::FullPart { database, packed } => self.full_part(database, packed),
            Message::FullSlice {
                database,
                first,
                last,
                vv,
                packed,
            } => self.full_slice(database, Chunk { first, last, vv }, packed),
            Message::FullEnd { database, vv } => self.full_end(database, &vv),
            _ => Err(ApplyError::Unexpected(
                "a message that a source does not send",
            )),
        }
    }

    pub(super) fn incoming(&mut self, number: u32) -> Result<&mut Incoming, ApplyError> {
        self.databases
            .get_mut(&number)
            .ok_or(ApplyError::Unexpected(
                "records of a database that it did not begin",
            ))
    }

    fn announced(&mut self, number: u32, first: u32, origins: &[Origin]) -> Result<(), ApplyError> {
        if !self.databases.contains_key(&number) && first == 0 {
            self.begin_late(number)?;
        }
        let incoming = self.incoming(number)?;
        if incoming.map.len() != first as usize {
            return Err(ApplyError::Unexpected("origins out of order"));
        }
        for origin in origins {
            incoming.database.announce(&mut incoming.map, *origin);
        }
        if let Some(taking) = &mut incoming.taking {
            taking.learn(&incoming.map);
        }
        Ok(())
    }

    /// A database that the source opened after the handshake.
    fn begin_late(&mut self, number: u32) -> Result<(), ApplyError> {
        let answer = WelcomeDatabase {
            number,
            origins: tandem_merge::Origins::default(),
            vv: VersionVector::new(),
            verdict: Verdict::Partial,
        };
        self.begin(&answer, 0)
    }

    fn records(&mut self, number: u32, lsn: u64, packed: &[u8]) -> Result<(), ApplyError> {
        let run = self.source_run;
        let incoming = self.incoming(number)?;
        if incoming.taking.is_some() {
            return self.full_records(number, lsn, packed);
        }
        let database = Arc::clone(&incoming.database);
        let view = &incoming.view;
        let mut records = PackedRecords::new(packed);
        let (mut applied, mut held, mut end) = (0, 0, 0);
        let mut admitted = |dot: tandem_merge::Dot| {
            let mut view = view.lock();
            if view.is_of(run) {
                view.raise_index(dot.origin, dot.sequence);
            }
        };
        let outcome = loop {
            let record = match records.next_record() {
                Ok(Some(record)) => record,
                Ok(None) => break Ok(()),
                Err(error) => break Err(StoreError::from(error)),
            };
            match database.apply(record, &incoming.map, &mut admitted) {
                Ok(Applied::Applied(_, lsn)) => {
                    applied += 1;
                    end = lsn;
                }
                Ok(Applied::Skipped(_)) => held += 1,
                Err(error) => break Err(error),
            }
        };
        database.flush(end)?;
        self.shared.waker.wake();
        self.dial.applied.fetch_add(applied, Ordering::Relaxed);
        self.shared.duplicates.fetch_add(held, Ordering::Relaxed);
        outcome?;
        self.acknowledge(number, lsn);
        if self.sync_always {
            database.log.sync().map_err(StoreError::from)?;
            let mut bytes = Vec::new();
            self.books.durable(&mut bytes);
            drop(self.outgoing.send(bytes));
        }
        Ok(())
    }

    fn head(
        &mut self,
        number: u32,
        lsn: u64,
        rows: &[(OriginIndex, u64)],
    ) -> Result<(), ApplyError> {
        let run = self.source_run;
        let incoming = self.incoming(number)?;
        for (index, high) in rows {
            let index = incoming
                .map
                .get(*index)
                .ok_or(ApplyError::Unexpected("a row of an unannounced origin"))?;
            incoming.source.raise(index, *high);
            let mut view = incoming.view.lock();
            if view.is_of(run) {
                view.raise_index(index, *high);
            }
        }
        self.acknowledge(number, lsn);
        Ok(())
    }

    fn acknowledge(&self, number: u32, lsn: u64) {
        self.dial.received.lock().insert(number, lsn);
        let mut bytes = Vec::new();
        self.books.applied(number, lsn, &mut bytes);
        drop(self.outgoing.send(bytes));
    }

    fn measure_lag(&self) {
        let lag: u64 = self
            .databases
            .values()
            .map(|incoming| incoming.lacks(&incoming.source))
            .sum();
        self.dial.lag_records.store(lag, Ordering::Relaxed);
    }

    fn is_complete(&self) -> bool {
        self.databases
            .values()
            .all(|incoming| incoming.taking.is_none() && incoming.lacks(&incoming.goal) == 0)
    }
}

impl Incoming {
    /// The source holds this, by own numbers: it needs not be sent back.
    pub(super) fn hear(&mut self, run: u64, vv: &VersionVector) {
        let mut view = self.view.lock();
        for (index, row) in vv.rows() {
            self.source.raise(index, row.high);
            if view.is_of(run) {
                view.raise_index(index, row.high);
            }
        }
    }

    /// Records of this vector that are not held here.
    fn lacks(&self, vv: &VersionVector) -> u64 {
        let commit = self.database.commit();
        let held = &commit.history.vv;
        vv.rows()
            .map(|(index, row)| row.high.saturating_sub(held.high(index)))
            .sum()
    }
}
