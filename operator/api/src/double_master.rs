//! `DoubleMaster`: two groups that both accept writes and merge, with replicas for each.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

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
pub struct DoubleMasterSpec {
    /// Image of the server; the operator's own when absent. Without meaning in the local runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub image: Option<String>,

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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,

    /// Requests and limits of each instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Configuration keys of the server, spelled as in its configuration file.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new(
        "self.all(k, !(k in ['port','bind','dir','server-id','requirepass','masterauth','slaveof',\
         'replicaof','boot-role','config','double-master-ip','double-master-port',\
         'double-master-server-id','min-replicas-to-write','min-slaves-to-write']))")
        .message("this key belongs to the operator; remove it from spec.config"))]
    pub config: BTreeMap<String, String>,

    /// Password that clients and links give; none when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,

    /// How many replicas have to hold a write.
    #[serde(default)]
    pub sync: Sync,

    /// How a dead or hung master is found.
    #[serde(default)]
    #[x_kube(validation = Rule::new("self.hangTimeoutMs >= 2 * self.probeIntervalMs")
        .message("hangTimeoutMs has to span at least two probes"))]
    pub failover: Failover,

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

/// Volume of each instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Size as a Kubernetes quantity, such as `20Gi`.
    #[schemars(
        length(min = 1, max = 32),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?([kKMGTPE]i?)?$")
    )]
    pub size: String,
    /// Storage class; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Grow existing volumes when `size` grows.
    #[serde(default = "yes")]
    pub expand: bool,
}

fn yes() -> bool {
    true
}

/// Requests and limits, as in a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// What is reserved: `cpu`, `memory`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub requests: BTreeMap<String, String>,
    /// What is the most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 8))]
    pub limits: BTreeMap<String, String>,
}

/// Where the password comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Auth {
    /// Secret whose key `password` holds it; made with a random one when it does not exist. In the
    /// local runtime a file of this name under `secrets/`, readable by its owner only.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub secret_name: String,
}

/// How many replicas have to hold a write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sync {
    /// Replicas that must be in durable contact for a write to be taken; 0 takes every write.
    #[serde(default)]
    #[schemars(range(min = 0, max = 5))]
    pub durable_acks: u8,
}

/// How a dead or hung master is found. All values in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Failover {
    /// Distance between two probes of an instance.
    #[schemars(range(min = 20, max = 60_000))]
    pub probe_interval_ms: u64,
    /// Silence after which the operator holds an instance for dead or hung.
    #[schemars(range(min = 100, max = 600_000))]
    pub hang_timeout_ms: u64,
    /// Silence on a replication link after which its receiver holds the source for dead or hung.
    #[schemars(range(min = 100, max = 600_000))]
    pub link_timeout_ms: u64,
    /// Age of a write that could not be made durable after which the disk is taken for hung.
    #[schemars(range(min = 1000, max = 3_600_000))]
    pub disk_timeout_ms: u64,
    /// Least distance between two failovers of one group that rest on silence alone.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub quiet_ms: u64,
    /// How long a promotion collects from reachable instances before it opens.
    #[schemars(range(min = 0, max = 600_000))]
    pub collect_ms: u64,
    /// How long a group without a primary waits for instances that have not answered since their start.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub assemble_ms: u64,
    /// Silence after which a running process is killed and started again.
    #[schemars(range(min = 1000, max = 86_400_000))]
    pub restart_hung_ms: u64,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            probe_interval_ms: 250,
            hang_timeout_ms: 600,
            link_timeout_ms: 600,
            disk_timeout_ms: 10_000,
            quiet_ms: 3000,
            collect_ms: 1000,
            assemble_ms: 3000,
            restart_hung_ms: 15_000,
        }
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

/// What the operator says of a `DoubleMaster`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoubleMasterStatus {
    /// Generation of the object this status speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`, `Writable`, `Paired`, `Redundant`.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".to_string()]))]
    pub conditions: Vec<Condition>,
    /// The instances that write, for the printed column.
    #[serde(default)]
    pub writers: String,
    /// Epochs of the slots, for the printed column.
    #[serde(default)]
    pub epochs: String,
    /// Largest number of records any link is behind.
    #[serde(default)]
    pub lag_records: u64,
    /// Every instance.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub members: Vec<MemberStatus>,
    /// Where each service points.
    #[serde(default)]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".to_string()]))]
    pub services: Vec<ServiceStatus>,
    /// What the operator waits for, and why.
    #[serde(default)]
    pub waits_for: Vec<String>,
    /// The latest failover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failover: Option<FailoverSummary>,
}

/// One instance in status.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberStatus {
    /// Its name.
    pub name: String,
    /// Its slot: `a` or `b`.
    pub slot: String,
    /// `primary`, `double_master`, `replica`, `waiting`; `hung`, `exited` or `unknown` when it does not answer.
    pub role: String,
    /// Server id of its group.
    pub server_id: u32,
    /// Highest epoch it has seen; the claimed one when it does not answer.
    pub epoch: u64,
    /// `host:port` of its client port.
    pub address: String,
    /// Incarnation of its current life as a writer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,
    /// Random id of its data directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// Log head of the databases, `database=segment:offset`, separated by spaces.
    pub position: String,
    /// Records it still has to apply, over all its links.
    pub lag_records: u64,
    /// Whether it takes client writes.
    pub writable: bool,
    /// Whether it may be promoted.
    pub eligible: bool,
    /// Why it does not answer, take writes, or may not be promoted; empty when all is well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Milliseconds since its last answer, when that is not fresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// Process id in the local runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Links it dials.
    #[serde(default)]
    pub links: Vec<LinkSummary>,
}

/// One link in status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LinkSummary {
    /// `replica`, `peer` or `handover`.
    pub kind: String,
    /// Instance it pulls from, or the address when that is none of ours.
    pub source: String,
    /// `connecting`, `full_resync`, `streaming`, `lost_place`, `refused`.
    pub state: String,
    /// Records not applied yet.
    pub lag_records: u64,
    /// Milliseconds since anything came from the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_contact_ms: Option<u64>,
    /// Full resyncs since the process started.
    pub full_resyncs: u64,
    /// Partial resyncs since the process started.
    pub partial_resyncs: u64,
    /// Last refusal or failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One service in status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Its name: `<resource>-rw`, `-ro`, `-a`, `-b`.
    pub name: String,
    /// Where clients connect.
    #[serde(default)]
    pub address: String,
    /// Instances behind it; empty when there is none that could serve.
    pub targets: Vec<String>,
}

/// The latest failover in short; the whole report is an object (or file) of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailoverSummary {
    /// Slot.
    pub slot: String,
    /// What ended the old primary.
    pub cause: String,
    /// The old primary.
    pub from: String,
    /// The new primary.
    pub to: String,
    /// The epoch claimed.
    pub epoch: u64,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// Milliseconds without a target behind `-rw`, when that service had pointed at the old primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rw_outage_ms: Option<u64>,
    /// Milliseconds until everything was restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u64>,
    /// Where the whole report is.
    #[serde(default)]
    pub report: String,
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
    fn the_definition_carries_rules_columns_and_short_name() {
        use kube::CustomResourceExt as _;
        let crd = serde_json::to_string(&DoubleMaster::crd()).unwrap();
        for wanted in [
            "this key belongs to the operator",
            "the two slots need different server ids",
            "server ids are part of the data",
            "hangTimeoutMs has to span",
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
