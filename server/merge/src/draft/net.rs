//! The net effects of a draft: flush first, then key by key clear, end, other types, cells, adds.

use super::Draft;
use super::pending::{Pending, Touched};
use crate::effect::{CellId, Effect, EffectWriter, Kind, Marks};
use crate::object::Observed;
use crate::origin::Origins;
use crate::stamp::Stamp;

impl Draft<'_> {
    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        !self.flushed
            && self
                .keys
                .values()
                .all(|pending| !pending.changes(self.flushed))
    }

    /// Writes the net effects. A contribution that begins with this record has `start` 0, so the
    /// sequence need not be known; the hint is not used.
    pub fn finish(self, _sequence_hint: u64, out: &mut EffectWriter) {
        if self.flushed {
            out.push(&Effect::Flush {
                marks: Marks(&self.flush_marks),
            });
        }
        let mut marks = Vec::new();
        for (key, pending) in &self.keys {
            let mut writer = Net {
                key,
                pending,
                origins: self.origins,
                now: self.now,
                marks: &mut marks,
                out,
            };
            writer.write(self.flushed);
        }
    }
}

impl Pending<'_> {
    fn changes(&self, flushed: bool) -> bool {
        (self.base.is_some() && self.gone && !flushed)
            || self.buried
            || self.swept != 0
            || self.types != 0
            || self.ttl.is_some()
            || self.cells.iter().any(|cells| !cells.is_empty())
    }

    /// Value and deadline when the key ends as one new string.
    fn is_set(&self) -> Option<(&[u8], Stamp)> {
        let strings = &self.cells[Kind::String as usize];
        let others = self
            .cells
            .iter()
            .map(std::collections::BTreeMap::len)
            .sum::<usize>();
        if !self.gone || self.types != 1 << Kind::String as u8 || others != 1 {
            return None;
        }
        let value = strings.get(&[][..])?.put.as_deref()?;
        Some((value, self.ttl?))
    }
}

struct Net<'a, 'o> {
    key: &'a [u8],
    pending: &'a Pending<'o>,
    origins: &'a Origins,
    now: Stamp,
    marks: &'a mut Vec<u8>,
    out: &'a mut EffectWriter,
}

impl Net<'_, '_> {
    /// Watermarks of this scope, from the state before the record.
    fn observe(&mut self, scope: Observed<'_>) {
        self.marks.clear();
        if let Some(base) = self.pending.base {
            base.observed_marks(scope, false, self.origins, self.marks);
        }
    }

    fn write(&mut self, flushed: bool) {
        let pending = self.pending;
        let key = self.key;
        if let Some((value, deadline)) = pending.is_set() {
            self.observe(Observed::All);
            let marks = Marks(self.marks);
            self.out.push(&Effect::SetString {
                key,
                value,
                deadline,
                marks,
            });
            self.write_adds();
            return;
        }
        if pending.gone && pending.base.is_some() && !flushed {
            self.observe(Observed::All);
            self.out.push(&Effect::Clear {
                key,
                marks: Marks(self.marks),
            });
        }
        if pending.buried {
            let end = pending.hide.min(self.now);
            self.observe(Observed::UpTo(end));
            self.out.push(&Effect::Expire {
                key,
                end,
                marks: Marks(self.marks),
            });
        }
        for kind in Kind::ALL {
            if pending.swept & (1 << kind as u8) != 0 {
                self.observe(Observed::OtherThan(kind));
                self.out.push(&Effect::Others {
                    key,
                    kind,
                    marks: Marks(self.marks),
                });
            }
        }
        for kind in Kind::ALL {
            if pending.types & (1 << kind as u8) != 0 {
                let (cell, marks) = (CellId::Type(kind), Marks::default());
                self.out.push(&Effect::Put {
                    key,
                    cell,
                    value: &[],
                    marks,
                });
            }
        }
        if let Some(deadline) = pending.ttl {
            let value = &deadline.to_le_bytes();
            let marks = Marks::default();
            self.out.push(&Effect::Put {
                key,
                cell: CellId::Ttl,
                value,
                marks,
            });
        }
        self.write_cells();
        self.write_adds();
    }

    fn touched(&self) -> impl Iterator<Item = (Kind, &'_ [u8], &'_ Touched)> + use<'_> {
        let cells = &self.pending.cells;
        Kind::ALL.into_iter().flat_map(move |kind| {
            cells[kind as usize]
                .iter()
                .map(move |(name, cell)| (kind, name.as_slice(), cell))
        })
    }

    fn write_cells(&mut self) {
        let pending = self.pending;
        let key = self.key;
        for kind in Kind::ALL {
            for (name, touched) in &pending.cells[kind as usize] {
                let cell = CellId::Element(kind, name);
                let left = !pending.gone && pending.swept & !(1 << kind as u8) == 0;
                let held = left && pending.base.is_some_and(|base| base.has_cell(&cell));
                if !touched.replaced || (touched.put.is_none() && !held) {
                    continue;
                }
                self.marks.clear();
                if held {
                    self.observe(Observed::Element(kind, name));
                }
                let marks = Marks(self.marks);
                match &touched.put {
                    Some(value) => self.out.push(&Effect::Put {
                        key,
                        cell,
                        value,
                        marks,
                    }),
                    None => self.out.push(&Effect::Remove { key, cell, marks }),
                }
            }
        }
    }

    fn write_adds(&mut self) {
        let key = self.key;
        let mut adds = Vec::new();
        for (kind, element, touched) in self.touched() {
            adds.extend(touched.grown.map(|grown| (kind, element.to_vec(), grown)));
        }
        for (kind, element, grown) in adds {
            let (start, sum) = (grown.start, grown.sum);
            self.out.push(&Effect::Add {
                key,
                kind,
                element: &element,
                start,
                sum,
            });
        }
    }
}
