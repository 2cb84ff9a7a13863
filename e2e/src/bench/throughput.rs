//! Section 1: SET, GET, INCR and HSET as fast as they go. Everything is loaded before it is
//! measured, so that each cell works on keys that are there; loading is a row of its own.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::load::{Load, LoadReport};
use super::reference;
use super::request::{FIELDS_PER_HASH, Operation, Order, Requests};
use super::server::{Fsync, KINDS, Kind, Server};
use super::settings::Settings;
use super::table::{Better, Row, Table};

/// Batches that are measured.
const PIPELINES: [usize; 2] = [1, 16];
/// Bytes of the values that are measured.
const VALUE_BYTES: [usize; 2] = [100, 1024];
/// Longest time to load one kind of key into one server; a slow disk gets fewer keys.
const PRELOAD_TIME: Duration = Duration::from_mins(2);

/// Measures all cells. What fails ends the cells that share its servers, and is a row.
pub fn run(settings: &Settings, table: &mut Table) {
    for fsync in [Fsync::Everysec, Fsync::Always] {
        for value_bytes in VALUE_BYTES {
            if let Err(error) = run_group(settings, table, fsync, value_bytes) {
                let measure = format!("throughput, {}, {value_bytes} B", fsync.word());
                table.add_not_available(&measure, &error);
            }
        }
    }
}

/// What a group of cells has in common.
struct Group<'a> {
    settings: &'a Settings,
    servers: Vec<Server>,
    fsync: Fsync,
    value_bytes: usize,
}

fn run_group(
    settings: &Settings,
    table: &mut Table,
    fsync: Fsync,
    value_bytes: usize,
) -> Result<()> {
    let start = |kind: &Kind| Server::start(settings, *kind, fsync);
    let group = Group {
        settings,
        servers: KINDS.iter().map(start).collect::<Result<_>>()?,
        fsync,
        value_bytes,
    };
    for operation in [
        Operation::Set,
        Operation::Get,
        Operation::Incr,
        Operation::Hset,
        Operation::HsetOne,
    ] {
        // Counters have no value size, and one big hash at one size is enough.
        let once = matches!(operation, Operation::Incr | Operation::HsetOne);
        if once && value_bytes != VALUE_BYTES[0] {
            continue;
        }
        if operation != Operation::Get {
            table.add(&group.preload(operation)?);
        }
        for pipeline in PIPELINES {
            table.add(&group.cell(operation, pipeline)?);
        }
    }
    Ok(())
}

impl Group<'_> {
    /// Numbers that an operation takes: hashes get their ten fields from the same number of cells.
    fn numbers(&self, operation: Operation) -> u64 {
        let keys = self.settings.key_count();
        match operation {
            Operation::Hset => keys - keys % FIELDS_PER_HASH,
            _ => keys,
        }
    }

    fn name(&self, operation: Operation) -> String {
        let size = self.value_bytes;
        let fsync = self.fsync.word();
        match operation {
            Operation::Set => format!("SET, {fsync}, {size} B"),
            Operation::Get => format!("GET, {fsync}, {size} B"),
            Operation::Incr => format!("INCR, {fsync}"),
            Operation::Hset => format!("HSET 10 fields, {fsync}, {size} B"),
            Operation::HsetOne => format!("HSET one big hash, {fsync}, {size} B"),
        }
    }

    fn preload(&self, operation: Operation) -> Result<Row> {
        let requests = Requests::new(operation, self.value_bytes);
        let numbers = self.numbers(operation);
        let mut rates = Vec::new();
        for server in &self.servers {
            let load = Load {
                pipeline: 16,
                time_max: Some(PRELOAD_TIME),
                ..Load::new(server.address(), &requests, Order::each(numbers))
            };
            let report = run_load(load, server.kind())?;
            ensure!(
                report.requests == numbers,
                "{:?} took more than {} s to load {numbers} keys",
                server.kind(),
                PRELOAD_TIME.as_secs()
            );
            rates.push(report.rate());
        }
        Ok(Row {
            measure: format!("{}, first load at pipeline 16, /s", self.name(operation)),
            better: Better::Higher,
            pairs: vec![(rates[0], rates[1])],
            reference: Vec::new(),
        })
    }

    fn cell(&self, operation: Operation, pipeline: usize) -> Result<Row> {
        let requests = Requests::new(operation, self.value_bytes);
        let with_reference = matches!(operation, Operation::Set | Operation::Get);
        let mut pairs = Vec::new();
        let mut by_reference = Vec::new();
        for round in 0..self.settings.rounds {
            let mut rates = Vec::new();
            let mut reference_rates = Vec::new();
            for server in &self.servers {
                let order = Order::random(self.numbers(operation), round as u64 + 1);
                let load = Load {
                    pipeline,
                    time_max: Some(self.settings.cell_time()),
                    ..Load::new(server.address(), &requests, order)
                };
                let report = run_load(load, server.kind())?;
                ensure!(
                    report.nulls == 0,
                    "{:?} has lost {} of {} loaded keys",
                    server.kind(),
                    report.nulls,
                    report.requests
                );
                rates.push(report.rate());
            }
            if with_reference {
                for server in &self.servers {
                    let size = self.value_bytes;
                    let rate = reference::run(self.settings, server, operation, pipeline, size)?;
                    reference_rates.push(rate);
                }
                by_reference.push((reference_rates[0], reference_rates[1]));
            }
            pairs.push((rates[0], rates[1]));
        }
        Ok(Row {
            measure: format!("{}, pipeline {pipeline}, /s", self.name(operation)),
            better: Better::Higher,
            pairs,
            reference: by_reference,
        })
    }
}

fn run_load(load: Load<'_>, kind: Kind) -> Result<LoadReport> {
    load.run().with_context(|| format!("{kind:?}"))
}
