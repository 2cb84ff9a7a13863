//! The pod of an instance, and the hash by which it is known to be what is wanted.
//!
//! The hash is over what a person can write, not over the pod: another release of the operator that
//! builds pods otherwise finds the old ones as they should be, and restarts nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{
    Affinity, Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
    HTTPGetAction, Lifecycle, LifecycleHandler, PersistentVolumeClaimVolumeSource, Pod,
    PodAffinityTerm, PodAntiAffinity, PodSecurityContext, PodSpec, Probe, ResourceRequirements,
    SeccompProfile, SecretKeySelector, SecurityContext, SleepAction, TopologySpreadConstraint,
    Volume, VolumeMount, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tandem_api::double_master::ImagePullPolicy;
use tandem_api::labels;
use tandem_plan::outcome::DesiredInstance;

use super::super::names::{
    self, CONTAINER, POD, PORT_LINK, PORT_METRICS, PORT_REDIS, REVISION, REVISION_PARTS,
    ROLE_REPLICA, selector, slot_labels,
};
use super::super::wanted::Wanted;

const USER: i64 = 65532;
const DATA: &str = "/data";
const CONFIG: &str = "/etc/tandem";
const HOST: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";
const HEX_DIGITS: usize = 16;
/// A link that was silent for so many seconds is dialled anew: a healed network is used at once, and
/// not when the retransmissions of an old connection come round.
const LINK_SILENCE: [(&str, &str); 2] = [("repl-timeout", "10"), ("repl-ping-replica-period", "3")];
/// Seconds for which a pod that was deleted goes on serving, so that its clients and its role can go.
const LEAVE_SECONDS: i64 = 2;
/// A container that does not even answer that it lives is given this many seconds.
const STARTUP_FAILURES: i32 = 600;

/// Environment variable that a server takes its password from.
pub const PASSWORD_VARIABLE: &str = "TANDEM_PASSWORD";
/// Key of the password in its Secret.
pub const PASSWORD_KEY: &str = "password";

/// Hash of each part of what is wanted of a pod. A part that nobody wrote is left out, so that a new
/// one changes nothing for those who do not use it.
pub fn revision_parts(wanted: &Wanted) -> BTreeMap<&'static str, String> {
    let spec = &wanted.spec;
    let scheduling = &spec.scheduling;
    let parts: [(&'static str, Value); 5] = [
        // Without an image of its own a resource takes the operator's for new pods, and keeps old ones.
        ("image", json!(spec.image)),
        ("resources", value(&spec.resources)),
        ("config", value(&wanted.at_start)),
        ("auth", value(&wanted.valid.secret_name)),
        ("scheduling", value(scheduling)),
    ];
    parts
        .into_iter()
        .filter(|(_, value)| !is_nothing(value))
        .map(|(part, value)| (part, hash(&value)))
        .collect()
}

/// The hash over all parts.
pub fn revision(wanted: &Wanted) -> String {
    hash(&value(&revision_parts(wanted)))
}

fn value<T: Serialize>(from: &T) -> Value {
    serde_json::to_value(from).unwrap_or_default()
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Of the canonical form: keys in order, no blanks.
fn hash(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    let mut text = String::with_capacity(HEX_DIGITS);
    for byte in digest.iter().take(HEX_DIGITS / 2) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The pod.
pub fn pod(wanted: &Wanted, instance: &DesiredInstance) -> Pod {
    let scheduling = &wanted.spec.scheduling;
    let affinity = scheduling.affinity.clone();
    let mut marks = scheduling.pod_labels.clone();
    marks.extend(slot_labels(&wanted.valid.name, &instance.group));
    marks.insert(labels::ROLE.into(), ROLE_REPLICA.into());
    marks.insert(POD.into(), instance.name.to_string());
    let parts = value(&revision_parts(wanted)).to_string();
    let mut annotations = scheduling.pod_annotations.clone();
    annotations.insert(REVISION.into(), revision(wanted));
    annotations.insert(REVISION_PARTS.into(), parts);
    Pod {
        metadata: ObjectMeta {
            name: Some(instance.name.to_string()),
            namespace: Some(wanted.key.namespace.clone()),
            labels: Some(marks),
            annotations: Some(annotations),
            owner_references: Some(vec![wanted.owner.clone()]),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![container(wanted, instance)],
            volumes: Some(volumes(wanted, instance)),
            affinity: Some(affinity.unwrap_or_else(|| away(wanted, instance))),
            topology_spread_constraints: Some(spread(wanted)),
            tolerations: (!scheduling.tolerations.is_empty())
                .then(|| scheduling.tolerations.clone()),
            node_selector: (!scheduling.node_selector.is_empty())
                .then(|| scheduling.node_selector.clone()),
            priority_class_name: scheduling.priority_class_name.clone(),
            image_pull_secrets: (!scheduling.image_pull_secrets.is_empty())
                .then(|| scheduling.image_pull_secrets.clone()),
            hostname: Some(instance.name.to_string()),
            subdomain: Some(wanted.valid.name.to_string()),
            service_account_name: Some(wanted.valid.name.to_string()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            restart_policy: Some("Always".into()),
            termination_grace_period_seconds: Some(i64::from(
                wanted.spec.termination_grace_period_seconds,
            )),
            security_context: Some(PodSecurityContext {
                run_as_non_root: Some(true),
                run_as_user: Some(USER),
                run_as_group: Some(USER),
                fs_group: Some(USER),
                fs_group_change_policy: Some("OnRootMismatch".into()),
                seccomp_profile: Some(SeccompProfile {
                    type_: "RuntimeDefault".into(),
                    ..SeccompProfile::default()
                }),
                ..PodSecurityContext::default()
            }),
            ..PodSpec::default()
        }),
        ..Pod::default()
    }
}

fn container(wanted: &Wanted, instance: &DesiredInstance) -> Container {
    let mount = |name: &str, path: &str, read_only: bool| VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..VolumeMount::default()
    };
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        ..ContainerPort::default()
    };
    Container {
        name: CONTAINER.into(),
        image: Some(wanted.image.clone()),
        image_pull_policy: Some(
            wanted
                .spec
                .image_pull_policy
                .map_or("IfNotPresent", ImagePullPolicy::as_str)
                .into(),
        ),
        args: Some(arguments(wanted, instance)),
        env: wanted
            .valid
            .secret_name
            .as_deref()
            .map(|name| vec![password(name)]),
        ports: Some(vec![
            port("redis", PORT_REDIS),
            port("link", PORT_LINK),
            port("metrics", PORT_METRICS),
        ]),
        resources: wanted.spec.resources.as_ref().map(|resources| {
            let quantities =
                |from: &BTreeMap<String, Quantity>| (!from.is_empty()).then(|| from.clone());
            ResourceRequirements {
                requests: quantities(&resources.requests),
                limits: quantities(&resources.limits),
                ..ResourceRequirements::default()
            }
        }),
        volume_mounts: Some(vec![
            mount("data", DATA, false),
            mount("config", CONFIG, true),
        ]),
        readiness_probe: Some(Probe {
            period_seconds: Some(2),
            failure_threshold: Some(2),
            ..probe("/readyz")
        }),
        // Answers also while the log is recovered; patience here is for a machine under load.
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(STARTUP_FAILURES),
            ..probe("/livez")
        }),
        liveness_probe: Some(Probe {
            period_seconds: Some(10),
            failure_threshold: Some(6),
            ..probe("/livez")
        }),
        // Who deletes a primary asks for its role to move: it serves until that is done.
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: LEAVE_SECONDS,
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("metrics".into()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(5),
        ..Probe::default()
    }
}

/// Arguments of an instance. It boots without a new role: the operator gives it one.
fn arguments(wanted: &Wanted, instance: &DesiredInstance) -> Vec<String> {
    let mut arguments = vec![
        "server".to_string(),
        "--config".to_string(),
        format!("{CONFIG}/server.conf"),
    ];
    let fixed = [
        ("port", PORT_REDIS.to_string()),
        ("bind", "0.0.0.0".to_string()),
        ("dir", DATA.to_string()),
        ("server-id", instance.server_id.to_string()),
        ("boot-role", "resume".to_string()),
        ("metrics-port", PORT_METRICS.to_string()),
    ];
    let at_start = wanted
        .at_start
        .iter()
        .map(|(key, value)| (key.as_str(), value.clone()));
    let is_said = |key: &str| wanted.at_start.contains_key(key) || wanted.live.contains_key(key);
    let silence = LINK_SILENCE
        .into_iter()
        .filter(|(key, _)| !is_said(key))
        .map(|(key, value)| (key, value.to_string()));
    for (key, value) in fixed.into_iter().chain(silence).chain(at_start) {
        arguments.extend([format!("--{key}"), value]);
    }
    arguments
}

fn password(secret: &str) -> EnvVar {
    EnvVar {
        name: PASSWORD_VARIABLE.into(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.into(),
                key: PASSWORD_KEY.into(),
                ..SecretKeySelector::default()
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

fn volumes(wanted: &Wanted, instance: &DesiredInstance) -> Vec<Volume> {
    vec![
        Volume {
            name: "data".into(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: names::volume(&instance.name),
                ..PersistentVolumeClaimVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "config".into(),
            config_map: Some(ConfigMapVolumeSource {
                name: names::config(&wanted.valid.name),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
    ]
}

/// Away from the others of its slot first, from the other slot next; on a small cluster together
/// rather than not at all.
fn away(wanted: &Wanted, instance: &DesiredInstance) -> Affinity {
    let all = selector(&wanted.valid.name);
    let mut slot = all.clone();
    slot.insert(labels::SLOT.into(), instance.group.to_string());
    let away = |weight: i32, selected: &BTreeMap<String, String>, topology: &str| {
        WeightedPodAffinityTerm {
            weight,
            pod_affinity_term: PodAffinityTerm {
                label_selector: Some(matching(selected)),
                topology_key: topology.into(),
                ..PodAffinityTerm::default()
            },
        }
    };
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![
                away(100, &slot, HOST),
                away(50, &all, HOST),
                away(20, &slot, ZONE),
            ]),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn matching(labels: &BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: Some(labels.clone()),
        ..LabelSelector::default()
    }
}

fn spread(wanted: &Wanted) -> Vec<TopologySpreadConstraint> {
    let over = |topology: &str| TopologySpreadConstraint {
        label_selector: Some(matching(&selector(&wanted.valid.name))),
        max_skew: 1,
        topology_key: topology.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        ..TopologySpreadConstraint::default()
    };
    match &wanted.spec.scheduling.topology_spread {
        Some(constraints) => constraints.clone(),
        None => vec![over(HOST), over(ZONE)],
    }
}
