//! The objects beside pods and volumes, which are applied when they differ from what is wanted and
//! left alone otherwise.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ApiResource;
use serde::Serialize;
use serde_json::Value;
use tandem_api::labels;

use super::super::names::{self, ROLE_PRIMARY, ROLE_REPLICA, selector};
use super::super::wanted::Wanted;
use super::meta::meta;
use super::{network, service};

/// One object that should be there.
#[derive(Debug, Clone, PartialEq)]
pub struct Child {
    /// Its kind.
    pub kind: ApiResource,
    /// Its name.
    pub name: String,
    /// All that is wanted of it.
    pub value: Value,
}

/// The kinds of the objects below.
pub fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
    ]
}

/// All of them, in the order in which they are made.
pub fn children(wanted: &Wanted) -> Vec<Child> {
    let mut all = vec![
        child(&ServiceAccount {
            metadata: meta(wanted, wanted.valid.name.as_str()),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        }),
        child(&config(wanted)),
        child(&service::headless(wanted)),
    ];
    for suffix in names::service_suffixes() {
        all.push(child(&service::pointed(wanted, suffix)));
    }
    if wanted.spec.pdb.enabled {
        all.extend(budgets(wanted).iter().map(child));
    }
    if wanted.spec.network_policy.enabled {
        all.push(child(&network::policy(wanted)));
    }
    all.into_iter().flatten().collect()
}

fn child<K>(object: &K) -> Option<Child>
where
    K: kube::Resource<DynamicType = ()> + Serialize,
{
    let kind = ApiResource::erase::<K>(&());
    let value = serde_json::to_value(object).ok()?;
    let name = object.meta().name.clone()?;
    Some(Child { kind, name, value })
}

/// The file that a server reads at its start. What is in it can be changed while it runs, so it is no
/// part of a pod's revision.
fn config(wanted: &Wanted) -> ConfigMap {
    let mut text =
        String::from("# Settings that take effect at once; the operator keeps this file.\n");
    for (key, value) in &wanted.live {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let _ = writeln!(text, "{key} \"{value}\"");
    }
    ConfigMap {
        metadata: meta(wanted, &names::config(&wanted.valid.name)),
        data: Some([("server.conf".to_string(), text)].into()),
        ..ConfigMap::default()
    }
}

/// One budget per role. A primary may be evicted once its role has moved, which takes its label away;
/// where there is no replica to move to, one of the two may go while the other serves. One replica of
/// each slot may go: two may be on one node, and what is evicted from it may have no other place.
fn budgets(wanted: &Wanted) -> Vec<PodDisruptionBudget> {
    let replicas = i32::from(wanted.valid.replicas);
    let primaries = if replicas > 0 { 2 } else { 1 };
    let mut budgets = vec![budget(wanted, ROLE_PRIMARY, primaries)];
    if replicas > 1 {
        budgets.push(budget(wanted, ROLE_REPLICA, 2 * replicas - 2));
    }
    budgets
}

fn budget(wanted: &Wanted, role: &str, min_available: i32) -> PodDisruptionBudget {
    let mut selected = selector(&wanted.valid.name);
    selected.insert(labels::ROLE.into(), role.into());
    PodDisruptionBudget {
        metadata: meta(wanted, &format!("{}-{role}", wanted.valid.name)),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(min_available)),
            selector: Some(LabelSelector {
                match_labels: Some(selected),
                ..LabelSelector::default()
            }),
            // One that does not serve protects nobody by staying.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".into()),
            ..PodDisruptionBudgetSpec::default()
        }),
        ..PodDisruptionBudget::default()
    }
}

/// Whether everything `wanted` stands in `live`, which has more: defaults, status, what others added.
pub fn is_contained(wanted: &Value, live: &Value) -> bool {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().all(|(key, value)| {
            live.get(key)
                .map_or(is_empty(value), |live| is_contained(value, live))
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            wanted.len() == live.len()
                && wanted
                    .iter()
                    .zip(live)
                    .all(|(wanted, live)| is_contained(wanted, live))
        }
        (wanted, live) => wanted == live,
    }
}

/// What the API server leaves out instead of storing it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        let wanted = json!({"spec": {"ports": [{"port": 6379}], "selector": {"a": "b"}}});
        let mut live = json!({"spec": {"ports": [{"port": 6379, "protocol": "TCP"}],
            "selector": {"a": "b"}, "clusterIP": "10.0.0.1"}, "status": {}});
        assert!(is_contained(&wanted, &live));
        live["spec"]["ports"][0]["port"] = json!(1);
        assert!(!is_contained(&wanted, &live));
        assert!(is_contained(&json!({"data": {}, "is": false}), &json!({})));
        assert!(!is_contained(&json!({"a": [1]}), &json!({"a": [1, 2]})));
    }
}
