//! All cells of one key in full: whatever the packed form cannot hold.

use super::cell::{Cell, CellView, Sibling};
use super::counter::Entry;
use super::packed::Scalar;
use super::table::Table;
use crate::codec::DecodeError;
use crate::context::Context;
use crate::effect::{CellId, Effect, Kind, Mark, Marks};
use crate::origin::{Dot, OriginIndex, Origins};
use crate::rules::{Rule, off};
use crate::stamp::{NEVER, Stamp};
use smallvec::SmallVec;

/// One live dot of a type cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TypeDot {
    pub(crate) kind: Kind,
    pub(crate) dot: Dot,
    pub(crate) stamp: Stamp,
}

/// One live dot of the TTL cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TtlDot {
    pub(crate) dot: Dot,
    pub(crate) stamp: Stamp,
    pub(crate) deadline: Stamp,
}

/// All cells of one key.
#[derive(Debug, Clone)]
pub(crate) struct General {
    pub(crate) key: Box<[u8]>,
    pub(crate) types: SmallVec<[TypeDot; 1]>,
    pub(crate) ttl: SmallVec<[TtlDot; 1]>,
    pub(crate) string: Option<Box<Cell>>,
    /// One for each type that has elements; ascending by kind.
    pub(crate) tables: SmallVec<[Table; 1]>,
    pub(crate) marks: u8,
}

/// The record an effect belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) dot: Dot,
    pub(crate) stamp: Stamp,
    pub(crate) context: Context<'a>,
}

/// Which cells a removal works on.
#[derive(Debug, Clone, Copy)]
enum Scope {
    All,
    UpTo(Stamp),
    OtherThan(Kind),
}

impl General {
    pub(crate) fn new(key: &[u8], marks: u8) -> Self {
        Self {
            key: key.into(),
            types: SmallVec::new(),
            ttl: SmallVec::new(),
            string: None,
            tables: SmallVec::new(),
            marks,
        }
    }

    pub(crate) fn from_scalar(scalar: &Scalar<'_>, marks: u8) -> Self {
        let mut out = Self::new(scalar.key, marks);
        if let Some((dot, stamp)) = scalar.born {
            out.types.push(TypeDot {
                kind: Kind::String,
                dot,
                stamp,
            });
        }
        if let Some((dot, stamp, deadline)) = scalar.ttl {
            out.ttl.push(TtlDot {
                dot,
                stamp,
                deadline,
            });
        }
        if scalar.value.is_some() || scalar.entry.is_some() {
            let mut cell = Cell::default();
            if let Some((dot, stamp, value)) = scalar.value {
                cell.dots.push(Sibling {
                    dot,
                    stamp,
                    value: value.into(),
                });
            }
            cell.counts.extend(scalar.entry);
            out.string = Some(Box::new(cell));
        }
        out
    }

    /// The packed form, when it holds everything.
    pub(crate) fn to_scalar(&self) -> Option<Scalar<'_>> {
        if !self.tables.is_empty() {
            return None;
        }
        let born = match &self.types[..] {
            [] => None,
            [one] if one.kind == Kind::String => Some((one.dot, one.stamp)),
            _ => return None,
        };
        let ttl = match &self.ttl[..] {
            [] => None,
            [one] => Some((one.dot, one.stamp, one.deadline)),
            _ => return None,
        };
        let (mut value, mut entry) = (None, None);
        if let Some(cell) = &self.string {
            value = match &cell.dots[..] {
                [] => None,
                [one] => Some((one.dot, one.stamp, &*one.value)),
                _ => return None,
            };
            entry = match &cell.counts[..] {
                [] => None,
                [one] if one.1.removed_sequence == 0 => Some(*one),
                _ => return None,
            };
        }
        let something = value.is_some() || entry.is_some() || ttl.is_some();
        if born.is_none() && something {
            return None;
        }
        Some(Scalar {
            born,
            value,
            ttl,
            entry,
            key: &self.key,
        })
    }

    pub(crate) fn is_void(&self) -> bool {
        self.types.is_empty()
            && self.ttl.is_empty()
            && self.string.is_none()
            && self.tables.is_empty()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let mut bytes = size_of::<Self>() + self.key.len();
        if self.types.spilled() {
            bytes += self.types.capacity() * size_of::<TypeDot>();
        }
        if self.ttl.spilled() {
            bytes += self.ttl.capacity() * size_of::<TtlDot>();
        }
        if self.tables.spilled() {
            bytes += self.tables.capacity() * size_of::<Table>();
        }
        bytes += self
            .string
            .as_ref()
            .map_or(0, |cell| size_of::<Cell>() + cell.heap_bytes());
        bytes + self.tables.iter().map(Table::heap_bytes).sum::<usize>()
    }

    pub(crate) fn table(&self, kind: Kind) -> Option<&Table> {
        self.tables.iter().find(|table| table.kind == kind)
    }

    pub(crate) fn table_mut(&mut self, kind: Kind) -> &mut Table {
        let at = self.tables.iter().position(|table| table.kind >= kind);
        let at = at.unwrap_or(self.tables.len());
        if self.tables.get(at).is_none_or(|table| table.kind != kind) {
            self.tables.insert(at, Table::new(kind));
        }
        &mut self.tables[at]
    }

    pub(crate) fn cell(&self, kind: Kind, element: &[u8]) -> CellView<'_> {
        if kind == Kind::String {
            return match &self.string {
                Some(cell) if element.is_empty() => cell.view(),
                _ => CellView::default(),
            };
        }
        self.table(kind)
            .and_then(|table| table.find(element))
            .map_or(CellView::default(), super::table::Element::view)
    }

    pub(crate) fn has_entries(&self) -> bool {
        self.string
            .as_ref()
            .is_some_and(|cell| !cell.counts.is_empty())
            || self.tables.iter().any(Table::has_entries)
    }

    /// Applies an effect that has been checked; it cannot fail half way.
    pub(crate) fn apply(&mut self, effect: &Effect<'_>, from: Source<'_>, origins: &Origins) {
        let context = from.context;
        match effect {
            Effect::Flush { .. } | Effect::Clear { .. } => self.remove_all(Scope::All, context),
            Effect::Expire { end, .. } => self.remove_all(Scope::UpTo(*end), context),
            Effect::Others { kind, .. } => {
                if off(Rule::Types) {
                    return;
                }
                self.remove_all(Scope::OtherThan(*kind), context);
            }
            Effect::Put { cell, value, .. } => self.put(cell, value, from),
            Effect::Remove { cell, .. } => self.remove(cell, context),
            Effect::Add {
                kind,
                element,
                start,
                sum,
                ..
            } => {
                let start = if *start == 0 {
                    from.dot.sequence
                } else {
                    *start
                };
                let entry = Entry::new(start, from.dot.sequence, *sum, from.stamp);
                self.add(*kind, element, from.dot.origin, entry);
            }
            Effect::SetString {
                value, deadline, ..
            } => {
                self.remove_all(Scope::All, context);
                self.put(&CellId::Type(Kind::String), &[], from);
                self.put(&CellId::Element(Kind::String, &[]), value, from);
                self.put(&CellId::Ttl, &deadline.to_le_bytes(), from);
            }
        }
        if !effect.marks().is_empty() {
            let flush = effect.key().is_none();
            self.mark(effect.marks(), flush, from, origins);
        }
        self.tidy();
    }

    fn remove_all(&mut self, scope: Scope, context: Context<'_>) {
        let upto = if let Scope::UpTo(end) = scope {
            end
        } else {
            NEVER
        };
        let stays = |kind: Kind| matches!(scope, Scope::OtherThan(kept) if kept == kind);
        self.types
            .retain(|one| stays(one.kind) || !context.covers(one.dot) || one.stamp > upto);
        if !matches!(scope, Scope::OtherThan(_)) {
            self.ttl.retain(|one| !context.covers(one.dot));
        }
        if let Some(cell) = &mut self.string
            && !stays(Kind::String)
        {
            cell.remove(context, upto);
        }
        for table in self.tables.iter_mut().filter(|table| !stays(table.kind)) {
            table.remove_all(context, upto);
        }
    }

    fn put(&mut self, cell: &CellId<'_>, value: &[u8], from: Source<'_>) {
        let Source {
            dot,
            stamp,
            context,
        } = from;
        match cell {
            CellId::Type(kind) => {
                self.types.retain(|one| {
                    one.kind != *kind || (!context.covers(one.dot) && one.dot != dot)
                });
                self.types.push(TypeDot {
                    kind: *kind,
                    dot,
                    stamp,
                });
            }
            CellId::Ttl => {
                self.ttl
                    .retain(|one| !context.covers(one.dot) && one.dot != dot);
                let deadline = value.try_into().map_or(NEVER, Stamp::from_le_bytes);
                self.ttl.push(TtlDot {
                    dot,
                    stamp,
                    deadline: deadline.max(stamp),
                });
            }
            CellId::Element(Kind::String, _) => {
                self.string
                    .get_or_insert_default()
                    .put(context, dot, stamp, value);
            }
            CellId::Element(kind, element) => {
                self.table_mut(*kind)
                    .put(element, context, dot, stamp, value);
            }
        }
    }

    fn remove(&mut self, cell: &CellId<'_>, context: Context<'_>) {
        match cell {
            CellId::Type(kind) => {
                self.types
                    .retain(|one| one.kind != *kind || !context.covers(one.dot));
            }
            CellId::Ttl => self.ttl.retain(|one| !context.covers(one.dot)),
            CellId::Element(Kind::String, _) => {
                if let Some(cell) = &mut self.string {
                    cell.remove(context, NEVER);
                }
            }
            CellId::Element(kind, element) => {
                if let Some(table) = self.tables.iter_mut().find(|table| table.kind == *kind) {
                    table.remove(element, context);
                }
            }
        }
    }

    fn add(&mut self, kind: Kind, element: &[u8], origin: OriginIndex, entry: Entry) {
        if kind == Kind::String {
            self.string.get_or_insert_default().add(origin, entry);
        } else {
            self.table_mut(kind).add(element, origin, entry);
        }
    }

    fn mark(&mut self, marks: Marks<'_>, flush: bool, from: Source<'_>, origins: &Origins) {
        let naive = off(Rule::Watermarks);
        let each = |key: &[u8], cell: CellId<'_>, mark: Mark| {
            let Some(origin) = origins.get(&mark.origin) else {
                return;
            };
            if flush && key != &*self.key {
                return;
            }
            let CellId::Element(kind, element) = cell else {
                return;
            };
            let table = self.tables.iter_mut().find(|table| table.kind == kind);
            match (kind, table) {
                (Kind::String, _) => {
                    let Some(cell) = &mut self.string else { return };
                    if naive {
                        cell.mark_naively(origin, &mark, from.context);
                    } else {
                        cell.mark(origin, &mark, from.dot);
                    }
                }
                (_, Some(table)) if naive => {
                    table.mark_naively(element, origin, &mark, from.context);
                }
                (_, Some(table)) => table.mark(element, origin, &mark, from.dot),
                (_, None) => {}
            }
        };
        let checked = marks.for_each(each);
        debug_assert!(checked.is_ok(), "marks were checked before");
    }

    /// Drops contributions that `keep` refuses.
    pub(crate) fn retain_entries(&mut self, keep: &mut dyn FnMut(OriginIndex, &Entry) -> bool) {
        if let Some(cell) = &mut self.string {
            cell.counts.retain(|(origin, entry)| keep(*origin, entry));
        }
        for table in &mut self.tables {
            table.retain_entries(keep);
        }
        self.tidy();
    }

    /// Forgets what holds nothing.
    pub(crate) fn tidy(&mut self) {
        if self.string.as_ref().is_some_and(|cell| cell.is_void()) {
            self.string = None;
        }
        self.tables.retain(|table| !table.is_empty());
    }
}

/// Checks everything of an effect that could fail, so that applying it cannot.
pub(crate) fn check(effect: &Effect<'_>) -> Result<(), DecodeError> {
    let bad = |what| DecodeError { what, offset: 0 };
    match effect {
        Effect::Put {
            cell: CellId::Ttl,
            value,
            ..
        } if value.len() != 8 => {
            return Err(bad("deadline of eight bytes"));
        }
        Effect::Put {
            cell: CellId::Element(Kind::Zset, _),
            value,
            ..
        } if value.len() != 8 => {
            return Err(bad("score of eight bytes"));
        }
        Effect::Put {
            cell: CellId::Element(Kind::String, element),
            ..
        }
        | Effect::Remove {
            cell: CellId::Element(Kind::String, element),
            ..
        }
        | Effect::Add {
            kind: Kind::String,
            element,
            ..
        } if !element.is_empty() => {
            return Err(bad("string without element name"));
        }
        _ => {}
    }
    let marks = effect.marks();
    if marks.is_empty() {
        Ok(())
    } else {
        marks.for_each(|_, _, _| {})
    }
}
