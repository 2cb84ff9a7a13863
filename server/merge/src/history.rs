//! What one database holds and whom it heard: version vector, contexts, closed lives, base of the log
//! (DESIGN.md section 2, rules 3 to 10). Decides whether a record is skipped, applied or refused.
//!
//! A record goes through three steps: [`admit`](History::admit), then its effects with
//! [`context`](History::context), then [`note`](History::note).

mod encode;
mod join;
mod lives;

use crate::context::Context;
use crate::origin::{Dot, Origin, OriginIndex, Origins};
use crate::record::RecordHeader;
use crate::rules::{Rule, off};
use crate::stamp::Stamp;
use crate::vv::{Row, VersionVector};
use std::collections::{BTreeMap, BTreeSet};

/// What was last heard of an origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Last {
    /// The context of its last record, its own past included; `None` when none was heard.
    pub context: Option<VersionVector>,
    /// The stamp of its last record.
    pub stamp: Stamp,
    /// The context of its last settled record (rule 10).
    pub settled: Option<VersionVector>,
}

/// What one database holds and whom it heard.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// All origins known here; every index below is of this table.
    pub origins: Origins,
    /// What is held, with holes.
    pub vv: VersionVector,
    /// By origin index: what was last heard. May be shorter than the table.
    pub last: Vec<Last>,
    /// Closed lives, each with the record that closed it.
    pub ends: BTreeMap<Origin, Dot>,
    /// Records that nobody holds any more, as declared.
    pub lost: BTreeSet<Dot>,
    /// What the log no longer holds: receivers below it need a state.
    pub base: VersionVector,
    /// The largest stamp in any record.
    pub seen: Stamp,
    /// Origins whose row changed since the own life's last record, each once.
    pub(crate) changed: Vec<OriginIndex>,
    /// By origin index: whether it stands in `changed`.
    pub(crate) is_changed: Vec<bool>,
}

impl PartialEq for History {
    /// The list of changes is not part of what is held.
    fn eq(&self, other: &Self) -> bool {
        let count = self.last.len().max(other.last.len());
        let none = Last::default();
        let row = |list: &[Last], at: usize| list.get(at).unwrap_or(&none).clone();
        self.origins == other.origins
            && self.vv == other.vv
            && (0..count).all(|at| row(&self.last, at) == row(&other.last, at))
            && self.ends == other.ends
            && self.lost == other.lost
            && self.base == other.base
            && self.seen == other.seen
    }
}

/// What becomes of a record that is not refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is held already.
    Skip,
    /// It is the next of its origin, and everything it depends on is held.
    Apply,
}

/// Why a link has to stop (rules 4, 5 and 8).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A record between was lost on the way.
    #[error("gap in origin {origin:?}: have {have}, got {got}")]
    Gap {
        /// Whose.
        origin: Origin,
        /// Highest sequence here.
        have: u64,
        /// Sequence of the record.
        got: u64,
    },
    /// The record's writer had seen something that is not held here.
    #[error("context not held: origin {origin:?} up to {needs}, have {have}")]
    ContextNotHeld {
        /// Whose record is missing.
        origin: Origin,
        /// What the writer had seen.
        needs: u64,
        /// Highest sequence here.
        have: u64,
    },
    /// Our own current life was written elsewhere: the volume was cloned.
    #[error("own life {origin:?} was written elsewhere up to {got}, have {have}: cloned volume")]
    Cloned {
        /// The own life.
        origin: Origin,
        /// Highest sequence here.
        have: u64,
        /// Sequence seen elsewhere.
        got: u64,
    },
    /// A header speaks of an origin that is in no table.
    #[error("origin {index} is in no table")]
    UnknownOrigin {
        /// The number that is not known.
        index: u32,
    },
}

impl History {
    /// Holds nothing.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn named(&self, index: OriginIndex) -> Origin {
        crate::object::counter::origin_of(index, &self.origins)
    }

    /// What was last heard of an origin, for changing it.
    pub(crate) fn last_mut(&mut self, origin: OriginIndex) -> &mut Last {
        if self.last.len() <= origin.at() {
            self.last.resize(origin.at() + 1, Last::default());
        }
        &mut self.last[origin.at()]
    }

    /// The context of an origin's last record.
    pub fn last_context(&self, origin: OriginIndex) -> Option<&VersionVector> {
        self.last.get(origin.at())?.context.as_ref()
    }

    pub(crate) fn mark_changed(&mut self, origin: OriginIndex) {
        if self.is_changed.len() <= origin.at() {
            self.is_changed.resize(origin.at() + 1, false);
        }
        if !self.is_changed[origin.at()] {
            self.is_changed[origin.at()] = true;
            self.changed.push(origin);
        }
    }

    /// Marks every row as changed: after a state was taken over or loaded.
    pub(crate) fn mark_all_changed(&mut self) {
        let all: Vec<OriginIndex> = self.vv.rows().map(|(origin, _)| origin).collect();
        for origin in all {
            self.mark_changed(origin);
        }
    }

    /// Decides about a record (rules 4 and 8). On [`Admission::Apply`] the origin's last context has
    /// been advanced by the record's gains; a refusal has changed nothing but what was declared lost.
    pub fn admit(
        &mut self,
        header: &RecordHeader,
        own: Option<OriginIndex>,
    ) -> Result<Admission, Refused> {
        let origin = header.origin;
        let dot = Dot {
            origin,
            sequence: header.sequence,
        };
        if self.vv.covers(dot) && !off(Rule::Idempotence) {
            return Ok(Admission::Skip);
        }
        self.skip_lost();
        let have = self.vv.high(origin);
        let again = off(Rule::Idempotence) && header.sequence <= have;
        if header.sequence != have + 1 && !again && !off(Rule::Dense) {
            return Err(Refused::Gap {
                origin: self.named(origin),
                have,
                got: header.sequence,
            });
        }
        if own == Some(origin) {
            return Err(Refused::Cloned {
                origin: self.named(origin),
                have,
                got: header.sequence,
            });
        }
        if !off(Rule::ContextCheck) {
            for (whose, row) in &header.gains {
                let have = self.vv.high(*whose);
                if *whose != origin && row.high > have {
                    let origin = self.named(*whose);
                    return Err(Refused::ContextNotHeld {
                        origin,
                        needs: row.high,
                        have,
                    });
                }
            }
        }
        let context = self.last_mut(origin).context.get_or_insert_default();
        if header.whole {
            *context = VersionVector::new();
        }
        for (whose, row) in &header.gains {
            context.set_row(*whose, row.clone());
        }
        set_own_row(context, origin, header.sequence - 1);
        Ok(Admission::Apply)
    }

    /// The context of a record that was admitted: [`Context::Everything`] when it covers all that is
    /// held here, so that removals need not look at dots.
    pub fn context(&self, header: &RecordHeader) -> Context<'_> {
        let (origin, before) = (header.origin, header.sequence);
        let Some(vector) = self.last_context(origin) else {
            return if self.vv.rows().all(|(whose, _)| whose == origin) {
                Context::Everything
            } else {
                Context::Of {
                    vector: &NOTHING,
                    origin,
                    before,
                }
            };
        };
        let all = self.vv.rows().all(|(whose, row)| {
            if whose == origin {
                return row.high < before;
            }
            let seen = vector.row(whose);
            row.high <= seen.high && (seen.holes.is_empty() || seen.holes == row.holes)
        });
        if all {
            Context::Everything
        } else {
            Context::Of {
                vector,
                origin,
                before,
            }
        }
    }

    /// Takes note of a record whose effects have been applied.
    pub fn note(&mut self, header: &RecordHeader) {
        let origin = header.origin;
        self.vv.raise(origin, header.sequence);
        self.mark_changed(origin);
        let dot = Dot {
            origin,
            sequence: header.sequence,
        };
        for closed in &header.closes {
            self.ends.entry(*closed).or_insert(dot);
        }
        let last = self.last_mut(origin);
        last.stamp = header.stamp;
        if header.settled {
            last.settled.clone_from(&last.context);
        }
        self.seen = self.seen.max(header.stamp);
    }

    /// The gains that the next own record has to carry: rows that changed since this life's previous
    /// record, all of them in its first one (then the second value is true). Takes no time when
    /// nothing changed. The record must be written: the rows are not given again.
    pub fn own_gains(&mut self, own: OriginIndex) -> (Vec<(OriginIndex, Row)>, bool) {
        let whole = self.last_context(own).is_none();
        if !whole && self.changed.is_empty() {
            return (Vec::new(), false);
        }
        let mut context = self.last_mut(own).context.take().unwrap_or_default();
        let mut gains = Vec::new();
        if whole {
            gains.extend(
                self.vv
                    .rows()
                    .filter(|(o, _)| *o != own)
                    .map(|(o, row)| (o, row.clone())),
            );
        } else {
            for origin in self.changed.iter().filter(|origin| **origin != own) {
                let row = self.vv.row(*origin);
                if row != context.row(*origin) {
                    gains.push((*origin, row.clone()));
                }
            }
            gains.sort_by_key(|(origin, _)| *origin);
        }
        for (origin, row) in &gains {
            context.set_row(*origin, row.clone());
        }
        for origin in self.changed.drain(..) {
            self.is_changed[origin.at()] = false;
        }
        self.last_mut(own).context = Some(context);
        (gains, whole)
    }

    /// Takes note of an own record, whose gains came from [`own_gains`](Self::own_gains). The hot
    /// path of a local write: no allocation unless the record is settled or closes lives.
    #[inline]
    pub fn note_own(
        &mut self,
        own: OriginIndex,
        sequence: u64,
        stamp: Stamp,
        settled: bool,
        closes: &[Origin],
    ) {
        self.vv.raise(own, sequence);
        self.seen = self.seen.max(stamp);
        let dot = Dot {
            origin: own,
            sequence,
        };
        for closed in closes {
            self.ends.entry(*closed).or_insert(dot);
        }
        let last = self.last_mut(own);
        last.stamp = stamp;
        let context = last.context.get_or_insert_default();
        set_own_row(context, own, sequence - 1);
        if settled {
            last.settled = Some(context.clone());
        }
    }
}

static NOTHING: VersionVector = VersionVector::EMPTY;

/// A record's context holds all of its own origin's past.
#[inline]
fn set_own_row(context: &mut VersionVector, origin: OriginIndex, high: u64) {
    let row = context.row_mut(origin);
    row.high = high;
    if !row.holes.is_empty() {
        row.holes.clear();
    }
}
