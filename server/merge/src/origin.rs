//! Origins, dots and the table that gives each origin a small local number.
//!
//! An [`Origin`] is one writer's one life and means the same everywhere. An [`OriginIndex`] means
//! something only together with the [`Origins`] table of one database of one instance (or of one
//! log segment or link, which carry their own tables).

use crate::codec::{DecodeError, Reader, put_varint};
use std::collections::BTreeMap;

/// One writer's one life: (server id, epoch, incarnation). Orders in that sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The group.
    pub server_id: u32,
    /// The group's epoch when this life began.
    pub epoch: u64,
    /// Random bits that make the life unique.
    pub incarnation: u64,
}

impl Origin {
    /// Appends the encoded form.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, u64::from(self.server_id));
        put_varint(out, self.epoch);
        out.extend_from_slice(&self.incarnation.to_le_bytes());
    }

    /// Reads the encoded form.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            server_id: reader.varint32("server id")?,
            epoch: reader.varint("epoch")?,
            incarnation: reader.fixed64("incarnation")?,
        })
    }
}

/// Local number of an origin: its place in an [`Origins`] table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OriginIndex(pub u32);

impl OriginIndex {
    /// As a place in a vector.
    #[inline]
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// Names one write for ever: the `sequence`-th of an origin in its database. Sequences begin at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// Whose.
    pub origin: OriginIndex,
    /// Which.
    pub sequence: u64,
}

/// The origins one database knows; indexes are given in order of arrival and never change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origins {
    list: Vec<Origin>,
    index: BTreeMap<Origin, OriginIndex>,
}

impl Origins {
    /// The index of `origin`, given now if it is new.
    pub fn intern(&mut self, origin: Origin) -> OriginIndex {
        if let Some(index) = self.index.get(&origin) {
            return *index;
        }
        let index = OriginIndex(self.list.len() as u32);
        self.list.push(origin);
        self.index.insert(origin, index);
        index
    }

    /// The index of `origin` if it is known.
    pub fn get(&self, origin: &Origin) -> Option<OriginIndex> {
        self.index.get(origin).copied()
    }

    /// The origin behind an index of this table.
    #[inline]
    pub fn origin(&self, index: OriginIndex) -> Option<Origin> {
        self.list.get(index.at()).copied()
    }

    /// How many origins are known.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All, in order of index.
    pub fn iter(&self) -> impl Iterator<Item = (OriginIndex, Origin)> + '_ {
        self.list
            .iter()
            .enumerate()
            .map(|(at, origin)| (OriginIndex(at as u32), *origin))
    }

    /// Appends the encoded table.
    pub fn encode(&self, out: &mut Vec<u8>) {
        put_varint(out, self.list.len() as u64);
        for origin in &self.list {
            origin.encode(out);
        }
    }

    /// Reads an encoded table.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.varint("origin count")?;
        let mut origins = Self::default();
        for _ in 0..count {
            origins.intern(Origin::decode(reader)?);
        }
        if origins.len() as u64 != count {
            return Err(reader.error("origin table without repetition"));
        }
        Ok(origins)
    }
}
