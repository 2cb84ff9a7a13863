//! Ports that are free now, below the range that the kernel hands out itself.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Result, bail};

/// What links add to the client port.
pub const LINK_OFFSET: u16 = 2000;
const FIRST: u16 = 10_000;
const LAST: u16 = 29_000;
/// What `tandem local` may use above its base port.
const LOCAL_PORTS: u16 = 32;

/// Where the next search begins, so that one program does not meet its own ports again at once.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// Finds a port that is free together with its link port.
pub fn free() -> Result<u16> {
    find(1)
}

/// Finds a base port for `tandem local`.
pub fn free_base() -> Result<u16> {
    find(LOCAL_PORTS)
}

fn find(count: u16) -> Result<u16> {
    let span = LAST - FIRST - LOCAL_PORTS;
    // Programs that run at once begin at different places.
    let own = (std::process::id() % u32::from(span)) as u16;
    for _ in 0..2000 {
        let step = NEXT.fetch_add(count, Ordering::Relaxed);
        let at = FIRST + own.wrapping_add(step) % span;
        let is_free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        if (at..at + count).all(|port| is_free(port) && is_free(port + LINK_OFFSET)) {
            return Ok(at);
        }
    }
    bail!("no {count} free ports between {FIRST} and {LAST} on loopback")
}
