//! How the services are offered.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The services by what they point at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Services {
    /// `<resource>-rw`: one writer.
    pub rw: Service,
    /// `<resource>-ro`: the replicas; the masters when there are none.
    pub ro: Service,
    /// `<resource>-a`: the master of slot `a`.
    pub a: Service,
    /// `<resource>-b`: the master of slot `b`.
    pub b: Service,
}

impl Services {
    /// The one with this suffix.
    pub fn get(&self, suffix: &str) -> Option<&Service> {
        match suffix {
            "rw" => Some(&self.rw),
            "ro" => Some(&self.ro),
            "a" => Some(&self.a),
            "b" => Some(&self.b),
            _ => None,
        }
    }
}

/// How one service is offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Where it can be reached from.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,
    /// Annotations, for example for a load balancer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub annotations: BTreeMap<String, String>,
    /// Labels beside those of the operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new(
        "self.all(k, !k.startsWith('tandem.dev/') && !k.startsWith('app.kubernetes.io/'))")
        .message("labels under tandem.dev/ and app.kubernetes.io/ belong to the operator; remove them"))]
    pub labels: BTreeMap<String, String>,
}

/// Where a service can be reached from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// Inside the cluster.
    #[default]
    ClusterIP,
    /// On a port of each node.
    NodePort,
    /// Through a load balancer of the cluster's provider.
    LoadBalancer,
}

impl ServiceType {
    /// The word as it stands in a service.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClusterIP => "ClusterIP",
            Self::NodePort => "NodePort",
            Self::LoadBalancer => "LoadBalancer",
        }
    }
}
