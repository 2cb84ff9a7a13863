//! A master that was alone for long, with clients of its own, and comes back with what they wrote.

use std::time::{Duration, Instant};

use anyhow::Result;
use tandem_e2e::cluster::{Clients, Pair};
use tandem_e2e::story::Instance;
use tandem_e2e::story::ledger::{Pace, Writers};

use super::support::{SOME, with_pair};

/// What it takes while nobody else hears it.
const EXTRA: u64 = 10_000;
/// How many of its clients write at once.
const WRITERS: usize = 8;
/// [`Writers::wait_for_more`] has a minute for each of these.
const STEPS: u64 = 10;

#[test]
fn an_old_master_that_took_ten_thousand_writes_alone_brings_all_of_them_back() {
    with_pair("late return with its own writes", |stage, _, pair| {
        let old = pair.writer().unwrap();
        let node = pair.node_of(&old.name).unwrap();
        let clients = Clients::start(pair, "others").unwrap();
        clients.wait_for_more(SOME).unwrap();
        let door = stage.door(&old.name).unwrap();
        let full = full_resyncs(pair).unwrap();

        stage.isolate_node(&node).unwrap();
        let new = pair.wait_until_served(&old).unwrap();
        let begun = Instant::now();
        let pace = Pace {
            pause: Duration::ZERO,
            patience: Duration::from_secs(5),
        };
        let alone = Writers::start("alone-", &[door], WRITERS, pace);
        for _ in 0..STEPS {
            alone.wait_for_more(EXTRA / STEPS).unwrap();
        }
        let alone = alone.finish().unwrap();
        let own = door.status().unwrap();
        assert!(alone.acknowledged() >= EXTRA);
        assert!(own.writable, "it goes on: {:?}", own.not_writable_reason);
        assert_eq!(
            own.epoch, old.epoch,
            "nobody told it of epoch {}",
            new.epoch
        );
        stage.says(format_args!(
            "{} was alone on {node} and acknowledged {} writes in {:.1} s, {} had no answer; {} has epoch {}",
            old.name,
            alone.acknowledged(),
            begun.elapsed().as_secs_f64(),
            alone.unanswered(),
            new.name,
            new.epoch,
        ));
        clients.wait_for_more(SOME).unwrap();

        stage.join_node(&node).unwrap();
        let joined = Instant::now();
        pair.wait_until_healed(&old).unwrap();
        let healed = joined.elapsed();
        clients.wait_for_more(SOME).unwrap();
        let mut ledger = clients.finish().unwrap().ledger();
        ledger.merge(alone);
        pair.nothing_is_lost(&ledger).unwrap();
        everybody_holds(pair, &own).unwrap();
        stage.says(format_args!(
            "whole again {:.1} s after its node was back; full resyncs: {full} before, {} after",
            healed.as_secs_f64(),
            full_resyncs(pair).unwrap()
        ));
        let now = pair.master(&old.slot).unwrap();
        assert_ne!(now.name, old.name, "its term is over");
    });
}

/// Everything that the old master had, by its own word, is in every instance's version vector.
fn everybody_holds(pair: &Pair, old: &tandem_proto::status::InstanceStatus) -> Result<()> {
    for instance in pair.instances()? {
        let status = instance.status()?;
        for database in &old.databases {
            let found = status.databases.iter();
            let mut found = found.filter(|other| other.database == database.database);
            let rows = found.next().map(|other| other.version_vector.clone());
            for row in &database.version_vector {
                let is_held = rows.iter().flatten().any(|other| {
                    (other.server_id, other.epoch, &other.incarnation)
                        == (row.server_id, row.epoch, &row.incarnation)
                        && other.high >= row.high
                        && other.holes.is_empty()
                });
                anyhow::ensure!(is_held, "{instance} lacks {row:?}: {rows:?}");
            }
        }
    }
    Ok(())
}

fn full_resyncs(pair: &Pair) -> Result<u64> {
    let doors = pair.instances()?;
    let count = |door: &Instance| door.resyncs().map(|(full, _)| full);
    doors.iter().map(count).sum()
}
