//! A cell in full: its live dots, and what origins added to it.

use super::counter::{Entry, Parts, Share, origin_of};
use crate::context::Context;
use crate::effect::{Kind, Mark};
use crate::origin::{Dot, OriginIndex, Origins};
use crate::stamp::Stamp;
use smallvec::SmallVec;
use std::borrow::Cow;

/// One live write of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sibling {
    pub(crate) dot: Dot,
    pub(crate) stamp: Stamp,
    pub(crate) value: Box<[u8]>,
}

/// Live dots and contributions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) dots: SmallVec<[Sibling; 1]>,
    pub(crate) counts: SmallVec<[(OriginIndex, Entry); 1]>,
}

impl Cell {
    /// Nothing is in it: it may be forgotten.
    pub(crate) fn is_void(&self) -> bool {
        self.dots.is_empty() && self.counts.is_empty()
    }

    /// Takes away what the context covers and is stamped up to `upto`.
    pub(crate) fn remove(&mut self, context: Context<'_>, upto: Stamp) {
        self.dots
            .retain(|one| !context.covers(one.dot) || one.stamp > upto);
    }

    /// Takes away what the context covers and adds a write; repeating it changes nothing.
    pub(crate) fn put(&mut self, context: Context<'_>, dot: Dot, stamp: Stamp, value: &[u8]) {
        self.dots
            .retain(|one| !context.covers(one.dot) && one.dot != dot);
        self.dots.push(Sibling {
            dot,
            stamp,
            value: value.into(),
        });
    }

    /// Joins a contribution.
    pub(crate) fn add(&mut self, origin: OriginIndex, entry: Entry) {
        match self.counts.iter_mut().find(|(whose, _)| *whose == origin) {
            Some((_, old)) => *old = old.join(&entry),
            None => self.counts.push((origin, entry)),
        }
    }

    /// Takes the observed part of a contribution.
    pub(crate) fn mark(&mut self, origin: OriginIndex, mark: &Mark, remover: Dot) {
        if let Some((_, entry)) = self.counts.iter_mut().find(|(whose, _)| *whose == origin) {
            entry.remove(mark.start, mark.sequence, mark.sum, remover);
        }
    }

    /// Rule 9 left out: drops the contribution when covered, else subtracts what was observed.
    pub(crate) fn mark_naively(&mut self, origin: OriginIndex, mark: &Mark, context: Context<'_>) {
        self.counts.retain(|(whose, entry)| {
            *whose != origin
                || !context.covers(Dot {
                    origin: *whose,
                    sequence: entry.sequence,
                })
        });
        if let Some((_, entry)) = self.counts.iter_mut().find(|(whose, _)| *whose == origin) {
            let negated = match mark.sum {
                crate::Number::Int(sum) => crate::Number::Int(-sum),
                crate::Number::Float(sum) => crate::Number::Float(-sum),
            };
            entry.sum = entry.sum.checked_add(negated).unwrap_or(entry.sum);
        }
    }

    /// Whether a reader who sees only what is stamped after `hide` sees anything.
    pub(crate) fn is_visible(&self, hide: Stamp) -> bool {
        self.view().is_visible(hide)
    }

    /// Bytes on the heap, this struct not counted.
    pub(crate) fn heap_bytes(&self) -> usize {
        let values: usize = self.dots.iter().map(|one| one.value.len()).sum();
        let mut bytes = values;
        if self.dots.spilled() {
            bytes += self.dots.capacity() * size_of::<Sibling>();
        }
        if self.counts.spilled() {
            bytes += self.counts.capacity() * size_of::<(OriginIndex, Entry)>();
        }
        bytes
    }

    pub(crate) fn view(&self) -> CellView<'_> {
        CellView {
            one: None,
            siblings: &self.dots,
            entry: None,
            counts: &self.counts,
        }
    }
}

/// A cell as readers see it, whatever form it is stored in.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CellView<'a> {
    pub(crate) one: Option<(Dot, Stamp, &'a [u8])>,
    pub(crate) siblings: &'a [Sibling],
    pub(crate) entry: Option<(OriginIndex, Entry)>,
    pub(crate) counts: &'a [(OriginIndex, Entry)],
}

impl<'a> CellView<'a> {
    pub(crate) fn dots(&self) -> impl Iterator<Item = (Dot, Stamp, &'a [u8])> + use<'a> {
        let siblings = self
            .siblings
            .iter()
            .map(|one| (one.dot, one.stamp, &*one.value));
        self.one.into_iter().chain(siblings)
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = (OriginIndex, Entry)> + use<'a> {
        self.entry.into_iter().chain(self.counts.iter().copied())
    }

    pub(crate) fn is_void(&self) -> bool {
        self.one.is_none()
            && self.entry.is_none()
            && self.siblings.is_empty()
            && self.counts.is_empty()
    }

    pub(crate) fn has_entries(&self) -> bool {
        self.entry.is_some() || !self.counts.is_empty()
    }

    /// Contributions that a reader counts.
    pub(crate) fn live_entries(
        &self,
        hide: Stamp,
    ) -> impl Iterator<Item = (OriginIndex, Entry)> + use<'a> {
        self.entries()
            .filter(move |(_, entry)| entry.is_alive() && entry.stamp > hide)
    }

    pub(crate) fn is_visible(&self, hide: Stamp) -> bool {
        self.dots().any(|(_, stamp, _)| stamp > hide) || self.live_entries(hide).next().is_some()
    }

    /// The value of the write that wins a read (rule 1).
    pub(crate) fn winner(&self, hide: Stamp, origins: &Origins) -> Option<&'a [u8]> {
        let mut seen = self.dots().filter(|(_, stamp, _)| *stamp > hide);
        let first = seen.next()?;
        let mut best = first;
        for other in seen {
            if rank(other.0, other.1, origins) > rank(best.0, best.1, origins) {
                best = other;
            }
        }
        Some(best.2)
    }

    /// What counts of the cell for a reader who sees only what is stamped after `hide`.
    pub(crate) fn parts(&self, hide: Stamp, origins: &Origins) -> Parts<'a> {
        let entries = self.live_entries(hide);
        Parts {
            value: self.winner(hide, origins),
            shares: entries
                .map(|(origin, entry)| Share::of(origin, &entry, origins))
                .collect(),
        }
    }

    /// What a reader sees of the cell.
    pub(crate) fn read(&self, kind: Kind, hide: Stamp, origins: &Origins) -> Option<Cow<'a, [u8]>> {
        self.parts(hide, origins).shown(kind)
    }
}

/// What decides between concurrent writes: stamp, server id, incarnation.
pub(crate) type Rank = (Stamp, u32, u64);

pub(crate) fn rank(dot: Dot, stamp: Stamp, origins: &Origins) -> Rank {
    let origin = origin_of(dot.origin, origins);
    (stamp, origin.server_id, origin.incarnation)
}
