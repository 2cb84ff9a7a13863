//! Nodes that are lost and come back, and nodes that are drained.

use k8s_openapi::api::core::v1::Node;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use tandem_api::double_master::MemberStatus;
use tandem_e2e::cluster::pair::{HEAL_LIMIT, master, target};
use tandem_e2e::cluster::{Clients, Pair, Stage};

use super::support::{Outage, SOME, epochs, survive, with_pair};

#[test]
fn a_lost_node_is_replaced_and_its_tail_is_merged_when_it_returns() {
    with_pair("node loss", |stage, operator, pair| {
        let before = pair.writer().unwrap();
        let node = pair.node_of(&before.name).unwrap();
        let leader = operator.leader().unwrap();
        let with_leader = pair.node_of(&leader).unwrap() == node;
        stage.says(format_args!(
            "the leading operator is {} that node",
            if with_leader { "on" } else { "not on" }
        ));
        let kill = || stage.kill_node(&node);
        let start = || stage.start_node(&node);
        survive(pair, "node loss", &before, kill, start).unwrap();
    });
}

#[test]
fn a_node_lost_with_the_writer_and_the_leading_operator_is_replaced() {
    with_pair("node and leader lost", |stage, operator, pair| {
        let leader = operator.leader().unwrap();
        let node = pair.node_of(&leader).unwrap();
        let before = make_writer_on(pair, &node);
        let kill = || stage.kill_node(&node);
        let start = || stage.start_node(&node);
        survive(pair, "node and leader lost", &before, kill, start).unwrap();
        assert_ne!(operator.leader().unwrap(), leader);
    });
}

/// Gives `-rw` to an instance on a node.
fn make_writer_on(pair: &Pair, node: &str) -> MemberStatus {
    let members = pair.status().unwrap().members;
    let on_node = |member: &&MemberStatus| pair.node_of(&member.name).unwrap() == node;
    let chosen = members.iter().find(on_node).expect("an instance on it");
    hand_over_to(pair, &chosen.slot, &chosen.name);
    let writer = pair.writer().unwrap();
    if writer.name != chosen.name {
        // Clients leave the other slot before its role moves.
        pair.request("switchover", &writer.slot).unwrap();
        pair.wait_until_healed(&writer).unwrap();
    }
    let writer = pair.writer().unwrap();
    assert_eq!(writer.name, chosen.name);
    writer
}

/// Moves a slot's role to one of its instances, unless that has it.
fn hand_over_to(pair: &Pair, slot: &str, name: &str) {
    let before = pair.master(slot).unwrap();
    if before.name != name {
        pair.request("switchover", &format!("{slot}={name}"))
            .unwrap();
        pair.wait_until_healed(&before).unwrap();
    }
}

#[test]
fn a_node_without_network_is_replaced_and_what_it_took_is_merged() {
    with_pair("node without network", |stage, _, pair| {
        let before = pair.writer().unwrap();
        let node = pair.node_of(&before.name).unwrap();
        let cut = || stage.isolate_node(&node);
        let join = || stage.join_node(&node);
        survive(pair, "node without network", &before, cut, join).unwrap();
    });
}

#[test]
fn each_node_in_turn_is_drained_without_a_lost_write() {
    with_pair("drain of each node", |stage, _, pair| {
        for node in nodes(stage) {
            drain_once(stage, pair, &node);
        }
    });
}

#[test]
fn masters_on_one_node_part_and_its_writer_stays() {
    with_pair("masters on one node", |stage, _, pair| {
        let node = bring_together(pair);
        let writer = pair.writer().unwrap();
        let before = epochs(&pair.status().unwrap()).unwrap();
        let clients = Clients::start(pair, "part").unwrap();
        clients.wait_for_more(SOME).unwrap();
        let since = std::time::Instant::now();
        let rest = json!({"spec": {"failover": {"apartMs": 1000}}});
        pair.change(&rest).unwrap();
        let what = "another epoch of one slot, and its report";
        let status = pair.wait_until(what, HEAL_LIMIT, |status| {
            let closed = status.last_failover.as_ref();
            let is_closed = closed.is_some_and(|last| last.total_ms.is_some());
            is_closed && epochs(status).is_ok_and(|now| now != before)
        });
        let last = status.unwrap().last_failover.unwrap();
        clients.wait_for_more(SOME).unwrap();
        let status = pair.wait_until_ready().unwrap();
        let told = clients.finish().unwrap();
        stage.says(format_args!(
            "{} handed over to {} because {}: -rw away {} ms, -{} {} ms",
            last.from,
            last.to,
            last.cause,
            told.rw_outage(since).as_millis(),
            last.slot,
            told.slot_outage(&last.slot, since).as_millis(),
        ));
        assert_eq!(last.cause, format!("both masters are on node {node}"));
        assert_eq!(target(&status, "rw"), Some(writer.name.clone()));
        let places = ["a", "b"].map(|slot| {
            let name = &master(&status, slot).unwrap().name;
            pair.node_of(name).unwrap()
        });
        assert_ne!(places[0], places[1]);
        assert_eq!(pair.node_of(&writer.name).unwrap(), node);
        pair.nothing_is_lost(&told.ledger()).unwrap();
    });
}

/// Moves both roles to a node that has an instance of each slot, which there is when two slots of two are
/// on three nodes.
fn bring_together(pair: &Pair) -> String {
    let status = pair.status().unwrap();
    let places: Vec<(String, String, String)> = status
        .members
        .iter()
        .map(|member| {
            let node = pair.node_of(&member.name).unwrap();
            (node, member.slot.clone(), member.name.clone())
        })
        .collect();
    let node = places.iter().find_map(|(node, slot, _)| {
        let mut others = places.iter();
        let is_shared = others.any(|(there, other, _)| there == node && other != slot);
        is_shared.then(|| node.clone())
    });
    let node = node.expect("a node with an instance of each slot");
    for (_, slot, name) in places.iter().filter(|(there, _, _)| *there == node) {
        hand_over_to(pair, slot, name);
    }
    node
}

fn nodes(stage: &Stage) -> Vec<String> {
    let nodes: Api<Node> = Api::all(stage.cluster().client());
    let listed = stage.cluster().run(nodes.list(&ListParams::default()));
    listed.unwrap().iter().map(Node::name_any).collect()
}

/// Drains a node under load, lets pods on it again, and checks that nothing is lost.
pub(crate) fn drain_once(stage: &Stage, pair: &Pair, node: &str) -> Outage {
    let slot = pair.writer().unwrap().slot;
    let (a, b) = epochs(&pair.status().unwrap()).unwrap();
    let clients = Clients::start(pair, &format!("drain-{node}-{a}-{b}")).unwrap();
    clients.wait_for_more(SOME).unwrap();
    let since = std::time::Instant::now();
    stage.drain(node).unwrap();
    let took = since.elapsed();
    clients.wait_for_more(SOME).unwrap();
    stage.cordon(node, false).unwrap();
    pair.wait_until_ready().unwrap();
    let told = clients.finish().unwrap();
    let outage = Outage {
        rw: told.rw_outage(since),
        slot: told.slot_outage(&slot, since),
    };
    stage.says(format_args!(
        "drain of {node} in {:.1} s: -rw away {} ms, -a {} ms, -b {} ms",
        took.as_secs_f64(),
        outage.rw.as_millis(),
        told.slot_outage("a", since).as_millis(),
        told.slot_outage("b", since).as_millis(),
    ));
    pair.nothing_is_lost(&told.ledger()).unwrap();
    outage
}

#[test]
fn a_switchover_that_is_asked_for_loses_nothing() {
    with_pair("switchover", |_, _, pair| {
        for slot in ["a", "b"] {
            let before = pair.master(slot).unwrap();
            let ask = || pair.request("switchover", slot);
            survive(pair, "switchover", &before, ask, || Ok(())).unwrap();
            let now = pair.master(slot).unwrap();
            assert_ne!(now.name, before.name);
        }
    });
}
