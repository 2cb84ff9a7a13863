//! The thread that scans a database for one receiver: a little ahead of what is sent, and behind the
//! threads that serve clients.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tandem_merge::History;
use tandem_store::background::step_back;
use tandem_store::resync::{Chunk, Source};
use tandem_store::{Database, StoreError};

/// Chunks that may wait to be sent.
const WAITING_CHUNKS: usize = 2;
/// Objects of one chunk, in bytes.
const CHUNK_BYTES: usize = 256 << 10;
/// Memory of a chunk above this is not kept for the next one.
const KEPT_BYTES: usize = 4 << 20;
/// How long a chunk is waited for at a time.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a thread found next.
type Found = Result<Option<(Chunk, Vec<u8>)>, StoreError>;

/// What there is of a scan now.
pub(super) enum Scanned {
    /// A range of objects, packed.
    Chunk(Chunk, Vec<u8>),
    /// Nothing yet.
    NotYet,
    /// All has come.
    End,
}

/// A scan on its way. Dropped, its thread ends.
pub(super) struct Scanning {
    found: Option<Receiver<Found>>,
    spare: Sender<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
    history: History,
    lsn: u64,
    bytes: u64,
}

impl Scanning {
    /// Begins one.
    pub(super) fn begin(database: &Arc<Database>) -> Result<Self, StoreError> {
        let source = Source::begin(database)?;
        let (history, lsn, bytes) = (source.history().clone(), source.lsn(), source.bytes());
        let (give, found) = sync_channel(WAITING_CHUNKS);
        let (spare, reused) = channel();
        let thread = std::thread::Builder::new()
            .name(format!("tandem-scan{}", database.number))
            .spawn(move || {
                step_back();
                scan(source, &give, &reused);
            })
            .map_err(|error| StoreError::Resync(format!("failed to start the scan: {error}")))?;
        Ok(Self {
            found: Some(found),
            spare,
            thread: Some(thread),
            history,
            lsn,
            bytes,
        })
    }

    /// What was held when it began.
    pub(super) fn history(&self) -> &History {
        &self.history
    }

    /// Lsn behind the last record that was held when it began.
    pub(super) fn lsn(&self) -> u64 {
        self.lsn
    }

    /// Rough size of all objects in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next chunk; waits a moment for it.
    pub(super) fn next(&mut self) -> Result<Scanned, StoreError> {
        let gone = || StoreError::Resync("the scan ended early".to_owned());
        let found = self.found.as_ref().ok_or_else(gone)?;
        match found.recv_timeout(PATIENCE) {
            Ok(Ok(Some((chunk, packed)))) => Ok(Scanned::Chunk(chunk, packed)),
            Ok(Ok(None)) => Ok(Scanned::End),
            Ok(Err(error)) => Err(error),
            Err(RecvTimeoutError::Timeout) => Ok(Scanned::NotYet),
            Err(RecvTimeoutError::Disconnected) => Err(gone()),
        }
    }

    /// Gives the memory of a chunk back for a later one.
    pub(super) fn give_back(&self, packed: Vec<u8>) {
        if packed.capacity() <= KEPT_BYTES {
            // The thread may have ended.
            drop(self.spare.send(packed));
        }
    }
}

impl Drop for Scanning {
    fn drop(&mut self) {
        drop(self.found.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn scan(mut source: Source, give: &SyncSender<Found>, reused: &Receiver<Vec<u8>>) {
    loop {
        let mut packed = reused.try_recv().unwrap_or_default();
        packed.clear();
        let found = source.next_chunk(CHUNK_BYTES, &mut packed);
        let found = found.map(|chunk| chunk.map(|chunk| (chunk, packed)));
        let is_last = !matches!(found, Ok(Some(_)));
        if give.send(found).is_err() || is_last {
            return;
        }
    }
}
