//! Accepts clients and deals them out to the workers in turn.

use super::inbox::{Inbox, Post};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token, Waker};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Listens on all addresses.
pub struct Acceptor {
    poll: Poll,
    listeners: Vec<TcpListener>,
    inboxes: Vec<Arc<Inbox>>,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acceptor").finish_non_exhaustive()
    }
}

const STOP: Token = Token(usize::MAX);

impl Acceptor {
    /// Binds. An address that cannot be bound is an error that names it, unless it is optional and
    /// the system does not have it.
    pub fn bind(
        addresses: &[(SocketAddr, bool)],
        backlog: i32,
        inboxes: Vec<Arc<Inbox>>,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listeners = Vec::new();
        for (at, (address, is_optional)) in addresses.iter().enumerate() {
            let mut listener = match bind(*address, backlog) {
                Ok(listener) => listener,
                Err(error) if *is_optional && error.kind() != io::ErrorKind::AddrInUse => continue,
                Err(error) => {
                    let text = format!("failed to listen on {address}: {error}");
                    return Err(io::Error::new(error.kind(), text));
                }
            };
            poll.registry()
                .register(&mut listener, Token(at), Interest::READABLE)?;
            listeners.push(listener);
        }
        let waker = Arc::new(Waker::new(poll.registry(), STOP)?);
        Ok(Self {
            poll,
            listeners,
            inboxes,
            stop: Arc::new(AtomicBool::new(false)),
            waker,
        })
    }

    /// A function that ends [`Acceptor::run`].
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let (stop, waker) = (Arc::clone(&self.stop), Arc::clone(&self.waker));
        move || {
            stop.store(true, Ordering::Release);
            drop(waker.wake());
        }
    }

    /// Accepts until stopped.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(64);
        let mut next = 0usize;
        while !self.stop.load(Ordering::Acquire) {
            if let Err(error) = self.poll.poll(&mut events, None)
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "accept loop failed"
                );
                return;
            }
            for listener in &self.listeners {
                loop {
                    match listener.accept() {
                        Ok((socket, _)) => {
                            let socket = std::net::TcpStream::from(socket);
                            self.inboxes[next % self.inboxes.len()].post(Post::Connection(socket));
                            next += 1;
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => {
                            // Out of descriptors: the client sees a slow connect, not a dead server.
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "connection not accepted"
                            );
                            std::thread::sleep(std::time::Duration::from_millis(10));
                            break;
                        }
                    }
                }
            }
        }
    }
}

fn bind(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let domain = socket2::Domain::for_address(address);
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(TcpListener::from_std(socket.into()))
}
