//! A key's state as bytes: for trees, state transfers and fingerprints. Without the key; origins as
//! local indexes.
//!
//! ```text
//! 1 | flags | [type dot] | [value dot] | [ttl dot, deadline] | [entry] | value       packed keys
//! 0 | types | ttls | string cell | tables                                            all others
//! ```

use super::cell::{Cell, CellView, Sibling};
use super::counter::Entry;
use super::general::{General, TtlDot, TypeDot};
use super::packed::{Scalar, Written};
use super::table::Element;
use super::{Object, Repr};
use crate::codec::{DecodeError, Reader, put_prefixed, put_varint};
use crate::effect::{Kind, Number};
use crate::origin::{Dot, OriginIndex};
use crate::stamp::Stamp;
use siphasher::sip::SipHasher13;

const GENERAL: u8 = 0;
const PACKED: u8 = 1;

const BORN: u8 = 1;
const VALUE: u8 = 2;
const VALUE_DOT: u8 = 4;
const TTL: u8 = 8;
const TTL_DOT: u8 = 16;
const ENTRY: u8 = 32;

/// Translates an origin's number in the bytes to the reader's own; `None` is an error.
type Map<'m> = &'m dyn Fn(OriginIndex) -> Option<OriginIndex>;

impl Object {
    /// Appends the state without the key.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match &self.0 {
            Repr::Packed(bytes) => encode_scalar(&Scalar::read(bytes), out),
            Repr::General(general) => encode_general(general, out),
        }
    }

    /// Reads a state. `map` translates the origins' numbers; `None` from it is an error.
    pub fn decode(
        key: &[u8],
        state: &[u8],
        map: &dyn Fn(OriginIndex) -> Option<OriginIndex>,
    ) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(state);
        let object = match reader.byte("object form")? {
            PACKED => Self(Repr::Packed(decode_scalar(key, &mut reader, map)?.pack(0))),
            GENERAL => Self::from_general(decode_general(key, &mut reader, map)?),
            _ => return Err(reader.error("object form")),
        };
        if reader.is_empty() {
            Ok(object)
        } else {
            Err(reader.error("end of object"))
        }
    }

    /// Changes whenever the state changes, and does not depend on the order of elements.
    pub fn fingerprint(&self) -> u64 {
        let mut out = Vec::new();
        let Repr::General(general) = &self.0 else {
            self.encode(&mut out);
            return hash(&out);
        };
        encode_head(general, &mut out);
        let mut sum = hash(&out);
        for table in &general.tables {
            for element in table.iter() {
                out.clear();
                out.push(table.kind as u8);
                encode_element(element, &mut out);
                sum = sum.wrapping_add(hash(&out));
            }
        }
        sum
    }
}

fn hash(bytes: &[u8]) -> u64 {
    SipHasher13::new().hash(bytes)
}

fn put_written(out: &mut Vec<u8>, (dot, stamp): Written) {
    put_varint(out, u64::from(dot.origin.0));
    put_varint(out, dot.sequence);
    out.extend_from_slice(&stamp.to_le_bytes());
}

fn take_origin(reader: &mut Reader<'_>, map: Map<'_>) -> Result<OriginIndex, DecodeError> {
    let index = OriginIndex(reader.varint32("origin")?);
    map(index).ok_or(reader.error("origin that is known"))
}

fn take_written(reader: &mut Reader<'_>, map: Map<'_>) -> Result<Written, DecodeError> {
    let origin = take_origin(reader, map)?;
    let sequence = reader.varint("sequence")?;
    let stamp = take_stamp(reader)?;
    if sequence == 0 {
        return Err(reader.error("sequence above zero"));
    }
    Ok((Dot { origin, sequence }, stamp))
}

fn take_stamp(reader: &mut Reader<'_>) -> Result<Stamp, DecodeError> {
    let stamp = reader.fixed64("stamp")?;
    if stamp == 0 {
        Err(reader.error("stamp above zero"))
    } else {
        Ok(stamp)
    }
}

fn put_entry(out: &mut Vec<u8>, origin: OriginIndex, entry: &Entry) {
    put_varint(out, u64::from(origin.0));
    put_varint(out, entry.start);
    put_varint(out, entry.sequence);
    entry.sum.encode(out);
    out.extend_from_slice(&entry.stamp.to_le_bytes());
    put_varint(out, entry.removed_sequence);
    if entry.removed_sequence > 0 {
        entry.removed_sum.encode(out);
        put_varint(out, u64::from(entry.remover.origin.0));
        put_varint(out, entry.remover.sequence);
    }
}

fn take_entry(reader: &mut Reader<'_>, map: Map<'_>) -> Result<(OriginIndex, Entry), DecodeError> {
    let origin = take_origin(reader, map)?;
    let (start, sequence) = (reader.varint("start")?, reader.varint("sequence")?);
    if start == 0 || sequence < start {
        return Err(reader.error("contribution in order"));
    }
    let sum = Number::decode(reader)?;
    let mut entry = Entry::new(start, sequence, sum, take_stamp(reader)?);
    entry.removed_sequence = reader.varint("removed sequence")?;
    if entry.removed_sequence > 0 {
        entry.removed_sum = Number::decode(reader)?;
        let whose = take_origin(reader, map)?;
        entry.remover = Dot {
            origin: whose,
            sequence: reader.varint("remover")?,
        };
    }
    Ok((origin, entry))
}

fn encode_scalar(scalar: &Scalar<'_>, out: &mut Vec<u8>) {
    let Scalar {
        born,
        value,
        ttl,
        entry,
        key: _,
    } = scalar;
    let mut flags = 0;
    flags |= if born.is_some() { BORN } else { 0 };
    let value_dot = value.map(|(dot, stamp, _)| (dot, stamp));
    let ttl_dot = ttl.map(|(dot, stamp, _)| (dot, stamp));
    flags |= if value.is_some() { VALUE } else { 0 };
    flags |= if value.is_some() && value_dot != *born {
        VALUE_DOT
    } else {
        0
    };
    flags |= if ttl.is_some() { TTL } else { 0 };
    flags |= if ttl.is_some() && ttl_dot != *born {
        TTL_DOT
    } else {
        0
    };
    flags |= if entry.is_some() { ENTRY } else { 0 };
    out.push(PACKED);
    out.push(flags);
    if let Some(written) = *born {
        put_written(out, written);
    }
    if let Some(written) = value_dot.filter(|_| flags & VALUE_DOT != 0) {
        put_written(out, written);
    }
    if let Some((dot, stamp, deadline)) = *ttl {
        if flags & TTL_DOT != 0 {
            put_written(out, (dot, stamp));
        }
        put_varint(out, deadline.wrapping_add(1));
    }
    if let Some((origin, entry)) = entry {
        put_entry(out, *origin, entry);
    }
    if let Some((_, _, value)) = value {
        put_prefixed(out, value);
    }
}

fn decode_scalar<'a>(
    key: &'a [u8],
    reader: &mut Reader<'a>,
    map: Map<'_>,
) -> Result<Scalar<'a>, DecodeError> {
    let flags = reader.byte("object flags")?;
    let known = BORN | VALUE | VALUE_DOT | TTL | TTL_DOT | ENTRY;
    let own = |has: u8, dot: u8| flags & dot != 0 && flags & has == 0;
    let orphan = flags & BORN == 0 && flags != 0;
    if flags & !known != 0 || orphan || own(VALUE, VALUE_DOT) || own(TTL, TTL_DOT) {
        return Err(reader.error("object flags"));
    }
    let mut scalar = Scalar::void(key);
    if flags & BORN == 0 {
        return Ok(scalar);
    }
    let born = take_written(reader, map)?;
    scalar.born = Some(born);
    let value = if flags & VALUE_DOT != 0 {
        take_written(reader, map)?
    } else {
        born
    };
    if flags & TTL != 0 {
        let (dot, stamp) = if flags & TTL_DOT != 0 {
            take_written(reader, map)?
        } else {
            born
        };
        let deadline = reader.varint("deadline")?.wrapping_sub(1);
        scalar.ttl = Some((dot, stamp, take_deadline(deadline, reader)?));
    }
    if flags & ENTRY != 0 {
        let (origin, entry) = take_entry(reader, map)?;
        if entry.removed_sequence != 0 {
            return Err(reader.error("contribution without removal"));
        }
        scalar.entry = Some((origin, entry));
    }
    if flags & VALUE != 0 {
        scalar.value = Some((value.0, value.1, reader.prefixed("value")?));
    }
    Ok(scalar)
}

fn take_deadline(deadline: Stamp, reader: &Reader<'_>) -> Result<Stamp, DecodeError> {
    if deadline == 0 {
        Err(reader.error("deadline above zero"))
    } else {
        Ok(deadline)
    }
}

fn put_cell(out: &mut Vec<u8>, cell: &CellView<'_>) {
    put_varint(out, cell.dots().count() as u64);
    for (dot, stamp, value) in cell.dots() {
        put_written(out, (dot, stamp));
        put_prefixed(out, value);
    }
    put_varint(out, cell.entries().count() as u64);
    for (origin, entry) in cell.entries() {
        put_entry(out, origin, &entry);
    }
}

fn take_cell(kind: Kind, reader: &mut Reader<'_>, map: Map<'_>) -> Result<Cell, DecodeError> {
    let mut cell = Cell::default();
    for _ in 0..reader.varint("dot count")? {
        let (dot, stamp) = take_written(reader, map)?;
        let value = reader.prefixed("value")?;
        let known = cell.dots.iter().any(|one| one.dot == dot);
        if known || (kind == Kind::Zset && value.len() != 8) {
            return Err(reader.error("dots of a cell"));
        }
        cell.dots.push(Sibling {
            dot,
            stamp,
            value: value.into(),
        });
    }
    for _ in 0..reader.varint("contribution count")? {
        let (origin, entry) = take_entry(reader, map)?;
        if cell.counts.iter().any(|(whose, _)| *whose == origin) {
            return Err(reader.error("contributions of a cell"));
        }
        cell.counts.push((origin, entry));
    }
    if cell.is_void() {
        Err(reader.error("cell with content"))
    } else {
        Ok(cell)
    }
}

fn encode_element(element: &Element, out: &mut Vec<u8>) {
    put_prefixed(out, element.name());
    put_cell(out, &element.view());
}

fn encode_head(general: &General, out: &mut Vec<u8>) {
    out.push(GENERAL);
    put_varint(out, general.types.len() as u64);
    for one in &general.types {
        out.push(one.kind as u8);
        put_written(out, (one.dot, one.stamp));
    }
    put_varint(out, general.ttl.len() as u64);
    for one in &general.ttl {
        put_written(out, (one.dot, one.stamp));
        put_varint(out, one.deadline.wrapping_add(1));
    }
    out.push(u8::from(general.string.is_some()));
    if let Some(cell) = &general.string {
        put_cell(out, &cell.view());
    }
}

fn encode_general(general: &General, out: &mut Vec<u8>) {
    encode_head(general, out);
    put_varint(out, general.tables.len() as u64);
    for table in &general.tables {
        out.push(table.kind as u8);
        put_varint(out, table.len() as u64);
        for element in table.iter() {
            encode_element(element, out);
        }
    }
}

fn take_kind(reader: &mut Reader<'_>) -> Result<Kind, DecodeError> {
    let number = reader.byte("kind")?;
    Kind::from_u8(number).ok_or(reader.error("kind"))
}

fn decode_general(
    key: &[u8],
    reader: &mut Reader<'_>,
    map: Map<'_>,
) -> Result<General, DecodeError> {
    let mut general = General::new(key, 0);
    for _ in 0..reader.varint("type count")? {
        let kind = take_kind(reader)?;
        let (dot, stamp) = take_written(reader, map)?;
        if general
            .types
            .iter()
            .any(|one| one.kind == kind && one.dot == dot)
        {
            return Err(reader.error("dots of a type cell"));
        }
        general.types.push(TypeDot { kind, dot, stamp });
    }
    for _ in 0..reader.varint("deadline count")? {
        let (dot, stamp) = take_written(reader, map)?;
        let deadline = reader.varint("deadline")?.wrapping_sub(1);
        let deadline = take_deadline(deadline, reader)?;
        if general.ttl.iter().any(|one| one.dot == dot) {
            return Err(reader.error("dots of a deadline"));
        }
        general.ttl.push(TtlDot {
            dot,
            stamp,
            deadline,
        });
    }
    match reader.byte("string flag")? {
        0 => {}
        1 => general.string = Some(Box::new(take_cell(Kind::String, reader, map)?)),
        _ => return Err(reader.error("string flag")),
    }
    for _ in 0..reader.varint("table count")? {
        let kind = take_kind(reader)?;
        let count = reader.varint("element count")?;
        if kind == Kind::String || general.table(kind).is_some() || count == 0 {
            return Err(reader.error("table"));
        }
        for _ in 0..count {
            let name = reader.prefixed("element")?;
            let cell = take_cell(kind, reader, map)?;
            let table = general.table_mut(kind);
            if table.find(name).is_some() {
                return Err(reader.error("element that stands once"));
            }
            table.insert(Element::from_cell(name, cell));
        }
    }
    Ok(general)
}
