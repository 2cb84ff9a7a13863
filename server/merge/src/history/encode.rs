//! A history as bytes: in manifests and state transfers.

use super::{History, Last};
use crate::codec::{DecodeError, Reader, put_varint};
use crate::origin::{Dot, Origin, OriginIndex, Origins};
use crate::stamp::Stamp;
use crate::vv::VersionVector;

const FORMAT: u8 = 1;

impl History {
    /// Appends the encoded history, which begins with a format version.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(FORMAT);
        self.origins.encode(out);
        self.vv.encode(out);
        self.base.encode(out);
        out.extend_from_slice(&self.seen.to_le_bytes());
        put_varint(out, self.last.len() as u64);
        for last in &self.last {
            put_vector(out, last.context.as_ref());
            out.extend_from_slice(&last.stamp.to_le_bytes());
            put_vector(out, last.settled.as_ref());
        }
        put_varint(out, self.ends.len() as u64);
        for (origin, by) in &self.ends {
            origin.encode(out);
            put_dot(out, *by);
        }
        put_varint(out, self.lost.len() as u64);
        for dot in &self.lost {
            put_dot(out, *dot);
        }
    }

    /// Reads an encoded history.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        if reader.byte("history format")? != FORMAT {
            return Err(reader.error("history format that is known"));
        }
        let origins = Origins::decode(reader)?;
        let count = origins.len();
        let mut out = Self {
            origins,
            vv: take_rows(reader, count)?,
            base: take_rows(reader, count)?,
            seen: Stamp::default(),
            ..Self::default()
        };
        out.seen = reader.fixed64("seen stamp")?;
        let lasts = reader.varint("last count")?;
        if lasts > count as u64 {
            return Err(reader.error("last count"));
        }
        for _ in 0..lasts {
            let context = take_vector(reader, count)?;
            let stamp = reader.fixed64("last stamp")?;
            let settled = take_vector(reader, count)?;
            out.last.push(Last {
                context,
                stamp,
                settled,
            });
        }
        for _ in 0..reader.varint("end count")? {
            let origin = Origin::decode(reader)?;
            out.ends.insert(origin, take_dot(reader, count)?);
        }
        for _ in 0..reader.varint("lost count")? {
            out.lost.insert(take_dot(reader, count)?);
        }
        out.mark_all_changed();
        Ok(out)
    }
}

fn put_vector(out: &mut Vec<u8>, vector: Option<&VersionVector>) {
    out.push(u8::from(vector.is_some()));
    if let Some(vector) = vector {
        vector.encode(out);
    }
}

fn take_vector(
    reader: &mut Reader<'_>,
    origins: usize,
) -> Result<Option<VersionVector>, DecodeError> {
    match reader.byte("vector flag")? {
        0 => Ok(None),
        1 => take_rows(reader, origins).map(Some),
        _ => Err(reader.error("vector flag")),
    }
}

fn take_rows(reader: &mut Reader<'_>, origins: usize) -> Result<VersionVector, DecodeError> {
    let vector = VersionVector::decode(reader)?;
    if vector.rows().any(|(origin, _)| origin.at() >= origins) {
        return Err(reader.error("origin in the table"));
    }
    Ok(vector)
}

fn put_dot(out: &mut Vec<u8>, dot: Dot) {
    put_varint(out, u64::from(dot.origin.0));
    put_varint(out, dot.sequence);
}

fn take_dot(reader: &mut Reader<'_>, origins: usize) -> Result<Dot, DecodeError> {
    let origin = OriginIndex(reader.varint32("origin")?);
    if origin.at() >= origins {
        return Err(reader.error("origin in the table"));
    }
    Ok(Dot {
        origin,
        sequence: reader.varint("sequence")?,
    })
}
