//! Reading the log after a start: what is whole, what is a torn tail, what is corruption.
//!
//! A damaged place beyond everything known to be durable is the torn tail of a crash and is cut. A
//! damaged place below it is corruption: it is reported with its position and read around, and the
//! records it swallowed become holes. What was durable is told by marks behind the damage, and by
//! the existence of a later segment.

use super::format::{BLOCK_BYTES, Class, Damage, Part, block_padding, read_fragment};
use super::reader::Entry;
use super::segment::{SegmentHead, SegmentInfo, number_of, path_of};
use super::writer::Position;
use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tandem_merge::codec::Reader;
use tandem_merge::{Origin, Origins};

/// A damaged place below the durable end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Corruption {
    /// Where it begins.
    pub position: Position,
    /// What was wrong there.
    pub damage: Damage,
    /// Bytes that could not be used.
    pub bytes: u64,
}

/// What a scan found.
pub struct Recovered {
    /// Segments on disk, by number.
    pub segments: BTreeMap<u64, SegmentInfo>,
    /// The newest segment.
    pub file: Arc<dyn DiskFile>,
    /// Where appending goes on.
    pub position: Position,
    /// Lsn of the newest segment's start.
    pub base: u64,
    /// Origins announced in the newest segment, its head included.
    pub announced: Origins,
    /// Damaged places that are not a torn tail.
    pub corruptions: Vec<Corruption>,
    /// Bytes of torn tail that were cut.
    pub torn_bytes: u64,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovered")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

/// Where a scan of one segment ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanEnd {
    /// At the end of the bytes.
    Clean,
    /// At damage.
    Damaged(Damage),
}

/// A segment's bytes and how far they have been read.
struct Cursor<'b> {
    bytes: &'b [u8],
    base: u64,
    offset: u64,
    whole: Vec<u8>,
}

impl Cursor<'_> {
    fn next(&mut self) -> Result<Option<(Class, u64, std::ops::Range<usize>)>, Damage> {
        let start = self.offset;
        self.whole.clear();
        let mut class: Option<Class> = None;
        let mut offset = self.offset;
        if offset as usize >= self.bytes.len() {
            return Ok(None);
        }
        loop {
            offset += block_padding(offset) as u64;
            let at = offset as usize;
            if at >= self.bytes.len() {
                return if class.is_none() {
                    self.end(offset)
                } else {
                    Err(Damage::Short)
                };
            }
            let fragment = read_fragment(&self.bytes[at..], offset)?;
            let opens = matches!(fragment.part, Part::Full | Part::First);
            if opens != class.is_none() || class.is_some_and(|begun| begun != fragment.class) {
                return Err(Damage::Order);
            }
            class = Some(fragment.class);
            offset += fragment.advance as u64;
            let from = at + fragment.advance - fragment.payload.len();
            match fragment.part {
                Part::Full => {
                    self.offset = offset;
                    return Ok(Some((
                        fragment.class,
                        start,
                        from..from + fragment.payload.len(),
                    )));
                }
                Part::Last => {
                    self.whole.extend_from_slice(fragment.payload);
                    self.offset = offset;
                    return Ok(Some((fragment.class, start, 0..0)));
                }
                Part::First | Part::Middle => self.whole.extend_from_slice(fragment.payload),
            }
        }
    }

    fn end<T>(&mut self, offset: u64) -> Result<Option<T>, Damage> {
        self.offset = offset.min(self.bytes.len() as u64);
        Ok(None)
    }

    /// Goes to the next place behind the damage where an entry begins; false at the end.
    fn resync(&mut self) -> bool {
        let mut block = (self.offset / BLOCK_BYTES as u64 + 1) * BLOCK_BYTES as u64;
        while (block as usize) < self.bytes.len() {
            let mut offset = block;
            while let Ok(fragment) = read_fragment(
                self.bytes.get(offset as usize..).unwrap_or_default(),
                offset,
            ) {
                if matches!(fragment.part, Part::Full | Part::First) {
                    self.offset = offset;
                    return true;
                }
                offset += fragment.advance as u64;
                offset += block_padding(offset) as u64;
            }
            block += BLOCK_BYTES as u64;
        }
        false
    }

    /// Whether a mark behind the damage says that bytes at or beyond it were durable.
    fn was_durable(&self) -> bool {
        let damage = self.base + self.offset;
        let mut probe = Cursor {
            bytes: self.bytes,
            base: self.base,
            offset: self.offset,
            whole: Vec::new(),
        };
        while probe.resync() {
            loop {
                match probe.next() {
                    Ok(Some((Class::Mark, _, range))) => {
                        let mark = self.bytes.get(range).unwrap_or_default();
                        let durable = mark.try_into().map_or(0, u64::from_le_bytes);
                        if durable > damage {
                            return true;
                        }
                    }
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(_) => break,
                }
            }
        }
        false
    }
}

/// Scans the log in `directory` from the entry at `from` (an lsn) to its end, calling `each` with
/// every record and the origin table of its segment. Cuts a torn tail. A log that does not exist is
/// begun with `first`.
pub fn scan(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
    first: &SegmentHead,
    mut each: impl FnMut(Entry<'_>, &Origins) -> io::Result<()>,
) -> io::Result<Recovered> {
    disk.create_dir(directory)?;
    let (mut segments, heads) = read_heads(disk, directory)?;
    if segments.is_empty() {
        return begin(disk, directory, first);
    }
    let start = heads
        .iter()
        .rev()
        .find(|(_, head)| head.base <= from)
        .map(|(number, _)| *number);
    let Some(start) = start else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "log begins behind lsn {from} where replay has to start; restore the missing segments"
            ),
        ));
    };
    let newest = segments.keys().next_back().copied().unwrap_or(start);
    let mut corruptions = Vec::new();
    let mut torn_bytes = 0;
    let mut last = None;
    for (number, head) in heads.range(start..) {
        let file = disk.open(&path_of(directory, *number))?;
        let mut bytes = vec![0; file.len()? as usize];
        let count = file.read_at(0, &mut bytes)?;
        bytes.truncate(count);
        let mut origins = head.origins.clone();
        let mut cursor = Cursor {
            bytes: &bytes,
            base: head.base,
            offset: 0,
            whole: Vec::new(),
        };
        loop {
            match cursor.next() {
                Ok(None) => break,
                Ok(Some((class, at, range))) => {
                    let payload = if range.is_empty() {
                        cursor.whole.as_slice()
                    } else {
                        &bytes[range]
                    };
                    let entry = Entry {
                        class,
                        start: head.base + at,
                        end: head.base + cursor.offset,
                        payload,
                    };
                    match class {
                        Class::Origin => {
                            let origin = Origin::decode(&mut Reader::new(payload));
                            origins.intern(origin.map_err(io::Error::other)?);
                        }
                        Class::Record if entry.start >= from => each(entry, &origins)?,
                        _ => {}
                    }
                }
                Err(damage) => {
                    let place = cursor.offset;
                    let position = Position {
                        segment: *number,
                        offset: place,
                    };
                    if *number == newest && !cursor.was_durable() {
                        torn_bytes = bytes.len() as u64 - place;
                        file.truncate(place)?;
                        break;
                    }
                    let more = cursor.resync();
                    let end = if more {
                        cursor.offset
                    } else {
                        bytes.len() as u64
                    };
                    corruptions.push(Corruption {
                        position,
                        damage,
                        bytes: end - place,
                    });
                    if !more {
                        cursor.offset = bytes.len() as u64;
                        break;
                    }
                }
            }
        }
        last = Some((file, *number, cursor.offset, head.base, origins));
    }
    let Some((file, number, offset, base, announced)) = last else {
        return Err(io::Error::other("log segment vanished during recovery"));
    };
    file.sync()?;
    segments.retain(|n, _| *n <= number);
    Ok(Recovered {
        segments,
        file,
        position: Position {
            segment: number,
            offset,
        },
        base,
        announced,
        corruptions,
        torn_bytes,
    })
}

fn begin(disk: &Arc<dyn Disk>, directory: &Path, first: &SegmentHead) -> io::Result<Recovered> {
    let file = disk.create(&path_of(directory, first.number))?;
    let mut bytes = Vec::new();
    let offset = super::format::append_entry(&mut bytes, 0, Class::Head, [&first.encode(), &[]]);
    file.append(0, &bytes)?;
    file.sync()?;
    let info = SegmentInfo {
        number: first.number,
        base: first.base,
        vv: first.vv.clone(),
    };
    Ok(Recovered {
        segments: BTreeMap::from([(first.number, info)]),
        file,
        position: Position {
            segment: first.number,
            offset,
        },
        base: first.base,
        announced: first.origins.clone(),
        corruptions: Vec::new(),
        torn_bytes: 0,
    })
}

type Heads = (BTreeMap<u64, SegmentInfo>, BTreeMap<u64, SegmentHead>);

/// Reads the head of each segment. A newest segment without a whole head was being created in a
/// crash and holds nothing: it is removed.
fn read_heads(disk: &Arc<dyn Disk>, directory: &Path) -> io::Result<Heads> {
    let paths: Vec<_> = disk
        .list(directory)?
        .into_iter()
        .filter_map(|p| Some((number_of(&p)?, p)))
        .collect();
    let (mut segments, mut heads) = (BTreeMap::new(), BTreeMap::new());
    for (at, (number, path)) in paths.iter().enumerate() {
        match read_head(disk, path) {
            Ok(head) => {
                let info = SegmentInfo {
                    number: *number,
                    base: head.base,
                    vv: head.vv.clone(),
                };
                segments.insert(*number, info);
                heads.insert(*number, head);
            }
            Err(_) if at + 1 == paths.len() && at > 0 => disk.remove(path)?,
            Err(error) => {
                let text = format!("failed to read the head of {}: {error}", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    Ok((segments, heads))
}

fn read_head(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<SegmentHead> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; (file.len()? as usize).min(64 * BLOCK_BYTES)];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    let mut cursor = Cursor {
        bytes: &bytes,
        base: 0,
        offset: 0,
        whole: Vec::new(),
    };
    match cursor.next() {
        Ok(Some((Class::Head, _, range))) => {
            let payload = if range.is_empty() {
                cursor.whole.as_slice()
            } else {
                &bytes[range]
            };
            SegmentHead::decode(payload).map_err(io::Error::other)
        }
        Ok(_) => Err(io::Error::other("it does not begin with a head")),
        Err(damage) => Err(io::Error::other(damage)),
    }
}
