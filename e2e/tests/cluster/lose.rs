//! Masters that end: by a signal, by deletion, with their replicas, with the operator, with their disk.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::Api;
use tandem_e2e::cluster::pair::other;
use tandem_e2e::cluster::{Clients, Pair, Stage};
use tandem_e2e::story::Ledger;

use super::support::{SOME, replicas_of, survive, wait_for_another_pod, with_pair};

#[test]
fn a_killed_master_of_each_slot_loses_nothing() {
    with_pair("kill -9 of each master", |stage, _, pair| {
        for slot in ["a", "b", "a"] {
            let before = pair.master(slot).unwrap();
            survive(
                pair,
                "kill -9",
                &before,
                || stage.kill(&before.name),
                || Ok(()),
            )
            .unwrap();
        }
    });
}

#[test]
fn a_deleted_pod_of_a_master_loses_nothing() {
    with_pair("pod delete", |stage, _, pair| {
        for (what, grace) in [("pod delete, grace 0", Some(0)), ("pod delete", None)] {
            let before = pair.writer().unwrap();
            let delete = || stage.delete::<Pod>(&before.name, grace);
            survive(pair, what, &before, delete, || Ok(())).unwrap();
        }
    });
}

#[test]
fn a_master_killed_in_the_same_second_as_the_operator_is_replaced() {
    with_pair("kill -9 of master and operator", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let leader = operator.leader().unwrap();
        let kill_both = || {
            operator.kill(&leader)?;
            stage.kill(&before.name)
        };
        survive(pair, "kill of both", &before, kill_both, || Ok(())).unwrap();
        operator.wait_until_led().unwrap();
    });
}

#[test]
fn a_master_and_its_replica_deleted_at_once_come_back_while_the_peer_serves() {
    with_pair("both pods of a slot", |stage, _, pair| {
        let before = pair.writer().unwrap();
        let replicas = replicas_of(pair, &before.slot).unwrap();
        let delete_all = || {
            stage.delete::<Pod>(&before.name, Some(0))?;
            for replica in &replicas {
                stage.delete::<Pod>(&replica.name, Some(0))?;
            }
            Ok(())
        };
        survive(pair, "master and replica", &before, delete_all, || Ok(())).unwrap();
    });
}

#[test]
fn both_masters_deleted_at_once_come_back_with_new_addresses() {
    with_pair("both masters' pods", |stage, _, pair| {
        let before = pair.writer().unwrap();
        let peer = pair.master(other(&before.slot)).unwrap();
        let delete_both = || {
            stage.delete::<Pod>(&before.name, Some(0))?;
            stage.delete::<Pod>(&peer.name, Some(0))
        };
        let clients = Clients::start(pair, "both").unwrap();
        clients.wait_for_more(SOME).unwrap();
        delete_both().unwrap();
        for lost in [&before, &peer] {
            pair.wait_until_served(lost).unwrap();
        }
        pair.wait_until_ready().unwrap();
        clients.wait_for_more(SOME).unwrap();
        let ledger = clients.finish().unwrap().ledger();
        pair.nothing_is_lost(&ledger).unwrap();
    });
}

#[test]
fn a_master_lost_right_after_it_was_promoted_is_replaced_again() {
    with_pair("double failover", |stage, _, pair| {
        let first = pair.writer().unwrap();
        let delete_twice = || {
            stage.delete::<Pod>(&first.name, Some(0))?;
            let second = pair.wait_until_served(&first)?;
            stage.kill(&second.name)
        };
        let clients = Clients::start(pair, "double").unwrap();
        clients.wait_for_more(SOME).unwrap();
        delete_twice().unwrap();
        pair.wait_until_ready().unwrap();
        clients.wait_for_more(SOME).unwrap();
        let ledger = clients.finish().unwrap().ledger();
        pair.nothing_is_lost(&ledger).unwrap();
        let now = pair.master(&first.slot).unwrap();
        assert!(
            now.epoch > first.epoch,
            "{} after {}",
            now.epoch,
            first.epoch
        );
    });
}

/// What it alone held went with the disk; what its replica had acknowledged did not.
#[test]
fn a_master_that_comes_back_with_an_empty_directory_is_filled_not_followed() {
    with_pair("master back with an empty directory", |stage, _, pair| {
        let before = pair.writer().unwrap();
        let clients = Clients::start(pair, "before").unwrap();
        clients.wait_for_more(SOME).unwrap();
        let ledger = clients.finish().unwrap().ledger();
        // Everything is on every instance by now.
        pair.nothing_is_lost(&ledger).unwrap();

        let folder = folder_of(stage, &before.name).unwrap();
        stage.hang(&before.name).unwrap();
        empty(&folder).unwrap();
        stage.kill(&before.name).unwrap();
        let now = pair.wait_until_served(&before).unwrap();
        assert_ne!(now.name, before.name, "an empty directory is no master");
        pair.wait_until_ready().unwrap();
        pair.nothing_is_lost(&Ledger::default()).unwrap();
    });
}

/// Where a volume of the cluster lies on this machine.
fn folder_of(stage: &Stage, pod: &str) -> Result<std::path::PathBuf> {
    let claim: PersistentVolumeClaim = stage.get(&format!("data-{pod}"))?;
    let name = claim.spec.and_then(|spec| spec.volume_name);
    let name = name.context("the claim has no volume")?;
    let volumes: Api<PersistentVolume> = Api::all(stage.cluster().client());
    let volume = volumes.get(&name);
    let spec = stage
        .cluster()
        .run(volume)?
        .spec
        .context("no specification")?;
    let path = spec
        .host_path
        .map(|source| source.path)
        .or(spec.local.map(|source| source.path));
    Ok(path.context("the volume is no folder")?.into())
}

fn empty(folder: &std::path::Path) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            std::fs::remove_dir_all(path)?;
        } else {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[test]
fn a_replica_whose_claim_was_deleted_gets_a_new_volume_with_its_next_pod() {
    with_pair("claim deleted under a replica", |stage, _, pair| {
        let slot = pair.writer().unwrap().slot;
        let replica = replicas_of(pair, &slot).unwrap().remove(0);
        let clients = Clients::start(pair, "claim").unwrap();
        clients.wait_for_more(SOME).unwrap();
        let pod = pair.pod_id(&replica.name).unwrap();
        let claim = format!("data-{}", replica.name);
        let old: PersistentVolumeClaim = stage.get(&claim).unwrap();
        stage.delete::<PersistentVolumeClaim>(&claim, None).unwrap();
        clients.wait_for_more(SOME).unwrap();
        stage.delete::<Pod>(&replica.name, None).unwrap();
        wait_for_another_pod(pair, &replica.name, &pod).unwrap();
        pair.wait_until_ready().unwrap();
        let new: PersistentVolumeClaim = stage.get(&claim).unwrap();
        assert_ne!(old.metadata.uid, new.metadata.uid, "another claim");
        clients.wait_for_more(SOME).unwrap();
        let ledger = clients.finish().unwrap().ledger();
        pair.nothing_is_lost(&ledger).unwrap();
    });
}

#[test]
fn a_hung_master_is_replaced_and_is_a_replica_when_it_goes_on() {
    with_pair("SIGSTOP of a master", |stage, _, pair| {
        for seconds in [5, 20, 60] {
            hang_for(stage, pair, Duration::from_secs(seconds));
        }
    });
}

fn hang_for(stage: &Stage, pair: &Pair, time: Duration) {
    let before = pair.writer().unwrap();
    let what = format!("SIGSTOP for {} s", time.as_secs());
    let since = std::time::Instant::now();
    let go_on = || {
        std::thread::sleep(time.saturating_sub(since.elapsed()));
        // It may have been killed and started again meanwhile, which is not stopped.
        stage.resume(&before.name).ok();
        Ok(())
    };
    survive(pair, &what, &before, || stage.hang(&before.name), go_on).unwrap();
    let now = pair.master(&before.slot).unwrap();
    assert_ne!(now.name, before.name, "silence is an end of its term");
    assert_eq!(now.epoch, before.epoch + 1, "one claim, one epoch");
}
