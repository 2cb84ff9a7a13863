//! A full resync on its way in: chunks, then records, then the switch.
//!
//! ```text
//! FullBegin ─▶ FullSlice ... ─▶ FullEnd ─▶ Records ... until all that the scan saw is held
//!           ─▶ switch ─▶ FullDone
//! ```
//!
//! The old state serves until the switch. States that are given up for the source's by somebody's
//! order are switched together, and a writer goes on under a new incarnation (rule 8).

use super::apply::{Applier, ApplyError};
use super::taking::Taking;
use crate::instance::Instance;
use crate::meta::StoredRole;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tandem_merge::codec::Reader;
use tandem_merge::record::peek;
use tandem_merge::{History, VersionVector};
use tandem_proto::status::LinkState;
use tandem_replicate::FullMode;
use tandem_replicate::message::PackedRecords;
use tandem_store::resync::{Chunk, Intake, Mode};
use tandem_store::{Database, StoreError};

/// Largest chunk that is put together from parts, in bytes.
const CHUNK_BYTES_MAX: usize = 1 << 30;
/// Bytes after which the progress is shown again.
const SHOWN_BYTES: u64 = 4 << 20;

fn begun(taking: &mut Taking) -> Result<&mut Intake, ApplyError> {
    taking
        .intake
        .as_mut()
        .ok_or(ApplyError::Unexpected("a state that it did not begin"))
}

/// An instance that holds nothing is nobody to promote until its first state is there whole: one
/// with old data has those until the switch, this one has none.
fn mark_first_filling(instance: &Instance) -> Result<(), ApplyError> {
    let holds_nothing = |database: &Arc<Database>| {
        let commit = database.commit();
        !commit.history.vv.rows().any(|(_, row)| row.high > 0)
    };
    if instance.meta().unfinished_resync || !instance.store.opened().all(holds_nothing) {
        return Ok(());
    }
    instance
        .update(|meta| meta.unfinished_resync = true)
        .map_err(|error| ApplyError::Role(error.to_string()))
}

impl Applier {
    fn taking(&mut self, number: u32) -> Result<&mut Taking, ApplyError> {
        self.incoming(number)?
            .taking
            .as_deref_mut()
            .ok_or(ApplyError::Unexpected(
                "a full resync that was not agreed on",
            ))
    }

    pub(super) fn full_begin(
        &mut self,
        number: u32,
        mode: FullMode,
        bytes: u64,
        history: &[u8],
    ) -> Result<(), ApplyError> {
        let run = self.source_run;
        let incoming = self.incoming(number)?;
        let Some(taking) = incoming.taking.as_deref_mut() else {
            return Err(ApplyError::Unexpected(
                "a full resync that was not agreed on",
            ));
        };
        if taking.mode != mode || taking.intake.is_some() {
            return Err(ApplyError::Unexpected(
                "another full resync than was agreed on",
            ));
        }
        let history = History::decode(&mut Reader::new(history)).map_err(StoreError::from)?;
        if mode == FullMode::Replace {
            mark_first_filling(&self.shared.instance)?;
        }
        let incoming = self.incoming(number)?;
        let taking = incoming
            .taking
            .as_deref_mut()
            .ok_or(ApplyError::Unexpected("a state that it did not begin"))?;
        let kept = match mode {
            FullMode::Merge => Mode::Merge,
            FullMode::Replace | FullMode::Overwrite => Mode::Replace,
        };
        let (database, map) = (&incoming.database, &incoming.map);
        taking.intake = Some(Intake::begin(database, kept, &history, map, bytes)?);
        taking.bytes_expected = bytes;
        tracing::info!(database = number, ?mode, bytes, "full resync begins");
        let vv = incoming.map.vector(&history.vv).map_err(StoreError::from)?;
        incoming.hear(run, &vv);
        self.show();
        Ok(())
    }

    pub(super) fn full_part(&mut self, number: u32, packed: &[u8]) -> Result<(), ApplyError> {
        let taking = self.taking(number)?;
        begun(taking)?;
        if taking.part.len() + packed.len() > CHUNK_BYTES_MAX {
            return Err(ApplyError::Unexpected("a chunk of more than 1 GiB"));
        }
        taking.part.extend_from_slice(packed);
        Ok(())
    }

    pub(super) fn full_slice(
        &mut self,
        number: u32,
        chunk: Chunk,
        packed: &[u8],
    ) -> Result<(), ApplyError> {
        let taking = self.taking(number)?;
        let mut whole = std::mem::take(&mut taking.part);
        whole.extend_from_slice(packed);
        let before = taking.bytes / SHOWN_BYTES;
        taking.bytes += whole.len() as u64;
        let is_news = taking.bytes / SHOWN_BYTES != before;
        begun(taking)?.chunk(chunk, whole)?;
        if is_news {
            self.show();
        }
        Ok(())
    }

    pub(super) fn full_end(&mut self, number: u32, vv: &VersionVector) -> Result<(), ApplyError> {
        let run = self.source_run;
        let incoming = self.incoming(number)?;
        let goal = incoming.map.vector(vv).map_err(StoreError::from)?;
        incoming.hear(run, &goal);
        let taking = self.taking(number)?;
        begun(taking)?.end_scan()?;
        taking.goal = Some(goal);
        self.show();
        self.switch_when_ready(number)
    }

    /// Records for the new state; none of them is in force yet.
    pub(super) fn full_records(
        &mut self,
        number: u32,
        lsn: u64,
        packed: &[u8],
    ) -> Result<(), ApplyError> {
        let run = self.source_run;
        let incoming = self.incoming(number)?;
        let Some(taking) = incoming.taking.as_deref_mut() else {
            return Ok(());
        };
        let intake = begun(taking)?;
        let mut records = PackedRecords::new(packed);
        while let Some(record) = records.next_record().map_err(StoreError::from)? {
            intake.record(record)?;
            let (origin, sequence) = peek(record).map_err(StoreError::from)?;
            let mut view = incoming.view.lock();
            if let Some(index) = incoming.map.get(origin).filter(|_| view.is_of(run)) {
                view.raise_index(index, sequence);
            }
        }
        taking.lsn = lsn;
        let mut bytes = Vec::new();
        self.books.taken(number, lsn, &mut bytes);
        drop(self.outgoing.send(bytes));
        self.switch_when_ready(number)
    }

    fn switch_when_ready(&mut self, number: u32) -> Result<(), ApplyError> {
        let taking = self.taking(number)?;
        if !taking.is_ready()? {
            return Ok(());
        }
        if taking.mode != FullMode::Overwrite {
            return self.switch(number);
        }
        let mut numbers = Vec::new();
        for (number, incoming) in &mut self.databases {
            match incoming.taking.as_deref_mut() {
                Some(other) if other.mode == FullMode::Overwrite => {
                    if !other.is_ready()? {
                        return Ok(());
                    }
                    numbers.push(*number);
                }
                _ => {}
            }
        }
        self.overwrite(&numbers)
    }

    /// Gives up the own state. What is on disk says that it is unfinished until all is switched.
    fn overwrite(&mut self, numbers: &[u32]) -> Result<(), ApplyError> {
        let instance = Arc::clone(&self.shared.instance);
        let failed = |error: &dyn std::fmt::Display| ApplyError::Role(error.to_string());
        instance
            .update(|meta| meta.unfinished_resync = true)
            .map_err(|error| failed(&error))?;
        instance
            .stop_writing(|_| {})
            .map_err(|error| failed(&error))?;
        for number in numbers {
            self.switch(*number)?;
        }
        instance
            .update(|meta| meta.unfinished_resync = false)
            .map_err(|error| failed(&error))?;
        if self.adoption.waits() {
            self.adoption
                .remember(&instance)
                .map_err(|error| failed(&error))?;
        }
        let meta = instance.meta();
        if meta.role == StoredRole::Writer {
            let life = instance
                .resume_writer(meta.epoch)
                .map_err(|error| failed(&error))?;
            tracing::info!(
                epoch = life.epoch,
                "the own state was given up, writing goes on as a new life"
            );
        }
        Ok(())
    }

    /// Puts a new state in force and tells the source.
    fn switch(&mut self, number: u32) -> Result<(), ApplyError> {
        let incoming = self.incoming(number)?;
        let Some(taking) = incoming.taking.take() else {
            return Ok(());
        };
        let Taking {
            intake,
            lsn,
            bytes,
            begun,
            mode,
            ..
        } = *taking;
        let paused = Instant::now();
        if let Some(intake) = intake {
            intake.switch()?;
        }
        let switch_ms = paused.elapsed().as_millis() as u64;
        incoming.state = LinkState::Streaming;
        let elapsed_ms = begun.elapsed().as_millis() as u64;
        tracing::info!(
            database = number,
            ?mode,
            bytes,
            elapsed_ms,
            switch_ms,
            "full resync complete"
        );
        let mut out = Vec::new();
        self.books.replaced(number, lsn, &mut out);
        drop(self.outgoing.send(out));
        self.shared.waker.wake();
        self.dial.full_resyncs.fetch_add(1, Ordering::Relaxed);
        if self.databases.values().all(|one| one.taking.is_none()) {
            *self.dial.wish.lock() = None;
            let instance = &self.shared.instance;
            if mode == FullMode::Replace && instance.meta().unfinished_resync {
                instance
                    .update(|meta| meta.unfinished_resync = false)
                    .map_err(|error| ApplyError::Role(error.to_string()))?;
            }
        }
        self.show();
        Ok(())
    }

    /// What the link's status says of full resyncs that go on.
    pub(super) fn taking_text(&self) -> Option<String> {
        let all = || {
            self.databases
                .values()
                .filter_map(|one| one.taking.as_deref())
        };
        let count = all().count();
        if count == 0 {
            return None;
        }
        if all().all(|one| one.intake.is_none()) {
            return Some(format!(
                "full resync of {count} databases waits for its turn at the source"
            ));
        }
        let (bytes, expected) = all().fold((0, 0), |(bytes, expected), one| {
            (bytes + one.bytes, expected + one.bytes_expected)
        });
        let scanned = all().filter(|one| one.goal.is_some()).count();
        Some(format!(
            "full resync of {count} databases ({scanned} scanned): {bytes} of about {expected} bytes taken"
        ))
    }
}
