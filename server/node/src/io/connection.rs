//! One client connection: socket, buffers, and what it waits for.

use crate::session::Session;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// Bytes asked of the kernel at once.
const READ_BYTES: usize = 64 << 10;
/// Unsent replies beyond which no further command of this connection is run.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Why a connection takes no input now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It does.
    Open,
    /// Its replies wait until a database's log holds an lsn.
    Log {
        /// The database.
        database: u32,
        /// The lsn.
        lsn: u64,
        /// On the disk, or at least in the kernel.
        durable: bool,
    },
    /// A command is being carried out elsewhere.
    Elsewhere,
    /// Its next command waits until writes go on.
    Paused,
}

/// Bytes read: `consumed` ≤ `filled` ≤ the buffer's length. A worker has one of them for all its
/// connections, which stays in the processor's cache; a connection has its own only while it holds
/// the beginning of a request, or of what it may not run yet.
#[derive(Debug, Default)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    consumed: usize,
    filled: usize,
}

impl Input {
    fn pending(&self) -> &[u8] {
        &self.bytes[self.consumed..self.filled]
    }

    fn is_empty(&self) -> bool {
        self.consumed == self.filled
    }

    /// Makes room for so many bytes behind what is pending, and gives it.
    fn room(&mut self, count: usize) -> &mut [u8] {
        if self.consumed > 0 {
            self.bytes.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        let end = self.filled + count;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        &mut self.bytes[self.filled..end]
    }
}

/// A connection.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own about the socket"
)]
pub(crate) struct Connection {
    /// The socket.
    pub socket: TcpStream,
    /// State of the dialogue.
    pub session: Session,
    /// Why it takes no input.
    pub hold: Hold,
    /// Close once everything is sent.
    pub closing: bool,
    /// The last write of this turn: database and lsn.
    pub wrote: Option<(u32, u64)>,
    input: Input,
    /// Whether `input` is the worker's, lent for a turn.
    is_lent: bool,
    /// Total bytes the parser wants before it looks again.
    wanted: usize,
    /// Replies.
    pub output: Vec<u8>,
    sent: usize,
    /// Bytes received and sent that were not counted yet.
    traffic: (u64, u64),
    /// Whether the kernel may hold more input.
    readable: bool,
    eof: bool,
}

impl Connection {
    /// A fresh connection.
    pub(crate) fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            socket,
            session,
            hold: Hold::Open,
            closing: false,
            wrote: None,
            input: Input::default(),
            is_lent: false,
            wanted: 0,
            output: Vec::new(),
            sent: 0,
            traffic: (0, 0),
            readable: true,
            eof: false,
        }
    }

    /// The kernel says there is input.
    pub(crate) fn set_readable(&mut self) {
        self.readable = true;
    }

    /// Whether the kernel may hold input that was not read.
    pub(crate) fn is_readable(&self) -> bool {
        self.readable && !self.eof
    }

    /// Whether the other side has closed.
    pub(crate) fn is_ended(&self) -> bool {
        self.eof
    }

    /// Whether commands may be run: nothing held, and not too much unsent.
    pub(crate) fn may_run(&self) -> bool {
        self.hold == Hold::Open && !self.closing && self.unsent() < UNSENT_BYTES_MAX
    }

    /// Bytes not yet taken by the kernel.
    pub(crate) fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Bytes received and sent since the last call.
    pub(crate) fn take_traffic(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.traffic)
    }

    /// Uses the worker's buffer for a turn, unless it holds something itself.
    #[inline]
    pub(crate) fn borrow(&mut self, shared: &mut Input) {
        if self.input.is_empty() {
            std::mem::swap(&mut self.input, shared);
            self.is_lent = true;
        }
    }

    /// Gives the worker's buffer back and keeps what it has not used of it.
    #[inline]
    pub(crate) fn give_back(&mut self, shared: &mut Input) {
        if self.is_lent {
            std::mem::swap(&mut self.input, shared);
            self.is_lent = false;
            let rest = shared.pending();
            self.input = Input {
                bytes: rest.to_vec(),
                consumed: 0,
                filled: rest.len(),
            };
            (shared.consumed, shared.filled) = (0, 0);
        } else if self.input.is_empty() {
            self.input = Input::default();
        }
    }

    /// Reads once. A short read means that the kernel has no more (epoll(7), edge triggered).
    pub(crate) fn read(&mut self) -> io::Result<()> {
        let held = self.input.pending().len();
        let room = READ_BYTES.max(self.wanted.saturating_sub(held).min(16 << 20));
        let space = self.input.room(room);
        let result = loop {
            match self.socket.read(space) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match result {
            Ok(count) => {
                self.input.filled += count;
                self.traffic.0 += count as u64;
                self.eof |= count == 0;
                self.readable = count == room;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Whether enough has been read for the parser to look.
    #[inline]
    pub(crate) fn worth_parsing(&self) -> bool {
        let held = self.input.filled - self.input.consumed;
        held > 0 && held >= self.wanted
    }

    /// The parser used this many bytes.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        self.input.consumed += count;
        self.wanted = 0;
    }

    /// The parser wants this many bytes in all.
    pub(crate) fn want(&mut self, count: usize) {
        self.wanted = count.max(self.input.pending().len() + 1);
    }

    /// Splits the borrow: input, session and output, for running a command.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&[u8], &mut Session, &mut Vec<u8>) {
        (self.input.pending(), &mut self.session, &mut self.output)
    }

    /// Sends what there is. True: all of it.
    pub(crate) fn send(&mut self) -> io::Result<bool> {
        while self.sent < self.output.len() {
            match self.socket.write(&self.output[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.sent += count;
                    self.traffic.1 += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        if self.output.capacity() > 1 << 20 {
            self.output = Vec::new();
        }
        Ok(true)
    }
}
