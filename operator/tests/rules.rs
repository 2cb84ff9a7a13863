//! The rules of the definition, evaluated as an API server does: an object that each refuses, with its
//! message, and one beside it that passes.

#![expect(clippy::unwrap_used, reason = "helpers of a test fail the test")]

use kube::core::cel::{validate_cel, validate_cel_update};
use serde_json::{Value, json};
use tandem_api::DoubleMaster;

/// An object as it stands after the API server filled in the defaults.
fn object(name: &str, spec: Value) -> DoubleMaster {
    DoubleMaster::new(name, serde_json::from_value(spec).unwrap())
}

fn created(name: &str, spec: Value) -> Result<(), String> {
    validate_cel(&object(name, spec)).map_err(|errors| errors.to_string())
}

fn changed(from: Value, to: Value) -> Result<(), String> {
    validate_cel_update(&object("dm", to), &object("dm", from)).map_err(|errors| errors.to_string())
}

#[test]
fn an_empty_specification_passes() {
    assert_eq!(created("dm", json!({})), Ok(()));
}

#[test]
fn each_rule_refuses_what_it_says_and_passes_what_is_beside_it() {
    let label = |key: &str| json!({"scheduling": {"podLabels": {key: "x"}}});
    let annotation = |key: &str| json!({"scheduling": {"podAnnotations": {key: "x"}}});
    let service = |key: &str| json!({"services": {"rw": {"labels": {key: "x"}}}});
    let probes = |hang: u64| json!({"failover": {"probeIntervalMs": 500, "hangTimeoutMs": hang}});
    let opens = |open: u64| json!({"failover": {"collectMs": 2000, "openMs": open}});
    let cases = [
        (
            json!({"serverIds": {"a": 3, "b": 3}}),
            json!({"serverIds": {"a": 3, "b": 4}}),
            "need different server ids",
        ),
        (
            json!({"config": {"port": "1"}}),
            json!({"config": {"maxmemory": "1gb"}}),
            "belongs to the operator",
        ),
        (
            json!({"config": {"db-path": "/x"}}),
            json!({"config": {"hz": "20"}}),
            "belongs to the operator",
        ),
        (probes(900), probes(1000), "at least two probes"),
        (opens(2599), opens(2600), "openMs has to span a promotion"),
        (
            json!({"replicasPerMaster": 1, "sync": {"durableAcks": 2}}),
            json!({"replicasPerMaster": 2, "sync": {"durableAcks": 2}}),
            "no write would ever be taken",
        ),
        (
            label("tandem.dev/role"),
            label("team"),
            "belong to the operator",
        ),
        (
            label("app.kubernetes.io/name"),
            label("example.org/team"),
            "belong to the operator",
        ),
        (
            annotation("tandem.dev/epoch"),
            annotation("example.org/note"),
            "belong to the operator",
        ),
        (
            service("tandem.dev/slot"),
            service("team"),
            "belong to the operator",
        ),
    ];
    for (bad, good, message) in cases {
        let refused = created("dm", bad.clone()).expect_err(&bad.to_string());
        assert!(refused.contains(message), "{bad}: {refused}");
        assert_eq!(created("dm", good.clone()), Ok(()), "{good}");
    }
}

#[test]
fn a_name_leaves_room_for_suffixes_and_is_a_label() {
    assert_eq!(created(&"x".repeat(40), json!({})), Ok(()));
    let refused = created(&"x".repeat(41), json!({})).unwrap_err();
    assert!(refused.contains("at most 40 characters"), "{refused}");
    for bad in ["a.b", "9a"] {
        let refused = created(bad, json!({})).unwrap_err();
        assert!(refused.contains("beginning with a letter"), "{refused}");
    }
}

#[test]
fn what_is_part_of_the_data_does_not_change() {
    let size = |size: &str| json!({"storage": {"size": size}});
    let class = |class: &str| json!({"storage": {"className": class}});
    let ids = |a: u32| json!({"serverIds": {"a": a, "b": 9}});
    let cases = [
        (size("10Gi"), size("9Gi"), "cannot shrink"),
        (size("1Ti"), size("1000Gi"), "cannot shrink"),
        (class("fast"), class("slow"), "cannot change its class"),
        (class("fast"), json!({}), "cannot change its class"),
        (json!({}), class("fast"), "cannot change its class"),
        (ids(1), ids(2), "server ids are part of the data"),
        (json!({"auth": {}}), json!({}), "cannot be taken away"),
    ];
    for (from, to, message) in cases {
        let refused = changed(from.clone(), to.clone()).expect_err(&format!("{from} -> {to}"));
        assert!(refused.contains(message), "{from} -> {to}: {refused}");
    }
    let passing = [
        (size("10Gi"), size("10Gi")),
        (size("900Mi"), size("1Gi")),
        (size("1023Gi"), size("1Ti")),
        (class("fast"), class("fast")),
        (json!({}), json!({"auth": {}})),
        (
            json!({"auth": {}}),
            json!({"auth": {"secretName": "other"}}),
        ),
        (ids(1), ids(1)),
        (
            json!({"replicasPerMaster": 0}),
            json!({"replicasPerMaster": 5}),
        ),
    ];
    for (from, to) in passing {
        assert_eq!(changed(from.clone(), to.clone()), Ok(()), "{from} -> {to}");
    }
}
