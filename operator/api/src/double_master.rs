//! `DoubleMaster`: two groups that both accept writes and merge, with replicas for each.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

mod failover;
mod instance;
mod keys;
mod scheduling;
mod services;
mod status;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use failover::{Failover, Sync};
pub use instance::{Auth, ImagePullPolicy, Resources, Storage};
pub use keys::{LIVE_KEYS, LiveKey, OPERATOR_KEYS, live_key};
pub use scheduling::Scheduling;
pub use services::{Service, ServiceType, Services};
pub use status::{DoubleMasterStatus, FailoverSummary, LinkSummary, MemberStatus, ServiceStatus};

/// Two masters that merge, each with its replicas.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "tandem.dev",
    version = "v1alpha1",
    kind = "DoubleMaster",
    plural = "doublemasters",
    shortname = "dm",
    category = "tandem",
    namespaced,
    status = "DoubleMasterStatus",
    derive = "PartialEq",
    doc = "Two masters that merge, each with its replicas; one falls over to the other.",
    validation = Rule::new("size(self.metadata.name) <= 40")
        .message("the name may have at most 40 characters, so that suffixes fit"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name has to be lower-case letters, digits and `-`, beginning with a letter"),
    printcolumn(name = "Ready", type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Writers", type_ = "string", json_path = ".status.writers"),
    printcolumn(name = "Lag", type_ = "integer", json_path = ".status.lagRecords"),
    printcolumn(name = "Epochs", type_ = "string", json_path = ".status.epochs"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", priority = 1,
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#)
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.sync.durableAcks <= self.replicasPerMaster")
        .message("sync.durableAcks is more than replicasPerMaster: no write would ever be taken"),
    validation = Rule::new("!has(oldSelf.auth) || has(self.auth)")
        .message("a password cannot be taken away again; \
                  give another auth.secretName, or make a new resource"),
)]
pub struct DoubleMasterSpec {
    /// Image of the server; the operator's own when absent. Without meaning in the local runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

    /// When the image is fetched; as Kubernetes does for its tag when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Replicas behind each master. With 0 a lost master waits for its volume while the peer serves.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 0, max = 5))]
    pub replicas_per_master: u8,

    /// Server ids of the two slots. They name origins inside the data and never change.
    #[serde(default)]
    #[x_kube(
        validation = Rule::new("self == oldSelf").message("server ids are part of the data and cannot change"),
        validation = Rule::new("self.a != self.b").message("the two slots need different server ids"),
    )]
    pub server_ids: ServerIds,

    /// Volume of each instance.
    #[serde(default)]
    pub storage: Storage,

    /// Requests and limits of each instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Configuration keys of the server, spelled as in its configuration file. Those that a running
    /// server takes apply at once; a change of any other one replaces the instances one by one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64, "additionalProperties" = {
        "type": "string", "maxLength": 1024, "pattern": r"^[^\x00-\x1f\x7f]*$"
    }))]
    #[x_kube(validation = Rule::new(
        "self.all(k, !(k in ['port','bind','dir','db-path','server-id','cluster-id','requirepass','masterauth',\
         'slaveof','replicaof','boot-role','config','double-master-ip','double-master-port',\
         'double-master-server-id','min-replicas-to-write','min-slaves-to-write','replica-announce-ip',\
         'slave-announce-ip','replica-announce-port','slave-announce-port','metrics-port',\
         'requirepass-previous']))")
        .message("this key belongs to the operator; remove it from spec.config"))]
    pub config: BTreeMap<String, String>,

    /// Password that clients and links give; none when absent, a generated one when empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// How many replicas have to hold a write.
    #[serde(default)]
    pub sync: Sync,

    /// How a dead or hung master is found.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.hangTimeoutMs >= 2 * self.probeIntervalMs")
        .message("hangTimeoutMs has to span at least two probes"),
        validation = Rule::new("!has(self.openMs) || self.openMs >= self.collectMs + self.hangTimeoutMs")
        .message("openMs has to span a promotion: at least collectMs + hangTimeoutMs"))]
    pub failover: Failover,

    /// How the services are offered.
    #[serde(default)]
    pub services: Services,

    /// Where the pods go and what marks them.
    #[serde(default)]
    pub scheduling: Scheduling,

    /// Budgets that keep a drain from ending a master before its role has moved.
    #[serde(default)]
    pub pdb: Switch,

    /// A policy that lets everybody reach the client port, and only who has to the link port.
    #[serde(default)]
    pub network_policy: Switch,

    /// Seconds that an instance gets to end in order.
    #[serde(default = "default_grace")]
    #[schemars(range(min = 5, max = 3600))]
    pub termination_grace_period_seconds: u32,

    /// What becomes of the data when this resource is deleted.
    #[serde(default)]
    pub reclaim_policy: ReclaimPolicy,

    /// Observe and report only: nothing is started, promoted or repointed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pause: bool,
}

fn default_replicas() -> u8 {
    1
}

fn default_grace() -> u32 {
    60
}

/// Something that can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Switch {
    /// Whether it is made.
    pub enabled: bool,
}

impl Default for Switch {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// Server ids of the slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServerIds {
    /// Slot `a`.
    #[schemars(range(min = 1, max = 127))]
    pub a: u32,
    /// Slot `b`.
    #[schemars(range(min = 1, max = 127))]
    pub b: u32,
}

impl Default for ServerIds {
    fn default() -> Self {
        Self { a: 1, b: 2 }
    }
}

/// What becomes of the data when the resource is deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReclaimPolicy {
    /// Volumes stay and are adopted by a resource of the same name.
    #[default]
    Retain,
    /// Volumes go with the resource.
    Delete,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_spec_takes_the_stated_defaults() {
        let spec: DoubleMasterSpec = serde_json::from_str("{}").unwrap();
        assert_eq!(spec.replicas_per_master, 1);
        assert_eq!(spec.server_ids, ServerIds { a: 1, b: 2 });
        assert_eq!(spec.reclaim_policy, ReclaimPolicy::Retain);
        assert_eq!(spec.failover, Failover::default());
        assert_eq!(spec.storage.size, "10Gi");
        assert!(spec.pdb.enabled && spec.network_policy.enabled && spec.storage.expand);
        assert!(!spec.pause && spec.auth.is_none() && spec.config.is_empty());
    }

    #[test]
    fn an_unknown_field_is_refused_and_named() {
        let error = serde_json::from_str::<DoubleMasterSpec>(r#"{"replicas": 2}"#).unwrap_err();
        assert!(
            error.to_string().contains("unknown field `replicas`"),
            "{error}"
        );
    }

    #[test]
    fn what_is_not_stated_is_not_written() {
        let spec: DoubleMasterSpec = serde_json::from_str("{}").unwrap();
        let text = serde_json::to_string(&spec).unwrap();
        assert!(!text.contains("null"), "{text}");
    }

    #[test]
    fn the_definition_carries_rules_columns_and_short_name() {
        use kube::CustomResourceExt as _;
        let crd = serde_json::to_string(&DoubleMaster::crd()).unwrap();
        for wanted in [
            "the two slots need different server ids",
            "at most 40 characters",
            r#""shortNames":["dm"]"#,
            r#""categories":["tandem"]"#,
            r#""x-kubernetes-list-map-keys":["type"]"#,
            r#""name":"Epochs""#,
        ] {
            assert!(crd.contains(wanted), "{wanted} is not in {crd}");
        }
    }
}
