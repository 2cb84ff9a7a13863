//! Manifests and places that cannot be used: an end at once, with the field and the remedy.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tandem_e2e::process::ScratchDirectory;
use tandem_e2e::story::{Story, binary, ports};

use super::support::pair;

const HEAD: &str = "apiVersion: tandem.dev/v1alpha1\nkind: DoubleMaster\nmetadata: {name: dm}\n";

/// A directory with a manifest, and `tandem local` on it.
struct Attempt {
    directory: ScratchDirectory,
    manifest: PathBuf,
}

impl Attempt {
    fn on(text: &str) -> Self {
        let directory = ScratchDirectory::new(None).unwrap();
        let manifest = directory.path().join("x.yaml");
        std::fs::write(&manifest, text).unwrap();
        Self {
            directory,
            manifest,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, words: &[&str], data: &Path) -> Output {
        Command::new(binary::path().unwrap())
            .arg("local")
            .arg(&self.manifest)
            .arg("--dir")
            .arg(data)
            .args(words)
            .output()
            .unwrap()
    }

    /// Runs it; it must end with 1 and a reason that has all of `wanted`.
    fn fails(&self, words: &[&str], data: &Path, wanted: &[&str]) {
        let output = self.run(words, data);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        for word in wanted {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
        assert!(!error.contains("panicked"), "{error}");
    }
}

#[test]
fn a_manifest_that_cannot_be_used_is_refused_before_anything_is_touched() {
    let _story = Story::begin("manifests");
    let spec = |text: &str| format!("{HEAD}spec: {text}\n");
    let cases: &[(String, &[&str])] = &[
        ("kind: [".into(), &["failed to parse", "x.yaml", "line 2"]),
        (String::new(), &["x.yaml", "is empty", "DoubleMaster"]),
        (
            "apiVersion: v1\nkind: Pod\n".into(),
            &["is a v1 Pod", "expected a tandem.dev/v1alpha1"],
        ),
        (
            "apiVersion: tandem.dev/v2\nkind: DoubleMaster\n".into(),
            &["is a tandem.dev/v2"],
        ),
        (
            "spec: {}\n".into(),
            &[
                "has no apiVersion and kind",
                "tandem.dev/v1alpha1 DoubleMaster",
            ],
        ),
        (
            format!("{HEAD}spec: {{}}\n---\n{HEAD}spec: {{}}\n"),
            &["2 documents", "one"],
        ),
        (
            spec("{replicas: 2}"),
            &["unknown field `replicas`", "replicasPerMaster"],
        ),
        (
            spec("{replicasPerMaster: many}"),
            &["replicasPerMaster", "many"],
        ),
        (
            spec("{replicasPerMaster: 6}"),
            &["spec.replicasPerMaster is 6", "at most 5"],
        ),
        (
            HEAD.replace("{name: dm}", "{}") + "spec: {}\n",
            &["metadata.name"],
        ),
        (
            HEAD.replace("dm}", "Not_A_Name}") + "spec: {}\n",
            &["metadata.name", "Not_A_Name"],
        ),
        (
            spec("{serverIds: {a: 3, b: 3}}"),
            &["spec.serverIds", "give them different ids"],
        ),
        (
            spec("{config: {port: '1'}}"),
            &["spec.config has `port`", "remove it"],
        ),
        (
            spec("{auth: {secretName: ../x}}"),
            &["spec.auth.secretName is `../x`", "letters"],
        ),
        (
            spec("{storage: {size: much}}"),
            &["spec.storage.size is `much`", "20Gi"],
        ),
        (
            spec("{sync: {durableAcks: 2}}"),
            &["spec.sync.durableAcks is 2", "replicasPerMaster"],
        ),
        (
            spec("{failover: {probeIntervalMs: 1}}"),
            &["spec.failover.probeIntervalMs is 1", "20"],
        ),
    ];
    for (text, wanted) in cases {
        let attempt = Attempt::on(text);
        let data = attempt.path("data");
        attempt.fails(&[], &data, wanted);
        assert!(!data.exists(), "{text}: a directory was made");
    }
    let attempt = Attempt::on(&spec("{}"));
    let absent = attempt.path("absent.yaml");
    let output = Command::new(binary::path().unwrap())
        .arg("local")
        .arg(&absent)
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        error.contains("failed to read") && error.contains("absent.yaml"),
        "{error}"
    );
}

#[test]
fn a_server_that_refuses_its_configuration_is_shown_with_its_own_words() {
    let _story = Story::begin("a key that servers refuse");
    let attempt = Attempt::on(&format!("{HEAD}spec: {{config: {{no-such-key: '1'}}}}\n"));
    let base = ports::free_base().unwrap().to_string();
    attempt.fails(
        &["--base-port", &base],
        &attempt.path("data"),
        &["spec.config", "no-such-key"],
    );
}

#[test]
fn a_place_that_cannot_be_used_is_named() {
    let _story = Story::begin("places");
    let attempt = Attempt::on(&format!("{HEAD}spec: {{}}\n"));
    let base = ports::free_base().unwrap();
    let port = base.to_string();
    let words = ["--base-port", port.as_str()];

    let file = attempt.path("x.yaml");
    attempt.fails(
        &words,
        &file.join("below"),
        &["failed to write", "x.yaml/below", "--dir"],
    );
    attempt.fails(
        &["--base-port", "64000"],
        &attempt.path("data"),
        &["base port 64000"],
    );

    let foreign = attempt.path("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter"), "mine").unwrap();
    attempt.fails(
        &[&words[..], &["--reset"]].concat(),
        &foreign,
        &["is not empty", "not touched"],
    );
    attempt.fails(&words, &foreign, &["is not empty", "not touched"]);
    assert_eq!(
        std::fs::read_to_string(foreign.join("letter")).unwrap(),
        "mine"
    );

    // Of a service, of an instance, and of its links.
    for (offset, what) in [(0, "dm-rw"), (11, "dm-a-0"), (2021, "dm-b-0")] {
        let taken = TcpListener::bind(("127.0.0.1", base + offset)).unwrap();
        let address = format!("127.0.0.1:{}", base + offset);
        attempt.fails(
            &words,
            &attempt.path("data"),
            &[&address, what, "--base-port"],
        );
        drop(taken);
    }
}

#[test]
fn a_directory_of_another_resource_is_not_used() {
    let _story = Story::begin("a directory of another resource");
    let mut local = pair();
    local.stop().unwrap();
    let attempt = Attempt::on(&(HEAD.replace("dm}", "other}") + "spec: {}\n"));
    let state = std::fs::read(local.data().join("state.json")).unwrap();
    attempt.fails(
        &[],
        &local.data(),
        &["holds the data of `dm`, not of `other`", "--dir"],
    );
    assert_eq!(
        std::fs::read(local.data().join("state.json")).unwrap(),
        state
    );
    local.start_runtime(false).unwrap();
    local.wait_until_ready().unwrap();
}
