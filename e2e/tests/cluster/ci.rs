//! What CI runs on every submission: one pair goes through the usual losses, one after another.

use k8s_openapi::api::core::v1::Pod;
use tandem_e2e::cluster::pair::usual_spec;
use tandem_e2e::cluster::{Operator, Pair, Stage};

use super::nodes::drain_once;
use super::support::survive;

#[test]
fn ci_a_pair_survives_a_kill_a_deletion_a_switchover_a_drain_and_the_loss_of_a_node() {
    let Some(stage) = Stage::begin_smoke("the usual losses").unwrap() else {
        return;
    };
    if !stage.cluster().is_built_in() {
        stage.says("SKIPPED: this cluster's pods are not reached from here");
        return;
    }
    let _operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();

    let killed = pair.writer().unwrap();
    let kill = || stage.kill(&killed.name);
    survive(&pair, "kill -9", &killed, kill, || Ok(())).unwrap();

    let deleted = pair.writer().unwrap();
    let delete = || stage.delete::<Pod>(&deleted.name, Some(0));
    survive(&pair, "pod delete", &deleted, delete, || Ok(())).unwrap();

    let asked = pair.writer().unwrap();
    let ask = || pair.request("switchover", &asked.slot);
    survive(&pair, "switchover", &asked, ask, || Ok(())).unwrap();

    let drained = pair.node_of(&pair.writer().unwrap().name).unwrap();
    drain_once(&stage, &pair, &drained);

    let lost = pair.writer().unwrap();
    let node = pair.node_of(&lost.name).unwrap();
    let (cut, start) = (|| stage.kill_node(&node), || stage.start_node(&node));
    survive(&pair, "node loss", &lost, cut, start).unwrap();
}
