//! Names, labels, annotations and ports on Kubernetes, in one place.

use std::collections::BTreeMap;

use kube::api::PostParams;
use tandem_api::labels;
use tandem_api::{GroupName, InstanceName, ResourceName, ServiceName};
use tandem_plan::suffix::{SUFFIX_RO, SUFFIX_RW};

/// Field manager of everything that the operator applies.
pub const FIELD_OWNER: &str = "tandem-operator";

/// Parameters of a create in that name.
pub fn created_by_us() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_OWNER.into()),
        ..PostParams::default()
    }
}

/// Port for clients; links listen 2000 above it.
pub const PORT_REDIS: u16 = 6379;
/// Port for replication links.
pub const PORT_LINK: u16 = 8379;
/// Port for metrics and probes.
pub const PORT_METRICS: u16 = 9121;

/// The one container of a pod.
pub const CONTAINER: &str = "tandem";

/// Label value of the instance that its group's slot service points at.
pub const ROLE_PRIMARY: &str = "primary";
/// Label value of every other instance.
pub const ROLE_REPLICA: &str = "replica";

/// Annotation of a pod: hash of what the specification wanted when it was made.
pub const REVISION: &str = "tandem.dev/revision";
/// Annotation of a pod: hash per part of that, to say what differs.
pub const REVISION_PARTS: &str = "tandem.dev/revision-parts";
/// Annotation of a claim: when it was made, Unix milliseconds.
pub const CLAIMED_AT: &str = "tandem.dev/claimed-at-ms";
/// Annotation of a claim: whether it rests on silence alone.
pub const BY_SILENCE: &str = "tandem.dev/by-silence";
/// Annotation of a claim: who had the role open last.
pub const CLAIMED_FROM: &str = "tandem.dev/claimed-from";
/// Annotation of a claim: instances that were claimed lately and did not open, as JSON.
pub const PASSED_OVER: &str = "tandem.dev/passed-over";
/// Taint of a node whose pods and volumes may be taken for gone.
pub const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// Label of a pod: its own name, by which a service selects one and no other in a single write.
pub const POD: &str = "tandem.dev/pod";
/// What a service selects that points at nobody; no instance has such a name.
pub const NOBODY: &str = "nobody";

const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";

/// Label that the service of the readers selects by.
pub const READER: &str = "tandem.dev/service-ro";

/// Suffixes of the services that the operator points.
pub fn service_suffixes() -> [&'static str; 4] {
    [SUFFIX_RW, SUFFIX_RO, "a", "b"]
}

/// Labels of everything that belongs to a resource.
pub fn resource_labels(resource: &ResourceName) -> BTreeMap<String, String> {
    [
        (NAME, labels::MANAGER),
        (INSTANCE, resource.as_str()),
        (labels::MANAGED_BY, labels::MANAGER),
        (labels::RESOURCE, resource.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_string(), value.to_string()))
    .collect()
}

/// Labels that select the pods of a resource.
pub fn selector(resource: &ResourceName) -> BTreeMap<String, String> {
    let mut labels = resource_labels(resource);
    labels.remove(labels::MANAGED_BY);
    labels.remove(INSTANCE);
    labels
}

/// Labels of what belongs to one slot.
pub fn slot_labels(resource: &ResourceName, slot: &GroupName) -> BTreeMap<String, String> {
    let mut all = resource_labels(resource);
    all.insert(labels::SLOT.into(), slot.to_string());
    all
}

/// Name of an instance's volume claim.
pub fn volume(instance: &InstanceName) -> String {
    format!("data-{instance}")
}

/// The instance of a volume claim.
pub fn instance_of_volume(volume: &str) -> Option<InstanceName> {
    InstanceName::parse(volume.strip_prefix("data-")?).ok()
}

/// Name of a group's claim.
pub fn claim(resource: &ResourceName, group: &GroupName) -> String {
    format!("{resource}-{group}")
}

/// The object that holds the configuration that applies without a restart.
pub fn config(resource: &ResourceName) -> String {
    format!("{resource}-config")
}

/// The object that holds the failover reports.
pub fn failovers(resource: &ResourceName) -> String {
    format!("{resource}-failovers")
}

/// Where a service is reached inside the cluster.
pub fn service_address(service: &ServiceName, namespace: &str) -> String {
    format!("{service}.{namespace}.svc:{PORT_REDIS}")
}
