//! What is written when a story breaks, before its namespace goes.

use std::fmt::Write as _;

use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use kube::api::{ListParams, LogParams};
use kube::{Api, Client, ResourceExt as _};

/// Lines of each container's log.
const LOG_LINES: i64 = 30;

/// Describes a namespace as far as the API tells it.
pub(super) async fn describe(client: &Client, namespace: &str) -> String {
    let mut text = format!("namespace {namespace}\n");
    describe_pods(client, namespace, &mut text).await;
    describe_claims(client, namespace, &mut text).await;
    describe_events(client, namespace, &mut text).await;
    text
}

async fn describe_pods(client: &Client, namespace: &str, text: &mut String) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let listed = match pods.list(&ListParams::default()).await {
        Ok(listed) => listed,
        Err(error) => {
            writeln!(text, "pods: {error}").ok();
            return;
        }
    };
    for pod in listed {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        writeln!(
            text,
            "pod {} on {}: {} {} {}",
            pod.name_any(),
            spec.node_name.as_deref().unwrap_or("no node"),
            status.phase.as_deref().unwrap_or("no phase"),
            status.reason.as_deref().unwrap_or(""),
            status.message.as_deref().unwrap_or(""),
        )
        .ok();
        for container in status.container_statuses.iter().flatten() {
            let state = serde_json::to_string(&container.state).unwrap_or_default();
            let (name, restarts) = (&container.name, container.restart_count);
            writeln!(text, "  {name}: restarted {restarts} times, {state}").ok();
            let parameters = LogParams {
                container: Some(name.clone()),
                tail_lines: Some(LOG_LINES),
                ..LogParams::default()
            };
            match pods.logs(&pod.name_any(), &parameters).await {
                Ok(log) => log.lines().for_each(|line| {
                    writeln!(text, "    {line}").ok();
                }),
                Err(error) => {
                    writeln!(text, "    no log: {error}").ok();
                }
            }
        }
    }
}

async fn describe_claims(client: &Client, namespace: &str, text: &mut String) {
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), namespace);
    for claim in claims
        .list(&ListParams::default())
        .await
        .into_iter()
        .flatten()
    {
        let phase = claim.status.as_ref().and_then(|s| s.phase.as_deref());
        let name = claim.name_any();
        writeln!(text, "claim {name}: {}", phase.unwrap_or("no phase")).ok();
    }
}

async fn describe_events(client: &Client, namespace: &str, text: &mut String) {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    for event in events
        .list(&ListParams::default())
        .await
        .into_iter()
        .flatten()
    {
        writeln!(
            text,
            "event {} {}: {}: {}",
            event.involved_object.kind.as_deref().unwrap_or(""),
            event.involved_object.name.as_deref().unwrap_or(""),
            event.reason.as_deref().unwrap_or(""),
            event.message.as_deref().unwrap_or(""),
        )
        .ok();
    }
}
