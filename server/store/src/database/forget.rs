//! What may be forgotten, found slice by slice: keys past their end, keys without content, dead
//! contributions to counters (DESIGN.md section 2, rules 9 to 11). What to do about it is decided by
//! whoever looks.

use super::Database;
use crate::counts::has_end;
use crate::error::StoreError;
use crate::hash::{SHARDS, hash_key};
use smallvec::SmallVec;
use tandem_merge::{Dot, NEVER, Stamp};

/// A key that is past its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The key.
    pub key: Vec<u8>,
    /// Its end.
    pub end: Stamp,
    /// The records that set it.
    pub by: SmallVec<[Dot; 2]>,
}

/// What a look at one slice found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys past their end.
    pub ended: Vec<Ended>,
    /// Keys of which only type or TTL is left.
    pub hollow: Vec<Vec<u8>>,
    /// Keys with dead contributions.
    pub dead: Vec<Vec<u8>>,
    /// The next end in the slice; [`NEVER`] when there is none.
    pub next: Stamp,
}

/// What became of a key's dead contributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Some went.
    pub any: bool,
    /// Some wait until their origin is known to have seen the removal.
    pub is_left: bool,
    /// Others wait for the own life to show that it has seen a removal.
    pub is_awaited: bool,
}

impl Database {
    /// The slices in which something may be due, as (shard, slice).
    pub fn due(&self, now: Stamp) -> Vec<(usize, usize)> {
        let mut due = Vec::new();
        for at in 0..SHARDS {
            let shard = self.cells.lock_shard(at);
            let slices = shard.soonest.iter().enumerate();
            due.extend(
                slices
                    .filter(|(_, soonest)| **soonest < now)
                    .map(|(slice, _)| (at, slice)),
            );
        }
        due
    }

    /// Looks through one slice. Its hint is taken away; [`look_again`](Self::look_again) sets it.
    pub fn look(&self, place: (usize, usize), now: Stamp) -> Result<Found, StoreError> {
        let counted = self.cells.counted();
        let mut found = Found {
            next: NEVER,
            ..Found::default()
        };
        self.cells.lock_shard(place.0).soonest[place.1] = NEVER;
        self.cells.visit_slice(
            place,
            0,
            |_| {},
            |_, object| {
                if has_end(object) {
                    let end = object.deadline();
                    if end < now {
                        found.ended.push(Ended {
                            key: object.key().to_vec(),
                            end,
                            by: object.ttl_dots().collect(),
                        });
                        return true;
                    }
                    found.next = found.next.min(end);
                }
                if !object.holds_content() {
                    found.hollow.push(object.key().to_vec());
                } else if counted && object.has_dead() {
                    found.dead.push(object.key().to_vec());
                }
                true
            },
        )?;
        Ok(found)
    }

    /// Something in this slice is due then.
    pub fn look_again(&self, place: (usize, usize), at: Stamp) {
        let soonest = &mut self.cells.lock_shard(place.0).soonest[place.1];
        *soonest = (*soonest).min(at);
    }

    /// Drops a key's dead contributions of which nothing can come any more. Without a record.
    pub fn drop_dead(&self, key: &[u8], members: &[u32]) -> Result<Dropped, StoreError> {
        let hash = hash_key(key);
        let mut guards = self.cells.lock_one(hash, key)?;
        let Some(shard) = guards.shard_mut(hash) else {
            return Ok(Dropped::default());
        };
        let commit = self.commit.lock();
        let (history, own) = (&commit.history, commit.own);
        let left = std::cell::Cell::new(false);
        let awaited = std::cell::Cell::new(false);
        let any = shard.drop_dead(hash, key, &|origin, remover| {
            let seen = history
                .last_context(origin)
                .is_some_and(|context| context.covers(remover));
            awaited.set(awaited.get() || (own == Some(origin) && !seen));
            let goes = history.may_drop(origin, remover, own, members);
            left.set(left.get() || !goes);
            goes
        });
        Ok(Dropped {
            any,
            is_left: left.get(),
            is_awaited: awaited.get(),
        })
    }
}
