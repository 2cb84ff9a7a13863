//! Metrics of the operator, all beginning with `tandem_operator_`.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tandem_api::ConditionStatus;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_plan::report::FailoverReport;

use crate::runtime::kubernetes::Key;

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    namespace: String,
    resource: String,
}

impl From<&Key> for Of {
    fn from(key: &Key) -> Self {
        Self {
            namespace: key.namespace.clone(),
            resource: key.name.clone(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFailover {
    namespace: String,
    resource: String,
    slot: String,
    cause: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPhase {
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    method: String,
    watch: String,
}

/// The metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    failovers: Family<OfFailover, Counter>,
    phases: Family<OfPhase, Histogram>,
    rounds: Family<Of, Counter>,
    round_errors: Family<Of, Counter>,
    round_time: Histogram,
    lag: Family<Of, Gauge>,
    ready: Family<Of, Gauge>,
    writable: Family<Of, Gauge>,
    instances: Family<Of, Gauge>,
    calls: Family<OfCall, Counter>,
    leader: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All of them, at nothing.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("tandem_operator"),
            failovers: Family::default(),
            phases: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.05, 2.0, 12))
            }),
            rounds: Family::default(),
            round_errors: Family::default(),
            round_time: Histogram::new(exponential_buckets(0.0001, 4.0, 10)),
            lag: Family::default(),
            ready: Family::default(),
            writable: Family::default(),
            instances: Family::default(),
            calls: Family::default(),
            leader: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "failovers",
            "Claims made because a primary was lost or had to move",
            self.failovers.clone(),
        );
        registry.register_with_unit(
            "failover_phase",
            "Time from the last sign of life of the old primary to each phase",
            Unit::Seconds,
            self.phases.clone(),
        );
        registry.register(
            "reconciles",
            "Rounds of observing, planning and acting",
            self.rounds.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Rounds that failed",
            self.round_errors.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time that a round took",
            Unit::Seconds,
            self.round_time.clone(),
        );
        registry.register(
            "topology_lag_records",
            "Most records that an instance still has to apply",
            self.lag.clone(),
        );
        registry.register(
            "topology_ready",
            "Whether the resource is ready",
            self.ready.clone(),
        );
        registry.register(
            "topology_writable",
            "Whether clients can write",
            self.writable.clone(),
        );
        registry.register(
            "topology_instances",
            "Instances that answer",
            self.instances.clone(),
        );
        registry.register(
            "api_requests",
            "Calls of the API server",
            self.calls.clone(),
        );
        registry.register("leader", "Whether this operator leads", self.leader.clone());
    }

    /// The text that Prometheus reads.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        if let Err(error) = encode(&mut text, &self.registry) {
            tracing::error!(%error, "metrics not encoded");
        }
        text
    }

    /// Whether this operator leads.
    pub(super) fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// A call of the API server.
    pub(super) fn api_request(&self, method: &str, uri: &hyper::Uri) {
        let is_watch = uri
            .query()
            .is_some_and(|query| query.contains("watch=true"));
        let of = OfCall {
            method: method.into(),
            watch: is_watch.to_string(),
        };
        self.calls.get_or_create(&of).inc();
    }

    /// A round of a resource.
    pub(super) fn round(&self, key: &Key, took: Duration, failed: bool) {
        self.rounds.get_or_create(&key.into()).inc();
        self.round_time.observe(took.as_secs_f64());
        if failed {
            self.round_errors.get_or_create(&key.into()).inc();
        }
    }

    /// What a round found.
    pub(super) fn status(&self, key: &Key, status: &DoubleMasterStatus) {
        let holds = |kind: &str| {
            status.conditions.iter().any(|condition| {
                condition.kind == kind && condition.status == ConditionStatus::True
            })
        };
        let answering = status
            .members
            .iter()
            .filter(|member| member.silent_ms.is_none() && member.instance_id.is_some());
        self.lag
            .get_or_create(&key.into())
            .set(status.lag_records as i64);
        self.ready
            .get_or_create(&key.into())
            .set(i64::from(holds("Ready")));
        self.writable
            .get_or_create(&key.into())
            .set(i64::from(holds("Writable")));
        self.instances
            .get_or_create(&key.into())
            .set(answering.count() as i64);
    }

    /// A failover that was begun.
    pub fn failover_begun(&self, key: &Key, report: &FailoverReport) {
        let of = OfFailover {
            namespace: key.namespace.clone(),
            resource: key.name.clone(),
            slot: report.start.group.to_string(),
            cause: cause(report),
        };
        self.failovers.get_or_create(&of).inc();
    }

    /// A failover of which everything is restored.
    pub fn failover_ended(&self, report: &FailoverReport) {
        for time in &report.phases {
            let of = OfPhase {
                phase: time.phase.as_str().into(),
            };
            self.phases
                .get_or_create(&of)
                .observe(Duration::from_millis(time.ms).as_secs_f64());
        }
    }

    /// Forgets a resource.
    pub(super) fn forget(&self, key: &Key) {
        let of = Of::from(key);
        self.rounds.remove(&of);
        self.round_errors.remove(&of);
        self.lag.remove(&of);
        self.ready.remove(&of);
        self.writable.remove(&of);
        self.instances.remove(&of);
    }
}

/// The kind of a cause, without what is different each time.
fn cause(report: &FailoverReport) -> String {
    let value = serde_json::to_value(&report.start.cause).unwrap_or_default();
    match &value {
        serde_json::Value::String(word) => word.clone(),
        serde_json::Value::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        _ => "restarted".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_can_be_read() {
        let metrics = Metrics::new();
        let key = Key::new("ns", "dm");
        metrics.round(&key, Duration::from_millis(3), true);
        metrics.api_request("GET", &"/api/v1/pods?watch=true".parse().unwrap());
        metrics.set_leader(true);
        let text = metrics.encode();
        for line in [
            r#"tandem_operator_reconciles_total{namespace="ns",resource="dm"} 1"#,
            r#"tandem_operator_reconcile_errors_total{namespace="ns",resource="dm"} 1"#,
            r#"tandem_operator_api_requests_total{method="GET",watch="true"} 1"#,
            "tandem_operator_leader 1",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        metrics.forget(&key);
        assert!(!metrics.encode().contains("reconciles_total{"));
    }
}
