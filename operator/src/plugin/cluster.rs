//! The API server, as a person sees it: the resource, its claims, its events, its failover report.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use serde_json::json;
use tandem_api::DoubleMaster;
use tandem_api::double_master::FailoverSummary;
use tandem_plan::report::FailoverReport;

use super::args::Target;
use super::error::Error;

/// Most events that are asked for.
const EVENTS_MAX: u32 = 500;

/// A connection and the namespace that is looked at.
pub(super) struct Cluster {
    client: Client,
    /// The namespace.
    pub(super) namespace: String,
}

impl Cluster {
    /// Connects as the options say.
    pub(super) async fn connect(target: &Target) -> Result<Self, Error> {
        // Fails only when a provider is there already, which is as good.
        if rustls::crypto::ring::default_provider()
            .install_default()
            .is_err()
        {
            tracing::debug!("a TLS provider is installed already");
        }
        let file = match &target.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        }
        .map_err(Error::Kubeconfig)?;
        let options = KubeConfigOptions {
            context: target.context.clone(),
            ..KubeConfigOptions::default()
        };
        let config = Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(Error::Kubeconfig)?;
        let namespace = target
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(Error::Connect)?;
        Ok(Self { client, namespace })
    }

    /// The pods.
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn resources(&self) -> Api<DoubleMaster> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The resource.
    pub(super) async fn resource(&self, name: &str) -> Result<DoubleMaster, Error> {
        self.resources().get(name).await.map_err(|error| {
            let missing = match &error {
                kube::Error::Api(status) if status.is_not_found() => Some(status),
                _ => None,
            };
            // An object that is missing is named in the answer; a kind that is missing is not.
            match missing.map(|status| status.details.as_ref().is_some_and(|d| d.name == name)) {
                Some(true) => Error::Missing {
                    name: name.into(),
                    namespace: self.namespace.clone(),
                },
                Some(false) => Error::NotInstalled,
                None => Error::api(format!("get doublemasters/{name}"))(error),
            }
        })
    }

    /// The claims of both slots, as Leases.
    pub(super) async fn claims(&self, name: &str) -> Result<Vec<(String, Lease)>, Error> {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut claims = Vec::new();
        for slot in ["a", "b"] {
            let found = leases
                .get_opt(&format!("{name}-{slot}"))
                .await
                .map_err(Error::api(format!("get leases/{name}-{slot}")))?;
            claims.extend(found.map(|lease| (slot.to_string(), lease)));
        }
        Ok(claims)
    }

    /// What the operator and others said of the resource, oldest first.
    pub(super) async fn events(&self, name: &str) -> Result<Vec<Event>, Error> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let selector = format!("involvedObject.name={name},involvedObject.kind=DoubleMaster");
        let wanted = ListParams::default().fields(&selector).limit(EVENTS_MAX);
        let mut found = events
            .list(&wanted)
            .await
            .map_err(Error::api("list events"))?
            .items;
        found.sort_by_key(last_seen_ms);
        Ok(found)
    }

    /// The whole report that a summary points at; `None` when it is gone.
    pub(super) async fn report(
        &self,
        summary: &FailoverSummary,
    ) -> Result<Option<FailoverReport>, Error> {
        let Some((name, key)) = report_place(&summary.report) else {
            return Ok(None);
        };
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = maps
            .get_opt(name)
            .await
            .map_err(Error::api(format!("get configmaps/{name}")))?
            .and_then(|map| map.data)
            .unwrap_or_default();
        data.get(key)
            .map(|text| serde_json::from_str(text).map_err(Error::Json))
            .transpose()
    }

    /// The password of the resource's instances, when it has one.
    pub(super) async fn password(&self, resource: &DoubleMaster) -> Result<Option<String>, Error> {
        let Some(auth) = &resource.spec.auth else {
            return Ok(None);
        };
        let name = auth.secret_of(resource.metadata.name.as_deref().unwrap_or_default());
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = secrets
            .get(&name)
            .await
            .map_err(Error::api(format!("get secrets/{name}")))?;
        secret
            .data
            .as_ref()
            .and_then(|data| data.get("password"))
            .and_then(|bytes| String::from_utf8(bytes.0.clone()).ok())
            .map(|text| Some(text.trim_end_matches(['\r', '\n']).to_string()))
            .ok_or_else(|| Error::NoPassword {
                secret: name.clone(),
            })
    }

    /// Writes a request onto the resource.
    pub(super) async fn annotate(
        &self,
        name: &str,
        annotation: &str,
        value: &str,
    ) -> Result<(), Error> {
        let change = json!({ "metadata": { "annotations": { annotation: value } } });
        self.resources()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .map(drop)
            .map_err(Error::api(format!("patch doublemasters/{name}")))
    }
}

/// `configmap/NAME/KEY`.
fn report_place(place: &str) -> Option<(&str, &str)> {
    place.strip_prefix("configmap/")?.split_once('/')
}

/// When an event was last seen, Unix milliseconds; 0 when it does not say.
pub(super) fn last_seen_ms(event: &Event) -> i64 {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| time.0.as_millisecond());
    let times = [
        series,
        event.last_timestamp.as_ref().map(|t| t.0.as_millisecond()),
        event.event_time.as_ref().map(|t| t.0.as_millisecond()),
        event
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|t| t.0.as_millisecond()),
    ];
    times.into_iter().flatten().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_a_key_of_a_config_map() {
        assert_eq!(
            report_place("configmap/demo-failovers/0003-a"),
            Some(("demo-failovers", "0003-a"))
        );
        assert_eq!(report_place(".tandem/demo/failovers/1.json"), None);
        assert_eq!(report_place(""), None);
    }
}
