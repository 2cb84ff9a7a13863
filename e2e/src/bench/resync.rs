//! Section 4: a full resync of an empty replica while the source is written to.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::check::{key_count, load_keys, samples_are_whole};
use super::load::Load;
use super::request::{KEY_BYTES, Operation, Order, Requests, Values};
use super::server::{Fsync, KINDS, Kind, Server};
use super::settings::Settings;
use super::table::{Better, Table, percentile};
use super::usage::PeakMemory;
use crate::client::{Client, wait_for};

/// Writes a second to the source meanwhile.
const LOAD_RATE: f64 = 5_000.0;
/// Bytes of the values that are measured.
const VALUE_BYTES: [usize; 2] = [100, 1024];
/// How long one resync may take.
const RESYNC_TIMEOUT: Duration = Duration::from_mins(10);
/// How much longer than the program one may take that has begun.
const RESYNC_GRACE: Duration = Duration::from_secs(20);
/// Up to so many bytes a resync is repeated for the middle figure.
const REPEATED_BYTES_MAX: u64 = 200_000_000;
const MB: f64 = 1e6;

/// Measures both value sizes.
pub fn run(settings: &Settings, table: &mut Table) {
    let is_small = settings.resync_bytes <= REPEATED_BYTES_MAX;
    let rounds = if is_small { settings.rounds } else { 1 };
    for value_bytes in VALUE_BYTES {
        let count = (settings.resync_bytes / value_bytes as u64).max(1);
        let measured: Vec<_> = (0..rounds)
            .map(|_| KINDS.map(|kind| measure(settings, kind, count, value_bytes)))
            .collect();
        let name = format!("full resync of {count} x {value_bytes} B");
        let load = format!("under {} k SET/s", LOAD_RATE / 1000.0);
        table.add_measured(Better::Higher, &[format!("{name} {load}, MB/s")], &measured);
        let rest: Vec<_> = measured
            .into_iter()
            .map(|pair| pair.map(|one| Ok(one?[1..].to_vec())))
            .collect();
        let rows = [
            format!("{name}: p99 of the writes meanwhile, ms"),
            format!("{name}: peak memory of the source, MB"),
            format!("{name}: peak memory of the target, MB"),
        ];
        table.add_measured(Better::Lower, &rows, &rest);
    }
}

/// Gives MB/s, p99 in ms, and both peaks in MB.
fn measure(settings: &Settings, kind: Kind, count: u64, value_bytes: usize) -> Result<Vec<f64>> {
    settings.ensure_time()?;
    let source = Server::start(settings, kind, Fsync::Everysec)?;
    let target = Server::start(settings, kind, Fsync::Everysec)?;
    load_keys(&source, count, value_bytes)?;
    let mut peaks = [
        PeakMemory::watch(source.id())?,
        PeakMemory::watch(target.id())?,
    ];
    let stop = AtomicBool::new(false);
    let requests = Requests::new(Operation::Set, value_bytes);
    let load = Load {
        rate: Some(LOAD_RATE),
        stop: Some(&stop),
        ..Load::new(source.address(), &requests, Order::random(count, 1))
    };
    let (report, elapsed) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load.run());
        let time_max = RESYNC_TIMEOUT.min(settings.time_left() + RESYNC_GRACE);
        let elapsed = resync(&source, &target, count, &mut peaks, time_max);
        stop.store(true, Ordering::Relaxed);
        (load.join(), elapsed)
    });
    let elapsed = elapsed?;
    let mut report = report.map_err(|_| anyhow::anyhow!("the load panicked"))??;
    samples_are_whole(&mut target.client()?, count, &Values::new(value_bytes))?;
    let bytes = count as f64 * (KEY_BYTES + value_bytes) as f64;
    Ok(vec![
        bytes / MB / elapsed.as_secs_f64(),
        percentile(&mut report.latencies_us, 0.99) / 1000.0,
        peaks[0].bytes()? as f64 / MB,
        peaks[1].bytes()? as f64 / MB,
    ])
}

/// Makes `target` a replica of `source` and gives the time until it holds all and follows.
fn resync(
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

fn follows(client: &mut Client) -> Result<bool> {
    Ok(client.info("master_link_status")?.as_deref() == Some("up")
        && client
            .info("master_sync_in_progress")?
            .is_none_or(|value| value == "0"))
}
