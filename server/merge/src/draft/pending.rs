//! What a draft writes to one key, laid over the key's object.

use crate::effect::{Kind, Number};
use crate::object::{CellView, Object, Parts, Share};
use crate::origin::{Origin, OriginIndex, Origins};
use crate::stamp::{NEVER, Stamp};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Sorts after every real origin: a life that has not written yet.
const UNBORN: Origin = Origin {
    server_id: u32::MAX,
    epoch: u64::MAX,
    incarnation: u64::MAX,
};

/// The own contribution as this record leaves it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grown {
    /// Where it began; 0: at this record.
    pub(crate) start: u64,
    /// Its whole sum.
    pub(crate) sum: Number,
    /// What was removed of it before.
    pub(crate) removed: Number,
    /// Whose, when the life has written before.
    pub(crate) own: Option<OriginIndex>,
}

/// What is written to one element.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    /// The base's cell is gone: overwritten or removed.
    pub(crate) replaced: bool,
    /// The new value.
    pub(crate) put: Option<Vec<u8>>,
    /// What is added.
    pub(crate) grown: Option<Grown>,
}

/// What a draft writes to one key.
pub(crate) struct Pending<'o> {
    pub(crate) base: Option<&'o Object>,
    /// The base's content up to this stamp has expired; 0: none.
    pub(crate) hide: Stamp,
    /// Nothing of the base is left.
    pub(crate) gone: bool,
    /// What had expired has been removed, and the base's deadlines with it.
    pub(crate) buried: bool,
    /// Types for which all others were removed from the base: one bit each.
    pub(crate) swept: u8,
    /// Type cells written: one bit each.
    pub(crate) types: u8,
    /// The deadline written.
    pub(crate) ttl: Option<Stamp>,
    /// By type: elements written.
    pub(crate) cells: [BTreeMap<Vec<u8>, Touched>; Kind::ALL.len()],
    /// By type: how many more elements are visible than the base still shows.
    gain: [isize; Kind::ALL.len()],
}

fn bit(kind: Kind) -> u8 {
    1 << kind as u8
}

impl<'o> Pending<'o> {
    pub(crate) fn new(base: Option<&'o Object>, now: Stamp) -> Self {
        Self {
            base,
            hide: base.map_or(0, |base| base.hidden_upto(now)),
            gone: base.is_none(),
            buried: false,
            swept: 0,
            types: 0,
            ttl: None,
            cells: [const { BTreeMap::new() }; Kind::ALL.len()],
            gain: [0; Kind::ALL.len()],
        }
    }

    // -- reading -----------------------------------------------------------------------------------

    /// The base as far as it still shows cells of this type.
    fn base_of(&self, kind: Kind) -> Option<&'o Object> {
        if self.gone || self.swept & !bit(kind) != 0 {
            None
        } else {
            self.base
        }
    }

    fn touched(&self, kind: Kind, element: &[u8]) -> Option<&Touched> {
        self.cells[kind as usize].get(element)
    }

    fn is_visible(&self, kind: Kind, element: &[u8]) -> bool {
        let touched = self.touched(kind, element);
        if touched.is_some_and(|cell| cell.put.is_some() || cell.grown.is_some()) {
            return true;
        }
        !touched.is_some_and(|cell| cell.replaced)
            && self
                .base_of(kind)
                .is_some_and(|base| base.cell(kind, element).is_visible(self.hide))
    }

    /// What counts of an element for the transaction.
    pub(crate) fn parts(&self, kind: Kind, element: &[u8], origins: &Origins) -> Parts<'_> {
        let touched = self.touched(kind, element);
        let base = self
            .base_of(kind)
            .filter(|_| !touched.is_some_and(|cell| cell.replaced));
        let view = base.map_or(CellView::default(), |base| base.cell(kind, element));
        match touched {
            None => view.parts(self.hide, origins),
            Some(cell) => {
                let mut parts = grown_parts(&view, cell.grown, self.hide, origins);
                parts.value = cell.put.as_deref().or(parts.value);
                parts
            }
        }
    }

    /// What the transaction sees of an element.
    pub(crate) fn read(
        &self,
        kind: Kind,
        element: &[u8],
        origins: &Origins,
    ) -> Option<Cow<'_, [u8]>> {
        self.parts(kind, element, origins).shown(kind)
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        let base = self
            .base_of(kind)
            .map_or(0, |base| base.count_after(kind, self.hide));
        base.saturating_add_signed(self.gain[kind as usize])
    }

    /// The type the key shows.
    pub(crate) fn kind(&self, origins: &Origins) -> Option<Kind> {
        let mut best = None;
        for kind in Kind::ALL {
            let visible = if self.base_of(kind).is_none() {
                self.gain[kind as usize] > 0
            } else if self.gain[kind as usize] >= 0 {
                self.gain[kind as usize] > 0
                    || self
                        .base_of(kind)
                        .is_some_and(|base| base.has_visible(kind, self.hide))
            } else {
                self.count(kind) > 0
            };
            if !visible {
                continue;
            }
            // A type written here is newer than any other.
            let here = self.types & bit(kind) != 0;
            let born = if here {
                None
            } else {
                self.base_of(kind)
                    .and_then(|base| base.born(kind, self.hide, origins))
            };
            let rank = (here, born.unwrap_or_default());
            if best.is_none_or(|(_, other)| rank > other) {
                best = Some((kind, rank));
            }
        }
        best.map(|(kind, _)| kind)
    }

    pub(crate) fn visible_deadline(&self, now: Stamp) -> Option<Stamp> {
        match self.ttl {
            Some(NEVER) => None,
            Some(deadline) => Some(deadline),
            None if self.gone || self.buried => None,
            None => self.base?.visible_deadline(now),
        }
    }

    /// All visible elements of a type.
    pub(crate) fn elements<'a>(
        &'a self,
        kind: Kind,
        origins: &'a Origins,
    ) -> impl Iterator<Item = (&'a [u8], Cow<'a, [u8]>)> + 'a {
        let written = &self.cells[kind as usize];
        let kept = self
            .base_of(kind)
            .into_iter()
            .flat_map(move |base| base.cells(kind))
            .filter(move |(name, _)| !written.contains_key(*name))
            .filter_map(move |(name, cell)| {
                cell.read(kind, self.hide, origins)
                    .map(|value| (name, value))
            });
        let new = written.keys().filter_map(move |name| {
            self.read(kind, name, origins)
                .map(|value| (name.as_slice(), value))
        });
        kept.chain(new)
    }

    // -- writing -----------------------------------------------------------------------------------

    fn change(&mut self, kind: Kind, element: &[u8], change: impl FnOnce(&mut Touched)) {
        let before = self.is_visible(kind, element);
        let cells = &mut self.cells[kind as usize];
        match cells.get_mut(element) {
            Some(cell) => change(cell),
            None => change(cells.entry(element.to_vec()).or_default()),
        }
        let after = self.is_visible(kind, element);
        self.gain[kind as usize] += isize::from(after) - isize::from(before);
    }

    /// Removes all that was observed of the key.
    pub(crate) fn clear(&mut self) {
        self.gone = true;
        self.buried = false;
        self.swept = 0;
        self.types = 0;
        self.ttl = None;
        self.cells = [const { BTreeMap::new() }; Kind::ALL.len()];
        self.gain = [0; Kind::ALL.len()];
    }

    /// Removes what has expired, so that no new deadline can show it again.
    pub(crate) fn bury(&mut self, _now: Stamp) {
        if self.hide > 0 && !self.gone {
            self.buried = true;
        }
    }

    /// Writes the type cell.
    pub(crate) fn create(&mut self, kind: Kind) {
        self.types |= bit(kind);
    }

    /// Before a write of this type: false when the key shows another; else type cell and other types
    /// are in order.
    pub(crate) fn own(&mut self, kind: Kind, now: Stamp, origins: &Origins) -> bool {
        let shown = self.kind(origins);
        if shown.is_some_and(|shown| shown != kind) {
            return false;
        }
        if shown.is_some() {
            self.bury(now);
        } else {
            // Creating a key removes all that was observed of it.
            self.clear();
        }
        let others = self
            .base_of(kind)
            .is_some_and(|base| base.has_other_than(kind));
        if others {
            self.swept |= bit(kind);
        }
        self.types &= bit(kind);
        for other in Kind::ALL.into_iter().filter(|other| *other != kind) {
            self.cells[other as usize].clear();
            self.gain[other as usize] = 0;
        }
        if shown.is_none() {
            self.create(kind);
        }
        true
    }

    pub(crate) fn put(&mut self, kind: Kind, element: &[u8], value: &[u8]) {
        self.change(kind, element, |cell| {
            *cell = Touched {
                replaced: true,
                put: Some(value.to_vec()),
                grown: None,
            };
        });
    }

    pub(crate) fn remove(&mut self, kind: Kind, element: &[u8]) {
        self.change(kind, element, |cell| {
            *cell = Touched {
                replaced: true,
                put: None,
                grown: None,
            };
        });
    }

    /// The own contribution after this addition; `None` when its sum does not fit.
    pub(crate) fn grown(
        &self,
        kind: Kind,
        element: &[u8],
        delta: Number,
        own: Option<OriginIndex>,
    ) -> Option<Grown> {
        let cell = self.touched(kind, element);
        if let Some(old) = cell.and_then(|cell| cell.grown) {
            return Some(Grown {
                sum: old.sum.checked_add(delta)?,
                ..old
            });
        }
        let base = self
            .base_of(kind)
            .filter(|_| !cell.is_some_and(|cell| cell.replaced));
        super::direct::grown(base, kind, element, delta, own, self.hide)
    }

    pub(crate) fn grow(&mut self, kind: Kind, element: &[u8], grown: Grown) {
        self.change(kind, element, |cell| cell.grown = Some(grown));
    }
}

/// What counts of a cell once the own contribution has grown.
pub(crate) fn grown_parts<'a>(
    view: &CellView<'a>,
    grown: Option<Grown>,
    hide: Stamp,
    origins: &Origins,
) -> Parts<'a> {
    let own = grown.and_then(|grown| grown.own);
    let others = view
        .live_entries(hide)
        .filter(|(whose, _)| own != Some(*whose));
    let mut parts = Parts {
        value: view.winner(hide, origins),
        shares: others
            .map(|(whose, entry)| Share::of(whose, &entry, origins))
            .collect(),
    };
    parts.shares.extend(grown.map(|grown| Share {
        origin: own.and_then(|own| origins.origin(own)).unwrap_or(UNBORN),
        sum: grown.sum,
        removed: grown.removed,
    }));
    parts
}
