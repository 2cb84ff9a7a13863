//! The life of a release on a real cluster: neither an upgrade, nor a rollback, nor an uninstall touches
//! an instance or its data.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;
use tandem_api::{ConditionStatus, DoubleMaster};
use tandem_e2e::client::Client;
use tandem_e2e::cluster::{Stage, pod_address, wait_until};

use super::helm::{Helm, helm};

const READY_LIMIT: Duration = Duration::from_mins(4);
const PORT: u16 = 6379;
const OF_DEMO: &str = "tandem.dev/resource=demo";
const DEMO: &str = "
apiVersion: tandem.dev/v1alpha1
kind: DoubleMaster
metadata: {name: demo}
spec: {storage: {size: 64Mi}}
";

struct Release<'a> {
    stage: &'a Stage,
    helm: Helm,
}

impl Release<'_> {
    fn helm(&self, words: &[&str]) -> String {
        self.helm
            .on_cluster(&[words, &["--namespace", self.stage.namespace()]].concat())
    }

    fn definitions(&self) {
        let chart = ["upgrade", "--install", "tandem-crds", "charts/tandem-crds"];
        self.helm(&[&chart[..], &["--take-ownership", "--wait"]].concat());
    }

    fn operator(&self, values: &[&str]) -> Result<()> {
        let image = self.stage.cluster().image()?;
        let (repository, tag) = image.rsplit_once(':').context("the image has no tag")?;
        let image = format!("image.repository={repository},image.tag={tag}");
        let namespaces = format!("watchNamespaces={{{}}}", self.stage.namespace());
        let mut words = vec!["upgrade", "--install", "tandem", "charts/tandem", "--wait"];
        words.extend(["--timeout", "3m", "--set", &image, "--set", &namespaces]);
        words.extend(values);
        self.helm(&words);
        Ok(())
    }

    fn wait_until_ready(&self) -> Result<DoubleMaster> {
        wait_until("demo is ready", READY_LIMIT, || {
            let object: DoubleMaster = self.stage.get("demo")?;
            let status = object.status.clone().context("it has no status")?;
            let is_ready = status.conditions.iter().any(|condition| {
                condition.kind == "Ready" && condition.status == ConditionStatus::True
            });
            let is_current = Some(status.observed_generation) == object.metadata.generation;
            ensure!(
                is_ready && is_current,
                "{}",
                serde_json::to_string(&status)?
            );
            Ok(object)
        })
    }

    /// Identity and restarts of each pod of the resource.
    fn lives(&self) -> Result<BTreeMap<String, (Option<String>, i32)>> {
        let pods = self.stage.list::<Pod>(OF_DEMO)?;
        Ok(pods
            .into_iter()
            .map(|pod| {
                let status = pod.status.clone().unwrap_or_default();
                let containers = status.container_statuses.unwrap_or_default();
                let restarts = containers.iter().map(|one| one.restart_count).sum();
                (pod.name_any(), (pod.uid(), restarts))
            })
            .collect())
    }

    fn client(&self, instance: &str) -> Result<Client> {
        let address = pod_address(&self.stage.get::<Pod>(instance)?)?;
        Client::connect(SocketAddr::new(address, PORT))
    }

    fn value(&self, instance: &str) -> Result<Vec<u8>> {
        let value = self.client(instance)?.ask(["GET", "kept"])?;
        Ok(value.as_bytes().unwrap_or_default().to_vec())
    }

    fn log_level(&self) -> Result<String> {
        let deployment: Deployment = self.stage.get("tandem")?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec);
        let variables = pod.and_then(|pod| pod.containers.into_iter().next()?.env);
        variables
            .into_iter()
            .flatten()
            .find(|variable| variable.name == "RUST_LOG")
            .and_then(|variable| variable.value)
            .context("RUST_LOG is not set")
    }
}

#[test]
fn upgrade_rollback_and_uninstall_of_the_operator_touch_no_instance() -> Result<()> {
    let Some(stage) = Stage::begin("charts: life of a release")? else {
        return Ok(());
    };
    let Some(helm) = helm() else { return Ok(()) };
    let release = Release {
        stage: &stage,
        helm,
    };
    release.definitions();
    release.operator(&[])?;
    stage.apply(DEMO)?;
    let ready = release.wait_until_ready()?;
    let writers = ready.status.unwrap_or_default().writers;
    let writer = writers.split(',').next().context("nobody writes")?;
    release.client(writer)?.ask(["SET", "kept", "1"])?;
    let lives = release.lives()?;
    assert_eq!(lives.len(), 4, "{lives:?}");

    release.operator(&["--set", "log.level=debug"])?;
    assert_eq!(release.log_level()?, "debug");
    release.wait_until_ready()?;
    assert_eq!(release.lives()?, lives, "after the upgrade");

    release.helm(&["rollback", "tandem", "1", "--wait", "--timeout", "3m"]);
    assert_eq!(release.log_level()?, "info");
    release.wait_until_ready()?;
    assert_eq!(release.lives()?, lives, "after the rollback");

    release.helm(&["uninstall", "tandem", "--wait"]);
    release.helm(&["uninstall", "tandem-crds", "--wait"]);
    let left: DoubleMaster = stage.get("demo")?;
    assert!(left.metadata.deletion_timestamp.is_none());
    assert_eq!(release.lives()?, lives, "after the uninstall");
    assert_eq!(stage.list::<PersistentVolumeClaim>(OF_DEMO)?.len(), 4);
    assert_eq!(release.value(writer)?, b"1");
    release.client(writer)?.ask(["SET", "kept", "2"])?;

    release.definitions();
    release.operator(&[])?;
    release.wait_until_ready()?;
    assert_eq!(release.lives()?, lives, "after the second installation");
    assert_eq!(release.value(writer)?, b"2");
    release.helm(&["uninstall", "tandem", "--wait"]);
    Ok(())
}
