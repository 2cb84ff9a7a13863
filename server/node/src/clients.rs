//! The table of connected clients, for CLIENT LIST, CLIENT KILL and INFO.

use crate::io::Inbox;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What others may know of a client.
#[derive(Debug, Clone)]
pub struct Client {
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Since when.
    pub since: Instant,
    /// Name given by CLIENT SETNAME.
    pub name: Vec<u8>,
    /// Selected database.
    pub database: u32,
    /// Its worker.
    pub inbox: Arc<Inbox>,
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    table: Mutex<BTreeMap<u64, Client>>,
    next: AtomicU64,
}

impl Clients {
    /// Lets one in and gives it an id; `None` when there are `max` already.
    pub fn enter(&self, peer: SocketAddr, inbox: &Arc<Inbox>, max: usize) -> Option<u64> {
        let mut table = self.table.lock();
        if table.len() >= max {
            return None;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let client = Client {
            peer,
            since: Instant::now(),
            name: Vec::new(),
            database: 0,
            inbox: Arc::clone(inbox),
        };
        table.insert(id, client);
        Some(id)
    }

    /// One has left.
    pub fn leave(&self, id: u64) {
        self.table.lock().remove(&id);
    }

    /// Changes what is shown of a client.
    pub fn update(&self, id: u64, change: impl FnOnce(&mut Client)) {
        if let Some(client) = self.table.lock().get_mut(&id) {
            change(client);
        }
    }

    /// Whether a client is still connected.
    pub fn is_here(&self, id: u64) -> bool {
        self.table.lock().contains_key(&id)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.table.lock().len()
    }

    /// A copy of the table.
    pub fn list(&self) -> Vec<(u64, Client)> {
        self.table
            .lock()
            .iter()
            .map(|(id, client)| (*id, client.clone()))
            .collect()
    }
}
