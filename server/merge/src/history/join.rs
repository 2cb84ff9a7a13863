//! Taking over and merging states, and what is missing afterwards: holes, losses, the log's base
//! (DESIGN.md section 2, rules 3, 6 and 7).

use super::{History, Last, Refused};
use crate::origin::{Dot, OriginIndex};
use crate::rules::{Rule, off};
use crate::vv::{Row, VersionVector};

impl History {
    /// Carries another instance's history over to this table, which learns its origins.
    #[must_use]
    pub fn adopt(&mut self, theirs: &Self) -> Self {
        let map: Vec<OriginIndex> = theirs
            .origins
            .iter()
            .map(|(_, origin)| self.origins.intern(origin))
            .collect();
        let at = |index: OriginIndex| map.get(index.at()).copied().unwrap_or(index);
        let dot = |dot: Dot| Dot {
            origin: at(dot.origin),
            ..dot
        };
        let mut out = Self {
            origins: self.origins.clone(),
            vv: theirs.vv.translate(at),
            base: theirs.base.translate(at),
            ends: theirs
                .ends
                .iter()
                .map(|(origin, by)| (*origin, dot(*by)))
                .collect(),
            lost: theirs.lost.iter().map(|lost| dot(*lost)).collect(),
            seen: theirs.seen,
            ..Self::default()
        };
        for (index, last) in theirs.last.iter().enumerate() {
            *out.last_mut(at(OriginIndex(index as u32))) = Last {
                context: last.context.as_ref().map(|context| context.translate(at)),
                stamp: last.stamp,
                settled: last.settled.as_ref().map(|settled| settled.translate(at)),
            };
        }
        out
    }

    /// What a side tree that merges `theirs` into this one holds: vectors joined, contexts of the
    /// origins that rise, closed lives of both. `theirs` may have a table of its own. Base and log
    /// stay as they are until [`switch`](Self::switch).
    pub fn join_state(&mut self, theirs: &Self) {
        let theirs = self.adopt(theirs);
        for (index, last) in theirs.last.iter().enumerate() {
            let origin = OriginIndex(index as u32);
            let raised = theirs.vv.high(origin) > self.vv.high(origin);
            let unheard = *self.last_mut(origin) == Last::default();
            if (raised || unheard) && !off(Rule::Contexts) {
                self.last_mut(origin).clone_from(last);
            }
        }
        self.vv.join(&theirs.vv);
        for (origin, by) in theirs.ends {
            self.ends.entry(origin).or_insert(by);
        }
        self.seen = self.seen.max(theirs.seen);
        self.mark_all_changed();
    }

    /// Switches to a side history that has been caught up from the own log. The base of the log
    /// rises for the origins that the merge raised or whose holes it filled; records at or below it
    /// are to be dropped from what the log serves.
    ///
    /// The side's table of origins must be this one's, or this one's beginning, or go on from it.
    pub fn switch(&mut self, side: Self, own: Option<OriginIndex>) -> Result<(), Refused> {
        for (index, origin) in side.origins.iter() {
            if self.origins.intern(origin) != index {
                return Err(Refused::UnknownOrigin { index: index.0 });
            }
        }
        if let Some(own) = own
            && side.vv.high(own) > self.vv.high(own)
        {
            let (have, got) = (self.vv.high(own), side.vv.high(own));
            return Err(Refused::Cloned {
                origin: self.named(own),
                have,
                got,
            });
        }
        for (origin, row) in side.vv.rows() {
            let before = self.vv.row(origin);
            if row.high > before.high {
                self.base.set_row(
                    origin,
                    Row {
                        high: row.high,
                        holes: Vec::new(),
                    },
                );
            } else if let Some(filled) = highest_filled(before, row) {
                self.base.set_row(
                    origin,
                    Row {
                        high: filled,
                        holes: Vec::new(),
                    },
                );
            }
        }
        self.seen = self.seen.max(side.seen);
        (self.vv, self.last, self.ends) = (side.vv, side.last, side.ends);
        self.mark_all_changed();
        Ok(())
    }

    /// Whether a state may be taken from a source that holds this: never from one with holes; with
    /// holes here only from one that fills them and holds all else (it pulls our log first), because
    /// what was removed from a hole's content in the meantime is known nowhere else.
    pub fn may_take(&self, source: &VersionVector) -> bool {
        if off(Rule::HoleSource) {
            return true;
        }
        if source.has_holes() {
            return false;
        }
        off(Rule::RepairOrder)
            || !self.vv.has_holes()
            || (self.vv.within(source)
                && self
                    .vv
                    .holes()
                    .all(|(origin, _, last)| source.high(origin) >= last))
    }

    /// Whether the log holds all that this receiver lacks; it needs a state first when not.
    pub fn can_serve(&self, receiver: &VersionVector) -> bool {
        self.base.reached_by(receiver)
    }

    /// Starts at another's present without its data: the difference is a hole (rule 7). The log
    /// stays; it serves up to the hole and is needed by the repair.
    pub fn start_from_now(&mut self, theirs: &Self) {
        let theirs = self.adopt(theirs);
        for (origin, row) in theirs.vv.rows() {
            let have = self.vv.high(origin);
            if row.high <= have {
                continue;
            }
            let mine = self.vv.row_mut(origin);
            mine.high = row.high;
            if !off(Rule::Holes) {
                match mine.holes.last_mut() {
                    Some(hole) if hole.1 == have => hole.1 = row.high,
                    _ => mine.holes.push((have + 1, row.high)),
                }
            }
            let last = theirs.last.get(origin.at()).cloned().unwrap_or_default();
            *self.last_mut(origin) = last;
            self.mark_changed(origin);
        }
        for (origin, by) in theirs.ends {
            self.ends.entry(origin).or_insert(by);
        }
    }

    /// Declares a record lost: nobody holds it any more. By the operator or a human, loudly.
    pub fn declare_lost(&mut self, dot: Dot) {
        self.lost.insert(dot);
        if self.vv.high(dot.origin) > 0 {
            self.vv.row_mut(dot.origin).fill(dot.sequence, dot.sequence);
            self.mark_changed(dot.origin);
        }
        self.skip_lost();
    }

    /// Steps over lost records that come next.
    pub fn skip_lost(&mut self) {
        if self.lost.is_empty() {
            return;
        }
        for dot in self.lost.clone() {
            if dot.sequence == self.vv.high(dot.origin) + 1 {
                self.vv.raise(dot.origin, dot.sequence);
                self.mark_changed(dot.origin);
            }
        }
    }

    /// Takes note that the log no longer holds this origin's records up to this one. Must not be
    /// done while there are holes: the repair needs the log.
    pub fn raise_base(&mut self, origin: OriginIndex, sequence: u64) {
        self.base.raise(origin, sequence);
    }

    /// Takes note that the log holds nothing any more. Does nothing while there are holes.
    /// Returns whether it was done.
    pub fn purge_all(&mut self) -> bool {
        if self.vv.has_holes() {
            return false;
        }
        let mut base = VersionVector::new();
        for (origin, row) in self.vv.rows() {
            base.raise(origin, row.high);
        }
        self.base = base;
        true
    }
}

/// The highest sequence that was missing before and is not missing now.
fn highest_filled(before: &Row, now: &Row) -> Option<u64> {
    let mut top = None;
    for (first, last) in &before.holes {
        let mut sequence = *last;
        while sequence >= *first {
            match now
                .holes
                .iter()
                .find(|hole| (hole.0..=hole.1).contains(&sequence))
            {
                None => {
                    top = Some(sequence);
                    break;
                }
                Some(hole) if hole.0 <= *first => break,
                Some(hole) => sequence = hole.0 - 1,
            }
        }
    }
    top
}
