//! Reading the log after a start: what is whole, what is a torn tail, what is corruption.
//!
//! A damaged place beyond everything known to be durable is the torn tail of a crash and is cut, with
//! all segments behind it: several of them may have waited for a sync. A damaged place below it is
//! corruption: it is reported with its position and read around, and the records it swallowed become
//! holes. What was durable is told by marks behind the damage, in its segment or a later one, and by
//! the place where replay begins. A file that is gone was removed by somebody: files are created
//! durably and in order.
//!
//! ```text
//! segments   ▕ 3 ████████▕ 4 ████████▕ 5 ███░░██▕ 6 ░█░░        █ there, ░ lost with the power
//! newest mark says ──────────────┘         └─ cut here, 6 is removed
//!            synced once more: ███▕█████████▕
//! ```

use super::cursor::{Cursor, was_durable};
use super::format::{Class, Damage, Entry, append_entry};
use super::heads::{Files, read_heads, read_upto};
use super::segment::{Position, SegmentHead, SegmentInfo, path_of};
use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
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
    if heads.is_empty() {
        return begin(disk, directory, from, first);
    }
    let start = heads.iter().rev().find(|(_, head)| head.base <= from);
    let Some((start, _)) = start else {
        let text = format!(
            "log begins behind lsn {from} where replay has to start; restore the missing segments"
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    };
    let mut pass = Pass {
        from,
        files: Files {
            disk,
            directory,
            heads: &heads,
        },
        known: &first.origins,
        corruptions: Vec::new(),
        marked: 0,
        torn_bytes: 0,
    };
    let mut scanned: Vec<Scanned> = Vec::new();
    for (number, head) in heads.range(start..) {
        if let Some(before) = scanned.last() {
            if pass.is_short(before, *number, head.base)? {
                break;
            }
            pass.missing(before, *number, head.base);
        }
        let file = disk.open(&path_of(directory, *number))?;
        let one = pass.segment(file, head, &mut each)?;
        let is_cut = one.is_cut;
        scanned.push(one);
        if is_cut {
            break;
        }
    }
    let Some(mut last) = scanned.pop() else {
        return Err(io::Error::other("log segment vanished during recovery"));
    };
    // The newest goes first, and durably: what a crash here leaves is cut at the same place again.
    pass.torn_bytes += pass.files.remove_behind(last.number)?;
    if last.is_cut {
        last.file.truncate(last.offset)?;
    }
    let safe = pass.marked.max(from);
    for one in scanned.iter().chain([&last]) {
        one.save(safe)?;
    }
    last.file.sync()?;
    let newest = last.number;
    if last.end() < from {
        pass.missing(&last, newest + 1, from);
        last.offset = from - last.base;
    }
    let spoilt = |one: &Corruption| one.position.segment >= newest;
    let kept = heads.range(..=newest);
    Ok(Recovered {
        segments: kept.map(|(n, head)| (*n, head.info())).collect(),
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
    /// What stands behind `offset` is a torn tail.
    is_cut: bool,
}

impl Scanned {
    fn end(&self) -> u64 {
        self.base + self.offset
    }

    /// Saves what stands from the lsn `safe` on.
    fn save(&self, safe: u64) -> io::Result<()> {
        let mut at = safe.max(self.base) - self.base;
        if at >= self.offset {
            return Ok(());
        }
        // NOTE: a failed fsync may have left pages that can be read, count as clean and are on no
        // disk. What is not known to be durable is written once more, so that this fsync saves it.
        let mut chunk = vec![0; SAVE_BYTES.min((self.offset - at) as usize)];
        while at < self.offset {
            let wanted = chunk.len().min((self.offset - at) as usize);
            let count = self.file.read_at(at, &mut chunk[..wanted])?;
            if count == 0 {
                break;
            }
            self.file.append(at, &chunk[..count])?;
            at += count as u64;
        }
        self.file.sync()
    }
}

/// Bytes that are written once more as one piece.
const SAVE_BYTES: usize = 1 << 20;

/// One pass over all segments.
struct Pass<'o> {
    from: u64,
    files: Files<'o>,
    /// The table that the state at `from` knows; numbers in the log are the same.
    known: &'o Origins,
    corruptions: Vec<Corruption>,
    /// Highest lsn that a mark calls durable.
    marked: u64,
    torn_bytes: u64,
}

impl Pass<'_> {
    /// Whether a segment is short of the next one's begin because its end was lost with the power.
    fn is_short(&self, before: &Scanned, next: u64, base: u64) -> io::Result<bool> {
        let end = before.end();
        let may_be_torn = next == before.number + 1 && end < base && end >= self.from;
        Ok(may_be_torn && !self.files.say_durable(before.number, end)?)
    }

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
        let mut is_cut = false;
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
                            let mark = payload.first_chunk().copied().map(u64::from_le_bytes);
                            self.marked = self.marked.max(mark.unwrap_or(0));
                        }
                        _ => {}
                    }
                }
                Err(damage) => {
                    let place = cursor.offset;
                    let lsn = head.base + place;
                    let was_saved = lsn < self.from
                        || was_durable(&bytes, place, head.base, lsn)
                        || self.files.say_durable(number, lsn)?;
                    if !was_saved {
                        self.torn_bytes += cursor.len() - place;
                        is_cut = true;
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
        Ok(Scanned {
            file,
            number,
            base: head.base,
            offset: cursor.offset,
            origins,
            is_cut,
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
