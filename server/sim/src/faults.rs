//! What goes wrong: crashes, cuts, promotions, full and failing disks, damage, clocks that jump; and
//! the upkeep that makes room for it.

use crate::disk::Crash;
use crate::failure::Failure;
use crate::sabotage::Sabotage;
use crate::world::World;
use tandem_store::database::Retention;

impl World {
    /// What may go wrong in this step.
    pub(crate) fn fault(&mut self) -> Result<(), Failure> {
        let settings = self.settings.clone();
        let count = self.instances.len();
        if self.random.in_thousand(settings.crash) {
            let at = self.random.below(count);
            let how = self.random.pick(&[Crash::Process, Crash::Power]);
            self.crash(at, how)?;
        }
        if self.random.in_thousand(settings.crash / 4) {
            for at in 0..count {
                self.crash(at, Crash::Power)?;
            }
        }
        if self.random.in_thousand(settings.cut) {
            let (a, b) = (self.random.below(count), self.random.below(count));
            let until = self.now_ms + self.random.below(3_000) as u64;
            self.cuts.insert((a.min(b), a.max(b)), until);
            self.links.retain(|link| {
                (
                    link.receiver.min(link.source),
                    link.receiver.max(link.source),
                ) != (a.min(b), a.max(b))
            });
            self.say(|| format!("cut between {a} and {b}"));
        }
        if self.random.in_thousand(settings.promote) {
            self.promote()?;
        }
        if self.random.in_thousand(settings.disk_fault) {
            self.spoil_disk();
        }
        if self.random.in_thousand(settings.damage) {
            let at = self.random.below(count);
            self.damage(at);
        }
        if self.random.in_thousand(settings.jump) {
            let at = self.random.below(count);
            self.instances[at].skew_ms = self.random.below(12_000) as i64 - 6_000;
        }
        Ok(())
    }

    fn crash(&mut self, at: usize, how: Crash) -> Result<(), Failure> {
        let Some(database) = self.instances[at].database.clone() else {
            return Ok(());
        };
        // What the kernel has must be back after the death of the process alone.
        let is_resyncing = database.is_resyncing();
        let flushes = how == Crash::Process && !is_resyncing && self.random.below(2) == 0;
        if flushes && database.flush_all().is_ok() {
            self.observe(at);
            let expected = (self.instances[at].held(), self.digest(at)?);
            self.expected.insert(at, expected);
        }
        drop(database);
        self.stop(at, how);
        Ok(())
    }

    /// Ends a process; it starts again after a while.
    pub(crate) fn stop(&mut self, at: usize, how: Crash) {
        self.links
            .retain(|link| link.receiver != at && link.source != at);
        let pause = self.random.below(1_500) as u64;
        let instance = &mut self.instances[at];
        instance.stop(how, &mut self.random);
        instance.starts_ms = self.now_ms + pause;
        let name = instance.name.clone();
        match how {
            Crash::Process => self.ledger.process_died(at),
            Crash::Power => self.ledger.power_lost(at),
        }
        self.say(|| format!("{name} stops by {how:?}"));
    }

    /// Another instance of a group becomes its writer; the old one is down, told, or not told yet.
    fn promote(&mut self) -> Result<(), Failure> {
        let group = self.random.below(self.writers.len());
        let old = self.writers[group];
        let able: Vec<usize> = (0..self.instances.len())
            .filter(|at| *at != old && self.instances[*at].group == group)
            .filter(|at| self.instances[*at].not_eligible().is_none())
            .collect();
        if able.is_empty() {
            return Ok(());
        }
        let chosen = self.random.pick(&able);
        match self.random.below(3) {
            0 => {
                let how = self.random.pick(&[Crash::Process, Crash::Power]);
                self.crash(old, how)?;
            }
            1 => {
                self.zombies.insert(old);
            }
            _ => {}
        }
        self.zombies.remove(&chosen);
        self.epochs[group] += 1;
        self.writers[group] = chosen;
        self.report.promotions += 1;
        let (from, to) = (&self.instances[old].name, &self.instances[chosen].name);
        let text = format!("{to} is promoted after {from}");
        self.say(|| text);
        Ok(())
    }

    fn spoil_disk(&mut self) {
        let at = self.random.below(self.instances.len());
        let disk = self.instances[at].disk.clone();
        let what = self.random.below(4);
        match what {
            0 => disk.fail_syncs(1),
            1 => disk.fill_at_sync(1),
            _ => {
                let room = self.random.below(1_500);
                disk.set_capacity(Some(disk.used_bytes() + room));
                self.full_until
                    .insert(at, self.now_ms + self.random.below(2_000) as u64);
            }
        }
        self.say(|| format!("disk fault {what} at {at}"));
    }

    /// Flips a byte in the log of an instance that goes down, if all it holds is safe elsewhere.
    fn damage(&mut self, at: usize) {
        let victim = self.instances[at].held();
        let covers = |other: usize| {
            let held = self.instances[other].held();
            victim.iter().all(|(origin, row)| {
                held.get(origin).is_some_and(|row_there| {
                    row_there.high >= row.high && row_there.holes.is_empty()
                })
            })
        };
        let is_safe = |other: &usize| {
            let there = &self.instances[*other];
            *other != at && there.not_eligible().is_none() && !there.is_damaged && covers(*other)
        };
        if self.instances[at].database.is_none() {
            return;
        }
        let Some(helper) = (0..self.instances.len()).find(is_safe) else {
            return;
        };
        let Some(database) = self.instances[helper].database.clone() else {
            return;
        };
        if database.flush_all().is_err() || database.log.sync().is_err() {
            return;
        }
        self.observe(helper);
        self.stop(at, Crash::Process);
        self.expected.remove(&at);
        let disk = self.instances[at].disk.clone();
        let logs = disk.files_in(std::path::Path::new("db0/log"));
        if logs.is_empty() {
            return;
        }
        let path = self.random.pick(&logs);
        let mut bytes = disk.bytes(&path).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let place = self.random.below(bytes.len());
        bytes[place] ^= 1 << self.random.below(8);
        disk.put(&path, bytes);
        self.instances[at].is_damaged = true;
        self.report.damages += 1;
        self.say(|| format!("damage at {at}: {} byte {place}", path.display()));
    }

    /// What passes with time.
    pub(crate) fn recover(&mut self, all: bool) {
        let now_ms = self.now_ms;
        self.cuts.retain(|_, until| !all && *until > now_ms);
        for at in 0..self.instances.len() {
            let is_full = self
                .full_until
                .get(&at)
                .is_some_and(|until| *until > now_ms);
            if all || !is_full {
                self.full_until.remove(&at);
                self.instances[at].disk.set_capacity(None);
            }
        }
        if all || self.random.below(40) == 0 {
            self.zombies.clear();
        }
    }

    /// Writing out, syncing, checkpoints, purges.
    pub(crate) fn upkeep(&mut self, at: usize) -> Result<(), Failure> {
        let Some(database) = self.instances[at].database.clone() else {
            return Ok(());
        };
        let often = if self.is_healing { 1 } else { 5 };
        if self.random.below(often) == 0 || self.settings.always {
            // A full disk takes it later.
            drop(database.flush_all());
        }
        if self.random.below(often) == 0 || (self.settings.always && self.random.below(2) == 0) {
            drop(database.log.sync());
        }
        self.observe(at);
        if self.random.below(30) == 0 {
            match database.checkpoint() {
                Ok(_) => self.report.checkpoints += 1,
                Err(tandem_store::StoreError::Log(_) | tandem_store::StoreError::Io { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.random.below(30) == 0 {
            for place in 0..4096 {
                database.cells.evict_slice(place / 64, place % 64);
            }
        }
        if self.random.below(20) == 0 {
            let hard = self.settings.purges_hard && self.random.below(3) == 0;
            let keep = Retention {
                segments_min: 1,
                bytes_max: u64::from(hard),
                old_before: None,
            };
            let needed = self.instances[at].horizon.lowest();
            let horizon = needed.unwrap_or_else(|| database.log.durable());
            let (removed, _) = database.purge(horizon, keep)?;
            self.report.purged += removed as u64;
        }
        if self.random.below(10) == 0 {
            self.instances[at].reserve_stamps(self.now_ms);
        }
        Ok(())
    }

    /// Tells the ledger how far a log is, as the instance would tell its clients.
    pub(crate) fn observe(&mut self, at: usize) {
        let Some(database) = &self.instances[at].database else {
            return;
        };
        let (mut written, mut durable) = (database.log.written(), database.log.durable());
        match self.sabotage {
            Sabotage::AnswerBeforeWritten => written = u64::MAX,
            Sabotage::AnswerBeforeDurable => durable = written,
            _ => {}
        }
        self.ledger.moved(at, written, durable);
    }
}
