//! Pages that list what the code has: events, and the fields of the definition.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::files::{documents, object, read, root};

/// Reasons that the shell says itself, with the call that says them.
fn said() -> Vec<(String, String)> {
    let mut files = Vec::new();
    collect(&root().join("operator/src"), &mut files);
    let mut said = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for call in ["note(\"", "warn(\"", "push((\""] {
            for part in text.split(call).skip(1) {
                let word = part.split('"').next().unwrap_or_default();
                let is_reason =
                    word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric);
                if is_reason {
                    said.push((word.to_string(), call.to_string()));
                }
            }
        }
    }
    said
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Names between `enum Reason {` and its end.
fn planned() -> Vec<String> {
    let source = read("operator/plan/src/events.rs");
    let (_, rest) = source.split_once("pub enum Reason {").unwrap();
    let (body, _) = rest.split_once("\n}").unwrap();
    body.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(|line| line.trim_end_matches(',').to_string())
        .collect()
}

/// First cells of the rows of a page's tables, without the quotes.
fn rows(page: &str) -> Vec<(String, String)> {
    page.lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|line| line.split_once('`'))
        .map(|(name, rest)| (name.to_string(), rest.to_string()))
        .collect()
}

#[test]
fn every_event_is_in_the_catalogue_and_nothing_else() {
    let mut known = planned();
    known.extend(said().into_iter().map(|(reason, _)| reason));
    let page = read("docs/operations/events.md");
    let mut listed: Vec<String> = rows(&page).into_iter().map(|(name, _)| name).collect();
    assert!(known.len() > 10, "{known:?}");
    known.sort();
    listed.sort();
    assert_eq!(listed, known);
}

/// Reasons that `fn severity` lists before `=> Severity::Warning`.
fn warnings() -> Vec<String> {
    let source = read("operator/plan/src/events.rs");
    let (_, rest) = source.split_once("match self {").unwrap();
    let (arm, _) = rest.split_once("=> Severity::Warning").unwrap();
    let of_plans = arm
        .split('|')
        .map(|word| word.trim().trim_start_matches("Self::").to_string());
    let of_shell = said()
        .into_iter()
        .filter(|(_, call)| call.starts_with("warn"))
        .map(|(reason, _)| reason);
    of_plans.chain(of_shell).collect()
}

#[test]
fn the_catalogue_says_how_loud_each_event_is() {
    let warnings = warnings();
    for (name, rest) in rows(&read("docs/operations/events.md")) {
        let wanted = if warnings.contains(&name) {
            "Warning"
        } else {
            "Normal"
        };
        let cell = rest.split('|').nth(1).unwrap_or_default().trim();
        assert_eq!(cell, wanted, "{name}");
    }
}

/// Fields that Kubernetes documents: what is below them is not ours.
const FOREIGN: &[&str] = &[
    "spec.scheduling.affinity",
    "spec.scheduling.topologySpread",
    "spec.scheduling.tolerations",
    "spec.scheduling.imagePullSecrets",
];

/// Paths of all fields below `schema`, such as `storage.size`.
fn fields(schema: &Value, prefix: &str, found: &mut Vec<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{prefix}{name}");
        found.push(path.clone());
        if FOREIGN.contains(&path.as_str()) {
            continue;
        }
        fields(field, &format!("{path}."), found);
        fields(&field["items"], &format!("{path}[]."), found);
    }
}

#[test]
fn every_field_is_in_the_reference_and_nothing_else() {
    let definitions = documents(&read("crds/doublemasters.yaml"));
    let crd = object(
        &definitions,
        "CustomResourceDefinition",
        "doublemasters.tandem.dev",
    );
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut known = Vec::new();
    fields(&schema["spec"], "spec.", &mut known);
    fields(&schema["status"], "status.", &mut known);
    assert!(known.len() > 40, "{known:?}");
    let page = read("docs/kubernetes/reference.md");
    let listed: Vec<String> = rows(&page)
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("spec.") || name.starts_with("status."))
        .collect();
    let missing: Vec<&String> = known.iter().filter(|name| !listed.contains(name)).collect();
    let unknown: Vec<&String> = listed.iter().filter(|name| !known.contains(name)).collect();
    assert!(
        missing.is_empty(),
        "docs/kubernetes/reference.md lacks {missing:#?}"
    );
    assert!(
        unknown.is_empty(),
        "docs/kubernetes/reference.md has {unknown:#?}, which do not exist"
    );
}
