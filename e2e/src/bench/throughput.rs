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
use super::usage::cpu_seconds;

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
        let rows = settings.ensure_time();
        if let Err(error) = rows.and_then(|()| group.rows(operation, table)) {
            table.add_not_available(&group.name(operation), &error);
        }
    }
    Ok(())
}

/// One server's figures in one round.
struct Figures {
    rate: f64,
    cpu_us: f64,
}

impl Group<'_> {
    /// Numbers that an operation takes: hashes get their ten fields from the same number of cells.
    fn numbers(&self, operation: Operation) -> u64 {
        let keys = self.settings.key_count_of(self.value_bytes);
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

    fn rows(&self, operation: Operation, table: &mut Table) -> Result<()> {
        if operation != Operation::Get {
            table.add(&self.preload(operation)?);
        }
        for pipeline in PIPELINES {
            table.add(&self.cell(operation, pipeline)?);
        }
        Ok(())
    }

    fn preload(&self, operation: Operation) -> Result<Row> {
        let requests = Requests::new(operation, self.value_bytes);
        let numbers = self.numbers(operation);
        let measured = self.servers.iter().map(|server| {
            let load = Load {
                pipeline: 16,
                time_max: Some(PRELOAD_TIME),
                ..Load::new(server.address(), &requests, Order::each(numbers))
            };
            let (report, figures) = measure(load, server)?;
            ensure!(
                report.requests == numbers,
                "{:?} took more than {} s to load {numbers} keys",
                server.kind(),
                PRELOAD_TIME.as_secs()
            );
            Ok(figures)
        });
        let measured: Vec<Figures> = measured.collect::<Result<_>>()?;
        Ok(Row {
            measure: format!("{}, first load at pipeline 16, /s", self.name(operation)),
            better: Better::Higher,
            pairs: vec![(measured[0].rate, measured[1].rate)],
            cpu_us: vec![(measured[0].cpu_us, measured[1].cpu_us)],
            reference: Vec::new(),
        })
    }

    fn cell(&self, operation: Operation, pipeline: usize) -> Result<Row> {
        let mut row = Row {
            measure: format!("{}, pipeline {pipeline}, /s", self.name(operation)),
            better: Better::Higher,
            pairs: Vec::new(),
            cpu_us: Vec::new(),
            reference: Vec::new(),
        };
        for round in 0..self.settings.rounds {
            let order = Order::random(self.numbers(operation), round as u64 + 1);
            let measured = self.servers.iter().map(|server| {
                let requests = Requests::new(operation, self.value_bytes);
                let load = Load {
                    pipeline,
                    time_max: Some(self.settings.cell_time()),
                    ..Load::new(server.address(), &requests, order.clone())
                };
                let (report, figures) = measure(load, server)?;
                ensure!(
                    report.nulls == 0,
                    "{:?} has lost {} of {} loaded keys",
                    server.kind(),
                    report.nulls,
                    report.requests
                );
                Ok(figures)
            });
            let measured: Vec<Figures> = measured.collect::<Result<_>>()?;
            row.pairs.push((measured[0].rate, measured[1].rate));
            row.cpu_us.push((measured[0].cpu_us, measured[1].cpu_us));
            let is_known = matches!(operation, Operation::Set | Operation::Get);
            if is_known && !self.settings.quick {
                let rate = |server| {
                    reference::run(self.settings, server, operation, pipeline, self.value_bytes)
                };
                row.reference
                    .push((rate(&self.servers[0])?, rate(&self.servers[1])?));
            }
        }
        Ok(row)
    }
}

/// Runs a load and gives its rate, and the server's processor time per command.
fn measure(load: Load<'_>, server: &Server) -> Result<(LoadReport, Figures)> {
    let before = cpu_seconds(server.id())?;
    let report = load.run().with_context(|| server.name())?;
    let used = cpu_seconds(server.id())? - before;
    let figures = Figures {
        rate: report.rate(),
        cpu_us: used * 1e6 / report.requests as f64,
    };
    Ok((report, figures))
}
