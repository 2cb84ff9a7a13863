//! What every object of a resource has in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::super::names::resource_labels;
use super::super::wanted::Wanted;

/// Name, labels and owner of an object of a resource.
pub(super) fn meta(wanted: &Wanted, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        namespace: Some(wanted.key.namespace.clone()),
        labels: Some(resource_labels(&wanted.valid.name)),
        owner_references: Some(vec![wanted.owner.clone()]),
        ..ObjectMeta::default()
    }
}
