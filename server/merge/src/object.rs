//! All cells of one key at one instance (DESIGN.md section 2, rules 1, 2, 6, 9, 11 and 12).
//!
//! An [`Object`] is two words. A plain string or counter is one allocation that holds key, dots and
//! value ([`packed`]); everything else is a boxed `General`. Which form a state takes depends on the
//! state alone, so equal states have equal bytes.

mod cell;
pub(crate) mod counter;
mod encode;
mod general;
mod merge;
mod packed;
mod table;
mod view;

pub use counter::{Entry, parse_float, parse_int, parse_number};
pub use merge::merge_objects;

pub(crate) use cell::CellView;
pub(crate) use counter::{Amount, Parts, Share};

use crate::codec::DecodeError;
use crate::context::Context;
use crate::effect::{CellId, Effect, Kind, Mark, Marks};
use crate::origin::{Dot, OriginIndex, Origins};
use crate::rules::{Rule, off};
use crate::stamp::Stamp;
use general::{General, Source};
use packed::Scalar;

/// All cells of one key.
#[derive(Debug, Clone)]
pub struct Object(Repr);

#[derive(Debug, Clone)]
enum Repr {
    Packed(Box<[u8]>),
    General(Box<General>),
}

const _: () = assert!(size_of::<Object>() == 16, "an object is two words");

/// Whose watermarks a removal has to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed<'a> {
    /// Clear, Flush, SET: all contributions to the key.
    All,
    /// Expire: those stamped up to the end.
    UpTo(Stamp),
    /// Others: those of other types.
    OtherThan(Kind),
    /// Put, Remove: those of one element.
    Element(Kind, &'a [u8]),
}

impl Object {
    /// A key without any cell.
    pub fn new(key: &[u8]) -> Self {
        Self(Repr::Packed(Scalar::void(key).pack(0)))
    }

    /// The object that an effect makes of an absent key: [`new`](Self::new) and
    /// [`apply`](Self::apply) with one allocation where that is enough.
    pub fn create(
        key: &[u8],
        effect: &Effect<'_>,
        dot: Dot,
        stamp: Stamp,
        context: Context<'_>,
        origins: &Origins,
    ) -> Result<Self, DecodeError> {
        if let Effect::SetString {
            value,
            deadline,
            marks,
            ..
        } = effect
            && marks.is_empty()
            && !off(Rule::Packing)
        {
            let scalar = Scalar::set(key, value, (*deadline).max(stamp), (dot, stamp));
            return Ok(Self(Repr::Packed(scalar.pack(0))));
        }
        let mut object = Self::new(key);
        object.apply(effect, dot, stamp, context, origins)?;
        Ok(object)
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        match &self.0 {
            Repr::Packed(bytes) => packed::key(bytes),
            Repr::General(general) => &general.key,
        }
    }

    /// Whether it holds no dot and no contribution at all, and may be forgotten.
    #[inline]
    pub fn is_void(&self) -> bool {
        match &self.0 {
            Repr::Packed(bytes) => packed::is_void(bytes),
            Repr::General(general) => general.is_void(),
        }
    }

    /// Bytes of memory behind it: its allocations' sizes.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Repr::Packed(bytes) => bytes.len(),
            Repr::General(general) => general.heap_bytes(),
        }
    }

    /// Address and size of its first allocation, for the processor to fetch ahead.
    #[inline]
    pub fn memory(&self) -> (*const u8, usize) {
        match &self.0 {
            Repr::Packed(bytes) => (bytes.as_ptr(), bytes.len()),
            Repr::General(general) => (
                std::ptr::from_ref::<General>(general).cast(),
                size_of::<General>(),
            ),
        }
    }

    /// Eight bits of the store's own use.
    #[inline]
    pub fn marks(&self) -> u8 {
        match &self.0 {
            Repr::Packed(bytes) => bytes[1],
            Repr::General(general) => general.marks,
        }
    }

    /// Sets the eight bits, in place. They are no part of the state.
    #[inline]
    pub fn set_marks(&mut self, marks: u8) {
        match &mut self.0 {
            Repr::Packed(bytes) => bytes[1] = marks,
            Repr::General(general) => general.marks = marks,
        }
    }

    /// Applies an effect on this key, or a flush, whose marks for other keys are skipped.
    ///
    /// An effect that fails has changed nothing. A deadline before the record's own stamp counts as
    /// that stamp, so that what is written with it cannot outlive it.
    #[inline]
    pub fn apply(
        &mut self,
        effect: &Effect<'_>,
        dot: Dot,
        stamp: Stamp,
        context: Context<'_>,
        origins: &Origins,
    ) -> Result<(), DecodeError> {
        let from = Source {
            dot,
            stamp: stamp.max(1),
            context,
        };
        if let Effect::Add { start, .. } = effect
            && *start > dot.sequence
        {
            return Err(DecodeError {
                what: "contribution in order",
                offset: 0,
            });
        }
        if let Repr::Packed(bytes) = &mut self.0
            && apply_packed(bytes, effect, from)
        {
            return Ok(());
        }
        general::check(effect)?;
        let mut general = self.take_general();
        general.apply(effect, from, origins);
        *self = Self::settle(general);
        Ok(())
    }

    fn take_general(&mut self) -> Box<General> {
        match std::mem::replace(&mut self.0, Repr::Packed(Box::default())) {
            Repr::Packed(bytes) => Box::new(General::from_scalar(&Scalar::read(&bytes), bytes[1])),
            Repr::General(general) => general,
        }
    }

    /// The form that fits the state.
    fn settle(general: Box<General>) -> Self {
        match general.to_scalar().filter(|_| !off(Rule::Packing)) {
            Some(scalar) => Self(Repr::Packed(scalar.pack(general.marks))),
            None => Self(Repr::General(general)),
        }
    }

    fn from_general(general: General) -> Self {
        Self::settle(Box::new(general))
    }

    fn into_general(mut self) -> General {
        *self.take_general()
    }

    /// Whether any content is held, visible or not: more than type and TTL cells.
    pub fn holds_content(&self) -> bool {
        match &self.0 {
            Repr::Packed(bytes) => !Scalar::read(bytes).view().is_void(),
            Repr::General(general) => general.string.is_some() || !general.tables.is_empty(),
        }
    }

    /// Whether any origin's contribution is held, alive or dead.
    pub fn has_contributions(&self) -> bool {
        match &self.0 {
            Repr::Packed(bytes) => packed::has_entry(bytes),
            Repr::General(general) => general.has_entries(),
        }
    }

    /// The counter of a key that is nothing else, as long as none of it has expired.
    #[inline]
    pub(crate) fn counter(&self, now: Stamp) -> Option<packed::Counter<'_>> {
        match &self.0 {
            Repr::Packed(bytes) if self.hidden_upto(now) == 0 => packed::counter(bytes),
            _ => None,
        }
    }

    /// Whether any dead contribution is held.
    pub fn has_dead(&self) -> bool {
        self.has_contributions()
            && Kind::ALL.into_iter().any(|kind| {
                self.cells(kind)
                    .any(|(_, cell)| cell.entries().any(|(_, entry)| !entry.is_alive()))
            })
    }

    /// Drops dead contributions to which their origin can add nothing more (rule 9): `gone` is
    /// asked with the origin and the dot of the last removal. Returns whether anything went.
    pub fn drop_dead(&mut self, gone: &dyn Fn(OriginIndex, Dot) -> bool) -> bool {
        if !self.has_dead() {
            return false;
        }
        let mut dropped = false;
        let mut general = self.take_general();
        general.retain_entries(&mut |origin, entry| {
            let goes = !entry.is_alive() && gone(origin, entry.remover);
            dropped |= goes;
            !goes
        });
        *self = Self::settle(general);
        dropped
    }

    /// Dots of the live deadlines.
    pub fn ttl_dots(&self) -> impl Iterator<Item = Dot> + '_ {
        let (one, many) = match &self.0 {
            Repr::Packed(bytes) => (Scalar::read(bytes).ttl.map(|(dot, _, _)| dot), &[][..]),
            Repr::General(general) => (None, &general.ttl[..]),
        };
        one.into_iter().chain(many.iter().map(|one| one.dot))
    }

    /// The elements with contributions of which nothing is stamped above `upto`.
    pub fn counters(&self, upto: Stamp) -> impl Iterator<Item = (Kind, &[u8])> {
        Kind::ALL.into_iter().flat_map(move |kind| {
            self.cells(kind)
                .filter(move |(_, cell)| {
                    let lives = cell.entries().any(|(_, entry)| entry.is_alive());
                    lives && !cell.is_visible(upto)
                })
                .map(move |(name, _)| (kind, name))
        })
    }

    /// Appends the watermarks that a removal of this scope has to carry (rule 9): what it observes
    /// of live contributions. `with_key` for a flush. Appends nothing when there are none.
    pub fn observed_marks(
        &self,
        scope: Observed<'_>,
        with_key: bool,
        origins: &Origins,
        out: &mut Vec<u8>,
    ) {
        if !self.has_contributions() {
            return;
        }
        let key = if with_key { self.key() } else { &[] };
        let upto = if let Observed::UpTo(end) = scope {
            end
        } else {
            Stamp::MAX
        };
        let cell_marks = |kind: Kind, name: &[u8], cell: &CellView<'_>, out: &mut Vec<u8>| {
            let marks: smallvec::SmallVec<[Mark; 4]> = cell
                .entries()
                .filter(|(_, entry)| entry.is_alive() && entry.stamp <= upto)
                .map(|(origin, entry)| Mark {
                    origin: counter::origin_of(origin, origins),
                    start: entry.start,
                    sequence: entry.sequence,
                    sum: entry.sum,
                })
                .collect();
            if !marks.is_empty() {
                Marks::encode_cell(key, &CellId::Element(kind, name), &marks, out);
            }
        };
        if let Observed::Element(kind, name) = scope {
            cell_marks(kind, name, &self.cell(kind, name), out);
            return;
        }
        for kind in Kind::ALL {
            if scope == Observed::OtherThan(kind) {
                continue;
            }
            for (name, cell) in self.cells(kind).filter(|(_, cell)| cell.has_entries()) {
                cell_marks(kind, name, &cell, out);
            }
        }
    }
}

/// Effects that the packed form takes without being spread out: in place where the size stays, else
/// with one allocation. Returns whether it was done.
#[inline]
fn apply_packed(bytes: &mut Box<[u8]>, effect: &Effect<'_>, from: Source<'_>) -> bool {
    let Source {
        dot,
        stamp,
        context,
    } = from;
    if !effect.marks().is_empty() || off(Rule::Packing) {
        return false;
    }
    let written = (dot, stamp);
    let in_place = match effect {
        Effect::SetString {
            value, deadline, ..
        } => {
            return packed::set_string(bytes, value, (*deadline).max(stamp), written, context);
        }
        Effect::Add {
            kind: Kind::String,
            element: [],
            start,
            sum,
            ..
        } => {
            let start = if *start == 0 { dot.sequence } else { *start };
            let entry = Entry::new(start, dot.sequence, *sum, stamp);
            packed::add(bytes, dot.origin, &entry)
        }
        Effect::Put {
            cell: CellId::Ttl,
            value,
            ..
        } => {
            let Ok(deadline) = (*value).try_into() else {
                return false;
            };
            let deadline = Stamp::from_le_bytes(deadline).max(stamp);
            packed::put_deadline(bytes, deadline, written, context)
        }
        Effect::Put {
            cell: CellId::Element(Kind::String, []),
            value,
            ..
        } => packed::put_value(bytes, value, written, context),
        _ => false,
    };
    if in_place {
        return true;
    }
    let changed = packed::changed(Scalar::read(bytes), effect, written, context);
    let Some(packed) = changed.map(|scalar| scalar.pack(bytes[1])) else {
        return false;
    };
    *bytes = packed;
    true
}
