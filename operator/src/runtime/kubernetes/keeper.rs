//! Keeps what stands beside the pods as it is wanted: the password, the applied objects, the sizes and
//! owners of volumes. Level based, woken by changes; at rest it writes nothing.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tandem_api::double_master::ReclaimPolicy;
use tokio::sync::Notify;

use super::machine::KubernetesRuntime;
use super::names::FIELD_OWNER;
use super::objects::children::{Child, children, is_contained, kinds};
use super::password::Passwords;
use super::wanted::Wanted;
use crate::error::{Error, chain};
use crate::view::Announcer;

/// Looked at again after this long when nothing woke it.
const IDLE: Duration = Duration::from_mins(5);
/// After a failure, or while an instance still has an old password.
const AGAIN: Duration = Duration::from_secs(2);

/// Keeps the objects of one resource.
#[derive(Debug)]
pub struct Keeper {
    runtime: Arc<KubernetesRuntime>,
    passwords: Passwords,
    announcer: Announcer,
    changed: Arc<Notify>,
}

impl Keeper {
    /// A keeper that is woken by `changed`.
    pub fn new(
        runtime: Arc<KubernetesRuntime>,
        announcer: Announcer,
        changed: Arc<Notify>,
    ) -> Self {
        Self {
            runtime,
            passwords: Passwords::default(),
            announcer,
            changed,
        }
    }

    /// Keeps them until the future is dropped.
    pub async fn run(mut self) {
        loop {
            let pause = match self.keep().await {
                Ok(true) => IDLE,
                Ok(false) => AGAIN,
                Err(error) => {
                    let key = &self.runtime.wanted().key;
                    tracing::warn!(resource = %key, error = %chain(&error), "objects not kept, trying again");
                    AGAIN
                }
            };
            if tokio::time::timeout(pause, self.changed.notified())
                .await
                .is_err()
            {
                tracing::trace!("looking at the objects again unasked");
            }
        }
    }

    /// One pass. Returns whether everything is settled.
    pub async fn keep(&mut self) -> Result<bool, Error> {
        let wanted = self.runtime.wanted();
        if wanted.valid.pause {
            return Ok(true);
        }
        let settled = self
            .passwords
            .keep(&self.runtime, &wanted, &self.announcer)
            .await?;
        let all = children(&wanted);
        for child in &all {
            self.keep_child(&wanted, child).await?;
        }
        self.drop_unwanted(&wanted, &all).await?;
        self.keep_volumes(&wanted).await?;
        Ok(settled)
    }

    async fn keep_child(&self, wanted: &Wanted, child: &Child) -> Result<(), Error> {
        let world = self.runtime.world();
        let Some(cache) = world.children.get(&child.kind.kind) else {
            return Ok(());
        };
        let live = cache.get(&wanted.key, &child.name);
        let is_there = live
            .as_deref()
            .and_then(|live| serde_json::to_value(live).ok())
            .is_some_and(|live| is_contained(&without_type(&child.value), &live));
        if is_there {
            return Ok(());
        }
        tracing::info!(resource = %wanted.key, kind = %child.kind.kind, name = %child.name, "applied");
        let params = PatchParams::apply(FIELD_OWNER).force();
        let applied = world
            .api_of(&child.kind, Some(&wanted.key.namespace))
            .patch(&child.name, &params, &Patch::Apply(&child.value))
            .await
            .map_err(Error::api("apply", &child.name))?;
        cache.put(&wanted.key, applied);
        Ok(())
    }

    /// Takes away what was applied once and is not wanted any more.
    async fn drop_unwanted(&self, wanted: &Wanted, all: &[Child]) -> Result<(), Error> {
        let world = self.runtime.world();
        for kind in kinds() {
            let Some(cache) = world.children.get(&kind.kind) else {
                continue;
            };
            for (name, object) in cache.of(&wanted.key) {
                let is_wanted = all
                    .iter()
                    .any(|child| child.kind.kind == kind.kind && child.name == name);
                let is_ours = object
                    .metadata
                    .owner_references
                    .iter()
                    .flatten()
                    .any(|owner| owner.uid == wanted.owner.uid);
                if is_wanted || !is_ours || !is_applied(&kind.kind, &name, wanted) {
                    continue;
                }
                let api = world.api_of(&kind, Some(&wanted.key.namespace));
                match api.delete(&name, &DeleteParams::default()).await {
                    Ok(_) => {
                        tracing::info!(resource = %wanted.key, kind = %kind.kind, name, "not wanted any more");
                    }
                    Err(kube::Error::Api(status)) if status.is_not_found() => {}
                    Err(error) => return Err(Error::api("delete", &name)(error)),
                }
            }
        }
        Ok(())
    }

    /// Grows volumes, and ties them to the resource or frees them, as the specification says.
    async fn keep_volumes(&self, wanted: &Wanted) -> Result<(), Error> {
        let world = Arc::clone(self.runtime.world());
        let api: Api<PersistentVolumeClaim> = world.api(Some(&wanted.key.namespace));
        let mut refused = None;
        for (name, volume) in world.volumes.of(&wanted.key) {
            let mut change = json!({});
            if let Some(owners) = owners(&volume, wanted) {
                change["metadata"]["ownerReferences"] = owners;
            }
            if let Some(size) = growth(&volume, wanted) {
                change["spec"]["resources"]["requests"]["storage"] = json!(size);
            }
            if change.as_object().is_none_or(serde_json::Map::is_empty) {
                continue;
            }
            match api
                .patch(&name, &PatchParams::default(), &Patch::Merge(&change))
                .await
            {
                Ok(volume) => {
                    world.volumes.put(&wanted.key, volume);
                }
                Err(kube::Error::Api(status)) if status.code == 403 || status.code == 422 => {
                    let why = format!("{name} cannot be changed: {}", status.message);
                    refused.get_or_insert(why);
                }
                Err(error) => return Err(Error::api("patch volume claim", &name)(error)),
            }
        }
        if let Some(why) = self.runtime.note_refused_volume(refused) {
            self.announcer.warn("VolumeNotExpanded", why);
        }
        Ok(())
    }
}

/// An object without its type, which those of a list do not say.
fn without_type(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    object
}

/// Whether an object of this kind and name is one that `children` makes or has made; reports are not.
fn is_applied(kind: &str, name: &str, wanted: &Wanted) -> bool {
    kind != "ConfigMap" || name == super::names::config(&wanted.valid.name)
}

/// The owners that a volume should have, when they are others.
fn owners(volume: &PersistentVolumeClaim, wanted: &Wanted) -> Option<Value> {
    let have = volume
        .metadata
        .owner_references
        .as_deref()
        .unwrap_or_default();
    let is_ours = have.iter().any(|owner| owner.uid == wanted.owner.uid);
    match (wanted.valid.reclaim_policy, is_ours) {
        (ReclaimPolicy::Delete, false) => Some(json!([wanted.owner])),
        (ReclaimPolicy::Retain, true) => Some(Value::Null),
        _ => None,
    }
}

/// The size that a volume should grow to, when it is smaller.
fn growth(volume: &PersistentVolumeClaim, wanted: &Wanted) -> Option<String> {
    if !wanted.spec.storage.expand {
        return None;
    }
    let size = wanted.spec.storage.size.clone();
    let requests = volume
        .spec
        .as_ref()?
        .resources
        .as_ref()?
        .requests
        .as_ref()?;
    let have = bytes(&requests.get("storage")?.0)?;
    (bytes(&size)? > have).then_some(size)
}

/// A quantity of bytes.
fn bytes(quantity: &str) -> Option<f64> {
    let at = quantity
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(quantity.len());
    let (number, unit) = quantity.split_at(at);
    let (base, letter): (f64, &str) = match unit.strip_suffix('i') {
        Some(letter) => (1024.0, letter),
        None => (1000.0, unit),
    };
    let power = match letter {
        "" => 0,
        "k" | "K" => 1,
        "M" => 2,
        "G" => 3,
        "T" => 4,
        "P" => 5,
        "E" => 6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * base.powi(power))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_as_amounts() {
        assert!(bytes("1Gi") > bytes("1G"));
        assert!(bytes("1024Mi") >= bytes("1Gi"));
        assert!(bytes("1.5Gi") > bytes("1Gi"));
        assert_eq!(bytes("10x"), None);
    }
}
