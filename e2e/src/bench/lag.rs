//! Section 3: how long a write takes to be seen on the other side, under load.
//!
//! ```text
//! load ──20 k SET/s──▶ source ──link──▶ target ◀── GET, again and again
//! probe ─── SET n ────▶   └──────── delay: from sending n until n is read ────────┘
//! ```

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::load::{Load, LoadReport};
use super::request::{Operation, Order, Random, Requests};
use super::server::{Fsync, Kind, Server, free_port};
use super::settings::Settings;
use super::table::{Better, Table, percentile};
use crate::client::{Client, wait_for};

/// Writes a second beside the probe.
const LOAD_RATE: f64 = 20_000.0;
/// Bytes of the values of the load.
const VALUE_BYTES: usize = 100;
/// The key of the probe, and the one that shows that a link is up.
const PROBE_KEY: &str = "lag:probe";
/// How long a link may take to come up.
const LINK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one write may take to be seen.
const DELAY_MAX: Duration = Duration::from_secs(10);
/// Pause between two reads of the probe, so that the probe is no load of its own.
const READ_INTERVAL: Duration = Duration::from_micros(50);

/// Measures a replica of each, and a double master beside Redis' replica.
pub fn run(settings: &Settings, table: &mut Table) {
    let redis = Pair::replica(settings, Kind::Redis);
    let replica = Pair::replica(settings, Kind::Tandem);
    compare(settings, table, "replica", &redis, &replica);
    drop(replica);
    let double_master = Pair::double_master(settings);
    compare(
        settings,
        table,
        "double master (Redis: replica)",
        &redis,
        &double_master,
    );
}

fn compare(
    settings: &Settings,
    table: &mut Table,
    name: &str,
    redis: &Result<Pair>,
    tandem: &Result<Pair>,
) {
    let rounds: Vec<_> = (0..settings.rounds)
        .map(|round| {
            [redis, tandem].map(|pair| match pair {
                Ok(pair) => pair.measure(settings, round as u64),
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            })
        })
        .collect();
    let load = format!("{} k SET/s", LOAD_RATE / 1000.0);
    let delays = [
        format!("lag of {name} under {load}, p50, ms"),
        format!("lag of {name} under {load}, p99, ms"),
    ];
    table.add_measured(Better::Lower, &delays, &rounds);
}

/// A source and a target that follows it.
struct Pair {
    source: Server,
    target: Server,
}

impl Pair {
    fn replica(settings: &Settings, kind: Kind) -> Result<Self> {
        let source = Server::start(settings, kind, Fsync::Everysec)?;
        let target = Server::start(settings, kind, Fsync::Everysec)?;
        let port = source.port().to_string();
        target
            .client()?
            .ask(["REPLICAOF", "127.0.0.1", &port])
            .context("REPLICAOF")?;
        let pair = Self { source, target };
        pair.wait_for_link(false)?;
        Ok(pair)
    }

    fn double_master(settings: &Settings) -> Result<Self> {
        let ports = [free_port()?, free_port()?];
        ensure!(ports[0] != ports[1], "the same free port twice");
        let start = |own: usize| {
            let peer = 1 - own;
            let words = [
                ("--server-id", (own + 1).to_string()),
                ("--double-master-ip", "127.0.0.1".into()),
                ("--double-master-port", ports[peer].to_string()),
                ("--double-master-server-id", (peer + 1).to_string()),
            ];
            let more: Vec<String> = words
                .into_iter()
                .flat_map(|(key, value)| [key.to_owned(), value])
                .collect();
            Server::start_on(settings, Kind::Tandem, Fsync::Everysec, ports[own], &more)
        };
        let pair = Self {
            source: start(0)?,
            target: start(1)?,
        };
        pair.wait_for_link(true)?;
        Ok(pair)
    }

    /// Waits until what is written on one side is seen on the other.
    fn wait_for_link(&self, both_ways: bool) -> Result<()> {
        let mut ends = vec![(&self.source, &self.target)];
        if both_ways {
            ends.push((&self.target, &self.source));
        }
        for (from, to) in ends {
            from.client()?.ask(["SET", PROBE_KEY, "0"])?;
            let mut reader = to.client()?;
            wait_for("the first write on the other side", LINK_TIMEOUT, || {
                let reply = reader.ask(["GET", PROBE_KEY])?;
                Ok(reply.as_bytes().map(|_| ()))
            })?;
            from.client()?.ask(["DEL", PROBE_KEY])?;
            wait_for("the first removal on the other side", LINK_TIMEOUT, || {
                let reply = reader.ask(["GET", PROBE_KEY])?;
                Ok(reply.as_bytes().is_none().then_some(()))
            })?;
        }
        Ok(())
    }

    /// Gives p50 and p99 in milliseconds.
    fn measure(&self, settings: &Settings, round: u64) -> Result<Vec<f64>> {
        settings.ensure_time()?;
        let stop = AtomicBool::new(false);
        let requests = Requests::new(Operation::Set, VALUE_BYTES);
        let load = Load {
            rate: Some(LOAD_RATE),
            stop: Some(&stop),
            ..Load::new(
                self.source.address(),
                &requests,
                Order::random(settings.key_count(), round + 1),
            )
        };
        let (report, delays) = std::thread::scope(|scope| {
            let load = scope.spawn(|| load.run());
            let delays = self.probe(settings.cell_time() * 2, round);
            stop.store(true, Ordering::Relaxed);
            (load.join(), delays)
        });
        let report: LoadReport = report.map_err(|_| anyhow::anyhow!("the load panicked"))??;
        let mut delays_us = delays?;
        ensure!(
            report.rate() > LOAD_RATE * 0.9,
            "only {:.0} of {LOAD_RATE} SET/s were reached",
            report.rate()
        );
        Ok([0.5, 0.99]
            .map(|share| percentile(&mut delays_us, share) / 1000.0)
            .to_vec())
    }

    /// Probes for a time; gives the delays in microseconds.
    fn probe(&self, time: Duration, round: u64) -> Result<Vec<u32>> {
        let mut writer = self.source.client()?;
        let mut reader = self.target.client()?;
        let mut random = Random::new(round + 1);
        let mut delays_us = Vec::new();
        let start = Instant::now();
        let mut number = 0_i64;
        // Earlier rounds wrote to the same key.
        let first = i64::try_from(round).unwrap_or_default() << 32;
        while start.elapsed() < time {
            number += 1;
            let sent = Instant::now();
            writer.ask(["SET", PROBE_KEY, &(first + number).to_string()])?;
            while read_number(&mut reader)? < first + number {
                ensure!(
                    sent.elapsed() < DELAY_MAX,
                    "a write was not seen within {} s",
                    DELAY_MAX.as_secs()
                );
                std::thread::sleep(READ_INTERVAL);
            }
            delays_us.push(u32::try_from(sent.elapsed().as_micros()).unwrap_or(u32::MAX));
            // Not in step with the bursts of the load.
            std::thread::sleep(Duration::from_micros(500 + random.below(2000)));
        }
        Ok(delays_us)
    }
}

fn read_number(reader: &mut Client) -> Result<i64> {
    Ok(reader.ask(["GET", PROBE_KEY])?.as_integer().unwrap_or(-1))
}
