//! Reading the log after a start: what is whole, what is a torn tail, what is corruption.
//!
//! A damaged place beyond everything known to be durable is the torn tail of a crash and is cut. A
//! damaged place below it is corruption: it is reported with its position and read around, and the
//! records it swallowed become holes. What was durable is told by marks behind the damage, by the
//! existence of a later segment, and by the place where replay begins.

use super::cursor::{Cursor, was_durable};
use super::format::{BLOCK_BYTES, Class, Damage, Entry, append_entry};
use super::segment::{Position, SegmentHead, SegmentInfo, number_of, path_of};
use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tandem_merge::codec::Reader;
use tandem_merge::{Origin, OriginIndex, Origins, RecordHeader};

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
    /// Whether the newest segment is damaged: appending goes on in a new one.
    pub is_spoilt: bool,
    /// Damaged places that are not a torn tail.
    pub corruptions: Vec<Corruption>,
    /// Bytes of torn tail that were cut.
    pub torn_bytes: u64,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovered")
            .field("position", &self.position)
            .field("corruptions", &self.corruptions)
            .field("torn_bytes", &self.torn_bytes)
            .finish_non_exhaustive()
    }
}

/// Scans the log in `directory` from the entry at `from` (an lsn) to its end, calling `each` with
/// every record and the origin table of its segment; behind damage also with the head of each later
/// segment, which tells what was held there. Cuts a torn tail. A log that does not exist is begun
/// with `first`, which tells what was held at `from`.
pub fn scan(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
    first: &SegmentHead,
    mut each: impl FnMut(Entry<'_>, &Origins) -> io::Result<()>,
) -> io::Result<Recovered> {
    disk.create_dir(directory)?;
    let heads = read_heads(disk, directory, from)?;
    let Some((newest, _)) = heads.last_key_value() else {
        return begin(disk, directory, from, first);
    };
    let start = heads.iter().rev().find(|(_, head)| head.base <= from);
    let Some((start, _)) = start else {
        let text = format!(
            "log begins behind lsn {from} where replay has to start; restore the missing segments"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    };
    let mut pass = Pass {
        from,
        newest: *newest,
        known: &first.origins,
        corruptions: Vec::new(),
        torn_bytes: 0,
    };
    let mut last: Option<Scanned> = None;
    for (number, head) in heads.range(start..) {
        if let Some(before) = &last {
            pass.missing(before, *number, head.base);
        }
        let file = disk.open(&path_of(directory, *number))?;
        last = Some(pass.segment(file, head, &mut each)?);
    }
    let Some(mut last) = last else {
        return Err(io::Error::other("log segment vanished during recovery"));
    };
    if last.end() < from {
        pass.missing(&last, *newest + 1, from);
        last.offset = from - last.base;
    }
    last.file.sync()?;
    let spoilt = |one: &Corruption| one.position.segment >= *newest;
    Ok(Recovered {
        segments: heads.iter().map(|(n, head)| (*n, head.info())).collect(),
        is_spoilt: pass.corruptions.iter().any(spoilt),
        file: last.file,
        position: Position {
            segment: last.number,
            offset: last.offset,
        },
        base: last.base,
        announced: last.origins,
        corruptions: pass.corruptions,
        torn_bytes: pass.torn_bytes,
    })
}

/// A segment that was read to its end.
struct Scanned {
    file: Arc<dyn DiskFile>,
    number: u64,
    base: u64,
    offset: u64,
    origins: Origins,
}

impl Scanned {
    fn end(&self) -> u64 {
        self.base + self.offset
    }
}

/// One pass over all segments.
struct Pass<'o> {
    from: u64,
    newest: u64,
    /// The table that the state at `from` knows; numbers in the log are the same.
    known: &'o Origins,
    corruptions: Vec<Corruption>,
    torn_bytes: u64,
}

impl Pass<'_> {
    fn report(&mut self, segment: u64, offset: u64, damage: Damage, bytes: u64) {
        self.corruptions.push(Corruption {
            position: Position { segment, offset },
            damage,
            bytes,
        });
    }

    /// Reports what is missing between a segment's end and the lsn at which the next one begins.
    fn missing(&mut self, before: &Scanned, next: u64, base: u64) {
        let lost = base.saturating_sub(before.end());
        if lost == 0 {
            return;
        }
        if next == before.number + 1 {
            self.report(before.number, before.offset, Damage::Missing, lost);
        } else {
            self.report(before.number + 1, 0, Damage::Missing, lost);
        }
    }

    fn segment(
        &mut self,
        file: Arc<dyn DiskFile>,
        head: &SegmentHead,
        each: &mut impl FnMut(Entry<'_>, &Origins) -> io::Result<()>,
    ) -> io::Result<Scanned> {
        let number = head.number;
        let bytes = read_upto(&*file, usize::MAX)?;
        let mut origins = head.origins.clone();
        let mut cursor = Cursor::new(&bytes);
        // Behind damage only the origins known by then can be told.
        let mut damaged = false;
        let mut marked = 0;
        loop {
            match cursor.next() {
                Ok(None) => break,
                Ok(Some((class, at, range))) => {
                    let payload = cursor.payload(&range);
                    let (start, end) = (head.base + at, head.base + cursor.offset);
                    let entry = Entry {
                        class,
                        start,
                        end,
                        payload,
                    };
                    match class {
                        Class::Origin if !damaged => {
                            let origin = Origin::decode(&mut Reader::new(payload));
                            origins.intern(origin.map_err(io::Error::other)?);
                        }
                        Class::Record if start < self.from => {}
                        Class::Record if damaged && !is_announced(payload, origins.len()) => {
                            self.report(number, at, Damage::Unannounced, end - start);
                        }
                        Class::Record => each(entry, &origins)?,
                        Class::Head if !self.corruptions.is_empty() => each(entry, &origins)?,
                        Class::Mark => {
                            let mark = payload.first_chunk();
                            marked = mark.map_or(marked, |mark| u64::from_le_bytes(*mark));
                        }
                        _ => {}
                    }
                }
                Err(damage) => {
                    let place = cursor.offset;
                    let lsn = head.base + place;
                    let is_tail = number == self.newest && lsn >= self.from;
                    if is_tail && !was_durable(&bytes, place, head.base, lsn) {
                        self.torn_bytes = cursor.len() - place;
                        file.truncate(place)?;
                        break;
                    }
                    damaged = true;
                    if self.known.len() > origins.len() {
                        origins.clone_from(self.known);
                    }
                    if !cursor.resync() {
                        cursor.offset = cursor.len();
                    }
                    self.report(number, place, damage, cursor.offset - place);
                }
            }
        }
        // NOTE: a failed fsync may have left pages that can be read, count as clean and are on no
        // disk. What no mark calls durable is written once more, so that the next fsync saves it.
        let safe = marked.saturating_sub(head.base).min(cursor.offset);
        let rest = bytes.get(safe as usize..cursor.offset as usize);
        if let Some(rest) = rest.filter(|rest| number == self.newest && !rest.is_empty()) {
            file.append(safe, rest)?;
        }
        Ok(Scanned {
            file,
            number,
            base: head.base,
            offset: cursor.offset,
            origins,
        })
    }
}

/// Whether a record names only origins of a table of this length.
fn is_announced(record: &[u8], count: usize) -> bool {
    let known = |origin: OriginIndex| origin.at() < count;
    RecordHeader::decode(record).is_ok_and(|(header, _)| {
        known(header.origin) && header.gains.iter().all(|(origin, _)| known(*origin))
    })
}

fn read_upto(file: &dyn DiskFile, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (file.len()? as usize).min(length)];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

/// Begins a log. One from which replay should start somewhere has vanished: that is reported.
fn begin(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
    first: &SegmentHead,
) -> io::Result<Recovered> {
    let head = SegmentHead {
        base: first.base.max(from),
        ..first.clone()
    };
    let file = disk.create(&path_of(directory, head.number))?;
    let mut bytes = Vec::new();
    let offset = append_entry(&mut bytes, 0, Class::Head, [&head.encode(), &[]]);
    file.append(0, &bytes)?;
    file.sync()?;
    let mut corruptions = Vec::new();
    if head.base > first.base {
        corruptions.push(Corruption {
            position: Position::default(),
            damage: Damage::Missing,
            bytes: head.base - first.base,
        });
    }
    Ok(Recovered {
        segments: BTreeMap::from([(head.number, head.info())]),
        file,
        position: Position {
            segment: head.number,
            offset,
        },
        base: head.base,
        announced: head.origins,
        is_spoilt: false,
        corruptions,
        torn_bytes: 0,
    })
}

/// Reads the heads of the segments that belong to the log. A newest segment without a whole head was
/// being created in a crash and holds nothing: it is removed, unless a mark in it says otherwise.
/// So are segments in front of a gap that replay does not need: a purge has left them behind.
fn read_heads(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
) -> io::Result<BTreeMap<u64, SegmentHead>> {
    let numbered = |path: PathBuf| Some((number_of(&path)?, path));
    let listed = disk.list(directory)?.into_iter();
    let paths: BTreeMap<u64, PathBuf> = listed.filter_map(numbered).collect();
    let mut heads: BTreeMap<u64, SegmentHead> = BTreeMap::new();
    let newest = paths.keys().next_back().copied();
    for (number, path) in &paths {
        let error = match read_head(disk, path) {
            Ok(head) if head.number == *number => {
                heads.insert(*number, head);
                continue;
            }
            Ok(head) => format!("it is that of segment {}", head.number),
            Err(error) => error.to_string(),
        };
        if Some(*number) == newest
            && !holds_anything(disk, path, end_of_last(disk, directory, &heads)?)?
        {
            disk.remove(path)?;
            continue;
        }
        let text = format!(
            "failed to read the head of `{}` at offset 0: {error}; restore the file, or resync this \
             instance from another one with an empty directory",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let needed = heads.iter().rev().find(|(_, head)| head.base <= from);
    if let Some((needed, _)) = needed {
        let mut oldest = *needed;
        while oldest > 0 && heads.contains_key(&(oldest - 1)) {
            oldest -= 1;
        }
        let kept = heads.split_off(&oldest);
        for number in heads.keys() {
            disk.remove(&path_of(directory, *number))?;
        }
        heads = kept;
    }
    Ok(heads)
}

fn read_head(disk: &Arc<dyn Disk>, path: &Path) -> io::Result<SegmentHead> {
    let bytes = read_upto(&*disk.open(path)?, 64 * BLOCK_BYTES)?;
    let mut cursor = Cursor::new(&bytes);
    match cursor.next() {
        Ok(Some((Class::Head, _, range))) => {
            SegmentHead::decode(cursor.payload(&range)).map_err(io::Error::other)
        }
        Ok(_) => Err(io::Error::other("it does not begin with a head")),
        Err(damage) => Err(io::Error::other(damage)),
    }
}

/// Lsn at which the last of these segments ends.
fn end_of_last(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    heads: &BTreeMap<u64, SegmentHead>,
) -> io::Result<u64> {
    let Some((number, head)) = heads.last_key_value() else {
        return Ok(0);
    };
    Ok(head.base + disk.open(&path_of(directory, *number))?.len()?)
}

/// Whether a segment without a whole head has a mark that says that more than `lsn` was durable.
fn holds_anything(disk: &Arc<dyn Disk>, path: &Path, lsn: u64) -> io::Result<bool> {
    let bytes = read_upto(&*disk.open(path)?, usize::MAX)?;
    // Its base is not known, so no mark is too large.
    Ok(was_durable(&bytes, 0, u64::MAX - bytes.len() as u64, lsn))
}
