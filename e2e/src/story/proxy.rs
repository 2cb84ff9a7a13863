//! A TCP proxy between two instances: it delays, throttles or cuts what passes.
//!
//! Links use the client port + 2000. A proxy therefore has a pretended client port whose link port
//! it listens on, to be written into `double-master-port` or `REPLICAOF`.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::ports::{self, LINK_OFFSET};

const POLL_INTERVAL: Duration = Duration::from_millis(2);
const CHUNK_BYTES: usize = 32 << 10;
/// Chunks that may wait for their time in one direction; then the sender is held back.
const WAITING_CHUNKS_MAX: usize = 4096;

#[derive(Debug, Default)]
struct Shared {
    delay_us: AtomicU64,
    bytes_per_second: AtomicU64,
    is_cut: AtomicBool,
    is_over: AtomicBool,
    bytes: AtomicU64,
    connections: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

/// A proxy that passes the links of one instance on; gone at drop.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy to the link port of the instance with this client port.
    pub fn to_links_of(client_port: u16) -> Result<Self> {
        let port = ports::free()?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, client_port + LINK_OFFSET));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port + LINK_OFFSET))
            .context("failed to listen as a proxy")?;
        listener.set_nonblocking(true)?;
        let shared = Arc::new(Shared::default());
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, to, &shared))
        };
        Ok(Self {
            port,
            shared,
            accepting: Some(accepting),
        })
    }

    /// The client port that it pretends to have.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Delays each byte by this much in each direction, from now on.
    pub fn delay(&self, by: Duration) {
        let us = by.as_micros() as u64;
        self.shared.delay_us.store(us, Ordering::Relaxed);
    }

    /// Passes at most so many bytes a second in each direction of each connection; 0: all.
    pub fn throttle(&self, bytes_per_second: u64) {
        let to = &self.shared.bytes_per_second;
        to.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Closes all connections and takes no new ones.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::Relaxed);
        self.close_all();
    }

    /// Passes everything again.
    pub fn heal(&self) {
        self.shared.is_cut.store(false, Ordering::Relaxed);
    }

    /// Closes all connections; new ones are taken.
    pub fn close_all(&self) {
        let mut open = self.shared.open();
        for stream in open.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    /// Bytes passed on so far, both directions.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.close_all();
        if let Some(accepting) = self.accepting.take() {
            accepting.join().ok();
        }
        self.close_all();
    }
}

impl Shared {
    fn open(&self) -> std::sync::MutexGuard<'_, Vec<TcpStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, to: SocketAddr, shared: &Arc<Shared>) {
    while !shared.is_over() {
        match listener.accept() {
            Ok((near, _)) if !shared.is_cut.load(Ordering::Relaxed) => {
                // A failure shows at the dialling side as a closed connection.
                begin(near, to, shared).ok();
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

fn begin(near: TcpStream, to: SocketAddr, shared: &Arc<Shared>) -> std::io::Result<()> {
    let far = TcpStream::connect_timeout(&to, Duration::from_secs(1))?;
    for stream in [&near, &far] {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        shared.open().push(stream.try_clone()?);
    }
    shared.connections.fetch_add(1, Ordering::Relaxed);
    let directions = [(near.try_clone()?, far.try_clone()?), (far, near)];
    for (from, into) in directions {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            pass(&from, &into, &shared);
            from.shutdown(Shutdown::Both).ok();
            into.shutdown(Shutdown::Both).ok();
        });
    }
    Ok(())
}

/// Passes one direction of a connection on until either side ends.
fn pass(mut from: &TcpStream, mut into: &TcpStream, shared: &Shared) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut free_at = Instant::now();
    let mut is_ended = false;
    while !(shared.is_over() || is_ended && waiting.is_empty()) {
        let mut moved = false;
        if !is_ended && waiting.len() < WAITING_CHUNKS_MAX {
            match from.read(&mut chunk) {
                Ok(0) => is_ended = true,
                Ok(count) => {
                    let delay = Duration::from_micros(shared.delay_us.load(Ordering::Relaxed));
                    waiting.push_back((Instant::now() + delay, chunk[..count].to_vec()));
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        let now = Instant::now();
        if now >= free_at
            && let Some((at, bytes)) = waiting.front_mut()
            && *at <= now
        {
            match into.write(bytes) {
                Ok(count) => {
                    shared.bytes.fetch_add(count as u64, Ordering::Relaxed);
                    let rate = shared.bytes_per_second.load(Ordering::Relaxed);
                    if let Some(us) = (count as u64 * 1_000_000).checked_div(rate) {
                        free_at = now.max(free_at) + Duration::from_micros(us);
                    }
                    bytes.drain(..count);
                    if bytes.is_empty() {
                        waiting.pop_front();
                    }
                    moved = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
        if !moved {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}
