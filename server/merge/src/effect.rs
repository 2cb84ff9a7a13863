//! Effects: what a record does to cells, net per cell and absolute, so that replay is harmless.
//!
//! Order inside a record: flush, clears, ends, other types, removes and puts, adds. An effect on the
//! key of the effect before it does not repeat the key. Watermarks (rule 9) name origins in full.
//!
//! ```text
//! op u8 (bit 7: has marks, bit 6: same key) | [key] | fields of the op | [marks: length, bytes]
//! ```

use crate::codec::{DecodeError, Reader, put_prefixed, put_varint, unzigzag, zigzag};
use crate::origin::Origin;
use crate::stamp::{NEVER, Stamp};

/// Type of a key's content. The order is the one that decides between types without a type cell:
/// the first wins (rule 12).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A string or number.
    String = 0,
    /// Fields and values.
    Hash = 1,
    /// Members.
    Set = 2,
    /// Members with scores.
    Zset = 3,
}

impl Kind {
    /// All kinds in the fixed order.
    pub const ALL: [Self; 4] = [Self::String, Self::Hash, Self::Set, Self::Zset];

    /// The name that TYPE shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::Set => "set",
            Self::Zset => "zset",
        }
    }

    /// The kind behind its number.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Names a cell inside a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CellId<'a> {
    /// The creation of the key as this type.
    Type(Kind),
    /// The deadline.
    Ttl,
    /// An element of a type; a string's value is the element with the empty name.
    Element(Kind, &'a [u8]),
}

impl<'a> CellId<'a> {
    const TYPE: u8 = 0x40;
    const TTL: u8 = 0x50;

    /// Appends the encoded name.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Type(kind) => out.push(Self::TYPE | *kind as u8),
            Self::Ttl => out.push(Self::TTL),
            Self::Element(kind, element) => {
                out.push(*kind as u8);
                put_prefixed(out, element);
            }
        }
    }

    /// Reads an encoded name.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let tag = reader.byte("cell tag")?;
        if tag == Self::TTL {
            return Ok(Self::Ttl);
        }
        let kind = Kind::from_u8(tag & !Self::TYPE).ok_or(reader.error("kind"))?;
        if tag & Self::TYPE != 0 {
            return Ok(Self::Type(kind));
        }
        Ok(Self::Element(kind, reader.prefixed("element")?))
    }
}

/// A counter's sum. Whole numbers stay whole until a float joins them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// INCR, INCRBY, HINCRBY.
    Int(i64),
    /// INCRBYFLOAT, HINCRBYFLOAT, ZINCRBY.
    Float(f64),
}

impl Number {
    /// Appends the encoded number.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(value) => {
                out.push(0);
                put_varint(out, zigzag(*value));
            }
            Self::Float(value) => {
                out.push(1);
                out.extend_from_slice(&value.to_le_bytes());
            }
        }
    }

    /// Reads an encoded number.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.byte("number tag")? {
            0 => Ok(Self::Int(unzigzag(reader.varint("number")?))),
            1 => Ok(Self::Float(f64::from_bits(reader.fixed64("number")?))),
            _ => Err(reader.error("number tag")),
        }
    }
}

/// One watermark: the part of an origin's contribution that a removal has observed (rule 9).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// Whose contribution.
    pub origin: Origin,
    /// Sequence at which the contribution began.
    pub start: u64,
    /// Sequence of its last change that was observed.
    pub sequence: u64,
    /// Its sum as observed.
    pub sum: Number,
}

impl Mark {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            origin: Origin::decode(reader)?,
            start: reader.varint("mark start")?,
            sequence: reader.varint("mark sequence")?,
            sum: Number::decode(reader)?,
        })
    }
}

/// Encoded watermarks of one effect: for each cell the marks of its contributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks<'a>(pub &'a [u8]);

impl<'a> Marks<'a> {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Calls `each` for every mark with its key (empty unless the effect is a flush) and cell.
    pub fn for_each(
        &self,
        mut each: impl FnMut(&'a [u8], CellId<'a>, Mark),
    ) -> Result<(), DecodeError> {
        let mut reader = Reader::new(self.0);
        while !reader.is_empty() {
            let key = reader.prefixed("mark key")?;
            let cell = CellId::decode(&mut reader)?;
            for _ in 0..reader.varint("mark count")? {
                each(key, cell, Mark::decode(&mut reader)?);
            }
        }
        Ok(())
    }

    /// The marks of a flush, key by key: neighbours of one key together. What an object needs of a
    /// flush is its own part, as the marks of an [`Effect::Flush`].
    pub fn by_key(self) -> impl Iterator<Item = Result<(&'a [u8], Self), DecodeError>> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let part = leading_key(rest).map(|(key, length)| {
                let (head, tail) = rest.split_at(length);
                rest = tail;
                (key, Self(head))
            });
            if part.is_err() {
                rest = &[];
            }
            Some(part)
        })
    }

    /// Appends the marks of one cell. `key` is empty unless the effect is a flush.
    pub fn encode_cell(key: &[u8], cell: &CellId<'_>, marks: &[Mark], out: &mut Vec<u8>) {
        put_prefixed(out, key);
        cell.encode(out);
        put_varint(out, marks.len() as u64);
        for mark in marks {
            mark.origin.encode(out);
            put_varint(out, mark.start);
            put_varint(out, mark.sequence);
            mark.sum.encode(out);
        }
    }
}

/// The first key of marks, and how many bytes it has in a row.
fn leading_key(marks: &[u8]) -> Result<(&[u8], usize), DecodeError> {
    let mut reader = Reader::new(marks);
    let mut first = None;
    let mut length = 0;
    while !reader.is_empty() {
        let key = reader.prefixed("mark key")?;
        if *first.get_or_insert(key) != key {
            break;
        }
        CellId::decode(&mut reader)?;
        for _ in 0..reader.varint("mark count")? {
            Mark::decode(&mut reader)?;
        }
        length = marks.len() - reader.rest().len();
    }
    Ok((first.unwrap_or_default(), length))
}

/// One effect. Removals take what the record's context covers; puts do so too and then add the
/// record's own dot; adds take nothing away.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect<'a> {
    /// FLUSHDB: everything observed in the database.
    Flush {
        /// Observed contributions, with keys.
        marks: Marks<'a>,
    },
    /// DEL: everything observed of the key.
    Clear {
        /// The key.
        key: &'a [u8],
        /// Observed contributions.
        marks: Marks<'a>,
    },
    /// What the key's end hides: content stamped up to `end`, and the observed deadlines (rule 11).
    Expire {
        /// The key.
        key: &'a [u8],
        /// The deadline that has passed.
        end: Stamp,
        /// Observed contributions stamped up to the end.
        marks: Marks<'a>,
    },
    /// Everything observed of the key's other types (rule 12).
    Others {
        /// The key.
        key: &'a [u8],
        /// The type that stays.
        kind: Kind,
        /// Observed contributions of the other types.
        marks: Marks<'a>,
    },
    /// Writes a cell.
    Put {
        /// The key.
        key: &'a [u8],
        /// The cell. A TTL cell's value is eight little-endian bytes of deadline.
        cell: CellId<'a>,
        /// Its new value.
        value: &'a [u8],
        /// Observed contributions to the cell.
        marks: Marks<'a>,
    },
    /// Removes a cell.
    Remove {
        /// The key.
        key: &'a [u8],
        /// The cell.
        cell: CellId<'a>,
        /// Observed contributions to the cell.
        marks: Marks<'a>,
    },
    /// Adds to an element: this origin's absolute sum since `start`.
    Add {
        /// The key.
        key: &'a [u8],
        /// Type of the element.
        kind: Kind,
        /// The element.
        element: &'a [u8],
        /// Sequence at which this contribution began; 0: at this record's own sequence, which is
        /// known only when the record is committed (sequences begin at 1).
        start: u64,
        /// Its sum including this record.
        sum: Number,
    },
    /// SET: a clear, and type, value and deadline under one dot (rule 12).
    SetString {
        /// The key.
        key: &'a [u8],
        /// The value.
        value: &'a [u8],
        /// The deadline; [`NEVER`] without TTL.
        deadline: Stamp,
        /// Observed contributions to the key.
        marks: Marks<'a>,
    },
}

const FLUSH: u8 = 1;
const CLEAR: u8 = 2;
const EXPIRE: u8 = 3;
const OTHERS: u8 = 4;
const PUT: u8 = 5;
const REMOVE: u8 = 6;
const ADD: u8 = 7;
const SET: u8 = 8;
const SET_TTL: u8 = 9;
const HAS_MARKS: u8 = 0x80;
const SAME_KEY: u8 = 0x40;

impl<'a> Effect<'a> {
    /// The key it works on; `None` for a flush.
    pub fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Flush { .. } => None,
            Self::Clear { key, .. }
            | Self::Expire { key, .. }
            | Self::Others { key, .. }
            | Self::Put { key, .. }
            | Self::Remove { key, .. }
            | Self::Add { key, .. }
            | Self::SetString { key, .. } => Some(key),
        }
    }

    /// The watermarks it carries.
    pub fn marks(&self) -> Marks<'a> {
        match self {
            Self::Flush { marks }
            | Self::Clear { marks, .. }
            | Self::Expire { marks, .. }
            | Self::Others { marks, .. }
            | Self::Put { marks, .. }
            | Self::Remove { marks, .. }
            | Self::SetString { marks, .. } => *marks,
            Self::Add { .. } => Marks::default(),
        }
    }
}

/// Writes effects into a buffer.
#[derive(Debug, Default)]
pub struct EffectWriter {
    bytes: Vec<u8>,
    key_at: (usize, usize),
    count: usize,
}

impl EffectWriter {
    /// What has been written.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many effects have been written.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.key_at = (0, 0);
        self.count = 0;
    }

    /// Appends an effect.
    pub fn push(&mut self, effect: &Effect<'_>) {
        let marks = effect.marks();
        let op = match effect {
            Effect::Flush { .. } => FLUSH,
            Effect::Clear { .. } => CLEAR,
            Effect::Expire { .. } => EXPIRE,
            Effect::Others { .. } => OTHERS,
            Effect::Put { .. } => PUT,
            Effect::Remove { .. } => REMOVE,
            Effect::Add { .. } => ADD,
            Effect::SetString {
                deadline: NEVER, ..
            } => SET,
            Effect::SetString { .. } => SET_TTL,
        };
        let op = if marks.is_empty() { op } else { op | HAS_MARKS };
        self.start(op, effect.key());
        match effect {
            Effect::Flush { .. } | Effect::Clear { .. } => {}
            Effect::Expire { end, .. } => self.bytes.extend_from_slice(&end.to_le_bytes()),
            Effect::Others { kind, .. } => self.bytes.push(*kind as u8),
            Effect::Put { cell, value, .. } => {
                cell.encode(&mut self.bytes);
                put_prefixed(&mut self.bytes, value);
            }
            Effect::Remove { cell, .. } => cell.encode(&mut self.bytes),
            Effect::Add {
                kind,
                element,
                start,
                sum,
                ..
            } => {
                self.bytes.push(*kind as u8);
                put_prefixed(&mut self.bytes, element);
                put_varint(&mut self.bytes, *start);
                sum.encode(&mut self.bytes);
            }
            Effect::SetString {
                value, deadline, ..
            } => {
                if *deadline != NEVER {
                    self.bytes.extend_from_slice(&deadline.to_le_bytes());
                }
                put_prefixed(&mut self.bytes, value);
            }
        }
        if !marks.is_empty() {
            put_prefixed(&mut self.bytes, marks.0);
        }
        self.count += 1;
    }

    fn start(&mut self, op: u8, key: Option<&[u8]>) {
        let Some(key) = key else {
            self.bytes.push(op);
            return;
        };
        let (from, to) = self.key_at;
        if to > from && self.bytes.get(from..to) == Some(key) {
            self.bytes.push(op | SAME_KEY);
            return;
        }
        self.bytes.push(op);
        put_prefixed(&mut self.bytes, key);
        self.key_at = (self.bytes.len() - key.len(), self.bytes.len());
    }
}

/// Reads effects one after the other.
#[derive(Debug, Clone)]
pub struct EffectReader<'a> {
    reader: Reader<'a>,
    key: &'a [u8],
}

impl<'a> EffectReader<'a> {
    /// Reads what an [`EffectWriter`] wrote.
    pub fn new(effects: &'a [u8]) -> Self {
        Self {
            reader: Reader::new(effects),
            key: &[],
        }
    }

    /// The next effect; `None` at the end.
    pub fn next_effect(&mut self) -> Result<Option<Effect<'a>>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let reader = &mut self.reader;
        let tag = reader.byte("effect op")?;
        let op = tag & !(HAS_MARKS | SAME_KEY);
        if op != FLUSH && tag & SAME_KEY == 0 {
            self.key = reader.prefixed("key")?;
        }
        let key = self.key;
        let mut effect = match op {
            FLUSH => Effect::Flush {
                marks: Marks::default(),
            },
            CLEAR => Effect::Clear {
                key,
                marks: Marks::default(),
            },
            EXPIRE => Effect::Expire {
                key,
                end: reader.fixed64("end")?,
                marks: Marks::default(),
            },
            OTHERS => Effect::Others {
                key,
                kind: kind(reader)?,
                marks: Marks::default(),
            },
            PUT => {
                let cell = CellId::decode(reader)?;
                Effect::Put {
                    key,
                    cell,
                    value: reader.prefixed("value")?,
                    marks: Marks::default(),
                }
            }
            REMOVE => Effect::Remove {
                key,
                cell: CellId::decode(reader)?,
                marks: Marks::default(),
            },
            ADD => Effect::Add {
                key,
                kind: kind(reader)?,
                element: reader.prefixed("element")?,
                start: reader.varint("start")?,
                sum: Number::decode(reader)?,
            },
            SET | SET_TTL => {
                let deadline = if op == SET {
                    NEVER
                } else {
                    reader.fixed64("deadline")?
                };
                let value = reader.prefixed("value")?;
                Effect::SetString {
                    key,
                    value,
                    deadline,
                    marks: Marks::default(),
                }
            }
            _ => return Err(reader.error("effect op")),
        };
        if tag & HAS_MARKS != 0 {
            set_marks(&mut effect, Marks(reader.prefixed("marks")?));
        }
        Ok(Some(effect))
    }
}

fn kind(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    let number = reader.byte("kind")?;
    Kind::from_u8(number).ok_or(reader.error("kind"))
}

fn set_marks<'a>(effect: &mut Effect<'a>, new: Marks<'a>) {
    match effect {
        Effect::Flush { marks }
        | Effect::Clear { marks, .. }
        | Effect::Expire { marks, .. }
        | Effect::Others { marks, .. }
        | Effect::Put { marks, .. }
        | Effect::Remove { marks, .. }
        | Effect::SetString { marks, .. } => *marks = new,
        Effect::Add { .. } => {}
    }
}
