//! What the charts render to: held in fixtures, hardened, and strict about their values.
//! `TANDEM_WRITE_FIXTURES=1` writes the fixtures anew.

use serde_json::Value;

use super::files::{documents, object, read, root};
use super::helm::helm;

/// Values file and rendered text of each, in charts/tandem/fixtures.
const FIXTURES: &[&str] = &["default", "namespaced", "everything"];

#[test]
fn both_charts_pass_the_linter() {
    let Some(helm) = helm() else { return };
    for chart in ["charts/tandem", "charts/tandem-crds"] {
        helm.succeed(&["lint", "--strict", "--kube-version", "1.36.3", chart]);
    }
}

#[test]
fn the_chart_renders_to_its_fixtures() {
    let Some(helm) = helm() else { return };
    for name in FIXTURES {
        let folder = "charts/tandem/fixtures";
        let values = format!("{folder}/{name}.values.yaml");
        let rendered = helm.template("charts/tandem", &["--values", &values]);
        let fixture = format!("{folder}/{name}.yaml");
        if std::env::var_os("TANDEM_WRITE_FIXTURES").is_some() {
            std::fs::write(root().join(&fixture), &rendered).unwrap();
        }
        let wanted = read(&fixture);
        let first = rendered
            .lines()
            .zip(wanted.lines())
            .enumerate()
            .find(|(_, (is, was))| is != was);
        assert!(
            rendered == wanted,
            "{fixture} has drifted, first at {first:?}; TANDEM_WRITE_FIXTURES=1 writes it anew"
        );
    }
}

fn pod(documents: &[Value]) -> &Value {
    &object(documents, "Deployment", "tandem")["spec"]["template"]["spec"]
}

#[test]
fn the_operator_runs_restricted() {
    let Some(helm) = helm() else { return };
    for name in FIXTURES {
        let values = format!("charts/tandem/fixtures/{name}.values.yaml");
        let rendered = documents(&helm.template("charts/tandem", &["--values", &values]));
        let pod = pod(&rendered);
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(
            pod["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false);
            assert_eq!(security["readOnlyRootFilesystem"], true);
            assert_eq!(security["capabilities"]["drop"][0], "ALL");
            assert!(container["resources"]["limits"]["memory"].is_string());
        }
    }
}

#[test]
fn a_digest_wins_over_a_tag_and_is_what_instances_run() {
    let Some(helm) = helm() else { return };
    let digest = format!("sha256:{}", "a1".repeat(32));
    let set = format!("image.digest={digest}");
    let rendered =
        documents(&helm.template("charts/tandem", &["--set", &set, "--set", "image.tag=x"]));
    let container = &pod(&rendered)["containers"][0];
    assert_eq!(container["image"], format!("tandem@{digest}"));
    let environment = container["env"].as_array().unwrap();
    assert!(
        environment
            .iter()
            .any(|variable| variable["value"] == format!("tandem@{digest}")),
        "{environment:?}"
    );
}

#[test]
fn wrong_values_are_refused_by_name() {
    let Some(helm) = helm() else { return };
    for (set, named) in [
        ("replcas=3", "replcas"),
        ("replicas=two", "/replicas"),
        ("replicas=9", "/replicas"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("image.digest=sha256:12", "/image/digest"),
        ("image.repository=", "/image/repository"),
        ("watchNamespaces={Upper}", "/watchNamespaces/0"),
        ("watchNamespaces={a,a}", "/watchNamespaces"),
        (
            "resources.requests.memory=lots",
            "/resources/requests/memory",
        ),
        (
            "networkPolicy.apiServer.ports={0}",
            "/networkPolicy/apiServer/ports/0",
        ),
        ("serviceAccount.create=false", "/serviceAccount/name"),
        ("podMonitor.interval=often", "/podMonitor/interval"),
        ("dashboard.enabled=maybe", "/dashboard/enabled"),
    ] {
        let text = helm.refusal("charts/tandem", &["--set", set]);
        assert!(text.contains(named), "{set}: {text}");
    }
    let text = helm.refusal("charts/tandem-crds", &["--set", "kep=true"]);
    assert!(text.contains("kep"), "{text}");
}
