//! What a pod and its node say, as the planner wants to hear it. Pure.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use tandem_plan::{Address, Placement};

use super::names::{CONTAINER, PORT_REDIS, REVISION, REVISION_PARTS};
use super::world::NodeView;

/// What the container of a pod does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Doing {
    /// It was not started yet.
    Pending,
    /// It runs.
    Running,
    /// It ended, and the kubelet starts it again.
    Ended {
        /// How.
        how: String,
    },
    /// Its node does not report.
    Unknown,
}

/// A pod, seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenPod {
    /// What its container does.
    pub doing: Doing,
    /// Number of the container's life.
    pub life: u64,
    /// How often it was restarted.
    pub restarts: u32,
    /// Where it serves; without host before it has an address.
    pub address: Address,
    /// Where and how it stands.
    pub placement: Placement,
}

/// Looks at a pod. `node` is `None` when nodes cannot be seen, or the pod has none yet.
pub fn look(pod: &Pod, node: Option<Option<NodeView>>, wanted: &Revision) -> SeenPod {
    let status = pod.status.as_ref();
    let container = status
        .and_then(|status| status.container_statuses.as_ref())
        .and_then(|all| all.iter().find(|one| one.name == CONTAINER));
    let node_reports = node.is_none_or(|node| node.is_some_and(|node| node.reports));
    let doing = if node_reports {
        doing(pod, container)
    } else {
        Doing::Unknown
    };
    SeenPod {
        life: life(pod, container),
        restarts: container.map_or(0, |container| container.restart_count as u32),
        address: Address {
            host: status
                .and_then(|status| status.pod_ip.clone())
                .unwrap_or_default(),
            port: PORT_REDIS,
        },
        placement: placement(pod, container, node, wanted),
        doing,
    }
}

fn doing(pod: &Pod, container: Option<&ContainerStatus>) -> Doing {
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if let Some("Failed" | "Succeeded") = phase {
        let reason = pod.status.as_ref().and_then(|status| status.reason.clone());
        let how = reason.unwrap_or_else(|| "the pod ended".into());
        return Doing::Ended { how };
    }
    let Some(container) = container else {
        return Doing::Pending;
    };
    let state = container.state.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        return Doing::Running;
    }
    let last = container.last_state.as_ref();
    match state.and_then(ended).or_else(|| last.and_then(ended)) {
        Some(how) => Doing::Ended { how },
        None => Doing::Pending,
    }
}

fn ended(state: &ContainerState) -> Option<String> {
    let end = state.terminated.as_ref()?;
    let by = match (end.signal, end.exit_code) {
        (Some(signal), _) if signal != 0 => format!("signal {signal}"),
        (_, code) if code > 128 => format!("signal {}", code - 128),
        (_, code) => format!("exit code {code}"),
    };
    match end.reason.as_deref() {
        Some("OOMKilled") => Some(format!("out of memory, {by}")),
        _ => Some(by),
    }
}

fn life(pod: &Pod, container: Option<&ContainerStatus>) -> u64 {
    let mut hasher = DefaultHasher::new();
    pod.metadata.uid.hash(&mut hasher);
    if let Some(container) = container {
        container.restart_count.hash(&mut hasher);
        let is_running = container
            .state
            .as_ref()
            .is_some_and(|state| state.running.is_some());
        if is_running {
            container.container_id.hash(&mut hasher);
        }
    }
    hasher.finish()
}

/// What the specification wants of a pod, as hashes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// Over everything.
    pub whole: String,
    /// Over each part.
    pub parts: serde_json::Map<String, serde_json::Value>,
}

impl Revision {
    /// What differs in a pod; `None` when nothing does.
    fn differs(&self, pod: &Pod) -> Option<String> {
        let annotations = pod.metadata.annotations.as_ref();
        let found = |key: &str| annotations.and_then(|all| all.get(key));
        if self.whole.is_empty() || found(REVISION) == Some(&self.whole) {
            return None;
        }
        let old: serde_json::Map<String, serde_json::Value> = found(REVISION_PARTS)
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let mut names: Vec<&str> = self
            .parts
            .keys()
            .chain(old.keys())
            .filter(|part| self.parts.get(*part) != old.get(*part))
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        Some(if names.is_empty() {
            "its shape".into()
        } else {
            names.join(", ")
        })
    }
}

#[expect(clippy::option_option, reason = "as the world says it")]
fn placement(
    pod: &Pod,
    container: Option<&ContainerStatus>,
    node: Option<Option<NodeView>>,
    wanted: &Revision,
) -> Placement {
    let name = pod.spec.as_ref().and_then(|spec| spec.node_name.clone());
    let node_word = name.as_deref().unwrap_or("its node");
    let leaving = match node.flatten() {
        Some(node) if node.out_of_service => Some(format!("node {node_word} is out of service")),
        Some(node) if node.cordoned => Some(format!("node {node_word} is cordoned")),
        _ => disruption(pod),
    };
    Placement {
        leaving,
        terminating: pod.metadata.deletion_timestamp.is_some(),
        outdated: wanted.differs(pod),
        trouble: trouble(pod, container),
        ready: condition(pod, "Ready").map(|(is_true, _)| is_true),
        node: name,
    }
}

/// Whether a condition holds, and its message.
fn condition(pod: &Pod, kind: &str) -> Option<(bool, String)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions
        .iter()
        .find(|condition| condition.type_ == kind)?;
    Some((
        found.status == "True",
        found.message.clone().unwrap_or_default(),
    ))
}

/// The control plane is about to end the pod.
fn disruption(pod: &Pod) -> Option<String> {
    match condition(pod, "DisruptionTarget")? {
        (true, message) => Some(message),
        (false, _) => None,
    }
}

/// What keeps a pod from running that does not mend itself.
fn trouble(pod: &Pod, container: Option<&ContainerStatus>) -> Option<String> {
    if let Some((false, message)) = condition(pod, "PodScheduled") {
        return Some(format!("cannot be placed: {message}"));
    }
    let waiting = container?.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    let image = container.map_or("", |container| container.image.as_str());
    match reason {
        "ContainerCreating" | "PodInitializing" => None,
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
            Some(format!("image {image} cannot be pulled"))
        }
        "CrashLoopBackOff" => Some("it ends again and again soon after its start".into()),
        reason => {
            let message = waiting.message.as_deref().unwrap_or_default();
            Some(format!("{reason}: {message}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    fn running() -> Pod {
        pod(json!({
            "metadata": {"name": "dm-a-0", "uid": "u"},
            "spec": {"nodeName": "n1", "containers": []},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
                "name": "tandem", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                "containerID": "c1", "state": {"running": {}}}]}}))
    }

    const WELL: NodeView = NodeView {
        reports: true,
        cordoned: false,
        out_of_service: false,
    };

    #[test]
    fn a_restart_of_the_container_is_another_life() {
        let before = look(&running(), Some(Some(WELL)), &Revision::default());
        assert_eq!(before.doing, Doing::Running);
        assert_eq!(before.address.to_string(), "10.0.0.1:6379");
        let mut after = running();
        let status = after
            .status
            .as_mut()
            .unwrap()
            .container_statuses
            .as_mut()
            .unwrap();
        status[0].container_id = Some("c2".into());
        status[0].restart_count = 1;
        assert_ne!(
            look(&after, Some(Some(WELL)), &Revision::default()).life,
            before.life
        );
    }

    #[test]
    fn an_end_tells_how() {
        let mut ended = running();
        let status = ended
            .status
            .as_mut()
            .unwrap()
            .container_statuses
            .as_mut()
            .unwrap();
        status[0].state =
            serde_json::from_value(json!({"terminated": {"exitCode": 137, "reason": "OOMKilled"}}))
                .unwrap();
        let seen = look(&ended, Some(Some(WELL)), &Revision::default());
        assert_eq!(
            seen.doing,
            Doing::Ended {
                how: "out of memory, signal 9".into()
            }
        );
    }

    #[test]
    fn nothing_is_known_of_a_pod_whose_node_does_not_report() {
        let lost = NodeView {
            reports: false,
            ..WELL
        };
        let pod = running();
        assert_eq!(
            look(&pod, Some(Some(lost)), &Revision::default()).doing,
            Doing::Unknown
        );
        assert_eq!(
            look(&pod, Some(None), &Revision::default()).doing,
            Doing::Unknown
        );
        assert_eq!(
            look(&pod, None, &Revision::default()).doing,
            Doing::Running,
            "nodes not seen"
        );
    }

    #[test]
    fn a_cordon_and_a_deletion_are_told_apart() {
        let cordoned = NodeView {
            cordoned: true,
            ..WELL
        };
        let placement = look(&running(), Some(Some(cordoned)), &Revision::default()).placement;
        assert_eq!(placement.leaving.as_deref(), Some("node n1 is cordoned"));
        assert!(!placement.terminating);
    }

    #[test]
    fn what_differs_is_named() {
        let mut pod = running();
        pod.metadata.annotations = Some(
            [
                (REVISION.to_string(), "old".to_string()),
                (
                    REVISION_PARTS.to_string(),
                    r#"{"image":"1","config":"2"}"#.to_string(),
                ),
            ]
            .into(),
        );
        let parts = json!({"image": "1", "config": "3"});
        let wanted = Revision {
            whole: "new".into(),
            parts: parts.as_object().unwrap().clone(),
        };
        let placement = look(&pod, None, &wanted).placement;
        assert_eq!(placement.outdated.as_deref(), Some("config"));
        let same = Revision {
            whole: "old".into(),
            ..Revision::default()
        };
        assert_eq!(look(&pod, None, &same).placement.outdated, None);
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_trouble() {
        let mut pod = running();
        let status = pod
            .status
            .as_mut()
            .unwrap()
            .container_statuses
            .as_mut()
            .unwrap();
        status[0].state =
            serde_json::from_value(json!({"waiting": {"reason": "ImagePullBackOff"}})).unwrap();
        let seen = look(&pod, None, &Revision::default());
        assert_eq!(seen.doing, Doing::Pending);
        assert_eq!(
            seen.placement.trouble.as_deref(),
            Some("image i cannot be pulled")
        );
    }
}
