//! A change of the specification costs no write: what applies live applies live, everything else
//! replaces instances one by one, replicas first, masters after they have handed over.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tandem_e2e::cluster::clients::Clients;
use tandem_e2e::cluster::operator::Operator;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, Pair, usual_spec};
use tandem_e2e::cluster::{Stage, wait_until};

use super::roll_watch::{Watch, lives};

/// For how long nothing may happen that must not happen.
const QUIET: Duration = Duration::from_secs(5);

/// The same image under its full name.
fn under_another_name(stage: &Stage) -> String {
    let image = stage.cluster().image().unwrap();
    format!("docker.io/library/{image}")
}

fn wait_until_current(pair: &Pair) -> Result<()> {
    pair.wait_until("nothing is outdated", 2 * HEAL_LIMIT, |status| {
        status
            .members
            .iter()
            .all(|member| member.outdated.is_none())
    })?;
    pair.wait_until_ready()?;
    Ok(())
}

/// Makes a change that needs new pods and waits until all have it, under load.
fn roll(pair: &Pair, what: &str, change: &Value) {
    let stage = pair.stage();
    let before = lives(stage);
    let clients = Clients::start(pair, what).unwrap();
    clients.wait_for_more(50).unwrap();
    let watch = Watch::begin(stage);
    let begun = Instant::now();
    pair.change(change).unwrap();
    wait_until("every pod is another one", 2 * HEAL_LIMIT, || {
        let now = lives(stage);
        let same: Vec<&String> = before
            .iter()
            .filter(|(name, life)| now.get(*name).is_none_or(|other| other == *life))
            .map(|(name, _)| name)
            .collect();
        ensure!(same.is_empty(), "still {same:?}: {:?}", pair.status()?);
        Ok(())
    })
    .unwrap();
    wait_until_current(pair).unwrap();
    let took = begun.elapsed();
    clients.wait_for_more(50).unwrap();
    let told = clients.finish().unwrap();
    let seen = watch.finish();
    stage.says(format_args!(
        "{what}: {} instances in {:.1} s, order {:?}, -rw stood still for {} ms at most",
        before.len(),
        took.as_secs_f64(),
        seen.ended,
        told.rw_outage(begun).as_millis()
    ));
    assert_eq!(
        seen.ended.len(),
        before.len(),
        "each once: {:?}",
        seen.ended
    );
    assert!(seen.most_away <= 1, "{} were away at once", seen.most_away);
    let primaries: Vec<_> = seen
        .ended
        .iter()
        .filter(|(_, role)| role == "primary")
        .collect();
    assert!(
        primaries.is_empty(),
        "ended while they were primary: {primaries:?}"
    );
    pair.nothing_is_lost(&told.ledger()).unwrap();
}

fn value_of(pair: &Pair, name: &str, key: &str) -> Result<String> {
    let found: Vec<String> = pair.instance(name)?.ask(&["CONFIG", "GET", key])?;
    Ok(found.into_iter().nth(1).unwrap_or_default())
}

fn all_have(pair: &Pair, key: &str, value: &str) -> Result<()> {
    wait_until("every instance has the setting", HEAL_LIMIT, || {
        for member in pair.status()?.members {
            let has = value_of(pair, &member.name, key)?;
            ensure!(has == value, "{} has {has}", member.name);
        }
        Ok(())
    })
}

#[test]
fn roll_configuration_and_resources() {
    let Some(stage) = Stage::begin("roll config").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let before = lives(&stage);

    let begun = Instant::now();
    pair.change(&json!({"spec": {"config": {"slowlog-max-len": "77"}}}))
        .unwrap();
    all_have(&pair, "slowlog-max-len", "77").unwrap();
    stage.says(format_args!(
        "live: all have it after {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    pair.change(&json!({"spec": {"config": {"slowlog-max-len": null}}}))
        .unwrap();
    all_have(&pair, "slowlog-max-len", "128").unwrap();
    std::thread::sleep(QUIET);
    assert_eq!(
        lives(&stage),
        before,
        "a setting that applies live restarts nothing"
    );

    roll(
        &pair,
        "config",
        &json!({"spec": {"config": {"databases": "8"}}}),
    );
    all_have(&pair, "databases", "8").unwrap();
    let wanted = json!({"requests": {"cpu": "10m", "memory": "32Mi"}});
    roll(&pair, "resources", &json!({"spec": {"resources": wanted}}));
}

#[test]
fn roll_an_image_and_stop_at_a_bad_one() {
    let Some(stage) = Stage::begin("roll image").unwrap() else {
        return;
    };
    let _operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let good = under_another_name(&stage);
    roll(&pair, "image", &json!({"spec": {"image": good}}));

    let before = lives(&stage);
    let clients = Clients::start(&pair, "bad").unwrap();
    clients.wait_for_more(50).unwrap();
    pair.change(&json!({"spec": {"image": "tandem:there-is-none", "imagePullPolicy": "Never"}}))
        .unwrap();
    let is_stuck = |status: &tandem_api::double_master::DoubleMasterStatus| {
        status.members.iter().any(|member| member.trouble.is_some())
    };
    let status = pair
        .wait_until("one pod is in trouble", HEAL_LIMIT, is_stuck)
        .unwrap();
    std::thread::sleep(2 * QUIET);
    let now = lives(&stage);
    let other: Vec<&String> = before
        .iter()
        .filter(|(name, life)| now.get(*name).is_none_or(|other| other != *life))
        .map(|(name, _)| name)
        .collect();
    let trouble: Vec<_> = status
        .members
        .iter()
        .filter_map(|m| m.trouble.clone())
        .collect();
    stage.says(format_args!(
        "a bad image stopped at {other:?}: {trouble:?}, {:?}",
        status.waits_for
    ));
    assert_eq!(other.len(), 1, "more than one pod has the bad image");
    clients.wait_for_more(50).unwrap();

    let begun = Instant::now();
    pair.change(&json!({"spec": {"image": good, "imagePullPolicy": null}}))
        .unwrap();
    wait_until_current(&pair).unwrap();
    stage.says(format_args!(
        "a newer specification healed it in {:.1} s",
        begun.elapsed().as_secs_f64()
    ));
    let healed = lives(&stage);
    let same = before
        .iter()
        .filter(|(name, life)| healed.get(*name) == Some(life))
        .count();
    assert_eq!(same, before.len() - 1, "only the bad pod was made anew");
    let told = clients.finish().unwrap();
    pair.nothing_is_lost(&told.ledger()).unwrap();
}

#[test]
fn roll_the_operator_itself_restarts_nothing() {
    let Some(stage) = Stage::begin("roll operator").unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let clients = Clients::start(&pair, "operator").unwrap();
    clients.wait_for_more(50).unwrap();
    let (before, epochs) = (lives(&stage), pair.status().unwrap().epochs);
    let begun = Instant::now();
    let leader = operator.leader().unwrap();
    operator.kill(&leader).unwrap();
    clients.wait_for_more(200).unwrap();
    operator.wait_until_led().unwrap();
    // Another version is other pods.
    operator.upgrade(&["podAnnotations.version=next"]).unwrap();
    wait_until("another operator leads", HEAL_LIMIT, || {
        let now = operator.leader()?;
        ensure!(now != leader, "{now} leads");
        Ok(())
    })
    .unwrap();
    operator.wait_until_led().unwrap();
    operator.scale(0).unwrap();
    clients.wait_for_more(200).unwrap();
    operator.scale(2).unwrap();
    operator.wait_until_led().unwrap();
    pair.wait_until_ready().unwrap();
    std::thread::sleep(QUIET);
    assert_eq!(lives(&stage), before, "pods and restarts are the same");
    assert_eq!(pair.status().unwrap().epochs, epochs, "nobody was promoted");
    let told = clients.finish().unwrap();
    stage.says(format_args!(
        "operator killed, upgraded, away: -rw stood still for {} ms at most",
        told.rw_outage(begun).as_millis()
    ));
    pair.nothing_is_lost(&told.ledger()).unwrap();
}
