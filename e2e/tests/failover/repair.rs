//! Data that is gone, and links that lost their place: rebuilt without anybody typing.

use std::path::PathBuf;

use anyhow::Result;
use rustix::process::Signal;
use tandem_e2e::client::wait_for;
use tandem_e2e::process::ScratchDirectory;
use tandem_e2e::story::ledger::Pace;
use tandem_e2e::story::load::Load;
use tandem_e2e::story::local::{Member, send};
use tandem_e2e::story::{Local, Story, Writers, wait_until_equal};

use super::support::{HEAL_TIMEOUT, PATIENCE, nothing_is_lost, pair, wait_until_restored};

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
    let replica = before.replica().unwrap();
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
    let local = Local::start("double-master-no-replicas.yaml", PATIENCE).unwrap();
    let name = local.report().unwrap().members[0].name.clone();
    let resource = name.rsplit_once("-a-").unwrap().0.to_owned();
    let writers = Writers::start("l", &[local.service("a").unwrap()], 2, Pace::default());
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

/// A pair whose logs are short, and which gives hung processes time.
fn pair_with_short_logs(directory: &ScratchDirectory) -> Local {
    let manifest = directory.path().join("short-logs.yaml");
    let text = "apiVersion: tandem.dev/v1alpha1\nkind: DoubleMaster\nmetadata: {name: dm}\n\
                spec:\n  replicasPerMaster: 1\n  failover: {probeIntervalMs: 100, \
                hangTimeoutMs: 500, linkTimeoutMs: 500, restartHungMs: 120000}\n  config: \
                {binlog-file-size: 1mb, expire-logs-nums: '1', binlog-size-max: 2mb}\n";
    std::fs::write(&manifest, text).unwrap();
    Local::start_file(&manifest, PATIENCE).unwrap()
}

/// More than the logs of that pair keep, and more than connections hold on their way.
fn more_than_is_kept() -> Load {
    Load::new("purged", 0..30_000).with_value_bytes(1000)
}

/// Whether an instance's log is as short as it may be.
fn has_purged(local: &Local, name: &str) -> Result<bool> {
    let log = local.data().join(format!("instances/{name}/data/db0/log"));
    let mut bytes = 0;
    for file in std::fs::read_dir(log)? {
        // It may be purged this moment.
        bytes += file?.metadata().map_or(0, |found| found.len());
    }
    Ok(bytes < 4 << 20)
}

#[test]
fn a_slot_that_lost_its_place_gets_a_full_resync_that_nobody_typed() {
    let story = Story::begin("a lost place of the peer");
    let directory = ScratchDirectory::new(None).unwrap();
    let local = pair_with_short_logs(&directory);
    let slots = ["a", "b"].map(|suffix| local.service(suffix).unwrap());
    let writers = Writers::start("p", &slots, 1, Pace::default());
    writers.wait_for_more(500).unwrap();
    let ledger = writers.finish().unwrap();
    nothing_is_lost(&story, &local, &ledger);
    let before = local.report().unwrap();
    let behind: Vec<&Member> = before.members.iter().filter(|m| m.slot == "b").collect();
    for member in &behind {
        send(member.pid.unwrap(), Signal::STOP).unwrap();
    }
    let load = more_than_is_kept();
    load.write(before.master("a").unwrap().instance().unwrap(), 2)
        .unwrap();
    let source = before.master("a").unwrap().name.clone();
    wait_for("the purge of the log", HEAL_TIMEOUT, || {
        Ok(has_purged(&local, &source)?.then_some(()))
    })
    .unwrap();
    for member in &behind {
        send(member.pid.unwrap(), Signal::CONT).unwrap();
    }
    let asked = wait_for(
        "the full resync in the runtime's words",
        HEAL_TIMEOUT,
        || {
            Ok(local
                .output()
                .contains("lost its place in the log of")
                .then_some(()))
        },
    );
    assert!(asked.is_ok(), "{:?}: {}", local.report(), local.output());
    nothing_is_lost(&story, &local, &ledger);
    for instance in local.instances().unwrap() {
        load.check(instance, &[]).unwrap();
    }
    let after = local.report().unwrap();
    let peer = &after.master("b").unwrap().links[0];
    assert!(peer.full_resyncs >= 1, "{peer:?}");
}

#[test]
fn a_replica_that_lost_its_place_gets_its_full_resync() {
    let story = Story::begin("a lost place of a replica");
    let directory = ScratchDirectory::new(None).unwrap();
    let local = pair_with_short_logs(&directory);
    let before = local.report().unwrap();
    let (master, replica) = (
        before.master("a").unwrap(),
        before.member("dm-a-1").unwrap(),
    );
    let replica = if replica.name == master.name {
        "dm-a-0"
    } else {
        "dm-a-1"
    };
    let replica = before.member(replica).unwrap();
    send(replica.pid.unwrap(), Signal::STOP).unwrap();
    let load = more_than_is_kept();
    load.write(master.instance().unwrap(), 2).unwrap();
    wait_for("the purge of the log", HEAL_TIMEOUT, || {
        Ok(has_purged(&local, &master.name)?.then_some(()))
    })
    .unwrap();
    send(replica.pid.unwrap(), Signal::CONT).unwrap();
    let healed = wait_for("a finished full resync", HEAL_TIMEOUT, || {
        let report = local.report()?;
        let links = &report.member(&replica.name)?.links;
        Ok(links
            .iter()
            .any(|link| link.full_resyncs >= 1)
            .then_some(()))
    });
    assert!(healed.is_ok(), "{:?}: {}", local.report(), local.output());
    local.wait_until_ready().unwrap();
    let took = wait_until_equal(&local.instances().unwrap(), HEAL_TIMEOUT).unwrap();
    story.says(format_args!("equal after {} ms", took.as_millis()));
    load.check(replica.instance().unwrap(), &[]).unwrap();
}
