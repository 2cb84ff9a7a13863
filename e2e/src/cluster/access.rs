//! The one cluster of this test program: its client, and the image on its nodes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::program;

/// Set to 1 for the few stories that CI runs, to `all` for all of them; a cluster is made where
/// `KUBECONFIG` names none.
const CLUSTER_VARIABLE: &str = "TANDEM_CLUSTER";
const KUBECONFIG_VARIABLE: &str = "KUBECONFIG";
/// An image that the nodes have or can pull, instead of one built from this tree.
const IMAGE_VARIABLE: &str = "TANDEM_IMAGE";
/// The image that `e2e/cluster/image` makes.
const IMAGE: &str = "tandem:dev";

/// The first time on a machine builds Kubernetes.
const UP_LIMIT: Duration = Duration::from_mins(30);
const IMAGE_LIMIT: Duration = Duration::from_mins(20);

/// A cluster that answers.
pub struct Cluster {
    runtime: tokio::runtime::Runtime,
    client: Client,
    kubeconfig: Option<PathBuf>,
    is_built_in: bool,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("is_built_in", &self.is_built_in)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Whether the stories that CI runs are asked for.
    pub fn is_asked_for() -> bool {
        std::env::var_os(CLUSTER_VARIABLE).is_some_and(|value| value == "1")
            || Self::all_is_asked_for()
            || std::env::var_os(KUBECONFIG_VARIABLE).is_some_and(|value| !value.is_empty())
    }

    /// Whether all stories are asked for.
    pub fn all_is_asked_for() -> bool {
        std::env::var_os(CLUSTER_VARIABLE).is_some_and(|value| value == "all")
    }

    /// Gives the cluster; the first call brings it up when it is not.
    pub fn get() -> Result<&'static Self> {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        CLUSTER
            .get_or_init(|| Self::bring_up().map_err(|error| format!("{error:#}")))
            .as_ref()
            .map_err(|error| anyhow!("there is no cluster: {error}"))
    }

    fn bring_up() -> Result<Self> {
        let printed = program::run("up", &[], UP_LIMIT)?;
        let kubeconfig = printed
            .lines()
            .find_map(|line| line.strip_prefix("export KUBECONFIG="))
            .map(PathBuf::from);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("failed to start the runtime of the client")?;
        let client = runtime.block_on(connect(kubeconfig.as_deref()))?;
        Ok(Self {
            runtime,
            client,
            kubeconfig,
            is_built_in: printed.contains("built-in"),
        })
    }

    /// Gives the name of the image of this tree; the first call builds it and puts it on every node.
    pub fn image(&self) -> Result<String> {
        static IMAGE_READY: OnceLock<Result<String, String>> = OnceLock::new();
        IMAGE_READY
            .get_or_init(|| {
                if let Ok(given) = std::env::var(IMAGE_VARIABLE) {
                    return Ok(given);
                }
                let made = program::run("image", &["--name", IMAGE], IMAGE_LIMIT);
                made.map(|_| IMAGE.to_owned())
                    .map_err(|error| format!("{error:#}"))
            })
            .clone()
            .map_err(|error| anyhow!("there is no image: {error}"))
    }

    /// The client of the API, for use inside of [`Self::run`].
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The kubeconfig of a cluster that was made here; `None`: the one that programs find by themselves.
    pub fn kubeconfig(&self) -> Option<&Path> {
        self.kubeconfig.as_deref()
    }

    /// Another client of the API, of the runtime that waits for it.
    pub async fn connect(&self) -> Result<Client> {
        connect(self.kubeconfig.as_deref()).await
    }

    /// Runs a future to its end.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Whether it was made here: then pods are reached from this machine, and can be broken.
    pub fn is_built_in(&self) -> bool {
        self.is_built_in
    }
}

async fn connect(kubeconfig: Option<&Path>) -> Result<Client> {
    let options = KubeConfigOptions::default();
    let config = match kubeconfig {
        Some(path) => {
            let read = Kubeconfig::read_from(path)
                .with_context(|| format!("failed to read `{}`", path.display()))?;
            Config::from_custom_kubeconfig(read, &options).await
        }
        None => Config::from_kubeconfig(&options).await,
    };
    let mut config = config.context("the kubeconfig is of no use")?;
    // A refusal is told at once: stories look again themselves, and some are about it.
    config.default_retry = false;
    Client::try_from(config).context("failed to make a client of the API")
}
