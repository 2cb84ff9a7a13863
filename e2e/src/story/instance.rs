//! A client's door to one instance, through the redis crate.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use redis::{Connection, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo};
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};

use crate::client::wait_for;

/// How long a reply may take.
const REPLY_TIMEOUT: Duration = Duration::from_secs(20);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One instance, or a front of several, by the address of its client port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance {
    host: IpAddr,
    /// The client port.
    pub port: u16,
    /// What its clients say first.
    password: Option<&'static str>,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address().fmt(f)
    }
}

impl Instance {
    /// The instance at a port on loopback.
    pub fn at(port: u16) -> Self {
        Self::on(Ipv4Addr::LOCALHOST.into(), port)
    }

    /// The instance at a port of a host.
    pub fn on(host: IpAddr, port: u16) -> Self {
        Self {
            host,
            port,
            password: None,
        }
    }

    /// The same door for clients that have a password.
    #[must_use]
    pub fn with_password(self, password: Option<&'static str>) -> Self {
        Self { password, ..self }
    }

    /// The address of its client port.
    pub fn address(self) -> SocketAddr {
        SocketAddr::new(self.host, self.port)
    }

    /// Connects.
    pub fn connect(self) -> Result<Connection> {
        self.connect_with(REPLY_TIMEOUT)
    }

    /// Connects; a reply may take `patience`.
    pub fn connect_with(self, patience: Duration) -> Result<Connection> {
        let mut info = (self.host.to_string(), self.port).into_connection_info()?;
        if let Some(password) = self.password {
            info = info.set_redis_settings(RedisConnectionInfo::default().set_password(password));
        }
        let connection = redis::Client::open(info)?
            .get_connection_with_timeout(CONNECT_TIMEOUT.min(patience))
            .with_context(|| format!("failed to connect to {self}"))?;
        connection.set_read_timeout(Some(patience))?;
        connection.set_write_timeout(Some(patience))?;
        Ok(connection)
    }

    /// Sends one command on a connection of its own.
    pub fn ask<T: FromRedisValue>(self, words: &[&str]) -> Result<T> {
        command(words).query(&mut self.connect()?).with_context(|| {
            let line: String = words.join(" ").chars().take(60).collect();
            format!("failed to run `{line}` on {self}")
        })
    }

    /// Sends one command and gives the error that it must be answered with.
    pub fn refusal(self, words: &[&str]) -> Result<String> {
        match command(words).query::<redis::Value>(&mut self.connect()?) {
            Ok(redis::Value::ServerError(error)) => Ok(format!("{error}")),
            Ok(value) => anyhow::bail!("{words:?} was answered with {value:?}, not refused"),
            Err(error) => {
                ensure!(
                    !error.is_io_error() && !error.is_connection_dropped(),
                    "{words:?} ended the connection: {error}"
                );
                Ok(error.to_string())
            }
        }
    }

    /// What it says of itself.
    pub fn status(self) -> Result<InstanceStatus> {
        let text: String = self.ask(&["TANDEM", "STATUS"])?;
        serde_json::from_str(&text).context("failed to decode the answer of TANDEM STATUS")
    }

    /// Digest of a database's visible content.
    pub fn digest(self, database: u32) -> Result<String> {
        self.ask(&["TANDEM", "DIGEST", &database.to_string()])
    }

    /// Number of keys of database 0.
    pub fn keys(self) -> Result<u64> {
        self.ask(&["DBSIZE"])
    }

    /// The fields of a section of `INFO`.
    pub fn info(self, section: &str) -> Result<BTreeMap<String, String>> {
        let text: String = self.ask(&["INFO", section])?;
        Ok(text
            .lines()
            .filter_map(|line| line.trim_end().split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }

    /// Waits until it answers.
    pub fn wait_until_it_answers(self, timeout: Duration) -> Result<()> {
        let what = format!("an answer from {self}");
        wait_for(&what, timeout, || {
            let pong: String = self.ask(&["PING"])?;
            Ok((pong == "PONG").then_some(()))
        })
    }

    /// Waits until its links of a kind are `count`, and all in `state`.
    pub fn wait_for_links(self, kind: LinkKind, state: LinkState, count: usize) -> Result<()> {
        let what = format!("{count} {kind:?} links in {state:?} on {self}");
        wait_for(&what, Duration::from_secs(30), || {
            let status = self.status()?;
            let links: Vec<_> = status.links.iter().filter(|l| l.kind == kind).collect();
            if links.len() == count && links.iter().all(|link| link.state == state) {
                return Ok(Some(()));
            }
            anyhow::bail!("links are {links:?}")
        })
    }

    /// Finished full and partial resyncs of the links it dials.
    pub fn resyncs(self) -> Result<(u64, u64)> {
        let status = self.status()?;
        let full = status.links.iter().map(|link| link.full_resyncs).sum();
        let partial = status.links.iter().map(|link| link.partial_resyncs).sum();
        Ok((full, partial))
    }

    /// Records that it sent back to where they began; must be 0.
    pub fn echoes(self) -> Result<u64> {
        let status = self.status()?;
        Ok(status.receivers.iter().map(|r| r.echoes).sum())
    }
}

/// A command from its words.
pub fn command(words: &[&str]) -> redis::Cmd {
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command
}
