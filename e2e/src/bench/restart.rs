//! Section 5: kill -9, start again on the same data, and what is there when.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::check::{key_count, load_keys, read_all, samples_are_whole};
use super::request::Values;
use super::server::{Fsync, KINDS, Kind, Server};
use super::settings::Settings;
use super::table::{Better, Table};
use crate::client::wait_for;

/// Bytes of the values.
const VALUE_BYTES: usize = 100;
/// How long the data may take to be there.
const READABLE_TIMEOUT: Duration = Duration::from_mins(5);

/// Measures several kills on one data set; before each, every key is written once more.
pub fn run(settings: &Settings, table: &mut Table) {
    let count = settings.key_count();
    let mut servers = KINDS.map(|kind| start(settings, kind));
    let mut rounds = Vec::new();
    for _ in 0..settings.rounds {
        rounds.push(servers.each_mut().map(|server| match server {
            Ok(server) => settings.ensure_time().and_then(|()| measure(server, count)),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        }));
    }
    let name = format!("restart after kill -9 with {count} x {VALUE_BYTES} B");
    let times = [
        format!("{name}: ms until PONG"),
        format!("{name}: ms until all keys are readable"),
    ];
    table.add_measured(Better::Lower, &times, &rounds);
    let rest: Vec<_> = rounds
        .into_iter()
        .map(|pair| pair.map(|one| Ok(one?[2..].to_vec())))
        .collect();
    let reads = [format!(
        "{name}: reading every key once then, pipeline 16, /s"
    )];
    table.add_measured(Better::Higher, &reads, &rest);
}

fn start(settings: &Settings, kind: Kind) -> Result<Server> {
    let port = super::server::free_port()?;
    // As Redis comes: the append-only file is rewritten when it has doubled.
    let more: Vec<String> = match kind {
        Kind::Redis => ["--auto-aof-rewrite-percentage", "100"]
            .map(str::to_owned)
            .to_vec(),
        Kind::Tandem => Vec::new(),
    };
    Server::start_on(settings, kind, Fsync::Everysec, port, &more)
}

/// Gives milliseconds until PONG and until all is readable, and GETs a second over all keys.
fn measure(server: &mut Server, count: u64) -> Result<Vec<f64>> {
    load_keys(server, count, VALUE_BYTES)?;
    let values = Values::new(VALUE_BYTES);
    server.kill();
    let start = Instant::now();
    server.start_again()?;
    server.wait_until_it_answers()?;
    let answered = start.elapsed();
    let mut client = server.client()?;
    wait_for("all keys readable again", READABLE_TIMEOUT, || {
        Ok((key_count(&mut client)? >= count).then_some(()))
    })?;
    samples_are_whole(&mut client, count, &values)?;
    let readable = start.elapsed();
    let reads = read_all(server, count).context("after the restart")?;
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    Ok(vec![ms(answered), ms(readable), reads])
}
