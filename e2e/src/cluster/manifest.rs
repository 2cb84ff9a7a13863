//! YAML of any kinds, applied as `kubectl apply --server-side` does.

use anyhow::{Context, Result};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Api, Client, ResourceExt as _};
use serde::Deserialize as _;

const FIELD_OWNER: &str = "tandem-e2e";

/// Applies every document; what lies in namespaces goes into this one.
pub(super) async fn apply(client: &Client, namespace: &str, text: &str) -> Result<()> {
    for object in parse(text)? {
        let types = object.types.clone().context("an object has no kind")?;
        let kind = GroupVersionKind::try_from(types).context("an object's kind is not one")?;
        let (resource, capabilities) = pinned_kind(client, &kind)
            .await
            .with_context(|| format!("the API has no {}", kind.kind))?;
        let api: Api<DynamicObject> = match capabilities.scope {
            Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
            Scope::Cluster => Api::all_with(client.clone(), &resource),
        };
        let name = object.name_any();
        let parameters = PatchParams::apply(FIELD_OWNER).force();
        api.patch(&name, &parameters, &Patch::Apply(&object))
            .await
            .with_context(|| format!("failed to apply {} `{name}`", kind.kind))?;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = serde_json::Value::deserialize(document).context("not YAML")?;
        if !value.is_null() {
            objects.push(serde_json::from_value(value).context("not an object of Kubernetes")?);
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_parsed_one_by_one_and_empty_ones_left_out() {
        let text = "---\napiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\n---\n\
                    apiVersion: v1\nkind: Service\nmetadata: {name: b}\n";
        let names: Vec<String> = parse(text)
            .expect("both are objects")
            .iter()
            .map(kube::ResourceExt::name_any)
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(parse("[1, 2]").is_err());
    }
}
