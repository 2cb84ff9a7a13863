//! The judgement at the end: everything is everywhere, equal, and what was answered is there.

use crate::disk::Crash;
use crate::failure::Failure;
use crate::ledger::key_of;
use crate::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tandem_merge::record::peek;
use tandem_merge::{Kind, NEVER, Objects, Origin, Stamp};
use tandem_store::Database;
use tandem_store::log::{Class, LogReader};

impl World {
    /// What an instance shows after everything that expires has expired.
    pub(crate) fn digest(&self, at: usize) -> Result<u128, Failure> {
        match &self.instances[at].database {
            Some(database) => Ok(database.digest(NEVER - 1)?.0),
            None => Ok(0),
        }
    }

    /// Whether everything is up, whole, and holds the same.
    pub(crate) fn has_converged(&self) -> bool {
        let first = self.instances[0].held();
        self.instances
            .iter()
            .all(|one| one.not_eligible().is_none() && one.wish.is_none() && one.held() == first)
    }

    /// Compares all instances with each other, with the ledger, and with themselves after power
    /// loss.
    pub(crate) fn check(&mut self) -> Result<(), Failure> {
        self.check_equal()?;
        self.check_ledger()?;
        for at in 0..self.instances.len() {
            self.check_log(at)?;
        }
        for at in 0..self.instances.len() {
            let before = (self.instances[at].held(), self.digest(at)?);
            if let Some(database) = self.instances[at].database.clone() {
                database.flush_all()?;
                database.log.sync()?;
                self.observe(at);
            }
            self.stop(at, Crash::Power);
            self.expected.insert(at, before);
            self.start(at)?;
        }
        self.check_equal()?;
        self.check_ledger()
    }

    fn check_equal(&self) -> Result<(), Failure> {
        let databases = || {
            self.instances
                .iter()
                .filter_map(|one| one.database.as_ref())
        };
        let now: Stamp = databases()
            .map(|database| database.commit().history.seen + 1)
            .max()
            .unwrap_or(1);
        for moment in [now, NEVER - 1] {
            let mut first = None;
            for (at, database) in databases().enumerate() {
                let digest = database.digest(moment)?;
                if *first.get_or_insert(digest) != digest {
                    let text = format!(
                        "{} shows {digest:?} at {moment}, others {first:?}: {}",
                        self.instances[at].name,
                        self.differences(moment)?
                    );
                    return Err(Failure::new("divergence", text));
                }
            }
        }
        Ok(())
    }

    /// The first keys that are not equal everywhere, with what each instance shows.
    fn differences(&self, moment: Stamp) -> Result<String, Failure> {
        let mut shown: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for instance in &self.instances {
            let Some(database) = &instance.database else {
                continue;
            };
            let origins = database.commit().history.origins.clone();
            database.cells.visit_all(|_, object| {
                if let Some(kind) = object.kind(moment, &origins) {
                    let mut elements: Vec<String> = object
                        .elements(kind, moment, &origins)
                        .map(|(name, value)| {
                            let value = String::from_utf8_lossy(&value).into_owned();
                            format!("{}={:.20}", String::from_utf8_lossy(name), value)
                        })
                        .collect();
                    elements.sort();
                    let deadline = object.visible_deadline(moment);
                    let text = format!("{}: {kind:?} {elements:?} {deadline:?}", instance.name);
                    let key = String::from_utf8_lossy(object.key()).into_owned();
                    shown.entry(key).or_default().push(text);
                }
                true
            })?;
        }
        let count = self.instances.len();
        // Elements that everybody shows say nothing.
        let differs = |texts: &Vec<String>| {
            let bare = |text: &String| text.split_once(": ").map(|(_, t)| t.to_owned());
            texts.len() != count || texts.iter().any(|text| bare(text) != bare(&texts[0]))
        };
        let wrong = shown.iter().filter(|(_, texts)| differs(texts)).take(3);
        let wrong: Vec<String> = wrong
            .map(|(key, texts)| format!("{key} {texts:?}"))
            .collect();
        Ok(wrong.join("; "))
    }

    fn check_ledger(&mut self) -> Result<(), Failure> {
        self.ledger.close();
        if self.settings.flushes {
            return Ok(());
        }
        for instance in &self.instances {
            let Some(database) = &instance.database else {
                continue;
            };
            for life in self.ledger.lives() {
                let found = elements(database, life)?;
                if let Some(text) = self.ledger.compare(life, &found) {
                    let text = format!("{}: {text}", instance.name);
                    return Err(Failure::new("answered write", text));
                }
            }
        }
        Ok(())
    }

    /// Each origin's records stand in a log once and in order. A log behind damage, or of a state
    /// that was given up, may hold some of them again.
    fn check_log(&self, at: usize) -> Result<(), Failure> {
        let instance = &self.instances[at];
        let Some(database) = &instance.database else {
            return Ok(());
        };
        if instance.is_damaged {
            return Ok(());
        }
        let segments = database.log.segments();
        let served = segments
            .iter()
            .find(|info| info.base >= database.serve_from());
        let Some(first) = served else {
            return Ok(());
        };
        let mut reader = LogReader::open(Arc::clone(&database.log), first.base)?;
        let mut highs: BTreeMap<u32, u64> = BTreeMap::new();
        while let Some(entry) = reader.next(database.log.written())? {
            if entry.class != Class::Record {
                continue;
            }
            let (origin, sequence) =
                peek(entry.payload).map_err(|error| Failure::new("decode", error.to_string()))?;
            let high = highs.insert(origin.0, sequence).unwrap_or(0);
            if sequence <= high {
                let text = format!(
                    "{}: origin {origin:?}, {sequence} behind {high}",
                    instance.name
                );
                return Err(Failure::new("log order", text));
            }
        }
        Ok(())
    }
}

/// What an instance has of a life's own set.
fn elements(database: &Arc<Database>, life: Origin) -> Result<BTreeSet<u64>, Failure> {
    let key = key_of(life);
    let locked = database.lock_one(&key, 0)?;
    let Some(object) = locked.object(&key) else {
        return Ok(BTreeSet::new());
    };
    let origins = locked.origins();
    let names = object.elements(Kind::Set, NEVER - 1, &origins);
    Ok(names
        .filter_map(|(name, _)| std::str::from_utf8(name).ok()?.parse().ok())
        .collect())
}
