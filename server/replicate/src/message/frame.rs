//! Frames: length and checksum around a message.

/// Longest frame without its head: a record of the largest size, and slack.
pub const FRAME_BYTES_MAX: usize = 80 << 20;
/// Bytes in front of type and body.
pub const FRAME_HEAD: usize = 8;

/// Bytes that are no frame: the connection is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The length cannot be.
    #[error("frame of {length} bytes is not within 1..={max}")]
    Length {
        /// As sent.
        length: usize,
        /// Largest allowed here.
        max: usize,
    },
    /// The checksum does not match.
    #[error("frame checksum mismatch, sent {sent:08x}, computed {computed:08x}")]
    Checksum {
        /// As sent.
        sent: u32,
        /// Of the bytes received.
        computed: u32,
    },
}

/// Bytes that follow a head: at least 1, at most `max`.
pub fn frame_length(head: [u8; FRAME_HEAD], max: usize) -> Result<usize, FrameError> {
    let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    if length == 0 || length > max {
        return Err(FrameError::Length { length, max });
    }
    Ok(length)
}

/// Compares what followed a head with its checksum.
pub fn check_frame(head: [u8; FRAME_HEAD], payload: &[u8]) -> Result<(), FrameError> {
    let sent = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let computed = crc32c::crc32c(payload);
    if sent == computed {
        Ok(())
    } else {
        Err(FrameError::Checksum { sent, computed })
    }
}

/// Leaves room for a head and returns where the frame began.
pub(super) fn open_frame(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.extend_from_slice(&[0; FRAME_HEAD]);
    at
}

/// Fills in the head of the frame that began at `at`.
pub(super) fn close_frame(out: &mut [u8], at: usize) {
    let payload = &out[at + FRAME_HEAD..];
    let (length, crc) = (payload.len() as u32, crc32c::crc32c(payload));
    out[at..at + 4].copy_from_slice(&length.to_le_bytes());
    out[at + 4..at + FRAME_HEAD].copy_from_slice(&crc.to_le_bytes());
}
