//! What other threads hand to a worker: new connections, replies of blocked commands, wake-ups.

use mio::Waker;
use parking_lot::Mutex;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A message to a worker.
#[derive(Debug)]
pub enum Post {
    /// A connection that was accepted.
    Connection(TcpStream),
    /// The reply of a command that was carried out elsewhere.
    Reply(Ticket, Vec<u8>),
    /// CLIENT KILL: closes the connection with this id.
    Kill(u64),
    /// Counted up by the worker: its loop turns.
    Echo(Arc<AtomicUsize>),
    /// Ends the worker's loop.
    Stop,
}

/// Names a blocked connection: its place and its id, so that a late reply cannot reach another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Place in the worker's table.
    pub slot: usize,
    /// Id of the client.
    pub client: u64,
}

/// A worker's mailbox.
#[derive(Debug)]
pub struct Inbox {
    posts: Mutex<Vec<Post>>,
    waiting: AtomicBool,
    waker: Waker,
}

impl Inbox {
    /// A mailbox that wakes its worker through `waker`.
    pub fn new(waker: Waker) -> Arc<Self> {
        Arc::new(Self {
            posts: Mutex::new(Vec::new()),
            waiting: AtomicBool::new(false),
            waker,
        })
    }

    /// Puts a message in and wakes the worker.
    pub fn post(&self, post: Post) {
        self.posts.lock().push(post);
        self.wake();
    }

    /// Wakes the worker; several calls before it looks cost one system call.
    pub fn wake(&self) {
        if !self.waiting.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "worker could not be woken"
            );
        }
    }

    /// Takes all messages.
    pub fn take(&self) -> Vec<Post> {
        self.waiting.store(false, Ordering::Release);
        std::mem::take(&mut *self.posts.lock())
    }
}
