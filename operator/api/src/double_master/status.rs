//! What the operator says of a `DoubleMaster`.

#![expect(
    unreachable_pub,
    reason = "the schema derive repeats each type, `pub`, inside a function"
)]

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;

/// What the operator says of a `DoubleMaster`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DoubleMasterStatus {
    /// Generation of the object this status speaks of.
    #[serde(default)]
    pub observed_generation: i64,
    /// `Ready`, `Writable`, `Paired`, `Redundant`, `Progressing`, `FailoverBlocked`.
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
    /// `primary`, `double_master`, `replica`, `waiting`; `hung`, `exited` or `unknown` when it is silent.
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
    /// Node it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Address of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_ip: Option<String>,
    /// What differs between it and the specification; it will be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// Why it will have to leave its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<String>,
    /// What keeps it from running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
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
