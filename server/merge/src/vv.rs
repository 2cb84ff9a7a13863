//! Version vectors with explicit holes (DESIGN.md section 2, rules 3 to 7).
//!
//! Rows stand at their [`OriginIndex`]; two vectors can be compared or joined only when they speak
//! of the same [`Origins`](crate::Origins) table. [`VersionVector::translate`] carries one over.

use crate::codec::{DecodeError, Reader, put_varint};
use crate::origin::{Dot, OriginIndex};

/// What is held of one origin: everything from 1 to `high`, less the holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Highest sequence held or skipped over.
    pub high: u64,
    /// Ranges not held, both ends inclusive, ascending, not touching, none above `high`.
    pub holes: Vec<(u64, u64)>,
}

impl Row {
    /// Whether this sequence is held.
    #[inline]
    pub fn covers(&self, sequence: u64) -> bool {
        sequence <= self.high && (self.holes.is_empty() || !self.in_hole(sequence))
    }

    fn in_hole(&self, sequence: u64) -> bool {
        self.holes
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&sequence))
    }

    /// Takes a range out of the holes.
    pub fn fill(&mut self, first: u64, last: u64) {
        self.holes = subtract(&self.holes, &[(first, last)]);
    }

    /// What is held by either: the sequences missing in both stay missing.
    fn join(&mut self, other: &Self) {
        let high = self.high.max(other.high);
        let mine = missing_upto(self, high);
        let theirs = missing_upto(other, high);
        self.holes = intersect(&mine, &theirs);
        self.high = high;
    }

    /// Whether `other` holds all this row holds.
    fn within(&self, other: &Self) -> bool {
        let held = subtract(&[(1, self.high)], &self.holes);
        let lacking = missing_upto(other, self.high.max(other.high));
        intersect(&held, &lacking).is_empty()
    }
}

fn missing_upto(row: &Row, high: u64) -> Vec<(u64, u64)> {
    let mut missing = row.holes.clone();
    if row.high < high {
        match missing.last_mut() {
            Some(last) if last.1 == row.high => last.1 = high,
            _ => missing.push((row.high + 1, high)),
        }
    }
    missing
}

fn intersect(a: &[(u64, u64)], b: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    for x in a {
        for y in b {
            let (first, last) = (x.0.max(y.0), x.1.min(y.1));
            if first <= last {
                out.push((first, last));
            }
        }
    }
    out.sort_unstable();
    out
}

fn subtract(from: &[(u64, u64)], what: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest: Vec<(u64, u64)> = from.iter().copied().filter(|r| r.0 <= r.1).collect();
    for cut in what {
        let mut next = Vec::with_capacity(rest.len() + 1);
        for range in rest {
            if cut.1 < range.0 || cut.0 > range.1 {
                next.push(range);
                continue;
            }
            if range.0 < cut.0 {
                next.push((range.0, cut.0 - 1));
            }
            if cut.1 < range.1 {
                next.push((cut.1 + 1, range.1));
            }
        }
        rest = next;
    }
    rest
}

static EMPTY_ROW: Row = Row {
    high: 0,
    holes: Vec::new(),
};

/// For each origin the highest sequence held, with holes.
#[derive(Debug, Clone, Default)]
pub struct VersionVector {
    rows: Vec<Row>,
}

impl PartialEq for VersionVector {
    /// Rows of nothing held do not count.
    fn eq(&self, other: &Self) -> bool {
        let count = self.rows.len().max(other.rows.len());
        (0..count).all(|at| {
            let index = OriginIndex(at as u32);
            self.row(index) == other.row(index)
        })
    }
}

impl Eq for VersionVector {}

impl VersionVector {
    /// Nothing held, for statics.
    pub const EMPTY: Self = Self { rows: Vec::new() };

    /// Nothing held.
    pub fn new() -> Self {
        Self::default()
    }

    /// The row of an origin; an empty one when nothing is held.
    #[inline]
    pub fn row(&self, origin: OriginIndex) -> &Row {
        self.rows.get(origin.at()).unwrap_or(&EMPTY_ROW)
    }

    /// The highest sequence of an origin; 0 when nothing is held.
    #[inline]
    pub fn high(&self, origin: OriginIndex) -> u64 {
        self.row(origin).high
    }

    /// Whether the write is held: up to the highest and not in a hole.
    #[inline]
    pub fn covers(&self, dot: Dot) -> bool {
        self.row(dot.origin).covers(dot.sequence)
    }

    /// The row for changing it; made when absent.
    pub fn row_mut(&mut self, origin: OriginIndex) -> &mut Row {
        if self.rows.len() <= origin.at() {
            self.rows.resize(origin.at() + 1, Row::default());
        }
        &mut self.rows[origin.at()]
    }

    /// Replaces a row.
    pub fn set_row(&mut self, origin: OriginIndex, row: Row) {
        *self.row_mut(origin) = row;
    }

    /// Raises the highest sequence, never lowers it; what lies between counts as held.
    #[inline]
    pub fn raise(&mut self, origin: OriginIndex, sequence: u64) {
        let row = self.row_mut(origin);
        row.high = row.high.max(sequence);
    }

    /// Rows that hold anything, in order of index.
    pub fn rows(&self) -> impl Iterator<Item = (OriginIndex, &Row)> + '_ {
        self.rows
            .iter()
            .enumerate()
            .filter(|(_, row)| row.high > 0)
            .map(|(at, row)| (OriginIndex(at as u32), row))
    }

    /// Whether anything is missing below some highest sequence.
    pub fn has_holes(&self) -> bool {
        self.rows.iter().any(|row| !row.holes.is_empty())
    }

    /// All holes as (origin, first, last), both inclusive.
    pub fn holes(&self) -> impl Iterator<Item = (OriginIndex, u64, u64)> + '_ {
        self.rows().flat_map(|(origin, row)| {
            row.holes
                .iter()
                .map(move |(first, last)| (origin, *first, *last))
        })
    }

    /// What either holds (rule 6).
    pub fn join(&mut self, other: &Self) {
        for (origin, row) in other.rows() {
            self.row_mut(origin).join(row);
        }
    }

    /// Whether `other` holds all this one holds.
    pub fn within(&self, other: &Self) -> bool {
        self.rows()
            .all(|(origin, row)| row.within(other.row(origin)))
    }

    /// Whether every highest sequence is at or below `other`'s, holes aside.
    pub fn reached_by(&self, other: &Self) -> bool {
        self.rows()
            .all(|(origin, row)| row.high <= other.high(origin))
    }

    /// Carries the vector over to another table of origins.
    #[must_use]
    pub fn translate(&self, mut map: impl FnMut(OriginIndex) -> OriginIndex) -> Self {
        let mut out = Self::new();
        for (origin, row) in self.rows() {
            out.set_row(map(origin), row.clone());
        }
        out
    }

    /// Appends the encoded form; indexes are those of this vector's table.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.rows().count() as u64);
        for (origin, row) in self.rows() {
            put_varint(out, u64::from(origin.0));
            encode_row(row, out);
        }
    }

    /// Reads the encoded form.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.varint("row count")?;
        let mut out = Self::new();
        for _ in 0..count {
            let origin = OriginIndex(reader.varint32("origin index")?);
            if origin.0 > ORIGINS_MAX {
                return Err(reader.error("origin index within bounds"));
            }
            out.set_row(origin, decode_row(reader)?);
        }
        Ok(out)
    }
}

/// Highest index a decoder accepts, so that damaged bytes cannot ask for much memory.
pub const ORIGINS_MAX: u32 = 1 << 20;

/// Appends a row: highest, number of holes, holes.
pub fn encode_row(row: &Row, out: &mut Vec<u8>) {
    put_varint(out, row.high);
    put_varint(out, row.holes.len() as u64);
    for (first, last) in &row.holes {
        put_varint(out, *first);
        put_varint(out, *last);
    }
}

/// Reads a row.
pub fn decode_row(reader: &mut Reader<'_>) -> Result<Row, DecodeError> {
    let high = reader.varint("highest sequence")?;
    let count = reader.varint("hole count")?;
    let mut holes = Vec::new();
    for _ in 0..count {
        let (first, last) = (reader.varint("hole start")?, reader.varint("hole end")?);
        let floor = holes.last().map_or(0, |(_, last): &(u64, u64)| *last);
        if first <= floor || last < first || last > high {
            return Err(reader.error("holes in order"));
        }
        holes.push((first, last));
    }
    Ok(Row { high, holes })
}
