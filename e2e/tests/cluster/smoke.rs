//! The cluster and the image are what the other stories need.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Service};
use kube::Api;
use kube::api::ListParams;
use tandem_e2e::client::Client;
use tandem_e2e::cluster::{Stage, pod_address, wait_until};
use tandem_proto::value::Value;

const LIMIT: Duration = Duration::from_mins(1);
const PORT: u16 = 6379;

fn with_image(manifest: &str, image: &str) -> String {
    manifest.replace("@IMAGE@", image)
}

fn ask(address: IpAddr, words: &[&str]) -> Result<Value> {
    Client::connect(SocketAddr::new(address, PORT))?.ask(words)
}

fn node_of(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref().unwrap();
    spec.node_name.as_deref().unwrap()
}

#[test]
fn ci_a_pod_of_the_image_serves_on_its_volume_and_is_found_by_name_from_another_node() {
    let Some(stage) = Stage::begin_smoke("cluster smoke").unwrap() else {
        return;
    };
    every_node_is_ready(&stage);

    let image = stage.cluster().image().unwrap();
    stage
        .apply(&with_image(include_str!("server.yaml"), &image))
        .unwrap();
    let server = stage.wait_until_ready("server").unwrap();
    let claim: PersistentVolumeClaim = stage.get("data-server").unwrap();
    assert_eq!(claim.status.unwrap().phase.as_deref(), Some("Bound"));

    stage
        .apply(&with_image(include_str!("follower.yaml"), &image))
        .unwrap();
    let follower = stage.wait_until_ready("follower").unwrap();
    assert_ne!(node_of(&server), node_of(&follower));
    if stage.cluster().is_built_in() {
        clients_reach_it(&stage, &server);
        the_follower_has_what_is_written(&server, &follower);
        a_killed_container_comes_back_with_its_data(&stage, &server);
    }
}

fn every_node_is_ready(stage: &Stage) {
    let nodes: Api<Node> = Api::all(stage.cluster().client());
    let listed = stage
        .cluster()
        .run(nodes.list(&ListParams::default()))
        .unwrap();
    let ready = listed.iter().filter(|node| {
        let conditions = node
            .status
            .iter()
            .flat_map(|s| s.conditions.iter().flatten());
        conditions
            .into_iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
    });
    let count = ready.count();
    stage.says(format_args!(
        "{count} of {} nodes are ready",
        listed.items.len()
    ));
    assert_eq!(count, listed.items.len());
    assert!(count >= 3, "stories need three nodes");
}

/// By the pod's own address, and by the service's.
fn clients_reach_it(stage: &Stage, server: &Pod) {
    let pong = Value::Simple("PONG".into());
    assert_eq!(ask(pod_address(server).unwrap(), &["PING"]).unwrap(), pong);
    let service: Service = stage.get("server").unwrap();
    let address = service.spec.unwrap().cluster_ip.unwrap().parse().unwrap();
    let answer = wait_until("the service leads to the pod", LIMIT, || {
        ask(address, &["PING"])
    });
    assert_eq!(answer.unwrap(), pong);
}

fn the_follower_has_what_is_written(server: &Pod, follower: &Pod) {
    ask(pod_address(server).unwrap(), &["SET", "key", "value"]).unwrap();
    let address = pod_address(follower).unwrap();
    wait_until("the follower has the key", LIMIT, || {
        let value = ask(address, &["GET", "key"])?;
        ensure!(value.as_bytes() == Some(b"value"), "it has {value:?}");
        Ok(())
    })
    .unwrap();
}

fn a_killed_container_comes_back_with_its_data(stage: &Stage, server: &Pod) {
    let address = pod_address(server).unwrap();
    let before = stage.process("server").unwrap();
    stage.kill("server").unwrap();
    wait_until("another process serves the volume", LIMIT, || {
        let now = stage.process("server").context("it does not run yet")?;
        ensure!(now != before, "it is still the process that was killed");
        let value = ask(address, &["GET", "key"])?;
        ensure!(value.as_bytes() == Some(b"value"), "it has {value:?}");
        Ok(())
    })
    .unwrap();
}
