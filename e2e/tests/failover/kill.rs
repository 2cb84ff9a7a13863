//! A master that ends: its replica takes the slot, `-rw` goes to the peer, what it alone held comes
//! back with its disk.

use std::time::Duration;

use rustix::process::Signal;
use tandem_e2e::client::wait_for;
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::local::Member;
use tandem_e2e::story::{Local, Story, Writers};

use super::support::{
    HEAL_TIMEOUT, nothing_is_lost, pair, peer_of, target, wait_until_restored, writer,
};

/// Ends the writer of `-rw` by `end` while clients write to all services; checks all that follows.
fn survive(story: &Story, end: impl Fn(&Local, &Member)) {
    let local = pair();
    let doors = ["rw", "a", "b"].map(|suffix| local.service(suffix).unwrap());
    let writers = Writers::start("k", &doors, 1, Pace::default());
    writers.wait_for_more(500).unwrap();
    let old = writer(&local);
    replicas_hold_data(&local);
    writers.wait_for_more(500).unwrap();
    let peer = peer_of(&local, &old);

    end(&local, &old);
    let report = wait_until_restored(&local, &old.slot, old.epoch);
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();

    assert_eq!(
        target(&local, "rw"),
        Some(peer),
        "-rw goes to the peer and stays there"
    );
    let new = report.master(&old.slot).unwrap();
    assert_ne!(new.name, old.name, "{:?}", report.last_failover_report);
    assert_eq!(new.epoch, old.epoch + 1, "one claim, one epoch");
    assert_eq!(target(&local, &old.slot).as_ref(), Some(&new.name));
    let back = report.member(&old.name).unwrap();
    assert_eq!((back.role.as_str(), back.epoch), ("replica", new.epoch));
    assert_ne!(back.pid, old.pid, "it was started again");
    assert_eq!(back.links[0].source, new.name);
    nothing_is_lost(story, &local, &ledger);
    let last = report.last_failover_report.unwrap();
    story.says(format_args!(
        "-rw was back after {} ms, by the report",
        last["rwOutageMs"]
    ));
}

/// An empty replica waits for the old master's disk instead of taking its place.
fn replicas_hold_data(local: &Local) {
    wait_for("keys on every replica", HEAL_TIMEOUT, || {
        let counts: Vec<u64> = local
            .instances()?
            .iter()
            .map(|instance| instance.keys())
            .collect::<anyhow::Result<_>>()?;
        Ok(counts.iter().all(|count| *count > 0).then_some(()))
    })
    .unwrap();
}

#[test]
fn a_killed_master_is_replaced_and_loses_nothing() {
    let story = Story::begin("kill -9 of a master");
    survive(&story, |local, old| {
        local.signal(&old.name, Signal::KILL).unwrap();
    });
}

#[test]
fn a_master_that_exits_is_replaced_and_loses_nothing() {
    let story = Story::begin("exit of a master");
    survive(&story, |_, old| {
        // The connection ends instead of an answer.
        old.instance().unwrap().ask::<String>(&["SHUTDOWN"]).ok();
    });
}

#[test]
fn both_masters_killed_at_once_are_replaced() {
    let story = Story::begin("kill -9 of both masters");
    let local = pair();
    let writers = Writers::start("m", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(500).unwrap();
    let before = local.report().unwrap();
    let masters = ["a", "b"].map(|slot| before.master(slot).unwrap().clone());
    for master in &masters {
        tandem_e2e::story::local::send(master.pid.unwrap(), Signal::KILL).unwrap();
    }
    for master in &masters {
        let what = format!("another master of slot {}", master.slot);
        local
            .wait_until(&what, HEAL_TIMEOUT, |report| {
                report
                    .master(&master.slot)
                    .is_ok_and(|new| new.epoch > master.epoch)
            })
            .unwrap();
    }
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn everything_killed_at_once_comes_back() {
    let story = Story::begin("kill -9 of every instance");
    let local = pair();
    let writers = Writers::start("e", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(500).unwrap();
    let before = local.report().unwrap();
    for member in &before.members {
        tandem_e2e::story::local::send(member.pid.unwrap(), Signal::KILL).unwrap();
    }
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    let after = local.wait_until_ready().unwrap();
    for slot in ["a", "b"] {
        let (old, new) = (before.master(slot).unwrap(), after.master(slot).unwrap());
        assert!(
            new.epoch > old.epoch,
            "slot {slot}: {} after {}",
            new.epoch,
            old.epoch
        );
    }
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn a_killed_replica_comes_back_without_a_failover() {
    let story = Story::begin("kill -9 of a replica");
    let local = pair();
    let writers = Writers::start("r", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(200).unwrap();
    let before = local.report().unwrap();
    let replica = before.replica().unwrap();
    local.signal(&replica.name, Signal::KILL).unwrap();
    local
        .wait_until("the replica in another process", HEAL_TIMEOUT, |report| {
            report.member(&replica.name).is_ok_and(|back| {
                back.pid.is_some_and(|pid| Some(pid) != replica.pid)
                    && back.links.iter().any(|link| link.state == "streaming")
            })
        })
        .unwrap();
    writers.wait_for_more(200).unwrap();
    let ledger = writers.finish().unwrap();
    let after = local.wait_until_ready().unwrap();
    for slot in ["a", "b"] {
        let (old, new) = (before.master(slot).unwrap(), after.master(slot).unwrap());
        assert_eq!((&old.name, old.epoch), (&new.name, new.epoch));
    }
    assert!(after.last_failover_report.is_none());
    assert!(
        ledger.longest_gap() < Duration::from_secs(5),
        "writes went on"
    );
    nothing_is_lost(&story, &local, &ledger);
}
