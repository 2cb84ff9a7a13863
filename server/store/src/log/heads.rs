//! The files of a log as a start finds them: their heads, in order, and what later ones tell of
//! earlier ones.

use super::cursor::{Cursor, was_durable};
use super::format::{BLOCK_BYTES, Class};
use super::segment::{SegmentHead, number_of, path_of};
use crate::disk::{Disk, DiskFile};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The segments that have a head.
pub(super) struct Files<'h> {
    pub(super) disk: &'h Arc<dyn Disk>,
    pub(super) directory: &'h Path,
    pub(super) heads: &'h BTreeMap<u64, SegmentHead>,
}

impl Files<'_> {
    /// Whether a mark in a segment behind `number` says that something above `lsn` was durable.
    pub(super) fn say_durable(&self, number: u64, lsn: u64) -> io::Result<bool> {
        for (later, head) in self.heads.range(number + 1..) {
            let file = self.disk.open(&path_of(self.directory, *later))?;
            let bytes = read_upto(&*file, usize::MAX)?;
            if was_durable(&bytes, 0, head.base, lsn) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Removes the segments behind `number` and gives their bytes.
    pub(super) fn remove_behind(&self, number: u64) -> io::Result<u64> {
        let mut bytes = 0;
        for later in self
            .heads
            .range(number + 1..)
            .rev()
            .map(|(later, _)| *later)
        {
            let path = path_of(self.directory, later);
            bytes += self.disk.open(&path)?.len()?;
            remove_durably(self.disk, self.directory, &path)?;
        }
        Ok(bytes)
    }
}

/// Removes a file so that it does not come back.
fn remove_durably(disk: &Arc<dyn Disk>, directory: &Path, path: &Path) -> io::Result<()> {
    disk.remove(path)?;
    disk.sync_directory(directory)
}

/// Reads the heads of the segments that belong to the log. One without a whole head began right
/// before a crash: it is removed with all behind it, unless a mark in one of them says otherwise. So
/// are segments in front of a gap that replay does not need: a purge has left them behind.
pub(super) fn read_heads(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    from: u64,
) -> io::Result<BTreeMap<u64, SegmentHead>> {
    let numbered = |path: PathBuf| Some((number_of(&path)?, path));
    let listed = disk.list(directory)?.into_iter();
    let paths: BTreeMap<u64, PathBuf> = listed.filter_map(numbered).collect();
    let mut heads: BTreeMap<u64, SegmentHead> = BTreeMap::new();
    for (number, path) in &paths {
        let error = match read_head(disk, path) {
            Head::Whole(head) if head.number == *number => {
                heads.insert(*number, head);
                continue;
            }
            Head::Whole(head) => format!("it is that of segment {}", head.number),
            Head::Foreign(error) => error,
            Head::Torn(damage) => {
                let behind: Vec<&PathBuf> = paths.range(number..).map(|(_, path)| path).collect();
                if !hold_anything(disk, &behind, end_before(disk, directory, &heads, *number)?)? {
                    for path in behind.iter().rev() {
                        remove_durably(disk, directory, path)?;
                    }
                    break;
                }
                damage
            }
        };
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

/// What stands where a segment's head should be.
enum Head {
    Whole(SegmentHead),
    /// Nothing, or a part of one.
    Torn(String),
    /// Something that no crash leaves there.
    Foreign(String),
}

fn read_head(disk: &Arc<dyn Disk>, path: &Path) -> Head {
    let opened = disk.open(path);
    let bytes = match opened.and_then(|file| read_upto(&*file, 64 * BLOCK_BYTES)) {
        Ok(bytes) => bytes,
        Err(error) => return Head::Foreign(error.to_string()),
    };
    let mut cursor = Cursor::new(&bytes);
    match cursor.next() {
        Ok(Some((Class::Head, _, range))) => SegmentHead::decode(cursor.payload(&range))
            .map_or_else(|error| Head::Foreign(error.to_string()), Head::Whole),
        Ok(Some(_)) => Head::Foreign("it does not begin with a head".to_owned()),
        Ok(None) => Head::Torn("it is empty".to_owned()),
        Err(damage) => Head::Torn(damage.to_string()),
    }
}

/// Lsn at which the segment before `number` ends; 0 when that one is not there.
fn end_before(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    heads: &BTreeMap<u64, SegmentHead>,
    number: u64,
) -> io::Result<u64> {
    match heads.last_key_value() {
        Some((last, head)) if last + 1 == number => {
            Ok(head.base + disk.open(&path_of(directory, *last))?.len()?)
        }
        _ => Ok(0),
    }
}

/// Whether one of these files, the first without a whole head, has a mark that says that more than
/// `lsn` was durable.
fn hold_anything(disk: &Arc<dyn Disk>, paths: &[&PathBuf], lsn: u64) -> io::Result<bool> {
    for path in paths {
        let bytes = read_upto(&*disk.open(path)?, usize::MAX)?;
        // Its base is not known, so no mark is too large.
        if was_durable(&bytes, 0, u64::MAX - bytes.len() as u64, lsn) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The bytes of a file, at most so many.
pub(super) fn read_upto(file: &dyn DiskFile, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (file.len()? as usize).min(length)];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}
