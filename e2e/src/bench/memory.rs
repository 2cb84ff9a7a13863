//! Section 2: bytes of memory, log and disk per key.

use anyhow::Result;

use super::check::load_range;
use super::request::{FIELDS_PER_HASH, KEY_BYTES, Operation};
use super::server::{Fsync, KINDS, Kind, Server};
use super::settings::Settings;
use super::table::{Better, Table};
use super::usage::resident_bytes;

/// Bytes of the values.
const VALUE_BYTES: usize = 100;
/// Writes after which the log is measured: few, so that nothing of it is purged yet.
const LOGGED: u64 = 100_000;

/// Measures strings, then hashes, each in fresh servers.
pub fn run(settings: &Settings, table: &mut Table) {
    for operation in [Operation::Set, Operation::Hset] {
        let measured = KINDS.map(|kind| measure(settings, kind, operation));
        let cell = match operation {
            Operation::Set => format!("key of {KEY_BYTES} + {VALUE_BYTES} B"),
            _ => format!("field of {VALUE_BYTES} B, {FIELDS_PER_HASH} a hash"),
        };
        let rows = [
            format!("resident bytes per {cell}"),
            format!("log bytes per {cell}"),
            format!("bytes on disk per {cell}, log included"),
        ];
        table.add_measured(Better::Lower, &rows, &[measured]);
    }
}

fn measure(settings: &Settings, kind: Kind, operation: Operation) -> Result<Vec<f64>> {
    settings.ensure_time()?;
    let server = Server::start(settings, kind, Fsync::Everysec)?;
    let count = settings.key_count();
    let logged = count.min(LOGGED);
    let resident = resident_bytes(server.id())?;
    let log = server.log_bytes()?;
    load_range(&server, operation, 0..logged, VALUE_BYTES)?;
    let log = server.log_bytes()?.saturating_sub(log);
    load_range(&server, operation, logged..count, VALUE_BYTES)?;
    let resident = resident_bytes(server.id())?.saturating_sub(resident);
    let disk = server.data_bytes()?;
    Ok(vec![
        resident as f64 / count as f64,
        log as f64 / logged as f64,
        disk as f64 / count as f64,
    ])
}
