//! What is wanted of one resource, settled once per version of its object.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource as _;
use tandem_api::DoubleMaster;
use tandem_api::double_master::DoubleMasterSpec;
use tandem_api::double_master::live_key;
use tandem_node::config::Config;
use tandem_plan::double_master::{Validated, validate};
use tandem_plan::outcome::DesiredInstance;
use tandem_plan::{Request, RequestKind};

use super::cache::Key;
use crate::error::Error;

/// What is wanted of one resource.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Which.
    pub key: Key,
    /// The specification, checked.
    pub valid: Validated,
    /// The specification as written.
    pub spec: DoubleMasterSpec,
    /// Makes what is built the resource's own.
    pub owner: OwnerReference,
    /// Image of the server.
    pub image: String,
    /// Configuration that takes effect at once.
    pub live: BTreeMap<String, String>,
    /// Configuration that a server takes at its start.
    pub at_start: BTreeMap<String, String>,
    /// What people asked for.
    pub requests: Vec<Request>,
}

impl Wanted {
    /// Reads an object; `image` is that of the operator.
    pub fn read(object: &DoubleMaster, image: &str) -> Result<Self, Error> {
        let valid = validate(object)?;
        let (live, at_start) = split_config(&valid)?;
        let namespace = object.metadata.namespace.clone().unwrap_or_default();
        let owner = object.controller_owner_ref(&()).ok_or(Error::NotStored)?;
        Ok(Self {
            key: Key::new(namespace, valid.name.to_string()),
            spec: object.spec.clone(),
            owner,
            image: object
                .spec
                .image
                .clone()
                .unwrap_or_else(|| image.to_string()),
            live,
            at_start,
            requests: requests(object),
            valid,
        })
    }

    /// The instance of that name, if its slot is one of ours.
    pub fn instance(&self, name: &tandem_api::InstanceName) -> Option<DesiredInstance> {
        self.valid.slots.iter().find_map(|slot| {
            let prefix = format!("{}-{}-", self.valid.name, slot.name);
            name.as_str().starts_with(&prefix).then(|| DesiredInstance {
                name: name.clone(),
                group: slot.name.clone(),
                server_id: slot.server_id,
            })
        })
    }
}

/// What people asked for, as it stands on the object.
fn requests(object: &DoubleMaster) -> Vec<Request> {
    let annotations = object.metadata.annotations.as_ref();
    RequestKind::ALL
        .into_iter()
        .filter_map(|kind| {
            let text = annotations?.get(&request_annotation(kind))?.clone();
            Some(Request { kind, text })
        })
        .collect()
}

/// The annotation that carries a request.
pub fn request_annotation(kind: RequestKind) -> String {
    format!("{}/{}", tandem_api::labels::PREFIX, kind.as_str())
}

/// Set from the specification's own field, and live.
const MIN_REPLICAS: &str = "min-replicas-to-write";

type Settings = BTreeMap<String, String>;

/// Keys that a running server takes, and those that need a start; a wrong one is an error with the
/// server's own words.
fn split_config(valid: &Validated) -> Result<(Settings, Settings), Error> {
    let mut config = valid.config.clone();
    if valid.durable_acks > 0 {
        config.insert(MIN_REPLICAS.into(), valid.durable_acks.to_string());
    }
    for (key, value) in &config {
        let words = [format!("--{key}"), value.clone()];
        Config::parse(None, &words).map_err(|source| Error::ConfigKey {
            key: key.clone(),
            source: Box::new(source),
        })?;
    }
    let is_live = |key: &str| key == MIN_REPLICAS || live_key(key).is_some();
    Ok(config.into_iter().partition(|(key, _)| is_live(key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(spec: &serde_json::Value) -> DoubleMaster {
        let mut object = DoubleMaster::new("dm", serde_json::from_value(spec.clone()).unwrap());
        object.metadata.namespace = Some("ns".into());
        object.metadata.uid = Some("u".into());
        object
    }

    #[test]
    fn keys_are_told_apart_by_whether_a_running_server_takes_them() {
        let spec = serde_json::json!({"config": {"maxmemory": "1gb", "databases": "4"}, "sync": {"durableAcks": 1}});
        let wanted = Wanted::read(&object(&spec), "tandem:1").unwrap();
        let live: Vec<&str> = wanted.live.keys().map(String::as_str).collect();
        assert_eq!(live, ["maxmemory", "min-replicas-to-write"]);
        assert!(wanted.at_start.contains_key("databases"));
        assert_eq!(wanted.image, "tandem:1");
    }

    #[test]
    fn a_key_that_no_server_has_is_refused_in_its_words() {
        let spec = serde_json::json!({"config": {"maxmemry": "1gb"}});
        let error = Wanted::read(&object(&spec), "tandem:1").unwrap_err();
        let text = crate::error::chain(&error);
        assert!(text.contains("did you mean `maxmemory`"), "{text}");
    }

    #[test]
    fn requests_are_annotations() {
        let mut object = object(&serde_json::json!({}));
        let asked = ("tandem.dev/switchover".to_string(), "a=dm-a-1".to_string());
        object.metadata.annotations = Some([asked].into());
        let wanted = Wanted::read(&object, "tandem:1").unwrap();
        assert_eq!(
            wanted.requests,
            [Request {
                kind: RequestKind::Switchover,
                text: "a=dm-a-1".into()
            }]
        );
    }
}
