//! A manifest file to an object.

use std::path::Path;

use serde::Deserialize;
use tandem_api::DoubleMaster;

use crate::error::Error;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// Reads a `DoubleMaster` from a YAML file.
pub fn read(path: &Path) -> Result<DoubleMaster, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::read(path))?;
    parse(path, &text)
}

fn parse(path: &Path, text: &str) -> Result<DoubleMaster, Error> {
    let failed = |source| Error::ParseManifest {
        path: path.into(),
        source,
    };
    let head: Head = serde_yaml::from_str(text).map_err(failed)?;
    if head.api_version != "tandem.dev/v1alpha1" || head.kind != "DoubleMaster" {
        let found = format!("{} {}", head.api_version, head.kind);
        return Err(Error::Kind {
            path: path.into(),
            found: found.trim().into(),
        });
    }
    serde_yaml::from_str(text).map_err(failed)
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
