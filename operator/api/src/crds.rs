//! The generated definitions: which file holds which kind, and its YAML-ready value.

use kube::CustomResourceExt;
use serde_json::Value;

use crate::double_master::DoubleMaster;

/// Upper bound of one definition, minified JSON with all descriptions, in bytes.
pub const SIZE_MAX_BYTES: usize = 64 * 1024;

/// File name under `crds/` and content, one entry per kind.
pub fn all() -> serde_json::Result<Vec<(&'static str, Value)>> {
    Ok(vec![(
        "doublemasters.yaml",
        serde_json::to_value(DoubleMaster::crd())?,
    )])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_structural_and_small() {
        for (file, crd) in all().unwrap() {
            let size = serde_json::to_string(&crd).unwrap().len();
            assert!(size < SIZE_MAX_BYTES, "{file} has {size} bytes");
            let version = &crd["spec"]["versions"][0];
            assert_eq!(version["name"], "v1alpha1");
            assert_eq!(version["subresources"]["status"], serde_json::json!({}));
            assert_eq!(version["schema"]["openAPIV3Schema"]["type"], "object");
        }
    }
}
