//! How long clients of `-rw` and of a slot are without an answer, over repeated faults: printed, not
//! asserted. `TANDEM_MEASURE=N TANDEM_CLUSTER=all cargo test -p tandem-e2e --test cluster measure`, with
//! `TANDEM_MEASURE_KIND='node loss'` for one kind alone.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use tandem_e2e::cluster::pair::other;
use tandem_e2e::cluster::{Operator, Pair, Stage};

use super::nodes::drain_once;
use super::support::{Outage, survive, with_pair};

/// How often each fault is repeated.
const COUNT_VARIABLE: &str = "TANDEM_MEASURE";
/// The one fault that is measured.
const KIND_VARIABLE: &str = "TANDEM_MEASURE_KIND";

#[test]
fn measure_outages() {
    let count = std::env::var(COUNT_VARIABLE).map_or(0, |text| text.parse().unwrap());
    if count == 0 {
        return;
    }
    with_pair("measured outages", |stage, operator, pair| {
        let kinds: [(&str, &dyn Fn() -> Outage); 6] = [
            ("process kill", &|| killed(stage, pair)),
            ("hang", &|| hung(stage, pair)),
            ("pod delete", &|| deleted(stage, pair)),
            ("switchover", &|| switched(pair)),
            ("drain", &|| drained(stage, pair)),
            ("node loss", &|| node_lost(stage, operator, pair)),
        ];
        let only = std::env::var(KIND_VARIABLE).ok();
        for (kind, measure) in kinds {
            if only.as_ref().is_some_and(|only| only != kind) {
                continue;
            }
            let outages: Vec<Outage> = (0..count).map(|_| measure()).collect();
            stage.says(row(kind, &outages));
        }
    });
}

/// A row of the table in docs/operations/outages.md.
fn row(kind: &str, outages: &[Outage]) -> String {
    let of = |part: fn(&Outage) -> Duration| {
        let mut all: Vec<u128> = outages.iter().map(|one| part(one).as_millis()).collect();
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() * percent).div_ceil(100) - 1];
        format!("{} | {} | {}", at(50), at(99), all[all.len() - 1])
    };
    let (rw, slot) = (of(|one| one.rw), of(|one| one.slot));
    format!("| {kind} | {} | {rw} | {slot} |", outages.len())
}

fn killed(stage: &Stage, pair: &Pair) -> Outage {
    let before = pair.writer().unwrap();
    survive(
        pair,
        "kill -9",
        &before,
        || stage.kill(&before.name),
        || Ok(()),
    )
    .unwrap()
}

fn hung(stage: &Stage, pair: &Pair) -> Outage {
    let before = pair.writer().unwrap();
    let go_on = || stage.resume(&before.name);
    survive(pair, "SIGSTOP", &before, || stage.hang(&before.name), go_on).unwrap()
}

fn deleted(stage: &Stage, pair: &Pair) -> Outage {
    let before = pair.writer().unwrap();
    let delete = || stage.delete::<Pod>(&before.name, Some(0));
    survive(pair, "pod delete", &before, delete, || Ok(())).unwrap()
}

fn switched(pair: &Pair) -> Outage {
    let before = pair.writer().unwrap();
    let ask = || pair.request("switchover", &before.slot);
    survive(pair, "switchover", &before, ask, || Ok(())).unwrap()
}

fn drained(stage: &Stage, pair: &Pair) -> Outage {
    let node = pair.node_of(&pair.writer().unwrap().name).unwrap();
    drain_once(stage, pair, &node)
}

/// A node without the other master and without the leading operator, whose loss is another matter.
fn node_lost(stage: &Stage, operator: &Operator, pair: &Pair) -> Outage {
    let before = pair.writer().unwrap();
    let node = pair.node_of(&before.name).unwrap();
    let peer = pair.master(other(&before.slot)).unwrap();
    if pair.node_of(&peer.name).unwrap() == node {
        pair.request("switchover", &peer.slot).unwrap();
        pair.wait_until_restored(&peer.slot, peer.epoch).unwrap();
    }
    let leader = operator.leader().unwrap();
    if pair.node_of(&leader).unwrap() == node {
        let follower = operator.pods().unwrap().into_iter();
        let is_elsewhere = follower
            .filter(|pod| pod.name_any() != leader)
            .any(|pod| pair.node_of(&pod.name_any()).unwrap() != node);
        assert!(is_elsewhere, "both operators are on {node}");
        stage.delete::<Pod>(&leader, None).unwrap();
        operator.wait_until_led_by_other(&leader).unwrap();
    }
    let (kill, start) = (|| stage.kill_node(&node), || stage.start_node(&node));
    survive(pair, "node loss", &before, kill, start).unwrap()
}
