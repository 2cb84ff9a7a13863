//! The operator of a story: two replicas from the chart, which look after its namespace only.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

use super::program;
use super::stage::Stage;
use super::wait::wait_until;

/// Name of the release, and of what it makes.
pub const RELEASE: &str = "tandem";
/// Container of its pods.
pub const CONTAINER: &str = "operator";
const DEFINITION: &str = "doublemasters.tandem.dev";

const RENDER_LIMIT: Duration = Duration::from_mins(2);
/// How long helm may be built, once on a machine.
const BUILD_LIMIT: Duration = Duration::from_mins(20);
const READY_LIMIT: Duration = Duration::from_mins(3);

/// An installed operator; what it has outside of the story's namespace goes at drop.
#[derive(Debug)]
pub struct Operator<'a> {
    stage: &'a Stage,
    release: &'static str,
}

impl<'a> Operator<'a> {
    /// Installs the definitions and two operators, and waits until one leads.
    pub fn install(stage: &'a Stage) -> Result<Self> {
        Self::install_with(stage, &[])
    }

    /// As [`Self::install`], with more values for the chart, each as `NAME=VALUE`.
    pub fn install_with(stage: &'a Stage, values: &[&str]) -> Result<Self> {
        install_definitions(stage)?;
        let operator = Self {
            stage,
            release: RELEASE,
        };
        operator.upgrade(values)?;
        operator.wait_until_led()?;
        Ok(operator)
    }

    /// Installs another one with a Lease of its own, as somebody may by mistake; both lead.
    pub fn install_another(stage: &'a Stage, release: &'static str) -> Result<Self> {
        let operator = Self { stage, release };
        operator.upgrade(&["replicas=1"])?;
        operator.wait_until_led()?;
        Ok(operator)
    }

    /// Ends its pods.
    pub fn remove(&self) -> Result<()> {
        self.stage.delete::<Deployment>(self.release, None)
    }

    /// Applies the chart again, with other values.
    pub fn upgrade(&self, values: &[&str]) -> Result<()> {
        self.stage.apply(&self.render(values)?)
    }

    /// The chart as text.
    fn render(&self, values: &[&str]) -> Result<String> {
        let image = self.stage.cluster().image()?;
        let (repository, tag) = image.rsplit_once(':').context("the image has no tag")?;
        let namespace = self.stage.namespace();
        let client = self.stage.cluster().client();
        let version = self.stage.cluster().run(client.apiserver_version())?;
        let mut command = Command::new(helm()?);
        command
            .args([
                "template",
                self.release,
                &chart("tandem"),
                "--namespace",
                namespace,
            ])
            .args(["--kube-version", &version.git_version])
            .args(["--set", &format!("image.repository={repository}")])
            .args(["--set-string", &format!("image.tag={tag}")])
            .args(["--set", &format!("watchNamespaces={{{namespace}}}")]);
        for value in values {
            command.args(["--set", value]);
        }
        program::run_command(&mut command, "helm template", RENDER_LIMIT)
    }

    /// Waits until as many pods as wanted are ready, and one of them leads; gives its name.
    pub fn wait_until_led(&self) -> Result<String> {
        wait_until("an operator leads", READY_LIMIT, || {
            let deployment: Deployment = self.stage.get(self.release)?;
            let wanted = deployment.spec.and_then(|spec| spec.replicas);
            let status = deployment.status.unwrap_or_default();
            ensure!(
                status.available_replicas == wanted,
                "{}",
                serde_json::to_string(&status)?
            );
            let leader = self.leader()?;
            let pods = self.pods()?;
            ensure!(
                pods.iter().any(|pod| pod.name_any() == leader),
                "`{leader}` leads, which does not run"
            );
            Ok(leader)
        })
    }

    /// Waits until another one than `former` leads.
    pub fn wait_until_led_by_other(&self, former: &str) -> Result<()> {
        wait_until("another operator leads", READY_LIMIT, || {
            let leader = self.leader()?;
            ensure!(leader != former, "`{leader}` still does");
            Ok(())
        })?;
        self.wait_until_led().map(drop)
    }

    /// Who leads, by the Lease; that may be out of date.
    pub fn leader(&self) -> Result<String> {
        let lease: Lease = self.stage.get(self.release)?;
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        holder
            .filter(|holder| !holder.is_empty())
            .context("nobody holds the Lease")
    }

    /// Its pods that are not ending.
    pub fn pods(&self) -> Result<Vec<Pod>> {
        let mut pods = self.stage.list::<Pod>(&self.selector())?;
        pods.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(pods)
    }

    /// Sets how many there are, and waits until the others are gone.
    pub fn scale(&self, replicas: i32) -> Result<()> {
        let change = json!({"spec": {"replicas": replicas}});
        let deployments = self.stage.api::<Deployment>();
        let (parameters, patch) = (PatchParams::default(), Patch::Merge(&change));
        let patched = deployments.patch(self.release, &parameters, &patch);
        self.stage.cluster().run(patched)?;
        wait_until("as many operators as wanted", READY_LIMIT, || {
            let count = self.stage.list::<Pod>(&self.selector())?.len();
            ensure!(count == replicas as usize, "{count} pods");
            Ok(())
        })
    }

    /// Kills the process of one of its pods with SIGKILL.
    pub fn kill(&self, pod: &str) -> Result<()> {
        self.stage.kill_container(pod, CONTAINER)
    }

    /// Stops the process of one of its pods in its tracks.
    pub fn hang(&self, pod: &str) -> Result<()> {
        self.stage.hang_container(pod, CONTAINER)
    }

    /// Lets it go on.
    pub fn resume(&self, pod: &str) -> Result<()> {
        self.stage.resume_container(pod, CONTAINER)
    }

    /// Labels of its pods.
    fn selector(&self) -> String {
        let release = self.release;
        format!("app.kubernetes.io/instance={release},app.kubernetes.io/component=operator")
    }

    fn remove_cluster_scoped(&self) -> Result<()> {
        // Objects that other stories made carry other namespaces in their names.
        let labels = format!("app.kubernetes.io/instance={}", self.release);
        let own = format!("{}-", self.stage.namespace());
        let listing = ListParams::default().labels(&labels);
        let client = self.stage.cluster().client();
        self.stage.cluster().run(async {
            let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
            for found in bindings.list(&listing).await? {
                if found.name_any().starts_with(&own) {
                    bindings
                        .delete(&found.name_any(), &DeleteParams::default())
                        .await?;
                }
            }
            let roles: Api<ClusterRole> = Api::all(client.clone());
            for found in roles.list(&listing).await? {
                if found.name_any().starts_with(&own) {
                    roles
                        .delete(&found.name_any(), &DeleteParams::default())
                        .await?;
                }
            }
            Ok(())
        })
    }
}

impl Drop for Operator<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.remove_cluster_scoped() {
            let release = self.release;
            self.stage
                .says(format_args!("roles of `{release}` stay: {error:#}"));
        }
    }
}

/// Applies the definitions of this tree and waits until the API serves them.
pub fn install_definitions(stage: &Stage) -> Result<()> {
    let path = root().join("crds/doublemasters.yaml");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("failed to read `{}`", path.display()))?;
    stage.apply(&text)?;
    let definitions: Api<CustomResourceDefinition> = Api::all(stage.cluster().client());
    wait_until("the API serves the definitions", READY_LIMIT, || {
        let found = stage.cluster().run(definitions.get(DEFINITION))?;
        let conditions = found.status.and_then(|status| status.conditions);
        let is_served = conditions
            .iter()
            .flatten()
            .any(|one| one.type_ == "Established" && one.status == "True");
        ensure!(is_served, "{conditions:?}");
        Ok(())
    })
}

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn chart(name: &str) -> String {
    root().join("charts").join(name).display().to_string()
}

/// Where helm is; the first time on a machine builds it.
fn helm() -> Result<PathBuf> {
    let printed = program::run("build", &["helm"], BUILD_LIMIT)?;
    let folder = printed.lines().last().context("no folder was printed")?;
    Ok(PathBuf::from(folder).join("helm"))
}
