//! Frames over a socket. Every read and write has a bound in bytes and in time.

use std::io;
use std::time::Duration;
use tandem_replicate::message::{
    FRAME_HEAD, FrameError, Message, MessageError, check_frame, frame_length,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// Why a connection is of no use any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// The socket failed or was closed.
    #[error("connection lost: {0}")]
    Io(#[from] io::Error),
    /// Bytes that are no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A frame that is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The other side is silent or does not take what is sent.
    #[error("no answer for {} ms; the other side or the network hangs", .0.as_millis())]
    Silent(Duration),
    /// A message that has no place here.
    #[error("unexpected message: {0}")]
    Unexpected(&'static str),
}

/// Reads one frame's type and body into `buffer`.
pub(super) async fn read_frame(
    socket: &mut (impl AsyncRead + Unpin),
    buffer: &mut Vec<u8>,
    bytes_max: usize,
    silence: Duration,
) -> Result<(), WireError> {
    let read = async {
        let mut head = [0; FRAME_HEAD];
        socket.read_exact(&mut head).await?;
        let length = frame_length(head, bytes_max)?;
        buffer.clear();
        // Memory is taken as bytes arrive, not as the length promises.
        let mut part = socket.take(length as u64);
        buffer.reserve(length.min(1 << 20));
        if part.read_to_end(buffer).await? != length {
            return Err(WireError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        check_frame(head, buffer)?;
        Ok(())
    };
    timeout(silence, read)
        .await
        .map_err(|_| WireError::Silent(silence))?
}

/// Writes encoded frames.
pub(super) async fn write_bytes(
    socket: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    silence: Duration,
) -> Result<(), WireError> {
    timeout(silence, socket.write_all(bytes))
        .await
        .map_err(|_| WireError::Silent(silence))??;
    Ok(())
}

/// Writes one message.
pub(super) async fn write_message(
    socket: &mut (impl AsyncWrite + Unpin),
    message: &Message<'_>,
    silence: Duration,
) -> Result<(), WireError> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    write_bytes(socket, &bytes, silence).await
}
