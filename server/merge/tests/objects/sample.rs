//! Random effects on one key.

use crate::random::Random;
use tandem_merge::{
    CellId, Dot, Effect, Kind, Mark, Marks, NEVER, Number, Object, Observed, Origin, OriginIndex,
    Origins, Row, VersionVector,
};

/// Three writers and how far they have got.
pub(crate) struct Table {
    pub(crate) origins: Origins,
    next: [u64; 3],
    stamp: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        let mut origins = Origins::default();
        // The order of origins is not that of their numbers.
        for (server_id, incarnation) in [(2, 7), (1, 9), (2, 3)] {
            origins.intern(Origin {
                server_id,
                epoch: 0,
                incarnation,
            });
        }
        Self {
            origins,
            next: [0; 3],
            stamp: 10,
        }
    }

    /// The next record of some origin.
    pub(crate) fn next(&mut self, random: &mut Random) -> (Dot, u64) {
        let who = random.below(3);
        self.next[who] += 1;
        self.stamp += random.between(0, 9) as u64;
        let origin = OriginIndex(who as u32);
        (
            Dot {
                origin,
                sequence: self.next[who],
            },
            self.stamp,
        )
    }

    /// What somebody might have seen.
    pub(crate) fn vector(&self, random: &mut Random) -> VersionVector {
        let mut out = VersionVector::new();
        for (who, next) in self.next.iter().enumerate() {
            let high = random.between(0, *next as i64) as u64;
            let mut row = Row {
                high,
                holes: Vec::new(),
            };
            if high > 1 && random.chance(0.2) {
                row.holes.push((high - 1, high - 1));
            }
            out.set_row(OriginIndex(who as u32), row);
        }
        out
    }
}

/// An effect with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    op: u8,
    pub(crate) key: Vec<u8>,
    kind: Kind,
    element: Vec<u8>,
    value: Vec<u8>,
    number: u64,
    sum: Number,
    marks: Vec<u8>,
}

impl Owned {
    fn plain(op: u8, key: &[u8]) -> Self {
        Self {
            op,
            key: key.to_vec(),
            kind: Kind::String,
            element: Vec::new(),
            value: Vec::new(),
            number: NEVER,
            sum: Number::Int(0),
            marks: Vec::new(),
        }
    }

    pub(crate) fn set(key: &[u8], value: &[u8], deadline: u64) -> Self {
        Self {
            value: value.to_vec(),
            number: deadline,
            ..Self::plain(9, key)
        }
    }

    pub(crate) fn born(key: &[u8]) -> Self {
        Self::plain(4, key)
    }

    pub(crate) fn add(key: &[u8], start: u64, sum: Number) -> Self {
        Self {
            number: start,
            sum,
            ..Self::plain(8, key)
        }
    }

    pub(crate) fn field(key: &[u8], name: &[u8], value: &[u8]) -> Self {
        let (element, value) = (name.to_vec(), value.to_vec());
        Self {
            kind: Kind::Hash,
            element,
            value,
            ..Self::plain(6, key)
        }
    }

    /// An effect that could come next. Removals mostly carry what the object shows them.
    pub(crate) fn random(random: &mut Random, table: &mut Table, object: &Object) -> Self {
        let strings = random.chance(0.6);
        let op = random.below(10) as u8;
        let kind = if strings {
            Kind::String
        } else {
            random.pick(&Kind::ALL)
        };
        let element = match kind {
            Kind::String => Vec::new(),
            _ => random.pick(&["", "a", "b"]).as_bytes().to_vec(),
        };
        let value = match kind {
            Kind::Set => Vec::new(),
            Kind::Zset => (random.below(9) as f64).to_le_bytes().to_vec(),
            _ => random
                .pick(&["1", "22", "word", "2.5", ""])
                .as_bytes()
                .to_vec(),
        };
        let number = match op {
            2 | 5 | 9 if random.chance(0.5) => random.between(1, 150) as u64,
            8 => {
                let start = table.next.iter().min().copied().unwrap_or_default();
                if random.chance(0.5) {
                    0
                } else {
                    random.between(1, 1 + start as i64) as u64
                }
            }
            _ => NEVER,
        };
        let sum = if random.chance(0.7) {
            Number::Int(random.between(-9, 9))
        } else {
            Number::Float(random.between(-9, 9) as f64 / 2.0)
        };
        let mut owned = Self {
            kind,
            element,
            value,
            number,
            sum,
            ..Self::plain(op, b"key")
        };
        owned.marks = owned.random_marks(random, table, object);
        owned
    }

    fn random_marks(&self, random: &mut Random, table: &Table, object: &Object) -> Vec<u8> {
        let mut out = Vec::new();
        if random.chance(0.2) {
            return out;
        }
        let scope = match self.op {
            0 | 1 | 9 => Observed::All,
            2 => Observed::UpTo(self.number),
            3 => Observed::OtherThan(self.kind),
            _ => Observed::Element(self.kind, &self.element),
        };
        object.observed_marks(scope, self.op == 0, &table.origins, &mut out);
        if random.chance(0.1) {
            let key = if self.op == 0 { &self.key[..] } else { &[] };
            let origin = Origin {
                server_id: 1,
                epoch: 0,
                incarnation: random.pick(&[9, 5]),
            };
            let start = random.between(1, 3) as u64;
            let mark = Mark {
                origin,
                start,
                sequence: start + 1,
                sum: self.sum,
            };
            let cell = CellId::Element(self.kind, &self.element);
            Marks::encode_cell(key, &cell, &[mark], &mut out);
        }
        out
    }

    pub(crate) fn with<T>(&self, each: impl FnOnce(&Effect<'_>) -> T) -> T {
        let Self {
            op,
            key,
            kind,
            element,
            value,
            number,
            sum,
            marks,
        } = self;
        let (kind, start, deadline, sum) = (*kind, *number, *number, *sum);
        let marks = Marks(marks);
        let element_cell = CellId::Element(kind, element);
        let end = deadline.to_le_bytes();
        let none = Marks::default();
        each(&match op {
            0 => Effect::Flush { marks },
            1 => Effect::Clear { key, marks },
            2 => Effect::Expire {
                key,
                end: *number,
                marks,
            },
            3 => Effect::Others { key, kind, marks },
            4 => Effect::Put {
                key,
                cell: CellId::Type(kind),
                value: &[],
                marks: none,
            },
            5 => Effect::Put {
                key,
                cell: CellId::Ttl,
                value: &end,
                marks: none,
            },
            6 => Effect::Put {
                key,
                cell: element_cell,
                value,
                marks,
            },
            7 => Effect::Remove {
                key,
                cell: element_cell,
                marks,
            },
            8 => {
                let start = if start == NEVER { 0 } else { start };
                let kind = if kind == Kind::Set { Kind::Hash } else { kind };
                Effect::Add {
                    key,
                    kind,
                    element,
                    start,
                    sum,
                }
            }
            _ => Effect::SetString {
                key,
                value,
                deadline,
                marks,
            },
        })
    }
}
