//! Many records in one message, written and read in place.

use super::codec::kind;
use super::frame::{close_frame, open_frame};
use tandem_merge::codec::{DecodeError, Reader, put_prefixed, put_varint};

/// Builds the frame of a [`Message::Records`](super::Message::Records) in place.
#[derive(Debug)]
pub struct RecordsFrame {
    at: usize,
    lsn_at: usize,
    first: usize,
    count: u64,
}

impl RecordsFrame {
    /// Begins the frame at the end of `out`.
    pub fn begin(out: &mut Vec<u8>, database: u32) -> Self {
        let at = open_frame(out);
        out.push(kind::RECORDS);
        put_varint(out, u64::from(database));
        let lsn_at = out.len();
        out.extend_from_slice(&[0; 8]);
        Self {
            at,
            lsn_at,
            first: out.len(),
            count: 0,
        }
    }

    /// Appends a record.
    pub fn push(&mut self, out: &mut Vec<u8>, record: &[u8]) {
        put_prefixed(out, record);
        self.count += 1;
    }

    /// How many records it has.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Bytes of its records.
    pub fn bytes(&self, out: &[u8]) -> usize {
        out.len() - self.first
    }

    /// Ends the frame; `lsn` is behind the last record. Takes it back when it is empty.
    pub fn finish(self, out: &mut Vec<u8>, lsn: u64) -> u64 {
        if self.count == 0 {
            out.truncate(self.at);
            return 0;
        }
        out[self.lsn_at..self.lsn_at + 8].copy_from_slice(&lsn.to_le_bytes());
        close_frame(out, self.at);
        self.count
    }
}

/// Records one after the other.
#[derive(Debug, Clone, Copy)]
pub struct PackedRecords<'a>(Reader<'a>);

impl<'a> PackedRecords<'a> {
    /// Reads what a [`RecordsFrame`] packed.
    pub fn new(packed: &'a [u8]) -> Self {
        Self(Reader::new(packed))
    }

    /// The next record; `None` at the end.
    pub fn next_record(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.0.is_empty() {
            Ok(None)
        } else {
            self.0.prefixed("packed record").map(Some)
        }
    }
}
