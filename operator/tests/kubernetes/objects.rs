//! Builders.

use expect_test::{expect, expect_file};
use serde_json::{Value, json};
use tandem::runtime::kubernetes::Wanted;
use tandem::runtime::kubernetes::objects::{children, pod, revision, volume};
use tandem_api::InstanceName;
use tandem_plan::outcome::DesiredInstance;

use super::wanted;

fn instance(wanted: &Wanted, name: &str) -> DesiredInstance {
    wanted
        .instance(&InstanceName::parse(name).unwrap())
        .unwrap()
}

fn yaml(value: &impl serde::Serialize) -> String {
    serde_yaml::to_string(value).unwrap()
}

#[test]
fn the_pod_of_an_empty_specification_is_restricted_and_spread() {
    let wanted = wanted(&json!({}));
    let pod = pod(&wanted, &instance(&wanted, "dm-a-0"));
    expect_file!["snapshots/pod.yaml"].assert_eq(&yaml(&pod));
}

#[test]
fn what_a_person_says_of_pods_is_in_them() {
    let wanted = wanted(&json!({
        "image": "tandem:7", "imagePullPolicy": "Never",
        "resources": {"limits": {"memory": "1Gi"}},
        "config": {"maxmemory": "512mb", "databases": "4"},
        "auth": {"secretName": "words"},
        "terminationGracePeriodSeconds": 45,
        "scheduling": {
            "podLabels": {"team": "x"}, "nodeSelector": {"disk": "fast"}, "topologySpread": [],
            "tolerations": [{"key": "k", "operator": "Exists"}], "priorityClassName": "high"},
    }));
    let pod = serde_json::to_value(pod(&wanted, &instance(&wanted, "dm-b-1"))).unwrap();
    let spec = &pod["spec"];
    let container = &spec["containers"][0];
    assert_eq!(container["image"], "tandem:7");
    assert_eq!(container["imagePullPolicy"], "Never");
    assert_eq!(container["resources"], json!({"limits": {"memory": "1Gi"}}));
    let secret = &container["env"][0]["valueFrom"]["secretKeyRef"];
    assert_eq!(secret, &json!({"name": "words", "key": "password"}));
    assert_eq!(spec["nodeSelector"]["disk"], "fast");
    assert_eq!(spec["priorityClassName"], "high");
    assert_eq!(spec["topologySpreadConstraints"], json!([]));
    assert_eq!(spec["terminationGracePeriodSeconds"], 45);
    assert_eq!(pod["metadata"]["labels"]["team"], "x");
    assert_eq!(pod["metadata"]["labels"]["tandem.dev/slot"], "b");
    let arguments: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert!(
        arguments
            .windows(2)
            .any(|pair| pair == ["--databases", "4"])
    );
    assert!(
        !arguments.contains(&"--maxmemory"),
        "it applies without a restart"
    );
}

/// The revisions of pods that earlier releases made. A line that changes here restarts every pod of
/// every user whose specification is like it, when the operator is upgraded: never change one.
#[test]
fn an_upgrade_of_the_operator_restarts_nothing() {
    let cases = [
        ("empty", json!({})),
        (
            "an image",
            json!({"image": "registry.example/tandem:1.2.3"}),
        ),
        (
            "resources",
            json!({"resources": {"requests": {"cpu": 1}, "limits": {"memory": "2Gi"}}}),
        ),
        (
            "settings that apply live",
            json!({"config": {"maxmemory": "1gb"}}),
        ),
        (
            "settings that need a start",
            json!({"config": {"databases": "4"}}),
        ),
        ("a password", json!({"auth": {"secretName": "words"}})),
        (
            "scheduling",
            json!({"scheduling": {"nodeSelector": {"disk": "fast"}}}),
        ),
    ];
    let mut lines = String::new();
    for (what, spec) in cases {
        lines += &revision(&wanted(&spec));
        lines += " ";
        lines += what;
        lines += "\n";
    }
    expect_file!["snapshots/revisions.txt"].assert_eq(&lines);
}

#[test]
fn only_what_needs_another_pod_makes_another_revision() {
    let plain = revision(&wanted(&json!({})));
    for same in [
        json!({"replicasPerMaster": 3}),
        json!({"config": {"maxmemory": "1gb"}}),
        json!({"sync": {"durableAcks": 1}}),
        json!({"storage": {"size": "20Gi"}}),
        json!({"failover": {"probeIntervalMs": 100}}),
        json!({"services": {"rw": {"type": "LoadBalancer"}}}),
        json!({"imagePullPolicy": "Always"}),
    ] {
        assert_eq!(revision(&wanted(&same)), plain, "{same}");
    }
    for other in [
        json!({"image": "tandem:2"}),
        json!({"resources": {"limits": {"memory": "1Gi"}}}),
        json!({"config": {"databases": "4"}}),
        json!({"scheduling": {"podLabels": {"a": "b"}}}),
    ] {
        assert_ne!(revision(&wanted(&other)), plain, "{other}");
    }
}

#[test]
fn objects_beside_the_pods() {
    let wanted = wanted(&json!({"config": {"maxmemory": "1gb"},
        "services": {"rw": {"type": "LoadBalancer", "annotations": {"lb": "x"}}}}));
    let all: Vec<Value> = children::children(&wanted)
        .into_iter()
        .map(|child| child.value)
        .collect();
    expect_file!["snapshots/children.yaml"].assert_eq(&yaml(&all));
}

#[test]
fn without_replicas_one_of_two_may_go() {
    let budgets = |replicas: u8| -> Vec<(String, Value)> {
        children::children(&wanted(&json!({"replicasPerMaster": replicas})))
            .into_iter()
            .filter(|child| child.kind.kind == "PodDisruptionBudget")
            .map(|child| (child.name, child.value["spec"]["minAvailable"].clone()))
            .collect()
    };
    assert_eq!(budgets(0), [("dm-primary".to_string(), json!(1))]);
    let two = [
        ("dm-primary".to_string(), json!(2)),
        ("dm-replica".to_string(), json!(2)),
    ];
    assert_eq!(budgets(2), two);
}

#[test]
fn a_volume_says_whose_data_it_holds_and_stays_unless_told_otherwise() {
    let retained = wanted(&json!({"storage": {"size": "3Gi", "className": "fast"}}));
    let claim = volume(&retained, &instance(&retained, "dm-b-0"));
    expect![[r"
        metadata:
          annotations:
            tandem.dev/server-id: '2'
          labels:
            app.kubernetes.io/instance: dm
            app.kubernetes.io/managed-by: tandem
            app.kubernetes.io/name: tandem
            tandem.dev/resource: dm
            tandem.dev/slot: b
          name: data-dm-b-0
          namespace: ns
        spec:
          accessModes:
          - ReadWriteOnce
          resources:
            requests:
              storage: 3Gi
          storageClassName: fast
    "]]
    .assert_eq(&yaml_without_kind(&claim));
    let deleted = wanted(&json!({"reclaimPolicy": "Delete"}));
    let claim = volume(&deleted, &instance(&deleted, "dm-b-0"));
    assert_eq!(claim.metadata.owner_references.unwrap().len(), 1);
}

fn yaml_without_kind(value: &impl serde::Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap();
    let fields = value.as_object_mut().unwrap();
    fields.remove("apiVersion");
    fields.remove("kind");
    yaml(&value)
}
