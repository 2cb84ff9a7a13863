//! The operator as a process of this machine, and what it uses.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::process::{ScratchDirectory, ServerProcess};
use crate::story::{binary, ports};

const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Of Linux, for all programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running operator; killed at drop.
#[derive(Debug)]
pub struct Operator {
    process: ServerProcess,
    begun: Instant,
    metrics: SocketAddr,
    _directory: ScratchDirectory,
}

/// What an operator has used since its start.
#[derive(Debug, Clone, Copy)]
pub struct Use {
    /// Calls of the API server, other than watches.
    pub calls: u64,
    /// Watches begun.
    pub watches: u64,
    /// Rounds of all resources.
    pub rounds: u64,
    /// Resources that are ready.
    pub ready: u64,
    /// Seconds of processor time.
    pub processor: f64,
    /// Resident bytes.
    pub resident: u64,
    /// When this was.
    pub at: Instant,
}

impl Operator {
    /// Starts one that looks after `namespace`, of the cluster that programs find by themselves unless
    /// one is given.
    pub fn start(kubeconfig: Option<&Path>, namespace: &str) -> Result<Self> {
        let directory = ScratchDirectory::new(None)?;
        let port = ports::free()?;
        let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(binary::path()?);
        command
            .args(["operator", "--namespace", namespace])
            .args(["--leader-namespace", namespace])
            .args(["--metrics-address", &metrics.to_string()]);
        if let Some(kubeconfig) = kubeconfig {
            command.env("KUBECONFIG", kubeconfig);
        }
        let begun = Instant::now();
        let process = ServerProcess::spawn(&mut command, &directory.path().join("log"))?;
        Ok(Self {
            process,
            begun,
            metrics,
            _directory: directory,
        })
    }

    /// When it was started.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The last lines of its log.
    pub fn log(&self) -> String {
        self.process.last_output()
    }

    /// Asks it to end in order, so that the next one need not wait for its lease.
    pub fn end(mut self) -> Result<()> {
        self.process.signal(rustix::process::Signal::TERM)?;
        self.process.wait()?;
        Ok(())
    }

    /// What it has used.
    pub fn usage(&mut self) -> Result<Use> {
        if let Some(status) = self.process.ended() {
            bail!("the operator ended, {status}: {}", self.log());
        }
        let text = self.scrape()?;
        let sums = sums(&text);
        let sum = |name: &str| sums.get(name).copied().unwrap_or(0.0) as u64;
        let watches = sum("tandem_operator_api_requests_total watch");
        let (processor, resident) = of_process(self.process.id())?;
        Ok(Use {
            calls: sum("tandem_operator_api_requests_total"),
            watches,
            rounds: sum("tandem_operator_reconciles_total"),
            ready: sum("tandem_operator_topology_ready"),
            processor,
            resident,
            at: Instant::now(),
        })
    }

    fn scrape(&self) -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.metrics, ANSWER_LIMIT)?;
        stream.set_read_timeout(Some(ANSWER_LIMIT))?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// The sum of each metric over its labels; watches of the API apart.
fn sums(text: &str) -> BTreeMap<String, f64> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<f64>() else {
            continue;
        };
        let mut name = series.split('{').next().unwrap_or(series).to_owned();
        if series.contains("watch=\"true\"") {
            name.push_str(" watch");
        }
        *sums.entry(name).or_default() += value;
    }
    sums
}

/// Processor seconds and resident bytes.
fn of_process(id: u32) -> Result<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    let (_, fields) = stat
        .rsplit_once(") ")
        .context("the process's state has another shape")?;
    let ticks: f64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        .context("the process has no resident size")?;
    Ok((ticks / TICKS_PER_SECOND, resident << 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watches_are_counted_apart() {
        let text = "# HELP x\n\
            x_total{method=\"GET\",watch=\"true\"} 3\n\
            x_total{method=\"GET\",watch=\"false\"} 4\n\
            x_total{method=\"PATCH\",watch=\"false\"} 5\n";
        let sums = sums(text);
        assert_eq!(sums["x_total"] as u64, 9);
        assert_eq!(sums["x_total watch"] as u64, 3);
    }

    #[test]
    fn this_process_uses_something() {
        let (_, resident) = of_process(std::process::id()).unwrap();
        assert!(resident > 1 << 20, "{resident}");
    }
}
