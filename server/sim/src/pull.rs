//! The receiver's half of a link: hello, then records into the database, or a state beside it.

use crate::failure::Failure;
use crate::instance::Instance;
use crate::receipts::Receipts;
use crate::sabotage::Sabotage;
use std::sync::Arc;
use tandem_merge::codec::Reader;
use tandem_merge::{Dot, History, VersionVector};
use tandem_proto::status::LinkKind;
use tandem_replicate::message::{FORMAT, PackedRecords};
use tandem_replicate::{FullMode, Hello, HelloDatabase, Message, View, Welcome};
use tandem_store::database::{Applied, OriginMap};
use tandem_store::resync::{Chunk, Intake, Mode};
use tandem_store::{Database, StoreError};

/// Why a receiver ended a link.
#[derive(Debug)]
pub(crate) enum End {
    /// Something that passes, or all that was wanted is there.
    Passing(String),
    /// What must never be.
    Broken(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Log(_) | StoreError::Resync(_) | StoreError::Io { .. } => {
                Self::Passing(error.to_string())
            }
            StoreError::Refused(refused) => {
                Self::Broken(Failure::new("refused", refused.to_string()))
            }
            other => Self::Broken(Failure::from(other)),
        }
    }
}

/// A state that is being received.
struct Full {
    intake: Intake,
    /// Parts that have come; they are merged when all have.
    chunks: Vec<(Chunk, Vec<u8>)>,
    /// What the source held when its scan ended, by own numbers.
    goal: Option<VersionVector>,
}

/// One database on its way in.
pub(crate) struct Pull {
    kind: LinkKind,
    /// The state that was asked for.
    wish: Option<FullMode>,
    database: Arc<Database>,
    source: String,
    source_run: u64,
    map: OriginMap,
    goal: VersionVector,
    receipts: Receipts,
    full: Option<Full>,
    sabotage: Sabotage,
    /// Records that were held already.
    pub(crate) duplicates: u64,
    pub(crate) applied: u64,
    pub(crate) switched: u64,
    has_switched: bool,
}

/// What the receiver says first.
pub(crate) fn hello(receiver: &Instance, kind: LinkKind, wish: Option<FullMode>) -> Option<Hello> {
    let database = receiver.database.as_ref()?;
    let commit = database.commit();
    Some(Hello {
        format: FORMAT,
        kind,
        cluster_id: "world".to_owned(),
        cluster_agreed: true,
        server_id: receiver.identity.server_id,
        instance_id: receiver.name.clone(),
        run: receiver.run,
        own: receiver.own(),
        epoch: receiver.identity.epoch,
        by_hand: false,
        host: String::new(),
        port: 0,
        password: Vec::new(),
        databases: vec![HelloDatabase {
            number: 0,
            origins: commit.history.origins.clone(),
            vv: commit.history.vv.clone(),
            wish,
        }],
    })
}

impl Pull {
    /// Begins after a welcome.
    pub(crate) fn begin(
        receiver: &mut Instance,
        hello: &Hello,
        welcome: &Welcome,
        sabotage: Sabotage,
    ) -> Result<Self, End> {
        let Some(database) = receiver.database.clone() else {
            return Err(End::Passing("down".to_owned()));
        };
        let answer = &welcome.databases[0];
        let mut map = OriginMap::default();
        for (_, origin) in answer.origins.iter() {
            database.announce(&mut map, origin);
        }
        let goal = map.vector(&answer.vv).map_err(StoreError::from)?;
        let view = receiver
            .views
            .entry(welcome.instance_id.clone())
            .or_default();
        if sabotage != Sabotage::ViewOutlivesRun {
            view.meet(welcome.run);
        }
        for (index, row) in goal.rows() {
            view.raise_index(index, row.high);
        }
        Ok(Self {
            kind: hello.kind,
            wish: hello.databases[0].wish,
            database,
            source: welcome.instance_id.clone(),
            source_run: welcome.run,
            map,
            goal,
            receipts: Receipts::new(hello.databases[0].origins.len()),
            full: None,
            sabotage,
            duplicates: 0,
            applied: 0,
            switched: 0,
            has_switched: false,
        })
    }

    fn view<'i>(&self, receiver: &'i mut Instance) -> Option<&'i mut View> {
        let blind = self.sabotage == Sabotage::BlindView;
        let view = receiver.views.entry(self.source.clone()).or_default();
        (view.is_of(self.source_run) && !blind).then_some(view)
    }

    /// Takes in what the source says.
    pub(crate) fn message(
        &mut self,
        receiver: &mut Instance,
        message: Message<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        match message {
            Message::Origins { first, origins, .. } => {
                if self.map.len() != first as usize {
                    return Err(Failure::new("confused", "origins out of order").into());
                }
                for origin in origins {
                    self.database.announce(&mut self.map, origin);
                }
                if let Some(full) = &mut self.full {
                    full.intake.learn(&self.map);
                }
                Ok(())
            }
            Message::Records { lsn, packed, .. } => self.records(receiver, lsn, packed, out),
            Message::Head { lsn, rows, .. } => {
                for (index, high) in rows {
                    let Some(index) = self.map.get(index) else {
                        return Err(
                            Failure::new("confused", "a row of an unannounced origin").into()
                        );
                    };
                    if let Some(view) = self.view(receiver) {
                        view.raise_index(index, high);
                    }
                }
                self.acknowledge(lsn, out);
                Ok(())
            }
            Message::FullBegin {
                mode,
                bytes,
                history,
                ..
            } => {
                let decoded = History::decode(&mut Reader::new(history));
                let theirs = decoded.map_err(StoreError::from)?;
                let mode = match mode {
                    FullMode::Merge => Mode::Merge,
                    FullMode::Replace | FullMode::Overwrite => Mode::Replace,
                };
                let intake = Intake::begin(&self.database, mode, &theirs, &self.map, bytes)?;
                self.full = Some(Full {
                    intake,
                    chunks: Vec::new(),
                    goal: None,
                });
                Ok(())
            }
            Message::FullSlice {
                first,
                last,
                vv,
                packed,
                ..
            } => {
                let Some(full) = &mut self.full else {
                    return Err(Failure::new("confused", "a part of no state").into());
                };
                full.chunks
                    .push((Chunk { first, last, vv }, packed.to_vec()));
                Ok(())
            }
            Message::FullEnd { vv, .. } => {
                let goal = self.map.vector(&vv).map_err(StoreError::from)?;
                let Some(full) = &mut self.full else {
                    return Err(Failure::new("confused", "the end of no state").into());
                };
                full.intake.learn(&self.map);
                for (chunk, packed) in std::mem::take(&mut full.chunks) {
                    full.intake.chunk(chunk, packed)?;
                }
                full.intake.end_scan()?;
                full.goal = Some(goal);
                self.try_switch(receiver, out)
            }
            other => Err(Failure::new("confused", format!("{other:?}")).into()),
        }
    }

    fn try_switch(&mut self, receiver: &mut Instance, out: &mut Vec<u8>) -> Result<(), End> {
        let Some(full) = &mut self.full else {
            return Ok(());
        };
        let Some(goal) = &full.goal else {
            return Ok(());
        };
        if !full.intake.holds(goal)? {
            return Ok(());
        }
        let Some(full) = self.full.take() else {
            return Ok(());
        };
        full.intake.switch()?;
        receiver.wish = None;
        self.switched += 1;
        self.has_switched = true;
        self.receipts.replaced(&self.database, out);
        Ok(())
    }

    fn records(
        &mut self,
        receiver: &mut Instance,
        lsn: u64,
        packed: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), End> {
        let mut records = PackedRecords::new(packed);
        while let Some(record) = records.next_record().map_err(StoreError::from)? {
            if let Some(full) = &mut self.full {
                full.intake.record(record)?;
            } else {
                self.apply(receiver, record)?;
            }
        }
        if self.full.is_some() {
            self.receipts.passed(lsn, out);
            return self.try_switch(receiver, out);
        }
        // A full disk keeps it from being written: then it is acknowledged as applied, not durable.
        drop(self.database.flush_all());
        self.acknowledge(lsn, out);
        Ok(())
    }

    /// Applies one record, and sees that it is the next of its origin.
    fn apply(&mut self, receiver: &mut Instance, record: &[u8]) -> Result<(), End> {
        let before = self.database.commit().history.vv.clone();
        let mut view = self.view(receiver);
        let mut admitted = |dot: Dot| {
            if let Some(view) = &mut view {
                view.raise_index(dot.origin, dot.sequence);
            }
        };
        let applied = self.database.apply(record, &self.map, &mut admitted);
        let named = |error| match End::from(error) {
            End::Broken(Failure { class, text }) => {
                let text = format!("{} <- {}: {text}", receiver.name, self.source);
                End::Broken(Failure { class, text })
            }
            passing @ End::Passing(_) => passing,
        };
        match applied.map_err(named)? {
            Applied::Applied(dot, _) => {
                self.applied += 1;
                if dot.sequence != before.high(dot.origin) + 1 {
                    let (had, got) = (before.high(dot.origin), dot.sequence);
                    let text = format!("{}: {got} applied after {had}", receiver.name);
                    return Err(Failure::new("order", text).into());
                }
            }
            // Behind a state the source sends everything until it hears that the state is served.
            Applied::Skipped(_) if self.has_switched => {}
            Applied::Skipped(_) => self.duplicates += 1,
        }
        Ok(())
    }

    fn acknowledge(&mut self, lsn: u64, out: &mut Vec<u8>) {
        if self.full.is_some() {
            self.receipts.passed(lsn, out);
        } else {
            self.receipts.applied(&self.database, lsn, out);
        }
    }

    /// Tells what has become durable; ends a handover that is complete.
    pub(crate) fn step(&mut self, out: &mut Vec<u8>) -> Result<(), End> {
        self.receipts.durable(&self.database, out);
        let wants_state = self.wish.is_some() && !self.has_switched;
        if self.kind == LinkKind::Handover && self.full.is_none() && !wants_state {
            let commit = self.database.commit();
            let held = &commit.history.vv;
            let mut rows = self.goal.rows();
            if rows.all(|(index, row)| row.high <= held.high(index)) {
                return Err(End::Passing("done".to_owned()));
            }
        }
        Ok(())
    }
}
