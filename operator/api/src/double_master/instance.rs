//! What each instance gets: volume, room, password.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// When an image is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// At each start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never; the node must have it.
    Never,
}

impl ImagePullPolicy {
    /// The word as it stands in a pod.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// Volume of each instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "has(self.className) == has(oldSelf.className) && \
     (!has(self.className) || self.className == oldSelf.className)")
    .message("a volume cannot change its class; make a new resource and copy the data"))]
pub struct Storage {
    /// Size as a Kubernetes quantity, such as `20Gi`. It can grow, when the class allows it.
    #[serde(default = "usual_size")]
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?([kKMGTPE]i?)?$")
    )]
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity(oldSelf)) >= 0")
        .message("a volume cannot shrink; give at least the present size"))]
    pub size: String,
    /// Storage class; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Grow existing volumes when `size` grows; without it only new ones have the new size.
    #[serde(default = "yes")]
    pub expand: bool,
}

fn usual_size() -> String {
    "10Gi".into()
}

fn yes() -> bool {
    true
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            size: usual_size(),
            class_name: None,
            expand: true,
        }
    }
}

/// Requests and limits, as in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// What is reserved: `cpu`, `memory`.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "quantities"
    )]
    #[schemars(schema_with = "quantities_schema")]
    pub requests: BTreeMap<String, Quantity>,
    /// What is the most.
    #[serde(
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "quantities"
    )]
    #[schemars(schema_with = "quantities_schema")]
    pub limits: BTreeMap<String, Quantity>,
}

/// A quantity as people write it: `cpu: 2` as well as `cpu: "2"`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Number(serde_json::Number),
    Text(String),
}

fn quantities<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Quantity>, D::Error> {
    let written = BTreeMap::<String, Written>::deserialize(deserializer)?;
    let quantity = |value| match value {
        Written::Number(number) => Quantity(number.to_string()),
        Written::Text(text) => Quantity(text),
    };
    Ok(written
        .into_iter()
        .map(|(name, value)| (name, quantity(value)))
        .collect())
}

fn quantities_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 8,
        "additionalProperties": {
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|[kKMGTPE]i?)?$",
            "maxLength": 32,
            "x-kubernetes-int-or-string": true
        }
    })
}

/// Where the password comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// Secret whose key `password` holds it; `<resource>-auth` when absent. One that does not exist is
    /// made with a random password. In the local runtime a file of this name under `secrets/`,
    /// readable by its owner only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: Option<String>,
}

impl Auth {
    /// Name of the Secret of this resource.
    pub fn secret_of(&self, resource: &str) -> String {
        let stated = self.secret_name.clone();
        stated.unwrap_or_else(|| format!("{resource}-auth"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_numbers_or_text() {
        let resources: Resources =
            serde_json::from_str(r#"{"limits": {"cpu": 2, "memory": "1Gi"}}"#).unwrap();
        assert_eq!(resources.limits["cpu"], Quantity("2".into()));
        assert_eq!(resources.limits["memory"], Quantity("1Gi".into()));
    }
}
