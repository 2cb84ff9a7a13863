//! Commands become the net effects of one record (DESIGN.md section 2, rules 2, 9, 11 and 12).
//!
//! A [`Draft`] lays what one transaction writes over the objects as they are, without copying them;
//! [`finish`](Draft::finish) gives one effect per cell, so that a record never has to cover itself.
//! The record's own dot is not known yet: inside the draft it counts as newer than everything.
//! [`direct`] holds the same for single commands, without the overlay: the hot path.

pub mod direct;
mod net;
mod pending;

use crate::effect::{Kind, Number};
use crate::object::{Amount, Object};
use crate::origin::{OriginIndex, Origins};
use crate::stamp::{NEVER, Stamp};
use pending::Pending;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The state that a draft lies over.
pub trait Objects {
    /// The object of a key, when there is one.
    fn object(&self, key: &[u8]) -> Option<&Object>;
}

/// Why an addition was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// The key shows another type.
    #[error("key holds another type")]
    WrongType,
    /// A whole number is to be added to something that is none.
    #[error("value is not an integer")]
    NotInteger,
    /// The value is not a number.
    #[error("value is not a float")]
    NotFloat,
    /// The result does not fit 64 bits.
    #[error("result would overflow")]
    Overflow,
    /// The result is not finite.
    #[error("result would be NaN or infinity")]
    NanOrInfinity,
}

/// What a transaction writes, laid over the objects as they are.
pub struct Draft<'o> {
    pub(crate) objects: &'o dyn Objects,
    pub(crate) origins: &'o Origins,
    pub(crate) own: Option<OriginIndex>,
    pub(crate) now: Stamp,
    /// FLUSHDB happened: nothing of the base is left for any key.
    pub(crate) flushed: bool,
    pub(crate) flush_marks: Vec<u8>,
    pub(crate) keys: BTreeMap<Vec<u8>, Pending<'o>>,
}

impl std::fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("own", &self.own)
            .field("now", &self.now)
            .field("flushed", &self.flushed)
            .field("keys", &self.keys.len())
            .finish_non_exhaustive()
    }
}

impl<'o> Draft<'o> {
    /// An empty draft at a time. `own` is `None` before this life's first write.
    pub fn new(
        objects: &'o dyn Objects,
        origins: &'o Origins,
        own: Option<OriginIndex>,
        now: Stamp,
    ) -> Self {
        Self {
            objects,
            origins,
            own,
            now,
            flushed: false,
            flush_marks: Vec::new(),
            keys: BTreeMap::new(),
        }
    }

    /// The keys that were looked at for a change, in order.
    pub fn touched(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.keys().map(Vec::as_slice)
    }

    /// Whether nothing of the base is left for any key.
    pub fn is_flushed(&self) -> bool {
        self.flushed
    }

    /// The time it reads and writes at.
    pub fn now(&self) -> Stamp {
        self.now
    }

    fn base(&self, key: &[u8]) -> Option<&'o Object> {
        if self.flushed {
            None
        } else {
            self.objects.object(key)
        }
    }

    fn pending(&mut self, key: &[u8]) -> &mut Pending<'o> {
        if !self.keys.contains_key(key) {
            let pending = Pending::new(self.base(key), self.now);
            self.keys.insert(key.to_vec(), pending);
        }
        self.keys.get_mut(key).expect("inserted above")
    }

    // -- what the transaction itself sees ----------------------------------------------------------

    /// The type the key shows.
    pub fn kind(&self, key: &[u8]) -> Option<Kind> {
        match self.keys.get(key) {
            Some(pending) => pending.kind(self.origins),
            None => self.base(key)?.kind(self.now, self.origins),
        }
    }

    /// The deadline the key shows.
    pub fn deadline(&self, key: &[u8]) -> Option<Stamp> {
        self.kind(key)?;
        match self.keys.get(key) {
            Some(pending) => pending.visible_deadline(self.now),
            None => self.base(key)?.visible_deadline(self.now),
        }
    }

    /// The value, when the key shows a string.
    pub fn string(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self.keys.get(key) {
            Some(pending) => (pending.kind(self.origins) == Some(Kind::String))
                .then(|| pending.read(Kind::String, &[], self.origins))
                .flatten(),
            None => self.base(key)?.string(self.now, self.origins),
        }
    }

    /// A field's value, a member's (empty) value, or a score as eight little-endian bytes. `None`
    /// too when the key shows another type.
    pub fn element(&self, key: &[u8], kind: Kind, element: &[u8]) -> Option<Cow<'_, [u8]>> {
        if self.kind(key) != Some(kind) {
            return None;
        }
        match self.keys.get(key) {
            Some(pending) => pending.read(kind, element, self.origins),
            None => self
                .base(key)?
                .element(kind, element, self.now, self.origins),
        }
    }

    /// All elements, in no particular order; none when the key shows another type.
    pub fn elements<'a>(
        &'a self,
        key: &[u8],
        kind: Kind,
    ) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + 'a {
        let shown = self.kind(key) == Some(kind);
        let pending = self.keys.get(key).filter(|_| shown);
        let base = if shown && pending.is_none() {
            self.base(key)
        } else {
            None
        };
        let plain = base
            .into_iter()
            .flat_map(move |base| base.elements(kind, self.now, self.origins));
        let laid = pending
            .into_iter()
            .flat_map(move |one| one.elements(kind, self.origins));
        plain.chain(laid)
    }

    /// How many elements the key shows of this type; 0 when it shows another.
    pub fn element_count(&self, key: &[u8], kind: Kind) -> usize {
        if self.kind(key) != Some(kind) {
            return 0;
        }
        match self.keys.get(key) {
            Some(pending) => pending.count(kind),
            None => self
                .base(key)
                .map_or(0, |base| base.element_count(kind, self.now, self.origins)),
        }
    }

    // -- commands ----------------------------------------------------------------------------------

    /// SET: a new string, whatever was there. `deadline` is [`NEVER`] without TTL; one that has
    /// passed makes it a removal.
    pub fn set(&mut self, key: &[u8], value: &[u8], deadline: Stamp) {
        if deadline < self.now {
            self.delete(key);
            return;
        }
        let pending = self.pending(key);
        pending.clear();
        pending.create(Kind::String);
        pending.put(Kind::String, &[], value);
        pending.ttl = Some(deadline);
    }

    /// A string's new value while type and TTL stay as they are, so that a concurrent change of the
    /// TTL merges: SET KEEPTTL, APPEND, SETRANGE. A key that shows no string becomes one.
    pub fn replace(&mut self, key: &[u8], value: &[u8]) {
        if self.kind(key) == Some(Kind::String) {
            self.put(key, Kind::String, &[], value);
        } else {
            let deadline = self.deadline(key).unwrap_or(NEVER);
            self.set(key, value, deadline);
        }
    }

    /// HSET, SADD, ZADD. False when the key shows another type; nothing was changed then.
    pub fn put(&mut self, key: &[u8], kind: Kind, element: &[u8], value: &[u8]) -> bool {
        let (now, origins) = (self.now, self.origins);
        let pending = self.pending(key);
        if !pending.own(kind, now, origins) {
            return false;
        }
        pending.put(kind, element, value);
        true
    }

    /// INCRBY, HINCRBY, ZINCRBY and their float forms. Gives the new visible value.
    pub fn add(
        &mut self,
        key: &[u8],
        kind: Kind,
        element: &[u8],
        delta: Number,
    ) -> Result<Number, AddError> {
        let (now, origins, own) = (self.now, self.origins, self.own);
        let pending = self.pending(key);
        let shown = pending.kind(origins);
        if shown.is_some_and(|shown| shown != kind) || kind == Kind::Set {
            return Err(AddError::WrongType);
        }
        let old = match shown {
            Some(_) => pending.parts(kind, element, origins).amount(kind),
            None => Amount::Absent,
        };
        let target = direct::sum(kind, old, delta)?;
        pending.own(kind, now, origins);
        let grown = pending
            .grown(kind, element, delta, own)
            .filter(|_| target.adds);
        let Some(grown) = grown else {
            let value = crate::object::counter::value_of(kind, target.value);
            pending.put(kind, element, &value);
            return Ok(target.value);
        };
        pending.grow(kind, element, grown);
        Ok(match target.value {
            Number::Float(value) => {
                direct::float_after(pending.parts(kind, element, origins).amount(kind), value)
            }
            Number::Int(_) => target.value,
        })
    }

    /// HDEL, SREM, ZREM. The last element takes type and TTL along. False when it was not there.
    pub fn remove(&mut self, key: &[u8], kind: Kind, element: &[u8]) -> bool {
        if self.element(key, kind, element).is_none() {
            return false;
        }
        let (now, origins) = (self.now, self.origins);
        let pending = self.pending(key);
        pending.own(kind, now, origins);
        pending.remove(kind, element);
        if pending.kind(origins).is_none() {
            pending.clear();
        }
        true
    }

    /// DEL. False when nothing was visible.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        if self.kind(key).is_none() {
            return false;
        }
        self.pending(key).clear();
        true
    }

    /// EXPIRE. A deadline that has passed removes the key. False when nothing was visible.
    pub fn expire(&mut self, key: &[u8], deadline: Stamp) -> bool {
        if self.kind(key).is_none() {
            return false;
        }
        let now = self.now;
        let pending = self.pending(key);
        if deadline < now {
            pending.clear();
        } else {
            pending.bury(now);
            pending.ttl = Some(deadline);
        }
        true
    }

    /// PERSIST. False when the key shows no deadline.
    pub fn persist(&mut self, key: &[u8]) -> bool {
        if self.deadline(key).is_none() {
            return false;
        }
        self.pending(key).ttl = Some(NEVER);
        true
    }

    /// RENAME: what `src` shows becomes all of `dst`. False when `src` shows nothing.
    pub fn rename(&mut self, src: &[u8], dst: &[u8]) -> bool {
        if src == dst {
            return self.kind(src).is_some();
        }
        self.transfer(src, dst, true)
    }

    /// COPY with REPLACE: what `src` shows becomes all of `dst`. False when `src` shows nothing or
    /// is `dst`.
    pub fn copy(&mut self, src: &[u8], dst: &[u8]) -> bool {
        src != dst && self.transfer(src, dst, false)
    }

    fn transfer(&mut self, src: &[u8], dst: &[u8], take: bool) -> bool {
        let Some(kind) = self.kind(src) else {
            return false;
        };
        let deadline = self.deadline(src);
        let elements: Vec<(Vec<u8>, Vec<u8>)> = self
            .elements(src, kind)
            .map(|(name, value)| (name.to_vec(), value.into_owned()))
            .collect();
        if take {
            self.pending(src).clear();
        }
        let pending = self.pending(dst);
        pending.clear();
        pending.create(kind);
        for (name, value) in &elements {
            pending.put(kind, name, value);
        }
        if deadline.is_some() || kind == Kind::String {
            pending.ttl = Some(deadline.unwrap_or(NEVER));
        }
        true
    }

    /// FLUSHDB. `contributors` are all objects with contributions.
    pub fn flush<'c>(&mut self, contributors: impl Iterator<Item = &'c Object>) {
        if !self.flushed {
            for object in contributors {
                let scope = crate::object::Observed::All;
                object.observed_marks(scope, true, self.origins, &mut self.flush_marks);
            }
        }
        self.flushed = true;
        self.keys.clear();
    }

    /// The writer's own removal of what has expired (rule 11), and of type and TTL cells that have
    /// lost their content.
    pub fn sweep(&mut self, key: &[u8]) {
        let now = self.now;
        if self.base(key).is_none() && !self.keys.contains_key(key) {
            return;
        }
        let pending = self.pending(key);
        if pending.hide > 0 && !pending.gone {
            pending.bury(now);
        } else {
            pending.clear();
        }
    }
}
