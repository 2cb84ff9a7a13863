//! What clients see of a key at a time (DESIGN.md section 2, rules 1, 9, 11 and 12).

use super::cell::{CellView, Rank, rank};
use super::general::General;
use super::table::Element;
use super::{Object, Repr, packed};
use crate::effect::{CellId, Kind};
use crate::origin::{Dot, Origins};
use crate::rules::{Rule, off};
use crate::stamp::{NEVER, Stamp};
use std::borrow::Cow;

impl Object {
    /// The end of the key: the longest of its live deadlines; [`NEVER`] when one says so, 0 when
    /// there is none.
    #[inline]
    pub fn deadline(&self) -> Stamp {
        match &self.0 {
            Repr::Packed(bytes) => packed::deadline(bytes),
            Repr::General(general) => general
                .ttl
                .iter()
                .map(|one| one.deadline)
                .max()
                .unwrap_or(0),
        }
    }

    /// Content stamped up to this one has expired at `now`; 0: nothing has.
    #[inline]
    pub fn hidden_upto(&self, now: Stamp) -> Stamp {
        let end = self.deadline();
        if end == 0 || end >= now {
            0
        } else if off(Rule::LateContent) {
            NEVER - 1
        } else {
            end
        }
    }

    /// The deadline a client sees: only while it lies ahead, and not [`NEVER`].
    pub fn visible_deadline(&self, now: Stamp) -> Option<Stamp> {
        let end = self.deadline();
        (end != 0 && now <= end && end < NEVER).then_some(end)
    }

    /// The type the key shows; `None` when nothing is visible.
    pub fn kind(&self, now: Stamp, origins: &Origins) -> Option<Kind> {
        self.kind_after(self.hidden_upto(now), origins)
    }

    pub(crate) fn kind_after(&self, hide: Stamp, origins: &Origins) -> Option<Kind> {
        let general = match &self.0 {
            Repr::Packed(bytes) => {
                if let Some((stamp, _)) = packed::plain_value(bytes) {
                    return (stamp > hide).then_some(Kind::String);
                }
                let visible = packed::Scalar::read(bytes).view().is_visible(hide);
                return visible.then_some(Kind::String);
            }
            Repr::General(general) => general,
        };
        let mut found: Option<(Kind, Option<Rank>)> = None;
        for kind in Kind::ALL {
            if !general.has_visible(kind, hide) {
                continue;
            }
            let born = general.born(kind, hide, origins);
            if found.is_none_or(|(_, best)| born.unwrap_or_default() > best.unwrap_or_default()) {
                found = Some((kind, born));
            }
        }
        found.map(|(kind, _)| kind)
    }

    /// The largest rank of the live writes that made the key this type.
    pub(crate) fn born(&self, kind: Kind, hide: Stamp, origins: &Origins) -> Option<Rank> {
        match &self.0 {
            Repr::Packed(bytes) => packed::Scalar::read(bytes)
                .born
                .filter(|(_, stamp)| kind == Kind::String && *stamp > hide)
                .map(|(dot, stamp)| rank(dot, stamp, origins)),
            Repr::General(general) => general.born(kind, hide, origins),
        }
    }

    pub(crate) fn has_visible(&self, kind: Kind, hide: Stamp) -> bool {
        match &self.0 {
            Repr::Packed(_) => kind == Kind::String && self.cell(kind, &[]).is_visible(hide),
            Repr::General(general) => general.has_visible(kind, hide),
        }
    }

    /// Whether it shows anything when expiry is left aside: what DBSIZE counts.
    #[inline]
    pub fn has_content(&self) -> bool {
        match &self.0 {
            Repr::Packed(bytes) => packed::has_content(bytes),
            Repr::General(general) => Kind::ALL.iter().any(|kind| general.has_visible(*kind, 0)),
        }
    }

    /// Whether anything is held of other types than this one, visible or not.
    pub(crate) fn has_other_than(&self, kind: Kind) -> bool {
        match &self.0 {
            Repr::Packed(bytes) => kind != Kind::String && !packed::is_void(bytes),
            Repr::General(general) => {
                general.types.iter().any(|one| one.kind != kind)
                    || general.tables.iter().any(|table| table.kind != kind)
                    || (kind != Kind::String && general.string.is_some())
            }
        }
    }

    /// Every live write with the cell it wrote: what replicas of the key must agree on.
    pub fn dots(&self) -> impl Iterator<Item = (CellId<'_>, Dot)> + '_ {
        let (born, types) = match &self.0 {
            Repr::Packed(bytes) => (packed::Scalar::read(bytes).born, &[][..]),
            Repr::General(general) => (None, &general.types[..]),
        };
        let born = born
            .into_iter()
            .map(|(dot, _)| (CellId::Type(Kind::String), dot));
        let types = types.iter().map(|one| (CellId::Type(one.kind), one.dot));
        let ttl = self.ttl_dots().map(|dot| (CellId::Ttl, dot));
        let elements = Kind::ALL.into_iter().flat_map(move |kind| {
            self.cells(kind).flat_map(move |(name, cell)| {
                cell.dots()
                    .map(move |(dot, _, _)| (CellId::Element(kind, name), dot))
            })
        });
        born.chain(types).chain(ttl).chain(elements)
    }

    /// Whether the cell holds anything, visible or not.
    pub(crate) fn has_cell(&self, cell: &CellId<'_>) -> bool {
        match cell {
            CellId::Element(kind, element) => !self.cell(*kind, element).is_void(),
            CellId::Ttl => self.deadline() != 0,
            CellId::Type(kind) => match &self.0 {
                Repr::Packed(bytes) => *kind == Kind::String && !packed::is_void(bytes),
                Repr::General(general) => general.types.iter().any(|one| one.kind == *kind),
            },
        }
    }

    pub(crate) fn cell(&self, kind: Kind, element: &[u8]) -> CellView<'_> {
        match &self.0 {
            Repr::Packed(bytes) if kind == Kind::String && element.is_empty() => {
                packed::Scalar::read(bytes).view()
            }
            Repr::Packed(_) => CellView::default(),
            Repr::General(general) => general.cell(kind, element),
        }
    }

    /// The value, when the key shows a string. Numbers are printed as Redis prints them.
    pub fn string<'a>(&'a self, now: Stamp, origins: &Origins) -> Option<Cow<'a, [u8]>> {
        let hide = self.hidden_upto(now);
        if let Repr::Packed(bytes) = &self.0 {
            if let Some((stamp, value)) = packed::plain_value(bytes) {
                return (stamp > hide).then_some(Cow::Borrowed(value));
            }
            return packed::Scalar::read(bytes)
                .view()
                .read(Kind::String, hide, origins);
        }
        if self.kind_after(hide, origins) != Some(Kind::String) {
            return None;
        }
        self.cell(Kind::String, &[])
            .read(Kind::String, hide, origins)
    }

    /// A hash field's value, a set member's (empty) value, or a score as eight little-endian bytes.
    /// The caller has asked for the key's [`kind`](Self::kind) before.
    pub fn element<'a>(
        &'a self,
        kind: Kind,
        element: &[u8],
        now: Stamp,
        origins: &Origins,
    ) -> Option<Cow<'a, [u8]>> {
        self.cell(kind, element)
            .read(kind, self.hidden_upto(now), origins)
    }

    /// All visible elements of a type with their values, in no particular order.
    pub fn elements<'a>(
        &'a self,
        kind: Kind,
        now: Stamp,
        origins: &'a Origins,
    ) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + 'a {
        let hide = self.hidden_upto(now);
        self.cells(kind).filter_map(move |(name, cell)| {
            cell.read(kind, hide, origins).map(|value| (name, value))
        })
    }

    /// All cells of a type, visible or not.
    pub(crate) fn cells<'a>(
        &'a self,
        kind: Kind,
    ) -> impl Iterator<Item = (&'a [u8], CellView<'a>)> + 'a {
        let single = (kind == Kind::String).then(|| (&[][..], self.cell(kind, &[])));
        let table = match &self.0 {
            Repr::General(general) if kind != Kind::String => general.table(kind),
            _ => None,
        };
        let many = table.into_iter().flat_map(super::table::Table::iter);
        single
            .into_iter()
            .filter(|(_, cell)| !cell.is_void())
            .chain(many.map(|element: &'a Element| (element.name(), element.view())))
    }

    /// How many elements of a type are visible. Takes no time unless a deadline has passed.
    pub fn element_count(&self, kind: Kind, now: Stamp, _origins: &Origins) -> usize {
        self.count_after(kind, self.hidden_upto(now))
    }

    pub(crate) fn count_after(&self, kind: Kind, hide: Stamp) -> usize {
        match &self.0 {
            Repr::General(general) if kind != Kind::String => general
                .table(kind)
                .map_or(0, |table| table.visible_count(hide)),
            _ => usize::from(self.has_visible(kind, hide)),
        }
    }
}

impl General {
    fn has_visible(&self, kind: Kind, hide: Stamp) -> bool {
        if kind == Kind::String {
            return self
                .string
                .as_ref()
                .is_some_and(|cell| cell.is_visible(hide));
        }
        self.table(kind).is_some_and(|table| table.is_visible(hide))
    }

    fn born(&self, kind: Kind, hide: Stamp, origins: &Origins) -> Option<Rank> {
        self.types
            .iter()
            .filter(|one| one.kind == kind && one.stamp > hide)
            .map(|one| rank(one.dot, one.stamp, origins))
            .max()
    }
}
