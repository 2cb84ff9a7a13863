//! Questions about all keys inside a transaction: the locked database with what the transaction has
//! written so far laid over it.

use super::super::keyspace::ScanRequest;
use std::collections::BTreeSet;
use tandem_merge::{Draft, Kind, Objects};
use tandem_proto::command::CommandId;
use tandem_proto::glob;
use tandem_proto::reply::Reply;
use tandem_store::database::CURSOR_SHIFT;
use tandem_store::hash::hash_key;
use tandem_store::{Locked, StoreError};

/// Keys from which RANDOMKEY draws.
const DRAWN_MAX: usize = 64;

/// A locked database under a draft.
pub(super) struct Overlay<'a, 'd> {
    pub(super) locked: &'a Locked<'d>,
    pub(super) draft: &'a Draft<'a>,
}

impl Overlay<'_, '_> {
    /// Answers SCAN, KEYS, RANDOMKEY or DBSIZE.
    pub(super) fn answer(
        &self,
        id: CommandId,
        args: &[&[u8]],
        draw: u64,
        reply: &mut Reply<'_>,
    ) -> Result<(), StoreError> {
        match id {
            CommandId::DbSize => reply.integer(self.count()),
            CommandId::Keys => {
                let mut found = Vec::new();
                self.each_from(0, |_, key, _| {
                    if glob::matches(args[1], key) {
                        found.push(key.to_vec());
                    }
                    true
                })?;
                write_keys(&found, reply);
            }
            CommandId::RandomKey => match self.random(draw)? {
                Some(key) => reply.bulk(&key),
                None => reply.null(),
            },
            _ => self.scan(args, reply)?,
        }
        Ok(())
    }

    /// Calls `each` with the visible keys from a hash on, in order of (hash, key), until it says
    /// false.
    fn each_from(
        &self,
        from: u64,
        mut each: impl FnMut(u64, &[u8], Kind) -> bool,
    ) -> Result<(), StoreError> {
        let touched: BTreeSet<(u64, &[u8])> = self
            .draft
            .touched()
            .map(|key| (hash_key(key), key))
            .filter(|(hash, _)| *hash >= from)
            .collect();
        let mut waiting = touched.iter().peekable();
        let mut wants_more = true;
        let show_touched =
            |(hash, key): &(u64, &[u8]), each: &mut dyn FnMut(u64, &[u8], Kind) -> bool| {
                self.draft
                    .kind(key)
                    .is_none_or(|kind| each(*hash, key, kind))
            };
        if !self.draft.is_flushed() {
            let (now, origins) = (self.draft.now(), self.locked.origins_ref());
            self.locked.visit_from(from, |hash, object| {
                let place = (hash, object.key());
                while let Some(before) = waiting.next_if(|one| **one < place) {
                    wants_more = wants_more && show_touched(before, &mut each);
                }
                if wants_more
                    && !touched.contains(&place)
                    && let Some(kind) = object.kind(now, origins)
                {
                    wants_more = each(hash, object.key(), kind);
                }
                wants_more
            })?;
        }
        for rest in waiting {
            wants_more = wants_more && show_touched(rest, &mut each);
        }
        Ok(())
    }

    /// Keys with content, expired ones that were not touched included, as DBSIZE counts them.
    fn count(&self) -> i64 {
        let is_flushed = self.draft.is_flushed();
        let base = if is_flushed {
            0
        } else {
            self.locked.counts().keys
        };
        let changed = self.draft.touched().map(|key| {
            let held = self.locked.object(key).filter(|_| !is_flushed);
            let had = held.is_some_and(tandem_merge::Object::has_content);
            i64::from(self.draft.kind(key).is_some()) - i64::from(had)
        });
        base + changed.sum::<i64>()
    }

    fn random(&self, draw: u64) -> Result<Option<Vec<u8>>, StoreError> {
        for from in [draw, 0] {
            let mut found = Vec::new();
            self.each_from(from, |_, key, _| {
                found.push(key.to_vec());
                found.len() < DRAWN_MAX
            })?;
            if !found.is_empty() {
                let at = draw as usize % found.len();
                return Ok(Some(found.swap_remove(at)));
            }
        }
        Ok(None)
    }

    fn scan(&self, args: &[&[u8]], reply: &mut Reply<'_>) -> Result<(), StoreError> {
        let request = match ScanRequest::parse(args) {
            Ok(request) => request,
            Err(refusal) => {
                reply.error(refusal);
                return Ok(());
            }
        };
        let from = request.cursor.checked_shl(CURSOR_SHIFT).unwrap_or(u64::MAX);
        let (mut seen, mut last, mut next) = (0usize, 0u64, 0u64);
        let mut found = Vec::new();
        self.each_from(from, |hash, key, kind| {
            let here = hash >> CURSOR_SHIFT;
            if seen >= request.count && here != last {
                next = here;
                return false;
            }
            if request.wants(key, kind) {
                found.push(key.to_vec());
            }
            seen += 1;
            last = here;
            true
        })?;
        reply.array(2);
        reply.bulk(next.to_string().as_bytes());
        write_keys(&found, reply);
        Ok(())
    }
}

fn write_keys(keys: &[Vec<u8>], reply: &mut Reply<'_>) {
    reply.array(keys.len());
    for key in keys {
        reply.bulk(key);
    }
}
