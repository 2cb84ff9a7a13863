//! How many replicas hold a write, and how a dead master is found.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// How long a claimed instance has to open before another one is claimed; when absent
    /// `collectMs` + `assembleMs` + 2 `hangTimeoutMs`, at least 2000. Doubled each time.
    #[schemars(range(min = 1000, max = 3_600_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_ms: Option<u64>,
    /// How long the roles have to be at rest, with every instance well, before one of two masters on one
    /// node hands over to a replica elsewhere; 0: they stay together.
    #[schemars(range(min = 0, max = 86_400_000))]
    pub apart_ms: u64,
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
            open_ms: None,
            apart_ms: 600_000,
        }
    }
}
