//! The operator loses sight of the cluster for a while: the API server restarts, its rights are taken.

use std::time::{Duration, Instant};

use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::ResourceExt as _;
use kube::api::PostParams;
use tandem_e2e::cluster::pair::usual_spec;
use tandem_e2e::cluster::{Clients, Operator, Pair, Stage};

use super::roll_watch::lives;

const AWAY: Duration = Duration::from_secs(20);

#[test]
fn api_away_and_rights_taken_cost_no_write_and_are_made_up_for() {
    let Some(stage) = Stage::begin("api away").unwrap() else {
        return;
    };
    let operator = Operator::install(&stage).unwrap();
    let pair = Pair::start(&stage, &usual_spec()).unwrap();
    let before = lives(&stage);
    let epochs = pair.status().unwrap().epochs;
    let clients = Clients::start(&pair, "away").unwrap();
    clients.wait_for_more(100).unwrap();

    let begun = Instant::now();
    stage.stop_apiserver().unwrap();
    clients.wait_for_more(500).unwrap();
    stage.start_apiserver().unwrap();
    operator.wait_until_led().unwrap();
    pair.wait_until_ready().unwrap();
    clients.wait_for_more(100).unwrap();
    stage.says(format_args!(
        "the API server was away for some seconds, all is well {:.1} s after it went",
        begun.elapsed().as_secs_f64()
    ));

    let bindings: Vec<RoleBinding> = stage.list("app.kubernetes.io/instance=tandem").unwrap();
    assert!(!bindings.is_empty());
    for binding in &bindings {
        stage
            .delete::<RoleBinding>(&binding.name_any(), None)
            .unwrap();
    }
    clients.wait_for_more(100).unwrap();
    // Something happens that it cannot mend meanwhile.
    let master = pair.master("a").unwrap();
    stage.kill(&master.name).unwrap();
    std::thread::sleep(AWAY);
    clients.wait_for_more(100).unwrap();
    for mut binding in bindings {
        binding.metadata.resource_version = None;
        binding.metadata.uid = None;
        binding.metadata.managed_fields = None;
        let api = stage.api::<RoleBinding>();
        stage
            .cluster()
            .run(api.create(&PostParams::default(), &binding))
            .unwrap();
    }
    let given = Instant::now();
    operator.wait_until_led().unwrap();
    pair.wait_until_ready().unwrap();
    stage.says(format_args!(
        "without rights for {} s; all is well {:.1} s after they were given back",
        AWAY.as_secs(),
        given.elapsed().as_secs_f64()
    ));
    let told = clients.finish().unwrap();
    stage.says(format_args!(
        "-rw stood still for {} ms at most, epochs {epochs} then {}",
        told.rw_outage(begun).as_millis(),
        pair.status().unwrap().epochs
    ));
    let after = lives(&stage);
    assert_eq!(after.len(), before.len());
    let others = before.iter().filter(|(name, _)| **name != master.name);
    for (name, life) in others {
        assert_eq!(after.get(name), Some(life), "{name} was left alone");
    }
    pair.nothing_is_lost(&told.ledger()).unwrap();
}
