//! The dialogue with one client: who it is, which database it picked, what it has queued.

use crate::io::Inbox;
use crate::server::Server;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tandem_merge::Dot;
use tandem_proto::command::{CommandId, CommandSpec, lookup};
use tandem_proto::reply::Protocol;

/// A queued transaction.
#[derive(Debug, Default)]
pub struct Transaction {
    /// Commands with their arguments, in order.
    pub commands: Vec<Vec<Vec<u8>>>,
    /// A command could not be queued: EXEC answers EXECABORT.
    pub broken: bool,
    /// Bytes queued.
    pub bytes: usize,
}

/// A key that WATCH looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Its database.
    pub database: u32,
    /// The key.
    pub key: Vec<u8>,
    /// Its state when the watch began; `None` when there was none to see.
    pub fingerprint: Option<u64>,
}

/// What CLIENT REPLY asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replies {
    /// All.
    On,
    /// None.
    Off,
    /// Not the next one.
    SkipNext,
}

/// State of one client's dialogue.
#[derive(Debug)]
pub struct Session {
    /// Unique id, as CLIENT ID shows it.
    pub id: u64,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Our end.
    pub local: Option<SocketAddr>,
    /// Name given by CLIENT SETNAME.
    pub name: Vec<u8>,
    /// Library name and version given by CLIENT SETINFO.
    pub library: (Vec<u8>, Vec<u8>),
    /// Selected database.
    pub database: u32,
    /// RESP2 or RESP3.
    pub protocol: Protocol,
    /// Whether AUTH was passed or is not needed.
    pub authenticated: bool,
    /// Open transaction.
    pub transaction: Option<Transaction>,
    /// Watched keys.
    pub watched: Vec<Watched>,
    /// Its last write, for WAIT.
    pub last_write: Option<(u32, Dot, u64)>,
    /// CLIENT REPLY.
    pub replies: Replies,
    /// CLIENT NO-EVICT and NO-TOUCH are accepted and mean nothing here.
    pub since: Instant,
    /// Last command.
    pub last_command: &'static str,
    last_at: Instant,
}

impl Session {
    /// Lets a client in unless there are too many; others reach it through its worker's `inbox`.
    pub fn admit(
        server: &Arc<Server>,
        peer: SocketAddr,
        local: Option<SocketAddr>,
        inbox: &Arc<Inbox>,
    ) -> Option<Self> {
        let now = Instant::now();
        let id = server.clients.enter(peer, inbox, server.clients_max())?;
        server.stats.connections.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            id,
            peer,
            local,
            name: Vec::new(),
            library: (Vec::new(), Vec::new()),
            database: 0,
            protocol: Protocol::Resp2,
            authenticated: !server.needs_password(),
            transaction: None,
            watched: Vec::new(),
            last_write: None,
            replies: Replies::On,
            since: now,
            last_command: "",
            last_at: now,
        })
    }

    /// The connection is gone.
    pub fn leave(&self, server: &Server) {
        server.clients.leave(self.id);
    }

    /// Whether this command writes now: EXEC does when what was queued does.
    pub fn is_about_to_write(&self, spec: &CommandSpec) -> bool {
        match &self.transaction {
            Some(transaction) if spec.id == CommandId::Exec => transaction
                .commands
                .iter()
                .any(|words| lookup(&words[0]).is_some_and(CommandSpec::is_write)),
            Some(_) => false,
            None => spec.is_write(),
        }
    }

    /// Notes activity.
    pub fn touch(&mut self, command: &'static str) {
        self.last_command = command;
    }

    /// Notes the time of activity; once a turn.
    pub fn touch_at(&mut self, now: Instant) {
        self.last_at = now;
    }

    /// How long nothing has been asked.
    pub fn idle(&self) -> Duration {
        self.last_at.elapsed()
    }

    /// Back to what a fresh connection is (RESET).
    pub fn reset(&mut self, server: &Server) {
        self.database = 0;
        self.protocol = Protocol::Resp2;
        self.authenticated = !server.needs_password();
        self.transaction = None;
        self.watched.clear();
        self.name.clear();
        self.replies = Replies::On;
    }
}

/// Tells a client that there are too many, as Redis does.
pub fn refuse_full(mut socket: std::net::TcpStream) {
    drop(socket.write_all(b"-ERR max number of clients reached\r\n"));
}
