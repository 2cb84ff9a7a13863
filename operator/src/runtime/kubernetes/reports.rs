//! Failover reports as keys of one `ConfigMap`, the latest twenty.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tandem_plan::report::FailoverReport;
use tokio::sync::Notify;

use super::names::{self, FIELD_OWNER, resource_labels};
use super::wanted::Wanted;
use super::world::World;
use crate::error::{Error, chain};
use crate::journal::{ReportStore, number_of};

/// How many reports are kept.
const KEPT: usize = 20;
/// A write that failed is tried again after this.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(2);

type Pending = Arc<Mutex<BTreeMap<String, String>>>;

/// Told of each report that is opened or closed.
pub type Told = Arc<dyn Fn(&FailoverReport, bool) + Send + Sync>;

/// Where reports are put; a task of its own writes them.
pub struct ReportMap {
    name: String,
    told: Told,
    open: Mutex<BTreeSet<String>>,
    pending: Pending,
    filled: Arc<Notify>,
}

impl std::fmt::Debug for ReportMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReportMap")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl ReportMap {
    /// The reports of a resource: where to put them, the latest, and the task that writes.
    pub async fn open(
        world: Arc<World>,
        wanted: &Wanted,
        told: Told,
    ) -> Result<
        (
            Self,
            Option<(FailoverReport, String)>,
            impl Future<Output = ()> + Send + 'static,
        ),
        Error,
    > {
        let name = names::failovers(&wanted.valid.name);
        let api: Api<ConfigMap> = world.api(Some(&wanted.key.namespace));
        let found = api
            .get_opt(&name)
            .await
            .map_err(Error::api("get configmap", &name))?;
        let data = found.and_then(|map| map.data).unwrap_or_default();
        let last = data
            .iter()
            .max_by_key(|(key, _)| number_of(key))
            .and_then(|(key, text)| Some((serde_json::from_str(text).ok()?, key.clone())));
        let store = Self {
            name: name.clone(),
            told,
            open: Mutex::default(),
            pending: Pending::default(),
            filled: Arc::new(Notify::new()),
        };
        let metadata = ObjectMeta {
            name: Some(name),
            namespace: Some(wanted.key.namespace.clone()),
            labels: Some(resource_labels(&wanted.valid.name)),
            owner_references: Some(vec![wanted.owner.clone()]),
            ..ObjectMeta::default()
        };
        let writer = Writer {
            api,
            metadata,
            kept: data.into_keys().collect(),
            pending: Arc::clone(&store.pending),
            filled: Arc::clone(&store.filled),
        };
        Ok((store, last, writer.run()))
    }
}

impl ReportStore for ReportMap {
    fn save(&self, name: &str, report: &FailoverReport) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.insert(name.into()) {
            (self.told)(report, false);
        }
        if report.closed {
            (self.told)(report, true);
        }
        drop(open);
        match serde_json::to_string(report) {
            Ok(text) => {
                let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
                pending.insert(name.into(), text);
                self.filled.notify_one();
            }
            Err(error) => tracing::error!(%error, "failover report not written"),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("configmap/{}/{name}", self.name)
    }
}

struct Writer {
    api: Api<ConfigMap>,
    metadata: ObjectMeta,
    kept: Vec<String>,
    pending: Pending,
    filled: Arc<Notify>,
}

impl Writer {
    async fn run(mut self) {
        loop {
            self.filled.notified().await;
            let batch =
                std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
            if batch.is_empty() {
                continue;
            }
            if let Err(error) = self.write(&batch).await {
                tracing::warn!(error = %chain(&error), "failover report not written, trying again");
                self.put_back(batch);
                tokio::time::sleep(AGAIN).await;
                self.filled.notify_one();
            }
        }
    }

    /// For the next try, unless there is a newer word by now.
    fn put_back(&self, batch: BTreeMap<String, String>) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, text) in batch {
            pending.entry(name).or_insert(text);
        }
    }

    async fn write(&mut self, batch: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut names = self.kept.clone();
        names.extend(
            batch
                .keys()
                .filter(|name| !self.kept.contains(name))
                .cloned(),
        );
        names.sort_by_key(|name| number_of(name));
        let dropped: Vec<String> = names.drain(..names.len().saturating_sub(KEPT)).collect();
        let mut data: BTreeMap<&str, Value> = batch
            .iter()
            .map(|(name, text)| (name.as_str(), json!(text)))
            .collect();
        data.extend(dropped.iter().map(|name| (name.as_str(), Value::Null)));
        let name = self.metadata.name.clone().unwrap_or_default();
        let change = Patch::Merge(json!({ "data": data }));
        match self
            .api
            .patch(&name, &PatchParams::default(), &change)
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                let map = ConfigMap {
                    metadata: self.metadata.clone(),
                    data: Some(batch.clone()),
                    ..ConfigMap::default()
                };
                let params = PostParams {
                    field_manager: Some(FIELD_OWNER.into()),
                    ..PostParams::default()
                };
                self.api
                    .create(&params, &map)
                    .await
                    .map_err(Error::api("create configmap", &name))?;
            }
            Err(error) => return Err(Error::api("patch configmap", &name)(error)),
        }
        self.kept = names;
        Ok(())
    }
}
