//! What a person does with a node before working on it: cordon, drain, uncordon.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{EvictParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::stage::Stage;
use super::wait::wait_until;

/// A drain may have to wait for budgets that open one after another.
const LIMIT: Duration = Duration::from_mins(3);

impl Stage {
    /// Keeps new pods off a node, or lets them on it again.
    pub fn cordon(&self, node: &str, is_cordoned: bool) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.cluster().client());
        let change = json!({"spec": {"unschedulable": is_cordoned}});
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&change));
        self.cluster().run(nodes.patch(node, &parameters, &patch))?;
        Ok(())
    }

    /// Lets pods on every node again.
    pub(super) fn uncordon_all(&self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.cluster().client());
        let listed = self.cluster().run(nodes.list(&ListParams::default()))?;
        for node in listed {
            if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
                self.cordon(&node.name_any(), false)?;
            }
        }
        Ok(())
    }

    /// Cordons a node and evicts the story's pods from it, as `kubectl drain` does: what a budget
    /// forbids is asked for again.
    pub fn drain(&self, node: &str) -> Result<()> {
        self.cordon(node, true)?;
        let here: Vec<Pod> = self.pods_on(node)?;
        wait_until(&format!("{node} is drained"), LIMIT, || {
            let mut held = Vec::new();
            for pod in &here {
                if let Err(error) = self.evict(pod) {
                    held.push(format!("{}: {error:#}", pod.name_any()));
                }
            }
            ensure!(held.is_empty(), "{held:?}");
            Ok(())
        })?;
        wait_until(&format!("{node} has no pods"), LIMIT, || {
            let left = self.pods_on(node)?;
            let names: Vec<String> = left.iter().map(Pod::name_any).collect();
            ensure!(left.is_empty(), "{names:?} are left");
            Ok(())
        })
    }

    fn pods_on(&self, node: &str) -> Result<Vec<Pod>> {
        let parameters = ListParams::default().fields(&format!("spec.nodeName={node}"));
        let listed = self.cluster().run(self.api::<Pod>().list(&parameters))?;
        Ok(listed.items)
    }

    /// Fine, too, when another pod has its name by now.
    fn evict(&self, pod: &Pod) -> Result<()> {
        let name = pod.name_any();
        let found: Option<Pod> = self.cluster().run(self.api::<Pod>().get_opt(&name))?;
        if found.is_none_or(|found| {
            found.uid() != pod.uid() || found.metadata.deletion_timestamp.is_some()
        }) {
            return Ok(());
        }
        let parameters = EvictParams::default();
        self.cluster()
            .run(self.api::<Pod>().evict(&name, &parameters))
            .context("not evicted")?;
        Ok(())
    }
}
