//! Data that is gone, and links that lost their place: rebuilt without anybody typing.

use std::path::PathBuf;

use rustix::process::Signal;
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::local::{Member, send};
use tandem_e2e::story::{Local, Story, Writers};

use super::support::{HEAL_TIMEOUT, nothing_is_lost, pair, patience, wait_until_restored};

/// Kills an instance for good, as far as its data goes: the data are away before it starts again.
fn lose_disk(local: &Local, member: &Member) {
    let data = local
        .data()
        .join("instances")
        .join(&member.name)
        .join("data");
    let away = PathBuf::from(format!("{}-lost", data.display()));
    std::fs::rename(&data, &away).unwrap();
    send(member.pid.unwrap(), Signal::KILL).unwrap();
}

#[test]
fn a_replica_without_its_data_is_rebuilt() {
    let story = Story::begin("a wiped replica");
    let local = pair();
    let writers = Writers::start("w", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(1000).unwrap();
    let before = local.report().unwrap();
    let replica = before
        .members
        .iter()
        .find(|member| member.role == "replica")
        .unwrap();
    lose_disk(&local, replica);
    wait_for_new_data(&local, replica);
    let ledger = writers.finish().unwrap();
    let after = local.wait_until_ready().unwrap();
    for slot in ["a", "b"] {
        let (old, new) = (before.master(slot).unwrap(), after.master(slot).unwrap());
        assert_eq!((&old.name, old.epoch), (&new.name, new.epoch));
    }
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn a_master_without_its_data_is_replaced_and_rebuilt() {
    let story = Story::begin("a wiped master");
    let local = pair();
    // What is acknowledged by the master's disk alone goes with it: writes end first.
    let writers = Writers::start("v", &[local.service("a").unwrap()], 2, Pace::default());
    writers.wait_for_more(1000).unwrap();
    let ledger = writers.finish().unwrap();
    nothing_is_lost(&story, &local, &ledger);
    let before = local.report().unwrap();
    let master = before.master("a").unwrap();
    lose_disk(&local, master);
    let after = wait_until_restored(&local, "a", master.epoch);
    assert_ne!(after.master("a").unwrap().name, master.name);
    assert_eq!(after.member(&master.name).unwrap().role, "replica");
    nothing_is_lost(&story, &local, &ledger);
}

#[test]
fn a_lone_master_without_its_data_is_rebuilt_from_its_peer() {
    let story = Story::begin("a wiped master without replicas");
    let local = Local::start("double-master-no-replicas.yaml", patience()).unwrap();
    let name = local.report().unwrap().members[0].name.clone();
    let resource = name.rsplit_once("-a-").unwrap().0.to_owned();
    let writers = Writers::start("l", &[local.service("rw").unwrap()], 2, Pace::default());
    writers.wait_for_more(1000).unwrap();
    let before = local.report().unwrap();
    let lost = before.member(&format!("{resource}-a-0")).unwrap();
    let ledger = writers.finish().unwrap();
    nothing_is_lost(&story, &local, &ledger);
    lose_disk(&local, lost);
    wait_for_new_data(&local, lost);
    let after = local.wait_until_ready().unwrap();
    assert!(
        after.master("a").unwrap().epoch > lost.epoch,
        "its ids are not used twice"
    );
    nothing_is_lost(&story, &local, &ledger);
}

/// Waits until the member runs in another process and streams.
fn wait_for_new_data(local: &Local, old: &Member) {
    let what = format!("{} on a new disk", old.name);
    local
        .wait_until(&what, HEAL_TIMEOUT, |report| {
            report.member(&old.name).is_ok_and(|new| {
                new.pid.is_some_and(|pid| Some(pid) != old.pid)
                    && new.links.iter().any(|link| link.state == "streaming")
            })
        })
        .unwrap();
}
