//! Alerts have runbooks, and alerts and dashboard use metrics that exist.

use std::collections::BTreeSet;

use serde_json::Value;

use super::files::{documents, read};
use super::helm::helm;

const ALERTS: &str = "charts/tandem/files/alerts.yaml";
const DASHBOARD: &str = "charts/tandem/files/dashboard.json";
const RUNBOOKS: &str = "docs/operations/runbooks.md";

/// Words that begin with `tandem_` and are metrics, without the suffixes that a histogram adds.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("tandem_"))
        .map(|word| word.trim_end_matches("_bucket").to_string())
        .collect()
}

/// Names in the first cells of docs/metrics.md, and those that the operator registers.
fn known() -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for line in read("docs/metrics.md")
        .lines()
        .filter(|line| line.starts_with("| `tandem_"))
    {
        let cell = line.split('|').nth(1).unwrap_or_default();
        known.extend(metrics_in(cell));
    }
    let source = read("operator/src/operator/metrics.rs");
    let (source, _) = source.split_once("#[cfg(test)]").unwrap();
    for (call, suffix) in [("register(", ""), ("register_with_unit(", "_seconds")] {
        for part in source.split(call).skip(1) {
            let name = part
                .trim_start()
                .strip_prefix('"')
                .and_then(|rest| rest.split_once('"'));
            let Some((name, rest)) = name else { continue };
            let of_this = rest.split(");").next().unwrap_or_default();
            let field = of_this.split("self.").nth(1).unwrap_or_default();
            let field = field
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            let declared = format!("{}: Family<", field.unwrap_or_default());
            let is_counter = source
                .lines()
                .any(|line| line.trim().starts_with(&declared) && line.contains("Counter>"));
            let total = if is_counter { "_total" } else { "" };
            known.insert(format!("tandem_operator_{name}{suffix}{total}"));
        }
    }
    known
}

fn alerts() -> Vec<Value> {
    let groups = documents(&read(ALERTS)).remove(0);
    let groups = groups["groups"].as_array().unwrap().clone();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

#[test]
fn what_is_known_are_the_metrics_of_server_and_operator() {
    let known = known();
    for name in [
        "tandem_keys",
        "tandem_network_output_bytes_total",
        "tandem_operator_failovers_total",
        "tandem_operator_failover_phase_seconds",
        "tandem_operator_topology_ready",
        "tandem_operator_leader",
    ] {
        assert!(known.contains(name), "{name} is not in {known:#?}");
    }
}

#[test]
fn every_alert_has_a_runbook_and_every_runbook_an_alert() {
    let page = read(RUNBOOKS);
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let alerts = alerts();
    let names: Vec<&str> = alerts
        .iter()
        .map(|alert| alert["alert"].as_str().unwrap())
        .collect();
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(sections, names, "the same, in the same order");
    for alert in &alerts {
        let name = alert["alert"].as_str().unwrap();
        let wanted = format!("RUNBOOKS#{}", name.to_lowercase());
        assert_eq!(alert["annotations"]["runbook_url"], wanted);
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}"
        );
        let section = page.split(&format!("## {name}\n")).nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        for part in ["**Means.**", "**Do.**"] {
            assert!(section.contains(part), "{name} does not say {part}");
        }
    }
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let known = known();
    for path in [ALERTS, DASHBOARD] {
        let used = metrics_in(&read(path));
        assert!(used.len() > 5, "{path}: {used:?}");
        let unknown: Vec<&String> = used.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "{path} uses {unknown:?}, which nobody exports"
        );
    }
}

#[test]
fn causes_that_alerts_leave_out_are_causes() {
    let source = read("operator/plan/src/detection.rs");
    for alert in alerts() {
        let expression = alert["expr"].as_str().unwrap();
        for part in expression.split("cause!~\"").skip(1) {
            for cause in part.split('"').next().unwrap().split('|') {
                let mut letters = cause.chars();
                let first = letters.next().unwrap().to_uppercase().to_string();
                let variant = format!("    {first}{}", letters.as_str());
                let is_cause = source.lines().any(|line| {
                    line.strip_prefix(&variant)
                        .is_some_and(|rest| rest.starts_with([' ', ',']))
                });
                assert!(is_cause || cause == "restarted", "{cause}");
            }
        }
    }
}

#[test]
fn panels_of_the_dashboard_are_distinct_and_do_not_overlap() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 15);
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(
                    x < 24 && taken.insert((x, y)),
                    "{} overlaps",
                    panel["title"]
                );
            }
        }
        let targets = panel["targets"].as_array();
        assert!(panel["type"] == "row" || targets.is_some_and(|targets| !targets.is_empty()));
    }
}

#[test]
fn the_chart_renders_rules_and_dashboard_as_they_are() {
    let Some(helm) = helm() else { return };
    let words = [
        "--set",
        "prometheusRule.enabled=true,dashboard.enabled=true,podMonitor.enabled=true",
        "--set",
        "prometheusRule.runbooks=https://wiki.example/tandem",
    ];
    let rendered = documents(&helm.template("charts/tandem", &words));
    let of_kind = |kind: &str| {
        rendered
            .iter()
            .filter(|object| object["kind"] == kind)
            .collect::<Vec<_>>()
    };
    let rules = of_kind("PrometheusRule");
    let first = &rules[0]["spec"]["groups"][0]["rules"][0];
    assert_eq!(
        first["annotations"]["runbook_url"],
        "https://wiki.example/tandem#tandemnotwritable"
    );
    assert_eq!(first["expr"], alerts()[0]["expr"]);
    let dashboard = of_kind("ConfigMap")[0]["data"]["tandem.json"]
        .as_str()
        .unwrap();
    let written: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    assert_eq!(serde_json::from_str::<Value>(dashboard).unwrap(), written);
    assert_eq!(of_kind("PodMonitor").len(), 2);
}
