//! A manifest file to an object.

use std::path::Path;

use serde::Deserialize;
use tandem_api::DoubleMaster;

use crate::error::Error;

const API_VERSION: &str = "tandem.dev/v1alpha1";
const KIND: &str = "DoubleMaster";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// Reads a `DoubleMaster` from a YAML file of one document.
pub fn read(path: &Path) -> Result<DoubleMaster, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::read(path))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<DoubleMaster, Error> {
    let document = only_document(path, text)?;
    let failed = |source| Error::ParseManifest {
        path: path.into(),
        source,
    };
    let head: Head = serde_yaml::from_str(document).map_err(failed)?;
    if head.api_version != API_VERSION || head.kind != KIND {
        let found = [head.api_version, head.kind].join(" ");
        return Err(Error::Kind {
            path: path.into(),
            found: match found.trim() {
                "" => "has no apiVersion and kind".into(),
                found => format!("is a {found}"),
            },
        });
    }
    serde_yaml::from_str(document).map_err(failed)
}

/// The text of the only document of a file that has anything in it.
fn only_document<'a>(path: &Path, text: &'a str) -> Result<&'a str, Error> {
    let mut found = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value =
            serde_yaml::Value::deserialize(document).map_err(|source| Error::ParseManifest {
                path: path.into(),
                source,
            })?;
        if !value.is_null() {
            found.push(value);
        }
    }
    match found.len() {
        1 => {}
        0 => return Err(Error::EmptyManifest { path: path.into() }),
        count => {
            return Err(Error::SeveralDocuments {
                path: path.into(),
                count,
            });
        }
    }
    // What stands before or behind it is empty: a separator and comments.
    let parts = text.split_inclusive('\n').scan(0, |at, line| {
        let from = *at;
        *at += line.len();
        Some((from, line))
    });
    let separators: Vec<usize> = parts
        .filter(|(_, line)| line.trim_end() == "---")
        .map(|(from, _)| from)
        .collect();
    let starts = std::iter::once(0).chain(separators.iter().copied());
    let ends = separators.iter().copied().chain([text.len()]);
    Ok(starts
        .zip(ends)
        .filter_map(|(from, to)| text.get(from..to))
        .find(|part| {
            serde_yaml::from_str::<serde_yaml::Value>(part).is_ok_and(|value| !value.is_null())
        })
        .unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_checked_before_the_rest() {
        let path = Path::new("x.yaml");
        let other = "apiVersion: v1\nkind: Pod\nspec: {containers: []}\n";
        let error = parse(path, other).unwrap_err().to_string();
        assert_eq!(
            error,
            "`x.yaml` is a v1 Pod, expected a tandem.dev/v1alpha1 DoubleMaster"
        );
    }

    #[test]
    fn one_document_is_taken_and_empty_ones_do_not_count() {
        let path = Path::new("x.yaml");
        let one = "apiVersion: tandem.dev/v1alpha1\nkind: DoubleMaster\nmetadata: {name: dm}\n\
                   spec: {}\n";
        for text in [
            one.to_owned(),
            format!("---\n{one}"),
            format!("# a comment\n---\n{one}---\n# the end\n"),
        ] {
            let object = parse(path, &text).unwrap();
            assert_eq!(object.metadata.name.as_deref(), Some("dm"), "{text}");
        }
        let error = parse(path, &format!("{one}---\n{one}"))
            .unwrap_err()
            .to_string();
        assert!(error.starts_with("`x.yaml` has 2 documents"), "{error}");
        for text in ["", "---\n", "# nothing\n"] {
            let error = parse(path, text).unwrap_err().to_string();
            assert!(error.starts_with("`x.yaml` is empty"), "{error}");
        }
    }

    #[test]
    fn a_misspelt_field_is_named() {
        let text = "apiVersion: tandem.dev/v1alpha1\nkind: DoubleMaster\nmetadata: {name: dm}\n\
                    spec: {replicas: 2}\n";
        let error = crate::error::chain(&parse(Path::new("x.yaml"), text).unwrap_err());
        assert!(error.contains("unknown field `replicas`"), "{error}");
    }

    #[test]
    fn the_examples_can_be_planned_for() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/examples");
        let mut seen = 0;
        for entry in std::fs::read_dir(root).unwrap() {
            let object = read(&entry.unwrap().path()).unwrap();
            tandem_plan::double_master::validate(&object).unwrap();
            seen += 1;
        }
        assert!(seen >= 3, "{seen} examples");
    }
}
