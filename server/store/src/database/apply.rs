//! Records of others: admitted by the history, applied, and appended to the own log.

use super::Database;
use crate::cells::Guards;
use crate::error::StoreError;
use crate::hash::hash_key;
use tandem_merge::codec::DecodeError;
use tandem_merge::history::Admission;
use tandem_merge::{Context, Dot, EffectReader, Origin, OriginIndex, RecordHeader, VersionVector};

/// Maps a link's origin numbers to this database's.
#[derive(Debug, Clone, Default)]
pub struct OriginMap {
    to: Vec<OriginIndex>,
}

impl OriginMap {
    /// A map that changes nothing: for records of the own log.
    pub fn identity(count: usize) -> Self {
        Self {
            to: (0..count).map(|at| OriginIndex(at as u32)).collect(),
        }
    }

    /// Own number of the link's `index`; `None` when the link never announced it.
    pub fn get(&self, index: OriginIndex) -> Option<OriginIndex> {
        self.to.get(index.at()).copied()
    }

    /// How many origins the link has announced.
    pub fn len(&self) -> usize {
        self.to.len()
    }

    /// Whether none was announced.
    pub fn is_empty(&self) -> bool {
        self.to.is_empty()
    }

    /// Carries a header over; an unannounced origin is an error.
    pub fn header(&self, mut header: RecordHeader) -> Result<RecordHeader, DecodeError> {
        let unknown = DecodeError {
            what: "announced origin",
            offset: 0,
        };
        header.origin = self.get(header.origin).ok_or(unknown)?;
        for (origin, _) in &mut header.gains {
            *origin = self.get(*origin).ok_or(unknown)?;
        }
        Ok(header)
    }

    /// Carries a version vector over; rows of unannounced origins are an error.
    pub fn vector(&self, vv: &VersionVector) -> Result<VersionVector, DecodeError> {
        let unknown = DecodeError {
            what: "announced origin",
            offset: 0,
        };
        let mut out = VersionVector::new();
        for (origin, row) in vv.rows() {
            out.set_row(self.get(origin).ok_or(unknown)?, row.clone());
        }
        Ok(out)
    }
}

/// What became of a received record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was held already.
    Skipped(Dot),
    /// It was applied and stands in the log up to this lsn.
    Applied(Dot, u64),
}

impl Database {
    /// Announces an origin of a link's table: its number there is the count so far.
    pub fn announce(&self, map: &mut OriginMap, origin: Origin) {
        let (index, known) = {
            let mut commit = self.commit.lock();
            let before = commit.history.origins.len();
            (
                commit.history.origins.intern(origin),
                commit.history.origins.len() == before,
            )
        };
        if !known {
            self.share_origins();
        }
        map.to.push(index);
    }

    /// Applies one record as it came from a link whose origins are mapped by `map`. `admitted` runs
    /// under the commit lock before the record can be shipped on: it raises the sender's view of
    /// whoever sent it, so that nothing is echoed.
    pub fn apply(
        &self,
        record: &[u8],
        map: &OriginMap,
        admitted: &mut dyn FnMut(Dot),
    ) -> Result<Applied, StoreError> {
        let (header, effects) = RecordHeader::decode(record)?;
        let header = map.header(header)?;
        let dot = Dot {
            origin: header.origin,
            sequence: header.sequence,
        };
        self.log.check()?;
        let mut guards = self.lock_for(effects)?;
        let mut encoded = Vec::with_capacity(64);
        let mut guard = self.commit.lock();
        let commit = &mut *guard;
        let own = commit.own;
        admitted(dot);
        if commit.history.admit(&header, own)? == Admission::Skip {
            return Ok(Applied::Skipped(dot));
        }
        header.encode(&mut encoded);
        let history = &commit.history;
        let lsn = commit
            .frame
            .append([&encoded, effects], &history.origins, &history.vv);
        let vector = match commit.history.context(&header) {
            Context::Everything => None,
            Context::Of { vector, .. } => Some(vector.clone()),
        };
        commit.history.note(&header);
        commit.clock.observe(header.stamp);
        drop(guard);
        if vector.is_some() && !effects.is_empty() {
            self.concurrent
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        self.apply_effects(&mut guards, effects, &header, vector.as_ref())?;
        Ok(Applied::Applied(dot, lsn))
    }

    pub(super) fn apply_effects(
        &self,
        guards: &mut Guards<'_>,
        effects: &[u8],
        header: &RecordHeader,
        vector: Option<&VersionVector>,
    ) -> Result<(), StoreError> {
        let dot = Dot {
            origin: header.origin,
            sequence: header.sequence,
        };
        let context = context_of(vector, header);
        let old = self
            .cells
            .apply(guards, effects, dot, header.stamp, context, &mut || {
                self.fresh_tree()
            })?;
        if let Some(old) = old {
            self.retire(old);
        }
        Ok(())
    }

    /// Locks and loads what these effects touch; decodes all of them on the way.
    pub(super) fn lock_for(&self, effects: &[u8]) -> Result<Guards<'_>, StoreError> {
        lock_effects(&self.cells, effects)
    }
}

/// The context of a record: everything, or this vector with the origin's own past.
pub(crate) fn context_of<'v>(
    vector: Option<&'v VersionVector>,
    header: &RecordHeader,
) -> Context<'v> {
    match vector {
        None => Context::Everything,
        Some(vector) => Context::Of {
            vector,
            origin: header.origin,
            before: header.sequence,
        },
    }
}

/// Locks and loads what these effects touch. A bad effect is found here, before anything is changed.
pub(crate) fn lock_effects<'c>(
    cells: &'c crate::cells::Cells,
    effects: &[u8],
) -> Result<Guards<'c>, StoreError> {
    let mut reader = EffectReader::new(effects);
    let mut keys: smallvec::SmallVec<[&[u8]; 4]> = smallvec::SmallVec::new();
    let mut whole = false;
    while let Some(effect) = reader.next_effect()? {
        effect.marks().for_each(|_, _, _| {})?;
        match effect.key() {
            Some(key) if keys.last() != Some(&key) => keys.push(key),
            Some(_) => {}
            None => whole = true,
        }
    }
    if whole {
        let mut guards = cells.lock_all();
        for key in keys {
            cells.load_into(&mut guards, key)?;
        }
        return Ok(guards);
    }
    if let [key] = keys.as_slice() {
        return cells.lock_one(hash_key(key), key);
    }
    cells.lock_keys(keys.into_iter())
}
