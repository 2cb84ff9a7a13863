//! Files of the workspace, as text and as values.

use std::path::{Path, PathBuf};

use serde::Deserialize as _;
use serde_json::Value;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Text of a file.
#[track_caller]
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML text that have anything in them.
#[track_caller]
pub(crate) fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap())
        .filter(|value| !value.is_null())
        .collect()
}

/// The only object of that kind and name.
#[track_caller]
pub(crate) fn object<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let mut found = documents
        .iter()
        .filter(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    match (found.next(), found.next()) {
        (Some(object), None) => object,
        (None, _) => panic!("there is no {kind} {name}"),
        _ => panic!("there are several {kind} {name}"),
    }
}
