//! Sweeping: a writer removes keys past their end by an ordinary record, as soon as every member has
//! shown that it passed the end and knew of it (DESIGN.md section 2, rule 11); dead contributions to
//! counters go without one (rule 9). Replicas hide, and never sweep.

use crate::instance::{Instance, wall_ms};
use crate::meta::Meta;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};
use tandem_merge::stamp::{ms_of, stamp_of_ms};
use tandem_merge::{Draft, EffectWriter, NEVER, Objects, Stamp};
use tandem_store::database::{Ended, Found};
use tandem_store::{Database, StoreError};

/// Keys removed by one record.
const BATCH_KEYS: usize = 64;
/// First wait before a slice is looked at again because something in it waits; doubled each time.
const FIRST_WAIT_MS: u64 = 200;
/// How often that is doubled at most.
const DOUBLINGS_MAX: u32 = 8;
/// How long the writer that set an end has for itself before another one sweeps.
const GRACE_MS: u64 = 5_000;

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Keys removed because their end had passed.
    pub expired: u64,
    /// Databases in which others wait for a sign of this life.
    pub awaited: BTreeSet<u32>,
    /// Logs that were written to.
    pub wrote: bool,
}

/// Walks through the slices in which something is due.
#[derive(Debug, Default)]
pub struct Sweeper {
    /// How often a slice was found with something that still waits.
    waits: HashMap<(u32, (usize, usize)), u32>,
    hand: usize,
}

impl Sweeper {
    /// Sweeps for at most this long.
    pub fn round(&mut self, instance: &Instance, budget: Duration) -> Swept {
        let begun = Instant::now();
        let meta = instance.meta();
        let absence_ms = instance.config.read().member_absence_bound.as_millis() as u64;
        let mut swept = Swept::default();
        for database in instance.store.opened() {
            if !instance.is_writable() && !database.cells.counted() {
                continue;
            }
            let judge = Judge {
                database,
                meta: &meta,
                now: database.now(stamp_of_ms(wall_ms())),
                absence_ms,
                is_writer: instance.is_writable(),
            };
            let mut due = database.due(judge.now);
            if due.is_empty() {
                continue;
            }
            // Each round begins elsewhere, so that no slice starves.
            self.hand = self.hand.wrapping_add(1);
            let start = self.hand % due.len();
            due.rotate_left(start);
            for place in due {
                if begun.elapsed() >= budget {
                    return swept;
                }
                self.slice(&judge, place, &mut swept);
            }
        }
        swept
    }

    fn slice(&mut self, judge: &Judge<'_>, place: (usize, usize), swept: &mut Swept) {
        let database = judge.database;
        let number = database.number;
        let outcome = database
            .look(place, judge.now)
            .and_then(|found| judge.settle(&found, swept).map(|waits| (found.next, waits)));
        let (next, waits) = outcome.unwrap_or_else(|error| {
            // A full disk is told of when it fills up, not by each slice.
            if !database.log.is_full() {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    database = number,
                    "sweep failed, it is tried again"
                );
            }
            (NEVER, true)
        });
        let mut again = next;
        if waits {
            let times = self.waits.entry((number, place)).or_default();
            let wait_ms = FIRST_WAIT_MS << *times;
            *times = (*times + 1).min(DOUBLINGS_MAX);
            again = again.min(stamp_of_ms(wall_ms() + wait_ms));
        } else {
            self.waits.remove(&(number, place));
        }
        if again != NEVER {
            database.look_again(place, again);
        }
    }
}

/// What is known when a slice is judged.
struct Judge<'a> {
    database: &'a Database,
    meta: &'a Meta,
    now: Stamp,
    absence_ms: u64,
    is_writer: bool,
}

impl Judge<'_> {
    /// Removes what may go. Returns whether something waits.
    fn settle(&self, found: &Found, swept: &mut Swept) -> Result<bool, StoreError> {
        let mut waits = false;
        if self.is_writer {
            let mut keys = Vec::new();
            for ended in &found.ended {
                if self.may_go(ended, swept) {
                    keys.push(ended.key.as_slice());
                } else {
                    waits = true;
                }
            }
            keys.extend(found.hollow.iter().map(Vec::as_slice));
            for batch in keys.chunks(BATCH_KEYS) {
                match self.remove(batch, swept) {
                    Err(StoreError::TooLarge { .. }) => self.remove_in_parts(batch, swept)?,
                    done => done?,
                }
            }
        }
        for key in &found.dead {
            let dropped = self.database.drop_dead(key, &self.meta.members)?;
            waits |= dropped.is_left;
            if dropped.is_awaited && self.is_writer {
                swept.awaited.insert(self.database.number);
            }
        }
        Ok(waits)
    }

    /// Whether an expired key may be removed now.
    fn may_go(&self, ended: &Ended, swept: &mut Swept) -> bool {
        let own_group = self.meta.server_id;
        let commit = self.database.commit();
        let history = &commit.history;
        let passed_ms = ms_of(self.now).saturating_sub(ms_of(ended.end));
        if passed_ms > self.absence_ms {
            return true;
        }
        if let Some(own) = commit.own() {
            let spoken = history.last.get(own.at()).is_some_and(|last| {
                let knew = last.context.as_ref().is_some_and(|context| {
                    let mut dots = ended.by.iter();
                    dots.all(|dot| dot.origin == own || context.covers(*dot))
                });
                knew && last.stamp > ended.end
            });
            let alone = self.meta.members.iter().all(|member| *member == own_group);
            if !spoken && !alone {
                swept.awaited.insert(self.database.number);
            }
        }
        let heard =
            self.meta.members.iter().all(|member| {
                history.heard(*member, own_group, ended.end, ended.by.iter().copied())
            });
        let set_here = ended.by.iter().any(|dot| {
            let origin = history.origins.origin(dot.origin);
            origin.is_some_and(|origin| origin.server_id == own_group)
        });
        heard && (set_here || passed_ms > GRACE_MS)
    }

    /// Keys whose counters one record cannot remove: the counters go first, each key by itself.
    fn remove_in_parts(&self, keys: &[&[u8]], swept: &mut Swept) -> Result<(), StoreError> {
        for key in keys {
            let shed = {
                let mut locked = self.database.lock_one(key, self.now)?;
                let hidden = locked
                    .object(key)
                    .map_or(0, |object| object.hidden_upto(locked.now()));
                locked.shed([(*key, hidden)])?
            };
            if let Some(receipt) = shed {
                self.database.flush(receipt.lsn)?;
                swept.wrote = true;
            }
            self.remove(&[key], swept)?;
        }
        Ok(())
    }

    /// One record that removes what of these keys is still past its end, or hollow.
    fn remove(&self, keys: &[&[u8]], swept: &mut Swept) -> Result<(), StoreError> {
        let database = self.database;
        let mut locked = database.lock_keys(keys.iter().copied(), self.now)?;
        let now = locked.now();
        let mut effects = EffectWriter::default();
        let mut expired = 0;
        {
            let mut draft = Draft::new(&locked, locked.origins_ref(), locked.own(), now);
            for key in keys {
                let Some(object) = locked.object(key) else {
                    continue;
                };
                let is_past = object.hidden_upto(now) > 0;
                if is_past || !object.holds_content() {
                    expired += u64::from(is_past && object.has_content());
                    draft.sweep(key);
                }
            }
            draft.finish(0, &mut effects);
        }
        if let Some(receipt) = locked.commit(&effects)? {
            drop(locked);
            database.flush(receipt.lsn)?;
            swept.wrote = true;
            swept.expired += expired;
        }
        Ok(())
    }
}
