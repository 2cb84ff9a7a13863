//! Where the pods go and what marks them.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, Toleration, TopologySpreadConstraint,
};
use kube::KubeSchema;
use schemars::Schema;
use serde::{Deserialize, Serialize};

/// Where the pods go and what marks them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scheduling {
    /// Affinity, as in a pod. When absent, the instances of a slot avoid each other's node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = strip_descriptions)]
    pub affinity: Option<Affinity>,
    /// How the pods are spread, as in a pod. When absent, over nodes and zones as far as possible;
    /// an empty list means: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(transform = strip_descriptions, length(max = 8))]
    pub topology_spread: Option<Vec<TopologySpreadConstraint>>,
    /// Tolerations, as in a pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = strip_descriptions, length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub node_selector: BTreeMap<String, String>,
    /// Priority class of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
    /// Labels of the pods beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new(
        "self.all(k, !k.startsWith('tandem.dev/') && !k.startsWith('app.kubernetes.io/'))")
        .message("labels under tandem.dev/ and app.kubernetes.io/ belong to the operator; remove them"))]
    pub pod_labels: BTreeMap<String, String>,
    /// Annotations of the pods beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('tandem.dev/'))")
        .message("annotations under tandem.dev/ belong to the operator; remove them"))]
    pub pod_annotations: BTreeMap<String, String>,
    /// Secrets with which images are fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(transform = strip_descriptions, length(max = 16))]
    pub image_pull_secrets: Vec<LocalObjectReference>,
}

/// Takes the descriptions out of what Kubernetes itself documents: they would be two thirds of the
/// definition.
fn strip_descriptions(schema: &mut Schema) {
    let own = schema.remove("description");
    strip(schema.as_object_mut());
    if let Some(own) = own {
        schema.insert("description".into(), own);
    }
}

fn strip(schema: Option<&mut serde_json::Map<String, serde_json::Value>>) {
    use serde_json::Value;
    let Some(schema) = schema else { return };
    if schema.get("description").is_some_and(Value::is_string) {
        schema.remove("description");
    }
    for (key, value) in schema.iter_mut() {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for property in properties.values_mut() {
                    strip(property.as_object_mut());
                }
            }
            ("items" | "additionalProperties", value) => strip(value.as_object_mut()),
            ("anyOf" | "allOf" | "oneOf", Value::Array(parts)) => {
                for part in parts {
                    strip(part.as_object_mut());
                }
            }
            _ => {}
        }
    }
}
