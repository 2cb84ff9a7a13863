//! A node that is none: pods that are meant for it are placed there, get an address and run, as far
//! as the API tells.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::door::{Door, listen, lock};
use super::instances::Instances;

/// Class of the volumes: nobody makes them, and nobody needs them.
pub const STORAGE_CLASS: &str = "simulated";
const NODE: &str = "simulated";
const FIELD_OWNER: &str = "tandem-e2e-scale";
const LEASES: &str = "kube-node-lease";
/// A kubelet says so often that its node is there.
const BEAT: Duration = Duration::from_secs(10);
/// Calls of the API at a time.
const AT_ONCE: usize = 16;

/// The tasks that play it; they end at drop. [`Kubelet::remove`] takes the node away.
#[derive(Debug)]
pub struct Kubelet {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Kubelet {
    /// Makes the node and the class, and runs the pods of one namespace.
    pub async fn begin(
        client: &Client,
        namespace: &str,
        instances: Arc<Mutex<Instances>>,
    ) -> Result<Self> {
        make_node(client).await?;
        let beating = tokio::spawn(beat(client.clone()));
        let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
        let placing = tokio::spawn(run_pods(pods, instances));
        Ok(Self {
            tasks: vec![beating, placing],
        })
    }

    /// Takes the node and the class away.
    pub async fn remove(client: &Client) -> Result<()> {
        let now = DeleteParams::default();
        let nodes: Api<Node> = Api::all(client.clone());
        nodes.delete(NODE, &now).await?;
        let classes: Api<StorageClass> = Api::all(client.clone());
        classes.delete(STORAGE_CLASS, &now).await?;
        Ok(())
    }
}

async fn make_node(client: &Client) -> Result<()> {
    let apply = PatchParams::apply(FIELD_OWNER).force();
    let classes: Api<StorageClass> = Api::all(client.clone());
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    });
    classes
        .patch(STORAGE_CLASS, &apply, &Patch::Apply(class))
        .await
        .context("failed to make the storage class")?;
    let nodes: Api<Node> = Api::all(client.clone());
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": NODE, "labels": {"tandem.dev/simulated": "true"}},
        "spec": {"taints": [{"key": "tandem.dev/simulated", "effect": "NoSchedule"}]},
    });
    nodes
        .patch(NODE, &apply, &Patch::Apply(node))
        .await
        .context("failed to make the node")?;
    let status = json!({"status": {"conditions": [{
        "type": "Ready", "status": "True", "reason": "Simulated", "message": "",
        "lastHeartbeatTime": Timestamp::now(), "lastTransitionTime": Timestamp::now(),
    }]}});
    nodes
        .patch_status(NODE, &PatchParams::default(), &Patch::Merge(status))
        .await
        .context("failed to make the node ready")?;
    Ok(())
}

async fn beat(client: Client) {
    let leases: Api<Lease> = Api::namespaced(client, LEASES);
    let apply = PatchParams::apply(FIELD_OWNER).force();
    loop {
        let now = format!("{:.6}", Timestamp::now());
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": NODE},
            "spec": {"holderIdentity": NODE, "leaseDurationSeconds": 40, "renewTime": now},
        });
        // The next beat comes soon.
        leases.patch(NODE, &apply, &Patch::Apply(lease)).await.ok();
        tokio::time::sleep(BEAT).await;
    }
}

async fn run_pods(pods: Api<Pod>, instances: Arc<Mutex<Instances>>) {
    let begun = Arc::new(Mutex::new(BTreeSet::new()));
    let events = watcher(pods.clone(), watcher::Config::default()).default_backoff();
    events
        .for_each_concurrent(AT_ONCE, |event| {
            let (pods, instances, begun) =
                (pods.clone(), Arc::clone(&instances), Arc::clone(&begun));
            async move {
                let Ok(Event::Apply(pod) | Event::InitApply(pod)) = event else {
                    return;
                };
                if let Err(error) = take(&pods, &pod, &instances, &begun).await {
                    eprintln!("pod {}: {error:#}", pod.name_any());
                }
            }
        })
        .await;
}

async fn take(
    pods: &Api<Pod>,
    pod: &Pod,
    instances: &Arc<Mutex<Instances>>,
    begun: &Mutex<BTreeSet<String>>,
) -> Result<()> {
    let name = pod.name_any();
    let is_placed = pod
        .spec
        .as_ref()
        .is_some_and(|spec| spec.node_name.is_some());
    if pod.metadata.deletion_timestamp.is_some() {
        let gone = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions {
                uid: pod.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        pods.delete(&name, &gone).await.ok();
    } else if !is_placed {
        place(pods, pod).await?;
    } else if pod.status.as_ref().is_none_or(|s| s.pod_ip.is_none()) {
        let Some(number) = number(begun, pod) else {
            return Ok(());
        };
        let address = Door::address(number);
        let (topology, server_id) = whose(pod).context("not a pod of the operator")?;
        lock(instances).boot(&topology, &name, server_id, address);
        listen(address, Arc::clone(instances)).await?;
        run(pods, &name, address).await?;
    }
    Ok(())
}

/// The number of a pod that is seen for the first time; events may tell of it again before its address
/// is known.
fn number(begun: &Mutex<BTreeSet<String>>, pod: &Pod) -> Option<usize> {
    let mut begun = begun.lock().unwrap_or_else(PoisonError::into_inner);
    let number = begun.len();
    begun.insert(pod.uid()?).then_some(number)
}

async fn place(pods: &Api<Pod>, pod: &Pod) -> Result<()> {
    let name = pod.name_any();
    let binding = json!({
        "apiVersion": "v1", "kind": "Binding",
        "metadata": {"name": name, "uid": pod.uid()},
        "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
    });
    let placed: kube::Result<Value> = pods
        .create_subresource("binding", &name, &PostParams::default(), &binding)
        .await;
    match placed {
        // Twice seen, once placed.
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(()),
        outcome => outcome.map(drop).context("failed to place it"),
    }
}

async fn run(pods: &Api<Pod>, name: &str, address: IpAddr) -> Result<()> {
    let now = Timestamp::now();
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastTransitionTime": now});
    let status = json!({"status": {
        "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "hostIP": "127.0.0.1",
        "startTime": now,
        "conditions": [
            condition("PodScheduled"), condition("Initialized"),
            condition("ContainersReady"), condition("Ready"),
        ],
        "containerStatuses": [{
            "name": "tandem", "image": "simulated", "imageID": "simulated", "ready": true,
            "started": true, "restartCount": 0, "containerID": format!("simulated://{name}"),
            "state": {"running": {"startedAt": now}},
        }],
    }});
    pods.patch_status(name, &PatchParams::default(), &Patch::Strategic(status))
        .await
        .context("failed to run it")?;
    Ok(())
}

/// The resource of a pod, and the server id it is started with.
fn whose(pod: &Pod) -> Option<(String, u32)> {
    let topology = pod.labels().get("tandem.dev/resource")?.clone();
    let arguments = pod.spec.as_ref()?.containers.first()?.args.as_ref()?;
    let at = arguments.iter().position(|word| word == "--server-id")?;
    Some((topology, arguments.get(at + 1)?.parse().ok()?))
}
