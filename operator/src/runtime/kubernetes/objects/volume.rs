//! The volume claim of an instance. It says whose data it holds, so that a resource that is made anew
//! adopts it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tandem_api::double_master::ReclaimPolicy;
use tandem_api::labels;
use tandem_plan::outcome::DesiredInstance;

use super::super::names::{self, slot_labels};
use super::super::wanted::Wanted;

/// Size that the specification wants.
pub(in super::super) fn size(wanted: &Wanted) -> String {
    wanted.spec.storage.size.clone()
}

/// The claim.
pub fn volume(wanted: &Wanted, instance: &DesiredInstance) -> PersistentVolumeClaim {
    let class = wanted.spec.storage.class_name.clone();
    let annotations = [(
        labels::SERVER_ID.to_string(),
        instance.server_id.to_string(),
    )];
    let request = BTreeMap::from([("storage".to_string(), Quantity(size(wanted)))]);
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(names::volume(&instance.name)),
            namespace: Some(wanted.key.namespace.clone()),
            labels: Some(slot_labels(&wanted.valid.name, &instance.group)),
            annotations: Some(annotations.into()),
            // Goes with the resource only where that is asked for.
            owner_references: (wanted.valid.reclaim_policy == ReclaimPolicy::Delete)
                .then(|| vec![wanted.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: class,
            resources: Some(VolumeResourceRequirements {
                requests: Some(request),
                ..VolumeResourceRequirements::default()
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
