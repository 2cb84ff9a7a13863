//! What `tandem status` and the failover reports say.

use rustix::process::Signal;
use tandem_e2e::story::Story;
use tandem_e2e::story::local::send;

use super::support::{pair, status_json, tandem, wait_until_restored, writer};

#[test]
fn status_names_members_services_and_the_last_failover_even_when_stopped() {
    let story = Story::begin("status");
    let mut local = pair();
    let fresh = status_json(&local);
    assert!(
        fresh.get("lastFailover").is_none(),
        "a first primary is no failover"
    );
    members_are_told(&fresh);
    services_are_told(&fresh);

    let old = writer(&local);
    send(old.pid.unwrap(), Signal::KILL).unwrap();
    wait_until_restored(&local, &old.slot, old.epoch);
    let after = status_json(&local);
    assert_eq!(after["running"], true);
    members_are_told(&after);
    services_are_told(&after);
    assert_eq!(after["lastFailover"]["from"], old.name.as_str());
    the_report_is_whole(&after["lastFailoverReport"], &old.name);
    let path = after["lastFailover"]["report"].as_str().unwrap();
    let on_disk: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(on_disk, after["lastFailoverReport"]);
    story.says(format_args!("phases {}", on_disk["phases"]));

    let table = text_of(&local);
    for word in [
        "the runtime runs, pid",
        &old.name,
        "double_master",
        "streaming",
        "dm-rw",
    ] {
        assert!(table.contains(word), "no `{word}` in:\n{table}");
    }
    local.stop().unwrap();
    let stopped = status_json(&local);
    assert_eq!(stopped["running"], false);
    assert!(stopped.get("runtimePid").is_none());
    assert_eq!(stopped["members"].as_array().unwrap().len(), 4);
    assert_eq!(stopped["lastFailoverReport"], after["lastFailoverReport"]);
    let ready = &stopped["conditions"][0];
    assert_eq!(
        (&ready["type"], &ready["reason"]),
        (&"Ready".into(), &"RuntimeDown".into())
    );
    let table = text_of(&local);
    assert!(table.contains("the runtime does not run"), "{table}");
    assert!(
        table.contains(&old.name) && table.contains("last failover"),
        "{table}"
    );
}

#[test]
fn status_of_something_else_is_an_error() {
    let _story = Story::begin("status of nothing");
    let directory = tandem_e2e::process::ScratchDirectory::new(None).unwrap();
    let output = tandem(&["status", "--dir"], directory.path());
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("is no directory of `tandem local`"),
        "{error}"
    );
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert_eq!(
        tandem(&["status", "-o", "xml", "--dir"], manifest.as_ref())
            .status
            .code(),
        Some(2)
    );
}

fn text_of(local: &tandem_e2e::story::Local) -> String {
    let output = tandem(&["status", "--dir"], &local.data());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn members_are_told(status: &serde_json::Value) {
    let members = status["members"].as_array().unwrap();
    let told = |key: &str| {
        members
            .iter()
            .map(|member| member[key].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(told("name"), ["dm-a-0", "dm-a-1", "dm-b-0", "dm-b-1"]);
    assert_eq!(told("slot"), ["a", "a", "b", "b"]);
    assert_eq!(told("serverId"), [1, 1, 2, 2]);
    let count = |role: &str| told("role").iter().filter(|word| **word == role).count();
    assert_eq!((count("double_master"), count("replica")), (2, 2));
    for member in members {
        assert!(member["epoch"].as_u64() >= Some(1), "{member}");
        assert!(member["lagRecords"].is_u64(), "{member}");
        assert!(
            member["address"]
                .as_str()
                .unwrap()
                .starts_with("127.0.0.1:"),
            "{member}"
        );
        let link = &member["links"][0];
        let kind = if member["role"] == "replica" {
            "replica"
        } else {
            "peer"
        };
        assert_eq!(
            (&link["kind"], &link["state"]),
            (&kind.into(), &"streaming".into())
        );
        let names = told("name");
        assert!(
            names.contains(&link["source"]) && link["source"] != member["name"],
            "{member}"
        );
    }
}

fn services_are_told(status: &serde_json::Value) {
    let services = status["services"].as_array().unwrap();
    let names: Vec<_> = services.iter().map(|service| &service["name"]).collect();
    assert_eq!(names, ["dm-a", "dm-b", "dm-ro", "dm-rw"]);
    for service in services {
        assert!(
            service["address"]
                .as_str()
                .unwrap()
                .starts_with("127.0.0.1:"),
            "{service}"
        );
        assert!(
            !service["targets"].as_array().unwrap().is_empty(),
            "{service}"
        );
    }
}

fn the_report_is_whole(report: &serde_json::Value, old: &str) {
    assert_eq!(
        (&report["kind"], &report["old"]),
        (&"failover".into(), &old.into())
    );
    assert!(
        report["cause"]["exited"]["how"]
            .as_str()
            .unwrap()
            .contains("signal 9")
    );
    assert_eq!(report["witnesses"][0]["observer"], "operator");
    let candidates = report["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 2, "{candidates:?}");
    for candidate in candidates {
        let is_new = candidate["instance"] == report["new"];
        let refused = candidate["refused"].as_str().unwrap();
        assert_eq!(is_new, refused.is_empty(), "{candidate}");
    }
    assert!(report["loss"]["knownMissingRecords"].is_u64());
    assert!(report["loss"]["unseenMs"].is_u64());
    let phases: Vec<_> = report["phases"].as_array().unwrap().iter().collect();
    for phase in [
        "detected",
        "claimed",
        "rw_switched",
        "promoted",
        "slot_switched",
        "repointed",
        "paired",
        "tail_taken",
    ] {
        let one = phases.iter().find(|one| one["phase"] == phase);
        assert!(
            one.is_some_and(|one| one["ms"].is_u64()),
            "no `{phase}` in {phases:?}"
        );
    }
    assert_eq!(report["closed"], true);
}
