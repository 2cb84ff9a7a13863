//! The load generator: one thread, one epoll loop, fifty connections. A connection sends a batch
//! and waits for all its replies, as redis-benchmark does, at a fraction of its cost.
//!
//! ```text
//! closed loop:  idle connection ─▶ batch at once
//! open loop:    arrivals at a rate ─▶ queue ─▶ idle connection      (latency counts from arrival)
//! ```

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::request::{Order, Requests};
use super::scan::ReplyScanner;

/// Connections of a load that does not say otherwise.
pub const CONNECTIONS: usize = 50;
/// Bytes taken in by one read.
const READ_BYTES: usize = 64 << 10;
/// A server that is silent for so long is given up.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How precisely arrivals are timed; the timer of epoll has no finer step.
const ARRIVAL_STEP: Duration = Duration::from_millis(1);

/// What to send, how fast and how long. It ends when the first of its limits is reached; with none
/// it would not end.
#[derive(Debug)]
pub struct Load<'a> {
    /// The server.
    pub address: SocketAddr,
    /// The requests.
    pub requests: &'a Requests,
    /// Their numbers; ends the load if it ends.
    pub order: Order,
    /// Connections at once.
    pub connections: usize,
    /// Requests per batch.
    pub pipeline: usize,
    /// Most requests.
    pub count_max: u64,
    /// Longest time.
    pub time_max: Option<Duration>,
    /// Arrivals a second; `None`: as fast as replies come.
    pub rate: Option<f64>,
    /// Ends the load once set.
    pub stop: Option<&'a AtomicBool>,
}

/// What a load has seen.
#[derive(Debug, Default)]
pub struct LoadReport {
    /// Requests answered.
    pub requests: u64,
    /// Time from the first request to the last reply.
    pub elapsed: Duration,
    /// Null replies among them.
    pub nulls: u64,
    /// Microseconds from arrival to reply, of loads with a rate; in order of replies.
    pub latencies_us: Vec<u32>,
    /// The longest of them by the second of the reply.
    pub worst_us: Vec<u32>,
}

impl LoadReport {
    /// Gives requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

impl<'a> Load<'a> {
    /// Makes a load of fifty connections without limits.
    pub fn new(address: SocketAddr, requests: &'a Requests, order: Order) -> Self {
        Self {
            address,
            requests,
            order,
            connections: CONNECTIONS,
            pipeline: 1,
            count_max: u64::MAX,
            time_max: None,
            rate: None,
            stop: None,
        }
    }

    /// Sends it and waits for all replies.
    pub fn run(self) -> Result<LoadReport> {
        let address = self.address;
        Driver::new(self)
            .and_then(Driver::run)
            .with_context(|| format!("the load on {address} failed"))
    }

    /// Tells whether a limit is reached.
    fn is_over(&self, elapsed: Duration, sent: u64) -> bool {
        sent >= self.count_max
            || self.time_max.is_some_and(|time_max| elapsed >= time_max)
            || self.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }
}

struct Connection {
    stream: TcpStream,
    scanner: ReplyScanner,
    out: Vec<u8>,
    /// Bytes of `out` that the kernel took.
    written: usize,
    /// Replies still to come.
    waiting: u64,
    /// When the batch in flight arrived.
    arrived: Instant,
}

struct Driver<'a> {
    load: Load<'a>,
    poll: Poll,
    connections: Vec<Connection>,
    idle: Vec<usize>,
    /// Arrivals that no connection was free for.
    queue: VecDeque<Instant>,
    /// Arrivals so far.
    arrivals: u64,
    sent: u64,
    start: Instant,
    report: LoadReport,
}

impl<'a> Driver<'a> {
    fn new(load: Load<'a>) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(load.connections);
        for index in 0..load.connections {
            let stream = std::net::TcpStream::connect(load.address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry()
                .register(&mut stream, Token(index), interest)?;
            connections.push(Connection {
                stream,
                scanner: ReplyScanner::default(),
                out: Vec::new(),
                written: 0,
                waiting: 0,
                arrived: Instant::now(),
            });
        }
        Ok(Self {
            poll,
            idle: (0..connections.len()).collect(),
            connections,
            queue: VecDeque::new(),
            arrivals: 0,
            sent: 0,
            start: Instant::now(),
            report: LoadReport::default(),
            load,
        })
    }

    fn run(mut self) -> Result<LoadReport> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; READ_BYTES];
        let step = if self.load.rate.is_some() {
            ARRIVAL_STEP
        } else {
            SILENCE_MAX
        };
        self.start = Instant::now();
        let mut now = self.start;
        let mut heard = self.start;
        let mut is_ending = false;
        loop {
            is_ending |= self.load.is_over(now - self.start, self.sent);
            if !is_ending {
                is_ending = !self.issue(now)?;
            }
            if is_ending && self.idle.len() == self.connections.len() {
                break;
            }
            match self.poll.poll(&mut events, Some(step)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                polled => polled?,
            }
            now = Instant::now();
            if !events.is_empty() {
                heard = now;
            } else if now - heard > SILENCE_MAX && self.idle.len() < self.connections.len() {
                bail!("no reply for {} s", SILENCE_MAX.as_secs());
            }
            for event in &events {
                self.receive(event.token().0, &mut buffer, now)?;
            }
        }
        self.report.elapsed = now - self.start;
        self.report.nulls = self.connections.iter().map(|one| one.scanner.nulls).sum();
        Ok(self.report)
    }

    /// Hands batches to idle connections; gives false when the numbers have ended.
    fn issue(&mut self, now: Instant) -> Result<bool> {
        if let Some(rate) = self.load.rate {
            let due = ((now - self.start).as_secs_f64() * rate) as u64;
            self.queue.extend((self.arrivals..due).map(|_| now));
            self.arrivals = self.arrivals.max(due);
        }
        while let Some(&index) = self.idle.last() {
            let arrived = match self.load.rate {
                Some(_) => match self.queue.pop_front() {
                    Some(arrived) => arrived,
                    None => return Ok(true),
                },
                None => now,
            };
            let connection = &mut self.connections[index];
            connection.out.clear();
            connection.written = 0;
            connection.arrived = arrived;
            while connection.waiting < self.load.pipeline as u64 && self.sent < self.load.count_max
            {
                let Some(number) = self.load.order.take() else {
                    break;
                };
                self.load.requests.append(number, &mut connection.out);
                connection.waiting += 1;
                self.sent += 1;
            }
            if connection.waiting == 0 {
                return Ok(false);
            }
            self.idle.pop();
            connection.write()?;
        }
        Ok(true)
    }

    fn receive(&mut self, index: usize, buffer: &mut [u8], now: Instant) -> Result<()> {
        let connection = &mut self.connections[index];
        connection.write()?;
        if connection.waiting == 0 {
            return Ok(());
        }
        let replies = connection.read(buffer)?;
        let Some(waiting) = connection.waiting.checked_sub(replies) else {
            bail!("more replies than requests");
        };
        connection.waiting = waiting;
        self.report.requests += replies;
        if self.load.rate.is_some() {
            let latency = now.saturating_duration_since(connection.arrived);
            let latency_us = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
            let second = (now - self.start).as_secs() as usize;
            let worst_us = &mut self.report.worst_us;
            worst_us.resize(worst_us.len().max(second + 1), 0);
            worst_us[second] = worst_us[second].max(latency_us);
            self.report
                .latencies_us
                .extend((0..replies).map(|_| latency_us));
        }
        if waiting == 0 {
            self.idle.push(index);
        }
        Ok(())
    }
}

impl Connection {
    /// Writes what the kernel takes.
    fn write(&mut self) -> Result<()> {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("failed to send"),
            }
        }
        Ok(())
    }

    /// Reads all that is there; gives the number of replies that ended.
    fn read(&mut self, buffer: &mut [u8]) -> Result<u64> {
        let mut replies = 0;
        loop {
            match self.stream.read(buffer) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(count) => {
                    replies += self.scanner.feed(&buffer[..count])?;
                    // epoll(7): a read that was cut short has emptied a stream socket.
                    if count < buffer.len() {
                        return Ok(replies);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(replies),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("failed to read a reply"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
