//! Removals whose watermarks would exceed a record: the contributions to counters go first, in
//! records of their own; what is left then is small (DESIGN.md section 2, rules 2 and 9).

use super::{Database, Locked, Receipt};
use crate::error::StoreError;
use std::sync::atomic::Ordering;
use tandem_merge::record::RECORD_BYTES_MAX;
use tandem_merge::{CellId, Effect, EffectWriter, Marks, Objects, Observed, Stamp};

/// Bytes of effects at which a part is written.
const PART_BYTES: usize = RECORD_BYTES_MAX / 2;

impl Locked<'_> {
    /// Removes the counters of these keys, element by element, in as many records as it takes; of
    /// each key those elements whose content is stamped up to the stamp beside it. The keys must be
    /// locked and loaded. Gives the last record.
    pub fn shed<'k>(
        &mut self,
        keys: impl IntoIterator<Item = (&'k [u8], Stamp)>,
    ) -> Result<Option<Receipt>, StoreError> {
        let (mut last, mut part, mut marks) = (None, EffectWriter::default(), Vec::new());
        for (key, upto) in keys {
            // Elements are named before the first part changes the object.
            let origins = self.origins();
            let elements: Vec<_> = self.object(key).map_or_else(Vec::new, |object| {
                object
                    .counters(upto)
                    .map(|(kind, name)| (kind, name.to_vec()))
                    .collect()
            });
            for (kind, name) in elements {
                if let Some(object) = self.object(key) {
                    marks.clear();
                    object.observed_marks(
                        Observed::Element(kind, &name),
                        false,
                        &origins,
                        &mut marks,
                    );
                    part.push(&Effect::Remove {
                        key,
                        cell: CellId::Element(kind, &name),
                        marks: Marks(&marks),
                    });
                }
                if part.bytes().len() >= PART_BYTES {
                    last = self.commit(&part)?.or(last);
                    part.clear();
                }
            }
        }
        Ok(self.commit(&part)?.or(last))
    }
}

impl Database {
    /// The log is damaged, or cannot be sent, at `lsn`: whoever lacks what stands there or behind it
    /// in the same segment needs a state. What is held is whole all the same; the next checkpoint,
    /// which is wanted at once, makes it independent of the log.
    pub fn give_up_log_at(&self, lsn: u64) {
        let segments = self.log.segments();
        let next = segments.into_iter().find(|info| info.base > lsn);
        let mut commit = self.commit.lock();
        let (vv, base) = match next {
            Some(info) => (info.vv, info.base),
            None => (commit.history.vv.clone(), commit.head()),
        };
        commit.history.base.join(&vv);
        self.serve_from.fetch_max(base, Ordering::AcqRel);
        self.distrusts_log.store(true, Ordering::Release);
    }
}
