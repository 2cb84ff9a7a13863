//! Section 4: full resyncs while both sides are written to: of an empty replica, and into the other
//! master of a pair.
//!
//! ```text
//! replica   5 k SET/s ─▶ source ══ state ══▶ target                 (each of Redis and Tandem)
//! pair      5 k SET/s ─▶ source ══ state ══▶ target ◀─ 5 k SET/s     (Redis has nothing like it)
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::check::{key_count, load_keys, samples_are_whole};
use super::load::{Load, LoadReport};
use super::request::{KEY_BYTES, Operation, Order, Requests, Values};
use super::server::{Fsync, KINDS, Kind, Server, free_port};
use super::settings::Settings;
use super::table::{Better, Table, percentile};
use super::usage::PeakMemory;
use crate::client::{Client, wait_for};
use crate::story::Instance;

/// Writes a second to each side that takes them.
const LOAD_RATE: f64 = 5_000.0;
/// How long one resync may take.
const RESYNC_TIMEOUT: Duration = Duration::from_mins(10);
/// How much longer than the program one may take that has begun.
const RESYNC_GRACE: Duration = Duration::from_secs(20);
/// Up to so many bytes a resync is repeated for the middle figure.
const REPEATED_BYTES_MAX: u64 = 200_000_000;
const MB: f64 = 1e6;
/// The delays that are told, with their names.
const SHARES: [(f64, &str); 4] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

/// What is moved, and how it is called.
struct Case<'s> {
    settings: &'s Settings,
    count: u64,
    value_bytes: usize,
}

/// Measures all value sizes.
pub fn run(settings: &Settings, table: &mut Table) {
    let is_small = settings.resync_bytes <= REPEATED_BYTES_MAX;
    let rounds = if is_small { settings.rounds } else { 1 };
    for &value_bytes in &settings.resync_value {
        let case = Case {
            settings,
            count: (settings.resync_bytes / value_bytes.max(1) as u64).max(1),
            value_bytes,
        };
        case.replica(rounds, table);
        case.pair(rounds, table);
    }
}

impl Case<'_> {
    fn replica(&self, rounds: usize, table: &mut Table) {
        let measured: Vec<_> = (0..rounds)
            .map(|_| KINDS.map(|kind| self.measure_replica(kind)))
            .collect();
        let name = format!("full resync of {} x {} B", self.count, self.value_bytes);
        let load = format!("under {} k SET/s", LOAD_RATE / 1000.0);
        table.add_measured(Better::Higher, &[format!("{name} {load}, MB/s")], &measured);
        let rest: Vec<_> = measured
            .into_iter()
            .map(|pair| pair.map(|one| Ok(one?[1..].to_vec())))
            .collect();
        let mut rows = delay_rows(&name, "source");
        rows.push(format!("{name}: peak memory of the source, MB"));
        rows.push(format!("{name}: peak memory of the target, MB"));
        table.add_measured(Better::Lower, &rows, &rest);
    }

    fn pair(&self, rounds: usize, table: &mut Table) {
        let measured: Vec<_> = (0..rounds).map(|_| self.measure_pair()).collect();
        let name = format!("merge of {} x {} B", self.count, self.value_bytes);
        let mut rows = vec![format!("{name} into a written master, MB/s")];
        rows.extend(delay_rows(&name, "source"));
        rows.extend(delay_rows(&name, "target"));
        table.add_own(&rows, &measured);
    }

    /// Gives MB/s, delays in ms, and both peaks in MB.
    fn measure_replica(&self, kind: Kind) -> Result<Vec<f64>> {
        self.settings.ensure_time()?;
        let source = Server::start(self.settings, kind, Fsync::Everysec)?;
        let target = Server::start(self.settings, kind, Fsync::Everysec)?;
        load_keys(&source, self.count, self.value_bytes)?;
        let mut peaks = [
            PeakMemory::watch(source.id())?,
            PeakMemory::watch(target.id())?,
        ];
        let time_max = self.time_max();
        let (elapsed, [report]) = self.under_load([&source], || {
            become_replica(&source, &target, self.count, &mut peaks, time_max)
        })?;
        self.check(&target)?;
        let mut figures = vec![self.rate(elapsed)];
        figures.extend(self.delays(report, "source"));
        for peak in &mut peaks {
            figures.push(peak.bytes()? as f64 / MB);
        }
        Ok(figures)
    }

    /// Gives MB/s, delays at the source and at the target in ms.
    fn measure_pair(&self) -> Result<Vec<f64>> {
        self.settings.ensure_time()?;
        let ports = [free_port()?, free_port()?];
        let [source, target] = [0, 1].map(|own| {
            let more = ["--server-id".to_owned(), (own + 1).to_string()];
            Server::start_on(
                self.settings,
                Kind::Tandem,
                Fsync::Everysec,
                ports[own],
                &more,
            )
        });
        let (source, target) = (source?, target?);
        load_keys(&source, self.count, self.value_bytes)?;
        let time_max = self.time_max();
        let (elapsed, [at_source, at_target]) = self.under_load([&source, &target], || {
            become_peers(&source, &target, time_max)
        })?;
        self.check(&target)?;
        let mut figures = vec![self.rate(elapsed)];
        figures.extend(self.delays(at_source, "source"));
        figures.extend(self.delays(at_target, "target"));
        Ok(figures)
    }

    /// Writes to these servers while `act` runs.
    fn under_load<T, const N: usize>(
        &self,
        servers: [&Server; N],
        act: impl FnOnce() -> Result<T>,
    ) -> Result<(T, [LoadReport; N])> {
        let stop = AtomicBool::new(false);
        let requests = Requests::new(Operation::Set, self.value_bytes);
        let (done, reports) = std::thread::scope(|scope| {
            let loads = servers.map(|server| {
                let order = Order::random(self.count, u64::from(server.port()));
                let load = Load {
                    rate: Some(LOAD_RATE),
                    stop: Some(&stop),
                    ..Load::new(server.address(), &requests, order)
                };
                scope.spawn(|| load.run())
            });
            let done = act();
            stop.store(true, Ordering::Relaxed);
            (done, loads.map(std::thread::ScopedJoinHandle::join))
        });
        let done = done?;
        let mut all = Vec::with_capacity(N);
        for report in reports {
            all.push(report.map_err(|_| anyhow::anyhow!("the load panicked"))??);
        }
        let all = all.try_into();
        Ok((done, all.map_err(|_| anyhow::anyhow!("a load is missing"))?))
    }

    fn delays(&self, report: LoadReport, side: &str) -> [f64; 4] {
        if self.settings.verbose {
            let worst = report.worst_us.iter().map(|us| (us / 1000).to_string());
            let worst: Vec<String> = worst.collect();
            eprintln!(
                "{side}: longest delay of each second, ms: {}",
                worst.join(" ")
            );
        }
        let mut latencies_us = report.latencies_us;
        SHARES.map(|(share, _)| percentile(&mut latencies_us, share) / 1000.0)
    }

    fn rate(&self, elapsed: Duration) -> f64 {
        let bytes = self.count as f64 * (KEY_BYTES + self.value_bytes) as f64;
        bytes / MB / elapsed.as_secs_f64()
    }

    fn time_max(&self) -> Duration {
        RESYNC_TIMEOUT.min(self.settings.time_left() + RESYNC_GRACE)
    }

    fn check(&self, target: &Server) -> Result<()> {
        let values = Values::new(self.value_bytes);
        samples_are_whole(&mut target.client()?, self.count, &values)
    }
}

fn delay_rows(name: &str, side: &str) -> Vec<String> {
    SHARES
        .iter()
        .map(|(_, share)| format!("{name}: {share} of the writes to the {side} meanwhile, ms"))
        .collect()
}

/// Makes `target` a replica of `source` and gives the time until it holds all and follows.
fn become_replica(
    source: &Server,
    target: &Server,
    count: u64,
    peaks: &mut [PeakMemory; 2],
    time_max: Duration,
) -> Result<Duration> {
    let mut client = target.client()?;
    let port = source.port().to_string();
    let start = Instant::now();
    client
        .ask(["REPLICAOF", "127.0.0.1", &port])
        .context("REPLICAOF")?;
    wait_for("the end of the full resync", time_max, || {
        for peak in &mut *peaks {
            peak.look();
        }
        Ok((follows(&mut client)? && key_count(&mut client)? >= count).then_some(()))
    })?;
    Ok(start.elapsed())
}

/// Names each to the other, asks for a merge of the source's state, and gives the time until that is
/// in force.
fn become_peers(source: &Server, target: &Server, time_max: Duration) -> Result<Duration> {
    for (own, peer, peer_id) in [(source, target, "2"), (target, source, "1")] {
        let port = peer.port().to_string();
        own.client()?
            .ask([
                "CONFIG",
                "SET",
                "double-master-ip",
                "127.0.0.1",
                "double-master-port",
                &port,
                "double-master-server-id",
                peer_id,
            ])
            .context("CONFIG SET")?;
    }
    let start = Instant::now();
    let port = source.port().to_string();
    target
        .client()?
        .ask(["SLAVEOF", "127.0.0.1", &port])
        .context("SLAVEOF")?;
    let target = Instance::at(target.port());
    wait_for("the end of the merge", time_max, || {
        Ok((target.resyncs()?.0 > 0).then_some(()))
    })?;
    Ok(start.elapsed())
}

fn follows(client: &mut Client) -> Result<bool> {
    Ok(client.info("master_link_status")?.as_deref() == Some("up")
        && client
            .info("master_sync_in_progress")?
            .is_none_or(|value| value == "0"))
}
