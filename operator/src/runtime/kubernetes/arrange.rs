//! What has to change about labels and annotations. Pure: nothing when all is as it should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Map, Value, json};
use tandem_api::{InstanceName, labels};
use tandem_plan::outcome::GroupPlan;

use super::names::{POD, READER, ROLE_PRIMARY, ROLE_REPLICA};
use super::wanted::Wanted;

/// Changes of pods, by name: the label of readers when `readers` says who they are, roles of the
/// groups given, and their own names.
pub(super) fn pod_changes(
    pods: &BTreeMap<String, Arc<Pod>>,
    readers: Option<&[InstanceName]>,
    groups: &[GroupPlan],
) -> Vec<(String, Value)> {
    pods.iter()
        .filter_map(|(name, pod)| {
            let have = pod.metadata.labels.clone().unwrap_or_default();
            let mut change = Map::new();
            if let Some(readers) = readers {
                let is_target = readers.iter().any(|target| target.as_str() == name);
                if is_target && !have.contains_key(READER) {
                    change.insert(READER.into(), json!("true"));
                } else if !is_target && have.contains_key(READER) {
                    change.insert(READER.into(), Value::Null);
                }
            }
            if have.get(POD) != Some(name) {
                change.insert(POD.into(), json!(name));
            }
            let role = role(name, have.get(labels::SLOT)?, groups);
            if let Some(role) =
                role.filter(|role| have.get(labels::ROLE).is_none_or(|had| had != role))
            {
                change.insert(labels::ROLE.into(), json!(role));
            }
            (!change.is_empty()).then(|| (name.clone(), json!({"metadata": {"labels": change}})))
        })
        .collect()
}

/// The role of an instance; `None` while its group is not certain of it.
fn role(name: &str, slot: &str, groups: &[GroupPlan]) -> Option<&'static str> {
    let group = groups.iter().find(|group| group.group.as_str() == slot)?;
    let is_released = group
        .released
        .iter()
        .any(|released| released.as_str() == name);
    let primary = group.state.primary()?;
    Some(if primary.as_str() == name && !is_released {
        ROLE_PRIMARY
    } else {
        ROLE_REPLICA
    })
}

/// Changes of volume claims: whose data each holds, and under which epoch it was last written.
pub(super) fn volume_changes(
    volumes: &BTreeMap<String, Arc<PersistentVolumeClaim>>,
    wanted: &Wanted,
    groups: &[GroupPlan],
) -> Vec<(String, Value)> {
    volumes
        .iter()
        .filter_map(|(name, volume)| {
            let slot = volume.metadata.labels.as_ref()?.get(labels::SLOT)?;
            let group = groups.iter().find(|group| group.group.as_str() == slot)?;
            group.state.serving()?;
            let epoch = group.state.epoch()?.to_string();
            let slot = wanted
                .valid
                .slots
                .iter()
                .find(|own| own.name == group.group)?;
            let have = volume.metadata.annotations.clone().unwrap_or_default();
            let is_marked = have.get(labels::EPOCH) == Some(&epoch)
                && have.get(labels::SERVER_ID) == Some(&slot.server_id.to_string());
            let marks = [
                (labels::SLOT, slot.name.to_string()),
                (labels::SERVER_ID, slot.server_id.to_string()),
                (labels::EPOCH, epoch),
            ];
            let annotations: BTreeMap<_, _> = marks.into_iter().collect();
            (!is_marked).then(|| {
                (
                    name.clone(),
                    json!({"metadata": {"annotations": annotations}}),
                )
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use tandem_api::GroupName;
    use tandem_plan::state::State;

    use super::*;

    fn pods() -> BTreeMap<String, Arc<Pod>> {
        [("dm-a-0", "replica"), ("dm-a-1", "primary")]
            .into_iter()
            .map(|(name, role)| {
                let mut pod = Pod::default();
                pod.metadata.labels = Some(
                    [
                        (labels::SLOT.to_string(), "a".to_string()),
                        (labels::ROLE.to_string(), role.to_string()),
                        (READER.to_string(), "true".to_string()),
                        (POD.to_string(), name.to_string()),
                    ]
                    .into(),
                );
                (name.to_string(), Arc::new(pod))
            })
            .collect()
    }

    fn group(primary: &str, released: &[&str]) -> GroupPlan {
        let instance = |name: &str| InstanceName::parse(name).unwrap();
        GroupPlan {
            group: GroupName::a(),
            state: State::Serving {
                primary: instance(primary),
                epoch: 3,
            },
            claim: None,
            failover: None,
            steps: Vec::new(),
            followers: Vec::new(),
            strays: Vec::new(),
            paired: true,
            released: released.iter().map(|name| instance(name)).collect(),
        }
    }

    #[test]
    fn only_what_differs_is_changed() {
        let readers = [InstanceName::parse("dm-a-0").unwrap()];
        let changes = pod_changes(&pods(), Some(&readers), &[]);
        let expected = json!({"metadata": {"labels": {"tandem.dev/service-ro": null}}});
        assert_eq!(changes, [("dm-a-1".to_string(), expected)]);
    }

    #[test]
    fn roles_follow_the_primary_and_a_released_one_has_none_to_protect() {
        let names = |changes: Vec<(String, Value)>| -> Vec<String> {
            changes.into_iter().map(|(name, _)| name).collect()
        };
        assert!(pod_changes(&pods(), None, &[group("dm-a-1", &[])]).is_empty());
        let moved = names(pod_changes(&pods(), None, &[group("dm-a-0", &[])]));
        assert_eq!(moved, ["dm-a-0", "dm-a-1"]);
        let released = names(pod_changes(&pods(), None, &[group("dm-a-1", &["dm-a-1"])]));
        assert_eq!(released, ["dm-a-1"]);
    }
}
