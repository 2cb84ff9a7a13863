//! Whether a server holds what was loaded into it.

use anyhow::{Context, Result, ensure};
use tandem_proto::Value;

use super::load::Load;
use super::request::{Operation, Order, Random, Requests, Values, key_name};
use super::server::Server;
use crate::client::Client;

/// Keys whose values are compared.
const SAMPLES: usize = 1000;

/// Loads `count` keys by plain SET, each once; gives SETs a second.
pub fn load_keys(server: &Server, count: u64, value_bytes: usize) -> Result<f64> {
    load_range(server, Operation::Set, 0..count, value_bytes)
}

/// Loads a range of numbers, each once; gives commands a second.
pub fn load_range(
    server: &Server,
    operation: Operation,
    numbers: std::ops::Range<u64>,
    value_bytes: usize,
) -> Result<f64> {
    let requests = Requests::new(operation, value_bytes);
    let order = Order::Each {
        next: numbers.start,
        end: numbers.end,
    };
    let load = Load {
        pipeline: 16,
        ..Load::new(server.address(), &requests, order)
    };
    Ok(load.run().with_context(|| server.name())?.rate())
}

/// Gives the number of keys.
pub fn key_count(client: &mut Client) -> Result<u64> {
    let reply = client.ask(["DBSIZE"])?;
    let count = reply.as_integer().context("DBSIZE is no number")?;
    Ok(count as u64)
}

/// Compares a thousand random values of `count` loaded keys with what was loaded.
pub fn samples_are_whole(client: &mut Client, count: u64, values: &Values) -> Result<()> {
    let mut random = Random::new(count);
    let sample: Vec<u64> = (0..SAMPLES).map(|_| random.below(count)).collect();
    for &index in &sample {
        client.queue(["GET", &key_name(index)]);
    }
    client.flush()?;
    let mut wrong = 0;
    for &index in &sample {
        match client.read()? {
            Value::Bulk(value) if value == values.of(index) => {}
            _ => wrong += 1,
        }
    }
    ensure!(
        wrong == 0,
        "{wrong} of {SAMPLES} values are not what was loaded"
    );
    Ok(())
}

/// Reads all `count` loaded keys; gives GETs a second, or the number of keys that are gone.
pub fn read_all(server: &Server, count: u64) -> Result<f64> {
    let requests = Requests::new(Operation::Get, 0);
    let load = Load {
        pipeline: 16,
        ..Load::new(server.address(), &requests, Order::each(count))
    };
    let report = load.run().with_context(|| server.name())?;
    ensure!(
        report.nulls == 0,
        "{} of {count} keys are gone",
        report.nulls
    );
    Ok(report.rate())
}
