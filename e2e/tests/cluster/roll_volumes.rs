//! Volumes outlive what was made from them: they grow, stay, are adopted, or go when that is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::ensure;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tandem_api::DoubleMaster;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, master, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};
use tandem_e2e::story::Ledger;

use super::roll_watch::lives;

pub(crate) const GONE_LIMIT: Duration = Duration::from_mins(3);
const QUIET: Duration = Duration::from_secs(5);

fn claims(stage: &Stage) -> BTreeMap<String, PersistentVolumeClaim> {
    let found: Vec<PersistentVolumeClaim> = stage.list("tandem.dev/resource=dm").unwrap();
    found.into_iter().map(|one| (one.name_any(), one)).collect()
}

fn identities(stage: &Stage) -> BTreeMap<String, Option<String>> {
    let found = claims(stage);
    found
        .iter()
        .map(|(name, one)| (name.clone(), one.uid()))
        .collect()
}

fn asked_size(claim: &PersistentVolumeClaim) -> String {
    let spec = serde_json::to_value(&claim.spec).unwrap();
    let size = spec.pointer("/resources/requests/storage");
    size.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Deletes the resource; gives how long object and pods took to go.
pub(crate) fn delete_and_wait(stage: &Stage) -> Duration {
    let begun = Instant::now();
    stage.delete::<DoubleMaster>("dm", None).unwrap();
    wait_until("object and pods are gone", GONE_LIMIT, || {
        let pods: Vec<Pod> = stage.list("tandem.dev/resource=dm")?;
        ensure!(pods.is_empty(), "{} pods", pods.len());
        ensure!(
            stage.get::<DoubleMaster>("dm").is_err(),
            "the object is there"
        );
        Ok(())
    })
    .unwrap();
    begun.elapsed()
}

#[test]
fn roll_volumes_grow_where_they_are() {
    let Some(stage) = Stage::begin("roll volumes grow").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let mut spec = usual_spec();
    spec["storage"]["className"] = json!("local-path-expandable");
    let pair = Pair::start(&stage, &spec).unwrap();
    let (before, volumes) = (lives(&stage), identities(&stage));
    pair.change(&json!({"spec": {"storage": {"size": "2Gi"}}}))
        .unwrap();
    wait_until("every claim asks for more", HEAL_LIMIT, || {
        for (name, claim) in claims(&stage) {
            let size = asked_size(&claim);
            ensure!(size == "2Gi", "{name} asks for {size}");
        }
        Ok(())
    })
    .unwrap();
    std::thread::sleep(QUIET);
    assert_eq!(lives(&stage), before, "no pod was touched");
    assert_eq!(identities(&stage), volumes, "no volume was made anew");
    pair.wait_until_ready().unwrap();
    stage.says("all claims ask for 2Gi; a folder has no size, so that the volumes themselves grow is not shown here");
}

#[test]
fn roll_volumes_are_kept_adopted_or_deleted_as_the_policy_says() {
    let Some(stage) = Stage::begin("roll volumes policy").unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let clients = Clients::start(&pair, "first").unwrap();
    clients.wait_for_more(300).unwrap();
    let ledger = clients.finish().unwrap().ledger();
    pair.nothing_is_lost(&ledger).unwrap();
    let before = pair.status().unwrap();
    let volumes = identities(&stage);

    let took = delete_and_wait(&stage);
    assert_eq!(identities(&stage), volumes, "Retain keeps every volume");
    stage.says(format_args!(
        "deleted in {:.1} s, {} volumes stay",
        took.as_secs_f64(),
        volumes.len()
    ));

    let begun = Instant::now();
    pair.apply(&usual_spec()).unwrap();
    let after = pair.wait_until_ready().unwrap();
    stage.says(format_args!(
        "made again: adopted in {:.1} s, epochs {} then {}",
        begun.elapsed().as_secs_f64(),
        before.epochs,
        after.epochs
    ));
    assert_eq!(identities(&stage), volumes, "the same volumes");
    let ids = |status: &tandem_api::double_master::DoubleMasterStatus| -> BTreeSet<_> {
        let of = status.members.iter();
        of.map(|m| (m.name.clone(), m.server_id, m.instance_id.clone()))
            .collect()
    };
    assert_eq!(
        ids(&after),
        ids(&before),
        "server ids and identities come from the volumes"
    );
    for slot in ["a", "b"] {
        let (old, new) = (
            master(&before, slot).unwrap(),
            master(&after, slot).unwrap(),
        );
        assert_ne!(old.incarnation, new.incarnation, "slot {slot}: a new life");
        let is_same = old.name == new.name && old.epoch == new.epoch;
        assert!(
            is_same || new.epoch > old.epoch,
            "slot {slot}: from {} at {} to {} at {}",
            old.name,
            old.epoch,
            new.name,
            new.epoch
        );
    }
    let clients = Clients::start(&pair, "second").unwrap();
    clients.wait_for_more(100).unwrap();
    let ledger = clients.finish().unwrap().ledger();
    pair.nothing_is_lost(&ledger).unwrap();

    // The operator goes first: nothing hangs, pods go with their owner.
    operator.scale(0).unwrap();
    let took = delete_and_wait(&stage);
    assert_eq!(identities(&stage), volumes);
    stage.says(format_args!(
        "without an operator: deleted in {:.1} s",
        took.as_secs_f64()
    ));
    operator.scale(2).unwrap();
    operator.wait_until_led().unwrap();

    let mut spec = usual_spec();
    spec["reclaimPolicy"] = json!("Delete");
    pair.apply(&spec).unwrap();
    pair.nothing_is_lost(&Ledger::default()).unwrap();
    let took = delete_and_wait(&stage);
    wait_until("the volumes are gone, too", GONE_LIMIT, || {
        let left = identities(&stage);
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .unwrap();
    stage.says(format_args!(
        "Delete: all gone, pods after {:.1} s",
        took.as_secs_f64()
    ));
    // What the pair deletes at its end.
    pair.apply(&usual_spec()).unwrap();
}
