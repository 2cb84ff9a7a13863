//! One database at one instance, in memory: the reference composition of history, objects and log.
//!
//! Tests and the simulator use it. The store does the same with shards, files and locks.

use crate::context::Context;
use crate::draft::{Draft, Objects};
use crate::effect::{Effect, EffectReader, EffectWriter, Kind, Marks};
use crate::history::{Admission, History, Refused};
use crate::object::{Object, merge_objects};
use crate::origin::{Dot, Origin, OriginIndex};
use crate::record::RecordHeader;
use crate::rules::{Rule, off};
use crate::stamp::{Clock, Stamp};
use crate::vv::{Row, VersionVector};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A record that names origins in full, so that it means the same at every site.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Who wrote it.
    pub origin: Origin,
    /// Its place among that origin's records.
    pub sequence: u64,
    /// When.
    pub stamp: Stamp,
    /// Rows its context gained.
    pub gains: Vec<(Origin, Row)>,
    /// Whether `gains` is the whole context.
    pub whole: bool,
    /// Whether the writer held all that any instance of its group holds.
    pub settled: bool,
    /// Earlier lives of the group that end here.
    pub closes: Vec<Origin>,
    /// Encoded effects.
    pub effects: Vec<u8>,
}

/// A version vector that names origins in full.
pub type Held = BTreeMap<Origin, Row>;

/// Commands of one record: they get the draft, and the objects as they are (for a flush).
pub type Commands<'c> = &'c mut dyn FnMut(&mut Draft<'_>, &BTreeMap<Vec<u8>, Object>);

/// What clients see of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its type.
    pub kind: Kind,
    /// Elements and values.
    pub elements: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Its deadline.
    pub deadline: Option<Stamp>,
}

/// History and objects: what a state transfer carries and a switch replaces.
#[derive(Debug, Clone, Default)]
pub struct Data {
    /// What is held and who was heard.
    pub history: History,
    /// By key.
    pub objects: BTreeMap<Vec<u8>, Object>,
}

impl Objects for BTreeMap<Vec<u8>, Object> {
    fn object(&self, key: &[u8]) -> Option<&Object> {
        self.get(key)
    }
}

impl Data {
    /// Takes a record in: skips, applies or refuses it. True when it was applied.
    pub fn apply(&mut self, record: &Record, own: Option<OriginIndex>) -> Result<bool, Refused> {
        let header = self.header(record);
        if self.history.admit(&header, own)? == Admission::Skip {
            return Ok(false);
        }
        let dot = Dot {
            origin: header.origin,
            sequence: header.sequence,
        };
        let context = self.history.context(&header);
        let origins = &self.history.origins;
        apply_effects(&mut self.objects, &record.effects, |object, effect| {
            object.apply(effect, dot, header.stamp, context, origins)
        });
        self.history.note(&header);
        Ok(true)
    }

    fn header(&mut self, record: &Record) -> RecordHeader {
        let mut intern = |origin: Origin| self.history.origins.intern(origin);
        RecordHeader {
            origin: intern(record.origin),
            sequence: record.sequence,
            stamp: record.stamp,
            gains: record
                .gains
                .iter()
                .map(|(o, row)| (intern(*o), row.clone()))
                .collect(),
            whole: record.whole,
            settled: record.settled,
            closes: record.closes.clone(),
        }
    }

    /// The version vector with origins in full.
    pub fn held(&self) -> Held {
        self.named(&self.history.vv)
    }

    fn named(&self, vector: &VersionVector) -> Held {
        vector
            .rows()
            .map(|(origin, row)| (self.history.named(origin), row.clone()))
            .collect()
    }
}

/// Calls `apply` for every object that each effect works on.
fn apply_effects<E: std::fmt::Debug>(
    objects: &mut BTreeMap<Vec<u8>, Object>,
    effects: &[u8],
    apply: impl Fn(&mut Object, &Effect<'_>) -> Result<(), E>,
) {
    let mut reader = EffectReader::new(effects);
    while let Some(effect) = reader.next_effect().expect("effects of a draft decode") {
        let Some(key) = effect.key() else {
            let parts = effect
                .marks()
                .by_key()
                .map(|part| part.expect("marks of a draft decode"));
            let parts: BTreeMap<&[u8], Marks<'_>> = parts.collect();
            objects.retain(|key, object| {
                let marks = parts.get(&key[..]).copied().unwrap_or_default();
                apply(object, &Effect::Flush { marks }).expect("effects of a draft apply");
                !object.is_void()
            });
            continue;
        };
        let object = objects
            .entry(key.to_vec())
            .or_insert_with(|| Object::new(key));
        apply(object, &effect).expect("effects of a draft apply");
        if object.is_void() {
            objects.remove(key);
        }
    }
}

/// One database at one instance.
#[derive(Debug, Clone)]
pub struct Site {
    /// The group.
    pub server_id: u32,
    /// Its epoch.
    pub epoch: u64,
    /// Groups that write into the same data.
    pub members: Vec<u32>,
    /// History and objects.
    pub data: Data,
    /// Records that can be served, oldest first.
    pub log: Vec<Arc<Record>>,
    /// Own stamps; on disk at once.
    pub clock: Clock,
    /// The current life, once it has written.
    pub own: Option<OriginIndex>,
    /// All lives this instance ever began; on disk at once.
    pub lives: Vec<Origin>,
    disk: (Data, Vec<Arc<Record>>),
}

impl Site {
    /// An empty instance. `skew_max` is in stamp units.
    pub fn new(server_id: u32, members: &[u32], skew_max: Stamp) -> Self {
        Self {
            server_id,
            epoch: 0,
            members: members.to_vec(),
            data: Data::default(),
            log: Vec::new(),
            clock: Clock {
                last: 0,
                seen: 0,
                skew_max,
            },
            own: None,
            lives: Vec::new(),
            disk: (Data::default(), Vec::new()),
        }
    }

    /// The current life.
    pub fn life(&self) -> Option<Origin> {
        self.own.map(|own| self.data.history.named(own))
    }

    /// What readers take as now.
    pub fn now(&self, wall: Stamp) -> Stamp {
        self.clock.now(wall)
    }

    // -- writing -----------------------------------------------------------------------------------

    /// Runs commands on a draft and makes one record of what they change; `None` when that is
    /// nothing. Without commands: a mark. `draw` gives 64 random bits for a new life.
    pub fn write(
        &mut self,
        wall: Stamp,
        draw: &mut dyn FnMut() -> u64,
        commands: Option<Commands<'_>>,
        settled: bool,
        closes: &[Origin],
    ) -> Option<Arc<Record>> {
        let origin = self.next_life(draw);
        let stamp = self.tick(wall);
        let known = self.data.history.origins.get(&origin);
        let mut out = EffectWriter::default();
        if let Some(commands) = commands {
            let Data { history, objects } = &self.data;
            let mut draft = Draft::new(objects, &history.origins, known, stamp);
            commands(&mut draft, objects);
            if draft.is_empty() {
                return None;
            }
            let sequence = known.map_or(0, |own| history.vv.high(own)) + 1;
            draft.finish(sequence, &mut out);
        }
        Some(self.commit(origin, stamp, out.bytes(), settled, closes))
    }

    /// The life that the next write belongs to.
    pub fn next_life(&self, draw: &mut dyn FnMut() -> u64) -> Origin {
        self.life().unwrap_or_else(|| Origin {
            server_id: self.server_id,
            epoch: self.epoch,
            incarnation: if off(Rule::Incarnation) { 0 } else { draw() },
        })
    }

    /// Gives the next own stamp.
    pub fn tick(&mut self, wall: Stamp) -> Stamp {
        self.clock.seen = self.data.history.seen;
        self.clock.tick(wall)
    }

    /// Makes the next record of a life out of effects, applies and logs it.
    pub fn commit(
        &mut self,
        origin: Origin,
        stamp: Stamp,
        effects: &[u8],
        settled: bool,
        closes: &[Origin],
    ) -> Arc<Record> {
        let history = &mut self.data.history;
        let own = history.origins.intern(origin);
        if self.own.is_none() {
            self.own = Some(own);
            self.lives.push(origin);
        }
        history.skip_lost();
        let sequence = history.vv.high(own) + 1;
        let (gains, whole) = history.own_gains(own);
        let gains = gains
            .into_iter()
            .map(|(o, row)| (history.named(o), row))
            .collect();
        let (origins, dot) = (
            &history.origins,
            Dot {
                origin: own,
                sequence,
            },
        );
        apply_effects(&mut self.data.objects, effects, |object, effect| {
            object.apply(effect, dot, stamp, Context::Everything, origins)
        });
        history.note_own(own, sequence, stamp, settled, closes);
        let (closes, effects) = (closes.to_vec(), effects.to_vec());
        let record = Record {
            origin,
            sequence,
            stamp,
            gains,
            whole,
            settled,
            closes,
            effects,
        };
        let record = Arc::new(record);
        self.log.push(Arc::clone(&record));
        record
    }

    // -- receiving and sending ---------------------------------------------------------------------

    /// Takes a record in (rules 4, 5 and 8). True when it was applied.
    pub fn apply(&mut self, record: &Arc<Record>) -> Result<bool, Refused> {
        let applied = self.data.apply(record, self.own)?;
        if applied {
            self.log.push(Arc::clone(record));
        }
        Ok(applied)
    }

    /// The whole log less what the receiver holds; `None` when it needs a state first (rule 5).
    pub fn serve(&self, receiver: &Held) -> Option<Vec<Arc<Record>>> {
        let high = |origin: &Origin| receiver.get(origin).map_or(0, |row| row.high);
        let history = &self.data.history;
        let below = history
            .base
            .rows()
            .any(|(o, row)| row.high > high(&history.named(o)));
        if below {
            return None;
        }
        let lacks = |record: &&Arc<Record>| record.sequence > high(&record.origin);
        Some(self.log.iter().filter(lacks).cloned().collect())
    }

    /// Drops the whole log. Does nothing while there are holes.
    pub fn purge(&mut self) {
        if self.data.history.purge_all() {
            self.log.clear();
        }
    }

    // -- states ------------------------------------------------------------------------------------

    /// Whether this source's state may be taken (rule 7).
    pub fn may_take(&mut self, source: &Self) -> bool {
        let theirs = self.data.history.adopt(&source.data.history);
        self.data.history.may_take(&theirs.vv)
    }

    /// The state of `source` merged with the own one, aside.
    pub fn side_tree(&mut self, source: &Self) -> Data {
        let live = &mut self.data.history;
        let theirs = live.adopt(&source.data.history);
        let mut side = Data {
            history: live.clone(),
            objects: self.data.objects.clone(),
        };
        let table = &source.data.history.origins;
        let map = |index: OriginIndex| live.origins.get(&table.origin(index)?);
        let keys: BTreeSet<&Vec<u8>> = source
            .data
            .objects
            .keys()
            .chain(self.data.objects.keys())
            .collect();
        for key in keys {
            let other = source.data.objects.get(key).map(|object| {
                let mut state = Vec::new();
                object.encode(&mut state);
                Object::decode(key, &state, &map).expect("an encoded object decodes")
            });
            let mine = side.objects.remove(key);
            if let Some(merged) = merge_objects(mine, &live.vv, other, &theirs.vv) {
                side.objects.insert(key.clone(), merged);
            }
        }
        side.history.join_state(&source.data.history);
        side
    }

    /// Catches a side tree up from the own log and switches to it.
    pub fn switch(&mut self, mut side: Data) -> Result<(), Refused> {
        side.history.origins.clone_from(&self.data.history.origins);
        for record in &self.log {
            side.apply(record, None)?;
        }
        self.data.history.switch(side.history, self.own)?;
        self.data.objects = side.objects;
        let history = &self.data.history;
        self.log.retain(|record| {
            let origin = history.origins.get(&record.origin);
            record.sequence > origin.map_or(0, |origin| history.base.high(origin))
        });
        Ok(())
    }

    /// Starts at the source's present without its data: the difference is a hole.
    pub fn start_from_now(&mut self, source: &Self) {
        self.data.history.start_from_now(&source.data.history);
    }

    /// Declares a record lost.
    pub fn declare_lost(&mut self, origin: Origin, sequence: u64) {
        let origin = self.data.history.origins.intern(origin);
        self.data.history.declare_lost(Dot { origin, sequence });
    }

    // -- what may go -------------------------------------------------------------------------------

    /// Drops dead counter entries that nothing can come of (rule 9). Without a record.
    pub fn drop_dead(&mut self) {
        let Self {
            data: Data { history, objects },
            own,
            members,
            ..
        } = self;
        objects.retain(|_, object| {
            object.drop_dead(&|origin, by| history.may_drop(origin, by, *own, members));
            !object.is_void()
        });
    }

    /// Keys to sweep by a record: past their end as everyone knows (rule 11), or without content.
    pub fn due(&self, now: Stamp) -> Vec<Vec<u8>> {
        let Data { history, objects } = &self.data;
        let is_due = |object: &Object| {
            let end = object.deadline();
            let heard = |group: &u32| history.heard(*group, self.server_id, end, object.ttl_dots());
            !object.holds_content() || (end > 0 && end < now && self.members.iter().all(heard))
        };
        objects
            .iter()
            .filter(|(_, object)| is_due(object))
            .map(|(key, _)| key.clone())
            .collect()
    }

    // -- disk --------------------------------------------------------------------------------------

    /// Makes everything so far survive a crash.
    pub fn sync(&mut self) {
        self.disk = (self.data.clone(), self.log.clone());
    }

    /// What survives a crash.
    pub fn synced(&self) -> &Data {
        &self.disk.0
    }

    /// Falls back to what was synced; the next write begins a new life.
    pub fn crash(&mut self) {
        let lost: Vec<(Origin, u64)> = self
            .data
            .history
            .lost
            .iter()
            .map(|dot| (self.data.history.named(dot.origin), dot.sequence))
            .collect();
        (self.data, self.log) = self.disk.clone();
        for (origin, sequence) in lost {
            let origin = self.data.history.origins.intern(origin);
            self.data.history.lost.insert(Dot { origin, sequence });
        }
        self.own = None;
    }

    // -- reading -----------------------------------------------------------------------------------

    /// What clients see at a time.
    pub fn visible(&self, now: Stamp) -> BTreeMap<Vec<u8>, Shown> {
        let origins = &self.data.history.origins;
        let show = |object: &Object| {
            let kind = object.kind(now, origins)?;
            let elements = object
                .elements(kind, now, origins)
                .map(|(name, value)| (name.to_vec(), value.into_owned()))
                .collect();
            Some(Shown {
                kind,
                elements,
                deadline: object.visible_deadline(now),
            })
        };
        let objects = self.data.objects.iter();
        objects
            .filter_map(|(key, object)| Some((key.clone(), show(object)?)))
            .collect()
    }
}
