//! One client connection: socket, buffers, and what it waits for.

use crate::session::Session;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use tandem_proto::resp::Args;

/// Bytes asked of the kernel at once.
const READ_BYTES: usize = 64 << 10;
/// Unsent replies beyond which no further command of this connection is run.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// Why a connection takes no input now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
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

/// A connection.
#[derive(Debug)]
pub struct Connection {
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
    input: Vec<u8>,
    consumed: usize,
    /// Total bytes the parser wants before it looks again.
    wanted: usize,
    /// Replies.
    pub output: Vec<u8>,
    sent: usize,
    /// Bytes received and sent that were not counted yet.
    traffic: (u64, u64),
    /// Arguments of the command being parsed.
    pub args: Args,
    /// Whether the kernel may hold more input.
    readable: bool,
    eof: bool,
}

impl Connection {
    /// A fresh connection.
    pub fn new(socket: TcpStream, session: Session) -> Self {
        Self {
            socket,
            session,
            hold: Hold::Open,
            closing: false,
            wrote: None,
            input: Vec::new(),
            consumed: 0,
            wanted: 0,
            output: Vec::new(),
            sent: 0,
            traffic: (0, 0),
            args: Args::default(),
            readable: true,
            eof: false,
        }
    }

    /// The kernel says there is input.
    pub fn set_readable(&mut self) {
        self.readable = true;
    }

    /// Whether the kernel may hold input that was not read.
    pub fn is_readable(&self) -> bool {
        self.readable && !self.eof
    }

    /// Whether the other side has closed.
    pub fn is_ended(&self) -> bool {
        self.eof
    }

    /// Whether commands may be run: nothing held, and not too much unsent.
    pub fn may_run(&self) -> bool {
        self.hold == Hold::Open && !self.closing && self.unsent() < UNSENT_BYTES_MAX
    }

    /// Bytes not yet taken by the kernel.
    pub fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Bytes read and not yet used.
    pub fn pending_input(&self) -> &[u8] {
        &self.input[self.consumed..]
    }

    /// Bytes received and sent since the last call.
    pub fn take_traffic(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.traffic)
    }

    /// Bytes held in buffers.
    pub fn buffered(&self) -> (usize, usize) {
        (self.input.capacity(), self.output.capacity())
    }

    /// Reads once. A short read means that the kernel has no more (epoll(7), edge triggered).
    pub fn read(&mut self) -> io::Result<()> {
        if self.consumed > 0 {
            if self.consumed == self.input.len() {
                self.input.clear();
            } else if self.consumed > READ_BYTES {
                self.input.drain(..self.consumed);
            } else {
                self.input.copy_within(self.consumed.., 0);
                self.input.truncate(self.input.len() - self.consumed);
            }
            self.wanted = self.wanted.saturating_sub(self.consumed);
            self.consumed = 0;
        }
        let held = self.input.len();
        let room = READ_BYTES.max(self.wanted.saturating_sub(held).min(16 << 20));
        self.input.resize(held + room, 0);
        let result = loop {
            match self.socket.read(&mut self.input[held..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match result {
            Ok(count) => {
                self.input.truncate(held + count);
                self.traffic.0 += count as u64;
                self.eof |= count == 0;
                self.readable = count == room;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.input.truncate(held);
                self.readable = false;
                Ok(())
            }
            Err(error) => {
                self.input.truncate(held);
                Err(error)
            }
        }
    }

    /// Whether enough has been read for the parser to look.
    pub fn worth_parsing(&self) -> bool {
        self.consumed < self.input.len() && self.input.len() - self.consumed >= self.wanted
    }

    /// The parser used this many bytes.
    pub fn consume(&mut self, count: usize) {
        self.consumed += count;
        self.wanted = 0;
    }

    /// The parser wants this many bytes in all.
    pub fn want(&mut self, count: usize) {
        self.wanted = count.max(self.input.len() - self.consumed + 1);
    }

    /// Splits the borrow: input, arguments, session and output, for running a command.
    pub fn parts(&mut self) -> (&[u8], &mut Args, &mut Session, &mut Vec<u8>) {
        (
            &self.input[self.consumed..],
            &mut self.args,
            &mut self.session,
            &mut self.output,
        )
    }

    /// Sends what there is. True: all of it.
    pub fn send(&mut self) -> io::Result<bool> {
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
        if self.input.is_empty() && self.input.capacity() > 1 << 20 {
            self.input = Vec::new();
        }
        Ok(true)
    }
}
