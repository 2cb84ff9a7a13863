//! One story's turn on the cluster: a namespace of its own, and everything mended and removed when
//! it ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::File;
use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, ObjectMeta, PostParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::access::Cluster;
use super::wait::wait_until;
use super::{dump, manifest};
use crate::story::Story;

/// How long another test program may have the cluster.
const TURN_LIMIT: Duration = Duration::from_hours(1);
/// How long a namespace may take to go; its pods end in their grace period.
const REMOVE_LIMIT: Duration = Duration::from_mins(2);
/// How long a pod may take to run: its image is there, its volume may have to be made.
const POD_LIMIT: Duration = Duration::from_mins(2);

/// A running story on the cluster; no other one, of any program, runs meanwhile.
#[derive(Debug)]
pub struct Stage {
    cluster: &'static Cluster,
    namespace: String,
    is_described: Cell<bool>,
    is_removed: Cell<bool>,
    story: Story,
    _turn: File,
}

impl Stage {
    /// Waits for its turn and begins, in a new namespace where only restricted pods are admitted.
    /// `None`, and a line that says so, unless all stories on a cluster are asked for.
    pub fn begin(name: &'static str) -> Result<Option<Self>> {
        Self::begin_if(name, Cluster::all_is_asked_for(), "TANDEM_CLUSTER=all")
    }

    /// As [`Self::begin`], for the few stories that CI runs.
    pub fn begin_smoke(name: &'static str) -> Result<Option<Self>> {
        let how = "TANDEM_CLUSTER=1 or KUBECONFIG";
        Self::begin_if(name, Cluster::is_asked_for(), how)
    }

    fn begin_if(name: &'static str, is_asked_for: bool, how: &str) -> Result<Option<Self>> {
        if !is_asked_for {
            let line = format!("story {name}: SKIPPED, it needs a cluster: set {how}, as root\n");
            std::io::stderr().write_all(line.as_bytes()).ok();
            return Ok(None);
        }
        let story = Story::begin(name);
        let turn = take_turn()?;
        let stage = Self {
            cluster: Cluster::get()?,
            namespace: format!("story-{}-{}", slug(name), std::process::id()),
            is_described: Cell::new(false),
            is_removed: Cell::new(false),
            story,
            _turn: turn,
        };
        stage.mend()?;
        stage.uncordon_all()?;
        stage.create_namespace()?;
        Ok(Some(stage))
    }

    /// The cluster.
    pub fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// The name of its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Prints a measurement.
    pub fn says(&self, what: impl std::fmt::Display) {
        self.story.says(what);
    }

    /// Applies manifests; what lies in namespaces goes into the story's.
    pub fn apply(&self, manifests: &str) -> Result<()> {
        let client = self.cluster.client();
        self.cluster
            .run(manifest::apply(&client, &self.namespace, manifests))
    }

    /// The door to objects of one kind in the story's namespace, for use with [`Cluster::run`].
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.cluster.client(), &self.namespace)
    }

    /// Gives one object.
    pub fn get<K>(&self, name: &str) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        Ok(self.cluster.run(self.api::<K>().get(name))?)
    }

    /// Gives the objects that a label selector names; an empty one names all.
    pub fn list<K>(&self, labels: &str) -> Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let parameters = ListParams::default().labels(labels);
        Ok(self.cluster.run(self.api::<K>().list(&parameters))?.items)
    }

    /// What a pod's container has printed in its present life.
    pub fn log(&self, pod: &str) -> Result<String> {
        let pods = self.api::<Pod>();
        let parameters = LogParams::default();
        Ok(self.cluster.run(pods.logs(pod, &parameters))?)
    }

    /// Deletes one object; `grace` in seconds is for pods.
    pub fn delete<K>(&self, name: &str, grace: Option<u32>) -> Result<()>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
        K::DynamicType: Default,
    {
        let parameters = DeleteParams {
            grace_period_seconds: grace,
            ..DeleteParams::default()
        };
        self.cluster
            .run(self.api::<K>().delete(name, &parameters))?;
        Ok(())
    }

    /// Waits until a pod is ready and gives it.
    pub fn wait_until_ready(&self, pod: &str) -> Result<Pod> {
        wait_until(&format!("pod {pod} is ready"), POD_LIMIT, || {
            let found: Pod = self.get(pod)?;
            let status = found.status.clone().unwrap_or_default();
            let is_ready = status
                .conditions
                .iter()
                .flatten()
                .any(|condition| condition.type_ == "Ready" && condition.status == "True");
            ensure!(is_ready, "{}", serde_json::to_string(&status)?);
            Ok(found)
        })
    }

    /// Waits until a pod that runs to its end has ended well.
    pub fn wait_until_succeeded(&self, pod: &str) -> Result<Pod> {
        wait_until(&format!("pod {pod} has succeeded"), POD_LIMIT, || {
            let found: Pod = self.get(pod)?;
            let status = found.status.clone().unwrap_or_default();
            ensure!(
                status.phase.as_deref() == Some("Succeeded"),
                "{}",
                serde_json::to_string(&status)?
            );
            Ok(found)
        })
    }

    /// Prints what the API tells of the namespace; a broken story does so by itself.
    pub(super) fn describe(&self) {
        self.is_described.set(true);
        let client = self.cluster.client();
        self.says(self.cluster.run(dump::describe(&client, &self.namespace)));
    }

    fn create_namespace(&self) -> Result<()> {
        let labels = [
            ("pod-security.kubernetes.io/enforce", "restricted"),
            ("tandem.dev/story", "true"),
        ];
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(self.namespace.clone()),
                labels: Some(BTreeMap::from(
                    labels.map(|(k, v)| (k.to_owned(), v.to_owned())),
                )),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let api: Api<Namespace> = Api::all(self.cluster.client());
        self.cluster
            .run(api.create(&PostParams::default(), &namespace))
            .with_context(|| format!("failed to create the namespace `{}`", self.namespace))?;
        Ok(())
    }

    /// Whether its namespace was removed already.
    pub fn is_removed(&self) -> bool {
        self.is_removed.get()
    }

    /// Removes the namespace with all that is in it, and waits until it is gone.
    pub fn remove_namespace(&self) -> Result<()> {
        let api: Api<Namespace> = Api::all(self.cluster.client());
        self.cluster
            .run(api.delete(&self.namespace, &DeleteParams::default()))?;
        wait_until("the namespace is gone", REMOVE_LIMIT, || {
            let found = self.cluster.run(api.get_opt(&self.namespace))?;
            let status = found.and_then(|namespace| namespace.status);
            ensure!(status.is_none(), "{}", serde_json::to_string(&status)?);
            Ok(())
        })?;
        self.is_removed.set(true);
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = self.mend().and_then(|()| self.uncordon_all()) {
            self.says(format_args!("not mended: {error:#}"));
        }
        if std::thread::panicking() && !self.is_described.get() {
            self.describe();
        }
        if self.is_removed() {
            return;
        }
        if let Err(error) = self.remove_namespace() {
            self.says(format_args!("the namespace stays: {error:#}"));
        }
    }
}

/// Gives where a pod can be reached.
pub fn pod_address(pod: &Pod) -> Result<IpAddr> {
    let status = pod.status.as_ref();
    let text = status.and_then(|status| status.pod_ip.as_deref());
    text.context("the pod has no address")?
        .parse()
        .context("the pod's address is none")
}

/// The cluster is one, test programs may be several.
fn take_turn() -> Result<File> {
    let path = std::env::temp_dir().join("tandem-cluster-story.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("failed to open `{}`", path.display()))?;
    wait_until("it is this program's turn", TURN_LIMIT, || {
        file.try_lock().context("another one has it")
    })?;
    Ok(file)
}

/// A story's name as part of a namespace's.
fn slug(name: &str) -> String {
    let mapped: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(30)
        .collect();
    mapped.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storys_name_becomes_part_of_a_namespaces() {
        assert_eq!(slug("AT-01: a pod, killed!"), "at-01--a-pod--killed");
        assert_eq!(slug(&"x".repeat(80)).len(), 30);
    }
}
