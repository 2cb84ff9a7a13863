//! A blocking client: one command at a time or a pipeline, replies as [`Value`]. For control
//! commands and checks; load comes from `bench::load`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use tandem_proto::value::{Value, decode, encode_command_into};

/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two looks at a condition of another process.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);

/// One connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    sent: Vec<u8>,
}

impl Client {
    /// Connects to a server.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)
            .with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_TIMEOUT))?;
        stream.set_write_timeout(Some(REPLY_TIMEOUT))?;
        Ok(Self {
            stream,
            received: Vec::new(),
            sent: Vec::new(),
        })
    }

    /// Sends one command and gives its reply, which may be an error reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: impl AsRef<[A]>) -> Result<Value> {
        self.queue(args);
        self.flush()?;
        self.read()
    }

    /// As [`Self::call`], with an error reply as an error.
    pub fn ask<A: AsRef<[u8]>>(&mut self, args: impl AsRef<[A]>) -> Result<Value> {
        match self.call(args)? {
            Value::Error(text) => Err(anyhow!(text)),
            value => Ok(value),
        }
    }

    /// Adds one command to what the next [`Self::flush`] sends.
    pub fn queue<A: AsRef<[u8]>>(&mut self, args: impl AsRef<[A]>) {
        encode_command_into(args, &mut self.sent);
    }

    /// Sends the queued commands; each has a reply to be read.
    pub fn flush(&mut self) -> Result<()> {
        self.stream
            .write_all(&self.sent)
            .context("failed to send")?;
        self.sent.clear();
        Ok(())
    }

    /// Reads the next reply.
    pub fn read(&mut self) -> Result<Value> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((value, length)) = decode(&self.received)? {
                self.received.drain(..length);
                return Ok(value);
            }
            match self
                .stream
                .read(&mut chunk)
                .context("failed to read a reply")?
            {
                0 => bail!("the server closed the connection"),
                count => self.received.extend_from_slice(&chunk[..count]),
            }
        }
    }

    /// Gives one field of `INFO`, from any section.
    pub fn info(&mut self, field: &str) -> Result<Option<String>> {
        let reply = self.ask(["INFO"])?;
        let text = String::from_utf8_lossy(reply.as_bytes().unwrap_or_default());
        Ok(text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            (name == field).then(|| value.trim_end().to_owned())
        }))
    }
}

/// Looks again and again until `look` gives a value; gives up with `what` after `timeout`.
/// An error of `look` counts as "not yet", and the last one is told.
pub fn wait_for<T>(
    what: &str,
    timeout: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + timeout;
    let mut last = None;
    loop {
        match look() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        if Instant::now() >= deadline {
            let waited = format!("{what} did not happen within {} s", timeout.as_secs());
            return Err(match last {
                Some(error) => error.context(waited),
                None => anyhow!(waited),
            });
        }
        std::thread::sleep(LOOK_INTERVAL);
    }
}
