//! What waits between the socket and the thread that applies it.

use tokio::sync::OwnedSemaphorePermit;

/// A received frame and its part of the queue's room.
pub(super) struct Received {
    pub(super) payload: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Received {
    /// A frame that takes this room until it is dropped.
    pub(super) fn new(payload: Vec<u8>, room: OwnedSemaphorePermit) -> Self {
        Self {
            payload,
            _room: room,
        }
    }
}
