//! Addresses in a configuration: where to listen, whom to dial.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where another server's clients connect; links dial the port + 2000.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Client port.
    pub port: u16,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BindAddress {
    /// The address.
    pub ip: IpAddr,
    /// Whether the server starts without it where the system does not have it (`-` before it).
    pub is_optional: bool,
}

impl BindAddress {
    /// Reads `127.0.0.1`, `-::1`, `*` (all of IPv4), `localhost`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (is_optional, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let ip = match text {
            "*" => Ipv4Addr::UNSPECIFIED.into(),
            "::*" => Ipv6Addr::UNSPECIFIED.into(),
            "localhost" => Ipv4Addr::LOCALHOST.into(),
            other => other.parse().ok()?,
        };
        Some(Self { ip, is_optional })
    }

    /// Whether a connection to `host` from this machine can arrive here.
    pub(super) fn is_reached_by(self, host: &str) -> bool {
        let reached = |ip: IpAddr| {
            ip == self.ip || (self.ip.is_unspecified() && (ip.is_loopback() || ip.is_unspecified()))
        };
        if host.eq_ignore_ascii_case("localhost") {
            return reached(Ipv4Addr::LOCALHOST.into()) || reached(Ipv6Addr::LOCALHOST.into());
        }
        host.parse().is_ok_and(reached)
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_optional {
            f.write_str("-")?;
        }
        self.ip.fmt(f)
    }
}
