//! What the operator may do, rule by rule. A right that is added to the chart has to be added here.

use serde_json::{Value, json};

use super::files::{documents, object, read};
use super::helm::helm;

/// In each namespace that it serves.
fn stated() -> Value {
    json!([
        {"apiGroups": ["tandem.dev"], "resources": ["doublemasters"], "verbs": ["get", "list", "watch", "patch"]},
        {"apiGroups": ["tandem.dev"], "resources": ["doublemasters/status"], "verbs": ["patch"]},
        {"apiGroups": ["tandem.dev"], "resources": ["doublemasters/finalizers"], "verbs": ["update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["persistentvolumeclaims"],
         "verbs": ["get", "list", "watch", "create", "patch"]},
        {"apiGroups": [""], "resources": ["services", "configmaps", "serviceaccounts"],
         "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list", "watch", "create"]},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"],
         "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"],
         "verbs": ["get", "list", "watch", "create", "patch", "delete"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
         "verbs": ["get", "list", "watch", "create", "update"]},
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch"]},
    ])
}

/// Everywhere.
fn of_nodes() -> Value {
    json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}])
}

/// In its own namespace.
fn of_the_leader() -> Value {
    json!([
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["tandem"],
         "verbs": ["get", "update"]},
    ])
}

/// The rules between `define "NAME"` and its end.
fn written(name: &str) -> Value {
    let text = read("charts/tandem/templates/_rules.tpl");
    let (_, rest) = text
        .split_once(&format!("define \"{name}\" -}}}}"))
        .unwrap();
    let (rules, _) = rest.split_once("{{- end -}}").unwrap();
    documents(&rules.replace(r#"{{ include "tandem.fullname" . }}"#, "tandem")).remove(0)
}

fn all_words(rules: &Value, key: &str) -> Vec<String> {
    let rules = rules.as_array().unwrap();
    rules
        .iter()
        .flat_map(|rule| rule[key].as_array().unwrap())
        .map(|word| word.as_str().unwrap().to_string())
        .collect()
}

#[test]
fn the_chart_grants_what_is_stated_here() {
    assert_eq!(written("tandem.rules"), stated());
    assert_eq!(written("tandem.nodeRules"), of_nodes());
    assert_eq!(written("tandem.leaderRules"), of_the_leader());
}

#[test]
fn no_rule_has_a_wildcard_or_a_right_to_grant_rights() {
    for name in ["tandem.rules", "tandem.nodeRules", "tandem.leaderRules"] {
        let rules = written(name);
        for key in ["apiGroups", "resources", "verbs"] {
            let words = all_words(&rules, key);
            assert!(
                words.iter().all(|word| !word.contains('*')),
                "{name}: {words:?}"
            );
        }
        let verbs = all_words(&rules, "verbs");
        for verb in ["escalate", "bind", "impersonate", "deletecollection"] {
            assert!(!verbs.iter().any(|word| word == verb), "{name} has {verb}");
        }
        assert!(!all_words(&rules, "apiGroups").contains(&"rbac.authorization.k8s.io".to_string()));
    }
}

#[test]
fn for_all_namespaces_there_is_one_cluster_role() {
    let Some(helm) = helm() else { return };
    let rendered = documents(&helm.template("charts/tandem", &[]));
    let role = object(&rendered, "ClusterRole", "tandem-system-tandem");
    let mut wanted = stated().as_array().unwrap().clone();
    wanted.extend(of_nodes().as_array().unwrap().clone());
    assert_eq!(role["rules"], Value::Array(wanted));
    let binding = object(&rendered, "ClusterRoleBinding", "tandem-system-tandem");
    assert_eq!(
        binding["subjects"],
        json!([{"kind": "ServiceAccount", "name": "tandem", "namespace": "tandem-system"}])
    );
    let leader = object(&rendered, "Role", "tandem-leader");
    assert_eq!(leader["rules"], of_the_leader());
}

#[test]
fn in_namespaced_mode_only_nodes_are_read_across_namespaces() {
    let Some(helm) = helm() else { return };
    let namespaced = ["--set", "watchNamespaces={red,blue}"];
    let rendered = documents(&helm.template("charts/tandem", &namespaced));
    let of_cluster: Vec<&Value> = rendered
        .iter()
        .filter(|object| object["kind"] == "ClusterRole")
        .collect();
    assert_eq!(of_cluster.len(), 1);
    assert_eq!(of_cluster[0]["rules"], of_nodes());
    for namespace in ["red", "blue"] {
        let role = rendered
            .iter()
            .find(|object| object["kind"] == "Role" && object["metadata"]["namespace"] == namespace)
            .unwrap();
        assert_eq!(role["rules"], stated());
    }
    let without = [&namespaced[..], &["--set", "nodes.enabled=false"]].concat();
    let rendered = helm.template("charts/tandem", &without);
    assert!(!rendered.contains("kind: ClusterRole"), "{rendered}");
}
