//! More replicas and fewer, from none to three, while clients write; also when the instance that goes is
//! the master.

use std::collections::BTreeSet;
use std::time::Instant;

use anyhow::ensure;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::json;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, usual_spec};
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage, wait_until};

use super::roll_watch::lives;

fn expected(replicas: u8) -> BTreeSet<String> {
    ["a", "b"]
        .iter()
        .flat_map(|slot| (0..=replicas).map(move |ordinal| format!("dm-{slot}-{ordinal}")))
        .collect()
}

fn scale_to(pair: &Pair, replicas: u8) {
    let stage = pair.stage();
    let begun = Instant::now();
    pair.change(&json!({"spec": {"replicasPerMaster": replicas}}))
        .unwrap();
    wait_until("as many pods as wanted", 2 * HEAL_LIMIT, || {
        let now: BTreeSet<String> = lives(stage).into_keys().collect();
        ensure!(now == expected(replicas), "{now:?}: {:?}", pair.status()?);
        Ok(())
    })
    .unwrap();
    pair.wait_until_ready().unwrap();
    stage.says(format_args!(
        "{replicas} replicas for each master after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
}

#[test]
fn scale_replicas_from_none_to_three_and_back() {
    let Some(stage) = Stage::begin("scale replicas").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let mut spec = usual_spec();
    spec["replicasPerMaster"] = json!(0);
    let pair = Pair::start(&stage, &spec).unwrap();
    let first = lives(&stage);
    let clients = Clients::start(&pair, "scale").unwrap();
    clients.wait_for_more(50).unwrap();
    let begun = Instant::now();
    for replicas in [1, 2, 3] {
        scale_to(&pair, replicas);
    }
    let now = lives(&stage);
    assert!(
        first.iter().all(|(name, life)| now.get(name) == Some(life)),
        "growing touches nobody"
    );
    scale_to(&pair, 2);

    // Now the master of a is the one with the highest number, which has to go.
    let before = pair.master("a").unwrap();
    pair.request("switchover", "a=dm-a-2").unwrap();
    wait_until("dm-a-2 is master of a", HEAL_LIMIT, || {
        let master = pair.master("a")?;
        ensure!(
            master.name == "dm-a-2",
            "{} is: {:?}",
            master.name,
            pair.status()?
        );
        Ok(())
    })
    .unwrap();
    pair.wait_until_ready().unwrap();
    clients.wait_for_more(50).unwrap();
    scale_to(&pair, 1);
    let master = pair.master("a").unwrap();
    assert!(
        expected(1).contains(&master.name),
        "{} is master",
        master.name
    );
    assert!(
        master.epoch > before.epoch + 1,
        "it handed over: {} then {}",
        before.epoch,
        master.epoch
    );
    scale_to(&pair, 0);
    clients.wait_for_more(50).unwrap();

    let told = clients.finish().unwrap();
    stage.says(format_args!(
        "0 to 3 and back to 0: -rw stood still for {} ms at most, -a for {} ms, -b for {} ms",
        told.rw_outage(begun).as_millis(),
        told.slot_outage("a", begun).as_millis(),
        told.slot_outage("b", begun).as_millis()
    ));
    pair.nothing_is_lost(&told.ledger()).unwrap();
    let claims: Vec<PersistentVolumeClaim> = stage.list("tandem.dev/resource=dm").unwrap();
    let mut kept: Vec<String> = claims.iter().map(ResourceExt::name_any).collect();
    kept.sort();
    stage.says(format_args!("volumes that are kept: {kept:?}"));
    assert!(kept.len() >= 2, "{kept:?}");
}
