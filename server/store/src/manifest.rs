//! What a database's directory means: which tree is in force, and from where the log is replayed.
//! Replaced as one step; everything else is found from it.

use std::io;
use std::path::Path;
use tandem_merge::History;
use tandem_merge::codec::{DecodeError, Reader, put_prefixed, put_varint};

use crate::counts::Counts;
use crate::disk::Disk;

const MAGIC: &[u8; 8] = b"TNDMMAN\n";
const FORMAT: u64 = 2;

/// The state a checkpoint leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// Directory of the tree, inside the database's.
    pub tree: String,
    /// Lsn from which the log is replayed: the tree holds everything before it.
    pub replay_from: u64,
    /// What was held at that lsn.
    pub history: History,
    /// Keys with content in the tree.
    pub counts: Counts,
    /// Whether counters were ever written: FLUSHDB has to look for contributions only then.
    pub counted: bool,
    /// Last own stamp given when this was written.
    pub stamp: u64,
    /// Lsn before which the log belongs to a state that was given up: it is never served.
    pub serve_from: u64,
}

/// Name of the file.
pub const FILE: &str = "MANIFEST";

impl Manifest {
    /// Encoded form, with a checksum at the end.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_varint(&mut out, FORMAT);
        put_prefixed(&mut out, self.tree.as_bytes());
        put_varint(&mut out, self.replay_from);
        put_varint(&mut out, self.counts.keys.max(0) as u64);
        put_varint(&mut out, self.counts.expires.max(0) as u64);
        out.push(u8::from(self.counted));
        put_varint(&mut out, self.stamp);
        put_varint(&mut out, self.serve_from);
        let mut history = Vec::new();
        self.history.encode(&mut history);
        put_prefixed(&mut out, &history);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the encoded form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else {
            return Err(reader.error("manifest checksum"));
        };
        if crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Err(reader.error("manifest checksum"));
        }
        if reader.bytes(MAGIC.len(), "manifest magic")? != MAGIC
            || reader.varint("manifest format")? != FORMAT
        {
            return Err(reader.error("manifest of format 2"));
        }
        let tree = String::from_utf8_lossy(reader.prefixed("tree name")?).into_owned();
        let replay_from = reader.varint("replay position")?;
        let counts = Counts {
            keys: reader.varint("key count")? as i64,
            expires: reader.varint("expires count")? as i64,
        };
        let counted = reader.byte("counted")? != 0;
        let stamp = reader.varint("stamp")?;
        let serve_from = reader.varint("serve position")?;
        let mut history = Reader::new(reader.prefixed("history")?);
        let history = History::decode(&mut history)?;
        Ok(Self {
            tree,
            replay_from,
            history,
            counts,
            counted,
            stamp,
            serve_from,
        })
    }

    /// Reads the manifest of a database directory; `None` for a fresh one.
    pub fn load(disk: &dyn Disk, directory: &Path) -> io::Result<Option<Self>> {
        let path = directory.join(FILE);
        let Some(bytes) = disk.read(&path)? else {
            return Ok(None);
        };
        Self::decode(&bytes).map(Some).map_err(|error| {
            let text = format!("failed to read `{}`: {error}; restore it or resync this instance from another one with an empty directory", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })
    }

    /// Puts this manifest in force.
    pub fn store(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        disk.replace(&directory.join(FILE), &self.encode())
    }
}
