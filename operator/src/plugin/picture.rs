//! Everything that is known of a resource without asking its instances, as plain values.

use serde::Serialize;
use tandem_api::condition::rfc3339;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_api::{DoubleMaster, labels};
use tandem_plan::report::FailoverReport;

use super::cluster::{Cluster, last_seen_ms};
use super::error::Error;

/// A claim as it stands on the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimSeen {
    /// The slot.
    pub(super) slot: String,
    /// Who may write.
    pub(super) instance: String,
    /// Under which epoch.
    pub(super) epoch: u64,
}

/// An event as it stands on the API server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventSeen {
    /// When it was last seen, RFC 3339.
    pub(super) at: String,
    /// `Normal` or `Warning`.
    pub(super) severity: String,
    /// What kind.
    pub(super) reason: String,
    /// For people.
    pub(super) message: String,
}

/// The picture.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture {
    /// Name of the resource.
    pub(super) name: String,
    /// Its namespace.
    pub(super) namespace: String,
    /// Generation of its specification.
    pub(super) generation: i64,
    /// Whether `spec.pause` is set.
    pub(super) pause: bool,
    /// Replicas wanted behind each master.
    pub(super) replicas_per_master: u8,
    /// What the operator says.
    pub(super) status: DoubleMasterStatus,
    /// Who may write in each slot.
    pub(super) claims: Vec<ClaimSeen>,
    /// The whole report of the latest failover.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_failover_report: Option<FailoverReport>,
    /// What was said of it, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) events: Vec<EventSeen>,
}

impl Picture {
    /// Reads everything but the events.
    pub(super) async fn take(cluster: &Cluster, name: &str) -> Result<Self, Error> {
        let object = cluster.resource(name).await?;
        let claims = cluster.claims(name).await?;
        let claims = claims
            .into_iter()
            .filter_map(|(slot, lease)| {
                let spec = lease.spec?;
                let annotations = lease.metadata.annotations.unwrap_or_default();
                let noted = annotations
                    .get(labels::EPOCH)
                    .and_then(|text| text.parse().ok());
                let transitions = spec.lease_transitions.unwrap_or_default();
                Some(ClaimSeen {
                    slot,
                    instance: spec.holder_identity?,
                    epoch: noted.unwrap_or(u64::from(transitions.unsigned_abs())),
                })
            })
            .collect();
        let mut picture = Self::of(object, &cluster.namespace)?;
        picture.claims = claims;
        if let Some(summary) = &picture.status.last_failover {
            picture.last_failover_report = cluster.report(summary).await?;
        }
        Ok(picture)
    }

    /// Reads everything.
    pub(super) async fn take_with_events(cluster: &Cluster, name: &str) -> Result<Self, Error> {
        let mut picture = Self::take(cluster, name).await?;
        picture.events = cluster
            .events(name)
            .await?
            .iter()
            .map(|event| EventSeen {
                at: rfc3339(last_seen_ms(event).unsigned_abs()),
                severity: event.type_.clone().unwrap_or_default(),
                reason: event.reason.clone().unwrap_or_default(),
                message: event.message.clone().unwrap_or_default(),
            })
            .collect();
        Ok(picture)
    }

    /// What the object itself says.
    fn of(object: DoubleMaster, namespace: &str) -> Result<Self, Error> {
        let name = object.metadata.name.unwrap_or_default();
        let Some(status) = object.status else {
            return Err(Error::NoStatus(name));
        };
        Ok(Self {
            name,
            namespace: namespace.into(),
            generation: object.metadata.generation.unwrap_or_default(),
            pause: object.spec.pause,
            replicas_per_master: object.spec.replicas_per_master,
            status,
            claims: Vec::new(),
            last_failover_report: None,
            events: Vec::new(),
        })
    }
}
