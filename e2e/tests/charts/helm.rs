//! The real helm.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::files::root;

/// Version that charts are rendered for.
const KUBERNETES: &str = "1.36.3";

/// The program, wherever it is.
fn find() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("HELM") {
        return Some(given.into());
    }
    let on_path = std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join("helm"))
        .find(|program| program.is_file());
    on_path.or_else(built)
}

/// The one that the test cluster built for itself.
fn built() -> Option<PathBuf> {
    let cache = std::env::var_os("TANDEM_CLUSTER_CACHE").map(PathBuf::from);
    let cache = cache
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache/tandem-cluster")))?;
    std::fs::read_dir(cache)
        .ok()?
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("helm-"))
        .map(|entry| entry.path().join("helm"))
        .find(|program| program.is_file())
}

/// Where the cluster is: `KUBECONFIG`, or what `e2e/cluster/up` made.
fn kubeconfig() -> String {
    let given = std::env::var("KUBECONFIG")
        .ok()
        .filter(|path| !path.is_empty());
    given.unwrap_or_else(|| {
        let state = std::env::var("TANDEM_CLUSTER_STATE");
        let state = state.unwrap_or_else(|_| "/tmp/tandem-cluster".into());
        format!("{state}/pki/admin.kubeconfig")
    })
}

/// Helm, or a loud word and `None`. Where a cluster was asked for, its absence is a failure.
pub(crate) fn helm() -> Option<Helm> {
    let program = find();
    if program.is_none() {
        assert!(
            std::env::var_os("TANDEM_CLUSTER").is_none(),
            "TANDEM_CLUSTER is set and there is no helm: run e2e/cluster/build"
        );
        eprintln!("SKIPPED, there is no helm: set HELM, or run e2e/cluster/build");
    }
    program.map(Helm)
}

/// The program.
pub(crate) struct Helm(PathBuf);

impl Helm {
    fn run(&self, words: &[&str]) -> Output {
        Command::new(&self.0)
            .args(words)
            .current_dir(root())
            .env("HELM_CONFIG_HOME", std::env::temp_dir())
            .output()
            .unwrap()
    }

    /// Output of a command that has to succeed.
    #[track_caller]
    pub(crate) fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "helm {}: {errors}",
            words.join(" ")
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// As [`Self::succeed`], against the cluster of the stories.
    #[track_caller]
    pub(crate) fn on_cluster(&self, words: &[&str]) -> String {
        let kubeconfig = kubeconfig();
        self.succeed(&[words, &["--kubeconfig", &kubeconfig]].concat())
    }

    /// What a chart renders to, as release `tandem` in namespace `tandem-system`.
    #[track_caller]
    pub(crate) fn template(&self, chart: &str, further: &[&str]) -> String {
        self.succeed(&[&template_words(chart), further].concat())
    }

    /// What it says of values that it has to refuse.
    #[track_caller]
    pub(crate) fn refusal(&self, chart: &str, further: &[&str]) -> String {
        let output = self.run(&[&template_words(chart), further].concat());
        assert!(!output.status.success(), "{} was taken", further.join(" "));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn template_words(chart: &str) -> [&str; 7] {
    [
        "template",
        "tandem",
        chart,
        "--namespace",
        "tandem-system",
        "--kube-version",
        KUBERNETES,
    ]
}
