//! The chart of the definitions carries the generated ones.

use super::files::{documents, object, read, root};
use super::helm::helm;

const NAME: &str = "doublemasters.tandem.dev";

#[test]
fn the_chart_has_the_generated_definitions() {
    let mut names: Vec<String> = std::fs::read_dir(root().join("crds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(!names.is_empty());
    for name in names {
        let generated = read(&format!("crds/{name}"));
        let carried = read(&format!("charts/tandem-crds/files/{name}"));
        assert!(
            generated == carried,
            "charts/tandem-crds/files/{name} differs from crds/: run `tandem crds charts/tandem-crds/files`"
        );
    }
}

#[test]
fn a_rendered_definition_is_the_generated_one_with_labels() {
    let Some(helm) = helm() else { return };
    let rendered = documents(&helm.template("charts/tandem-crds", &[]));
    let generated = documents(&read("crds/doublemasters.yaml"));
    let rendered = object(&rendered, "CustomResourceDefinition", NAME);
    let generated = object(&generated, "CustomResourceDefinition", NAME);
    assert_eq!(rendered["spec"], generated["spec"]);
    assert_eq!(
        rendered["metadata"]["labels"]["app.kubernetes.io/part-of"],
        "tandem"
    );
}

#[test]
fn an_uninstall_keeps_definitions_unless_it_is_told_otherwise() {
    let Some(helm) = helm() else { return };
    let policy = |further: &[&str]| {
        let rendered = documents(&helm.template("charts/tandem-crds", further));
        object(&rendered, "CustomResourceDefinition", NAME)["metadata"]["annotations"].clone()
    };
    assert_eq!(policy(&[])["helm.sh/resource-policy"], "keep");
    assert!(policy(&["--set", "keep=false"]).is_null());
    let both = policy(&["--set", "annotations.team=storage"]);
    assert_eq!(
        (&both["team"], &both["helm.sh/resource-policy"]),
        (&"storage".into(), &"keep".into())
    );
}
