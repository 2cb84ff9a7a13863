//! One I/O thread: its connections, its event loop, its turns.

use super::batch::Batch;
use super::connection::{Connection, Hold, Input};
use super::inbox::{Inbox, Post, Ticket};
use super::turn::{Durability, Turn};
use crate::dispatch;
use crate::server::Server;
use crate::session::Session;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tandem_proto::resp::Limits;
use tandem_store::log::Log;

const INBOX: Token = Token(usize::MAX);
/// How often idle connections and limits are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// An I/O thread.
pub struct Worker {
    poll: Poll,
    inbox: Arc<Inbox>,
    server: Arc<Server>,
    connections: Slab<Connection>,
    /// Connections that have more to do without a new event.
    again: Vec<usize>,
    /// Connections with replies to send at the end of the turn.
    sending: Vec<usize>,
    parked: Vec<usize>,
    /// What connections read into during their turn.
    input: Input,
    batch: Batch,
    turn: Turn,
    limits: Limits,
    housekept: Instant,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}

/// A poll and the mailbox that wakes it; made before the server that the worker needs.
pub fn mailbox() -> io::Result<(Poll, Arc<Inbox>)> {
    let poll = Poll::new()?;
    let inbox = Inbox::new(Waker::new(poll.registry(), INBOX)?);
    Ok((poll, inbox))
}

impl Worker {
    /// A worker without connections.
    pub fn new(poll: Poll, inbox: Arc<Inbox>, server: Arc<Server>) -> Self {
        Self {
            poll,
            inbox,
            server,
            connections: Slab::new(),
            again: Vec::new(),
            sending: Vec::new(),
            parked: Vec::new(),
            input: Input::default(),
            batch: Batch::default(),
            turn: Turn::new(),
            limits: Limits::default(),
            housekept: Instant::now(),
        }
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = if self.again.is_empty() {
                HOUSEKEEPING
            } else {
                Duration::ZERO
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "event loop failed"
                    );
                    return;
                }
                Ok(()) => {}
            }
            self.turn.wall_ms = self.server.wall_ms();
            self.turn.clock = Instant::now();
            self.turn.slow = self.server.slow_limit();
            let mut stop = false;
            for event in &events {
                if event.token() == INBOX {
                    stop = self.open_mail();
                    continue;
                }
                let slot = event.token().0;
                if let Some(connection) = self.connections.get_mut(slot) {
                    if event.is_readable() || event.is_read_closed() {
                        connection.set_readable();
                    }
                    self.serve(slot);
                }
            }
            for slot in std::mem::take(&mut self.again) {
                self.serve(slot);
            }
            self.end_turn();
            if self.housekept.elapsed() >= HOUSEKEEPING {
                self.housekept = Instant::now();
                self.housekeeping();
            }
            if stop {
                return;
            }
        }
    }

    fn open_mail(&mut self) -> bool {
        let mut stop = false;
        for post in self.inbox.take() {
            match post {
                Post::Connection(socket) => self.admit(socket),
                Post::Reply(ticket, reply) => self.unblock(ticket, &reply),
                Post::Kill(id) => {
                    let found = self.connections.iter().find(|(_, c)| c.session.id == id);
                    if let Some(slot) = found.map(|(slot, _)| slot) {
                        self.close(slot);
                    }
                }
                Post::Echo(count) => {
                    count.fetch_add(1, Ordering::Release);
                }
                Post::Stop => stop = true,
            }
        }
        stop
    }

    fn admit(&mut self, socket: std::net::TcpStream) {
        let prepared = socket
            .set_nonblocking(true)
            .and_then(|()| socket.set_nodelay(true));
        let peer = socket.peer_addr();
        let (Ok(()), Ok(peer)) = (prepared, peer) else {
            return;
        };
        let local = socket.local_addr().ok();
        let entry = self.connections.vacant_entry();
        let slot = entry.key();
        let Some(session) = Session::admit(&self.server, peer, local, &self.inbox) else {
            crate::session::refuse_full(socket);
            return;
        };
        let mut socket = TcpStream::from_std(socket);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if self
            .poll
            .registry()
            .register(&mut socket, Token(slot), interest)
            .is_ok()
        {
            entry.insert(Connection::new(socket, session));
            self.serve(slot);
        } else {
            session.leave(&self.server);
        }
    }

    fn unblock(&mut self, ticket: Ticket, reply: &[u8]) {
        let Some(connection) = self.connections.get_mut(ticket.slot) else {
            return;
        };
        if connection.session.id == ticket.client && connection.hold == Hold::Elsewhere {
            connection.output.extend_from_slice(reply);
            connection.hold = Hold::Open;
            self.serve(ticket.slot);
        }
    }

    /// Reads and runs what a connection has, within a share of the turn.
    fn serve(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        connection.borrow(&mut self.input);
        if connection.is_readable() && connection.may_run() && connection.read().is_err() {
            connection.give_back(&mut self.input);
            self.close(slot);
            return;
        }
        self.turn.last = None;
        connection.session.touch_at(self.turn.clock);
        while connection.may_run() && connection.worth_parsing() {
            let goes_on = self.batch.run(
                connection,
                &self.server,
                &self.inbox,
                slot,
                &mut self.turn,
                &self.limits,
            );
            if !goes_on {
                break;
            }
        }
        connection.give_back(&mut self.input);
        connection.wrote = self.turn.last;
        if connection.hold == Hold::Paused && !self.parked.contains(&slot) {
            self.parked.push(slot);
        }
        if let Some((database, lsn)) = self.turn.last
            && self.server.durability() == Durability::Durable
            && connection.hold == Hold::Open
        {
            connection.hold = Hold::Log {
                database,
                lsn,
                durable: true,
            };
            self.parked.push(slot);
        }
        if connection.is_ended() && !connection.worth_parsing() && connection.hold == Hold::Open {
            connection.closing = true;
        }
        if connection.is_readable() && connection.may_run() {
            self.again.push(slot);
        }
        self.sending.push(slot);
    }

    /// Writes the log once for everything, then sends what may leave.
    fn end_turn(&mut self) {
        let mut wrote = false;
        for (number, lsn) in std::mem::take(&mut self.turn.touched) {
            wrote = true;
            if let Some(database) = self.server.instance.store.get(number)
                && let Err(error) = database.flush(lsn)
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "log not written");
                self.withhold(number);
            }
        }
        if wrote {
            self.server.log_grew();
        }
        dispatch::settle(&self.server, &mut self.turn);
        self.unpark();
        for slot in std::mem::take(&mut self.sending) {
            self.send(slot);
        }
    }

    /// Holds back the replies of this turn's writes to a database whose log took none of them: no
    /// client is told OK for what may be lost. They leave when there is space again.
    fn withhold(&mut self, number: u32) {
        for slot in &self.sending {
            let Some(connection) = self.connections.get_mut(*slot) else {
                continue;
            };
            if let Some((database, lsn)) = connection.wrote
                && database == number
                && connection.hold == Hold::Open
            {
                connection.hold = Hold::Log {
                    database,
                    lsn,
                    durable: false,
                };
                self.parked.push(*slot);
            }
        }
    }

    /// Lets go what has become written or durable.
    fn unpark(&mut self) {
        if self.parked.is_empty() {
            return;
        }
        let server = &self.server;
        let (connections, again, sending) =
            (&mut self.connections, &mut self.again, &mut self.sending);
        self.parked.retain(|slot| {
            let Some(connection) = connections.get_mut(*slot) else {
                return false;
            };
            if connection.hold == Hold::Paused && !server.failover.is_pausing() {
                connection.hold = Hold::Open;
                again.push(*slot);
            }
            let Hold::Log {
                database,
                lsn,
                durable,
            } = connection.hold
            else {
                return connection.hold == Hold::Paused;
            };
            let log = server
                .instance
                .store
                .get(database)
                .map(|database| &database.log);
            let reached = |log: &Arc<Log>| {
                (if durable {
                    log.durable()
                } else {
                    log.written()
                }) >= lsn
            };
            if log.is_some_and(|log| !reached(log) && !log.is_poisoned()) {
                return true;
            }
            connection.hold = Hold::Open;
            if log.is_some_and(|log| log.is_poisoned()) {
                connection.closing = true;
                connection.output.clear();
            }
            sending.push(*slot);
            again.push(*slot);
            false
        });
    }

    fn send(&mut self, slot: usize) {
        let Some(connection) = self.connections.get_mut(slot) else {
            return;
        };
        if matches!(connection.hold, Hold::Log { .. }) {
            return;
        }
        let outcome = connection.send();
        let (input, output) = connection.take_traffic();
        self.turn.input_bytes += input;
        self.turn.output_bytes += output;
        match outcome {
            Ok(true) if connection.closing => self.close(slot),
            Ok(true) => {
                if connection.may_run() && connection.worth_parsing() && !self.again.contains(&slot)
                {
                    self.again.push(slot);
                }
            }
            Ok(false) => {
                let limit = self.server.output_limit();
                if limit > 0 && connection.unsent() > limit {
                    tracing::warn!(
                        client = connection.session.id,
                        "output buffer limit reached"
                    );
                    self.close(slot);
                }
            }
            Err(_) => self.close(slot),
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(mut connection) = self.connections.try_remove(slot) {
            drop(self.poll.registry().deregister(&mut connection.socket));
            connection.session.leave(&self.server);
        }
    }

    fn housekeeping(&mut self) {
        self.limits.bulk_bytes_max = self.server.bulk_bytes_max();
        let timeout = self.server.idle_timeout();
        if timeout.is_zero() {
            return;
        }
        let idle: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, c)| c.hold == Hold::Open && c.session.idle() > timeout)
            .map(|(slot, _)| slot)
            .collect();
        for slot in idle {
            self.close(slot);
        }
    }
}
