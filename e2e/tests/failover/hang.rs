//! A master that hangs and goes on later: it finds its slot taken, and what it still takes is merged.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rustix::process::Signal;
use tandem_e2e::client::{Client, wait_for};
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::local::{Member, send};
use tandem_e2e::story::{Instance, Local, Story, Writers};
use tandem_proto::status::Role;
use tandem_proto::value::Value;

use super::support::{
    PATIENCE, new_master, nothing_is_lost, pair, peer_of, target, wait_until_restored, writer,
};

/// Writes that are on their way when the process stops.
const LATE_WRITES: usize = 200;

#[test]
fn a_master_that_hung_does_not_keep_its_slot_and_its_late_writes_are_merged() {
    let story = Story::begin("SIGSTOP and SIGCONT of a master");
    let local = pair();
    let doors = ["rw", "a", "b"].map(|suffix| local.service(suffix).unwrap());
    let writers = Writers::start("h", &doors, 1, Pace::default());
    writers.wait_for_more(500).unwrap();
    let old = writer(&local);
    let peer = peer_of(&local, &old);
    let door = old.instance().unwrap();
    let mut late = Client::connect(door.address()).unwrap();
    late.ask(["PING"]).unwrap();

    local.signal(&old.name, Signal::STOP).unwrap();
    // The kernel takes them; the process reads them first thing when it goes on.
    for number in 0..LATE_WRITES {
        late.queue([
            "SET",
            &format!("late:{number}"),
            "written by the woken master",
        ]);
    }
    late.flush().unwrap();
    let new = new_master(&local, &old);
    assert_eq!(target(&local, "rw"), Some(peer), "-rw goes to the peer");
    assert_eq!(target(&local, &old.slot).as_ref(), Some(&new.name));
    several_have_lost_it(&local, &old);
    writers.wait_for_more(500).unwrap();
    // By its id of before: it says nothing now.
    send(old.pid.unwrap(), Signal::CONT).unwrap();

    let acknowledged = acknowledged(&mut late);
    wait_until_fenced(door, new.epoch);
    let refusal = door.refusal(&["SET", "later", "1"]).unwrap();
    assert!(refusal.contains("read only replica"), "{refusal}");
    let report = wait_until_restored(&local, &old.slot, old.epoch);
    assert_eq!(
        report.master(&old.slot).unwrap().name,
        new.name,
        "the slot was not taken back"
    );
    assert_eq!(
        report.member(&old.name).unwrap().pid,
        old.pid,
        "the same process goes on"
    );
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    nothing_is_lost(&story, &local, &ledger);
    story.says(format_args!(
        "{} late writes acknowledged",
        acknowledged.len()
    ));
    assert!(
        !acknowledged.is_empty(),
        "the woken master took no late write"
    );
    for instance in local.instances().unwrap() {
        for key in &acknowledged {
            let value: Option<String> = instance.ask(&["GET", key]).unwrap();
            assert!(
                value.is_some(),
                "`{key}` is missing on port {}",
                instance.port
            );
        }
        one_owner_each(instance, old.epoch, new.epoch, &old.slot);
    }
}

#[test]
fn a_master_that_hangs_for_good_is_killed_and_comes_back_as_a_replica() {
    let story = Story::begin("a hang for good");
    let directory = tandem_e2e::process::ScratchDirectory::new(None).unwrap();
    let manifest = directory.path().join("impatient.yaml");
    let text = "apiVersion: tandem.dev/v1alpha1\nkind: DoubleMaster\nmetadata: {name: dm}\n\
                spec:\n  replicasPerMaster: 1\n  failover: {probeIntervalMs: 100, \
                hangTimeoutMs: 500, linkTimeoutMs: 500, restartHungMs: 2500}\n";
    std::fs::write(&manifest, text).unwrap();
    let local = Local::start_file(&manifest, PATIENCE).unwrap();
    let writers = Writers::start("g", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(500).unwrap();
    let old = writer(&local);
    local.signal(&old.name, Signal::STOP).unwrap();
    let report = wait_until_restored(&local, &old.slot, old.epoch);
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    let back = report.member(&old.name).unwrap();
    assert_eq!(back.role, "replica");
    assert_ne!(back.pid, old.pid, "the hung process was replaced");
    nothing_is_lost(&story, &local, &ledger);
}

/// The report names who had lost the old master: the operator, and one that replicates with it.
fn several_have_lost_it(local: &Local, old: &Member) {
    let report = local.report().unwrap().last_failover_report.unwrap();
    assert_eq!(report["old"], old.name.as_str());
    assert!(report["cause"]["hung"]["silent_ms"].is_u64(), "{report}");
    let witnesses = report["witnesses"].as_array().unwrap();
    let lost = |witness: &&serde_json::Value| witness["testimony"].get("dead").is_some();
    let observers: Vec<_> = witnesses
        .iter()
        .filter(lost)
        .map(|w| &w["observer"])
        .collect();
    assert_eq!(observers[0], "operator", "{witnesses:?}");
    assert!(
        observers.len() >= 2 && witnesses.len() == 3,
        "{witnesses:?}"
    );
}

/// The late writes that were answered with OK; the others must be refused.
fn acknowledged(late: &mut Client) -> Vec<String> {
    let mut keys = Vec::new();
    for number in 0..LATE_WRITES {
        match late.read() {
            Ok(Value::Error(error)) => assert!(error.starts_with("READONLY"), "{error}"),
            Ok(_) => keys.push(format!("late:{number}")),
            // Closed when the role was taken: nothing further was acknowledged.
            Err(_) => break,
        }
    }
    keys
}

fn wait_until_fenced(door: Instance, epoch: u64) {
    wait_for(
        "the woken master as a replica",
        Duration::from_secs(30),
        || {
            let status = door.status()?;
            Ok((status.role == Role::Replica && status.epoch == epoch).then_some(()))
        },
    )
    .unwrap();
}

/// Each epoch of the slot has one writer, by the origins of all records that an instance holds.
fn one_owner_each(instance: Instance, old_epoch: u64, new_epoch: u64, slot: &str) {
    let server_id = if slot == "a" { 1 } else { 2 };
    let mut owners: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for row in &instance.status().unwrap().databases[0].version_vector {
        if row.server_id == server_id {
            owners
                .entry(row.epoch)
                .or_default()
                .insert(row.incarnation.clone());
        }
    }
    for (epoch, incarnations) in &owners {
        assert_eq!(
            incarnations.len(),
            1,
            "epoch {epoch} on port {}",
            instance.port
        );
    }
    assert_ne!(owners[&old_epoch], owners[&new_epoch]);
}
