//! The runtime itself: what the caches show, as the planner wants it, and steps as calls.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::core::ApiResource;
use serde_json::{Value, json};
use tandem_api::condition::rfc3339;
use tandem_api::{
    Condition, ConditionStatus, DoubleMaster, GroupName, InstanceName, ServiceName, labels,
};
use tandem_plan::observed::Retained;
use tandem_plan::outcome::{ClaimStep, DesiredInstance};
use tandem_plan::suffix::{SUFFIX_RO, SUFFIX_RW};
use tandem_plan::{Claim, Process, Reply, Request};
use tokio::sync::Notify;

use super::arrange::{pod_changes, volume_changes};
use super::claims::Claims;
use super::life::Life;
use super::names::{self, FIELD_OWNER, created_by_us};
use super::objects;
use super::seen::{Doing, Revision, SeenPod, look};
use super::specification::Specification;
use super::wanted::{Wanted, request_annotation};
use super::world::{NodeView, World};
use crate::clock::unix_ms;
use crate::error::Error;
use crate::runtime::{Arrangement, Claimed, Runtime, Seen};

/// A pod that has to end at once still gets this long, so that its object is gone only when its
/// container is.
const KILL_SECONDS: u32 = 1;

/// Nodes take another target of a service into their rules within this: they write them at once, but
/// not more often than once a second.
const LINGER: Duration = Duration::from_millis(1200);

/// The other services follow `-rw` after this, so that theirs is not the write that it waits for.
const HEAD_START: Duration = Duration::from_millis(100);

/// Instances as pods.
#[derive(Debug)]
pub struct KubernetesRuntime {
    world: Arc<World>,
    specification: RwLock<Specification>,
    passwords: RwLock<Vec<String>>,
    lives: Mutex<BTreeMap<InstanceName, Life>>,
    answered: Mutex<BTreeSet<Request>>,
    /// Instances that `-rw` has left, and when.
    left: Mutex<BTreeMap<InstanceName, Instant>>,
    /// Why a volume could not be changed as it is wanted.
    refused_volume: Mutex<Option<Condition>>,
    changed: Arc<Notify>,
}

impl KubernetesRuntime {
    /// The runtime of one resource.
    pub fn new(world: Arc<World>, wanted: Wanted, changed: Arc<Notify>) -> Self {
        Self {
            world,
            specification: RwLock::new(Specification::of(wanted)),
            passwords: RwLock::new(Vec::new()),
            lives: Mutex::new(BTreeMap::new()),
            answered: Mutex::new(BTreeSet::new()),
            left: Mutex::new(BTreeMap::new()),
            refused_volume: Mutex::new(None),
            changed,
        }
    }

    /// Takes a newer specification.
    pub fn want(&self, wanted: Wanted) {
        let asked: BTreeSet<Request> = wanted.requests.iter().cloned().collect();
        lock(&self.answered).retain(|request| asked.contains(request));
        let mut specification = self
            .specification
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *specification = Specification::of(wanted);
        drop(specification);
        self.changed.notify_one();
    }

    fn specification(&self) -> Specification {
        let specification = self.specification.read();
        specification
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What is wanted now.
    pub fn wanted(&self) -> Arc<Wanted> {
        self.specification().wanted
    }

    /// What is watched.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Takes the present password, and those that an instance may still have.
    pub fn take_passwords(&self, passwords: Vec<String>) {
        let mut own = self
            .passwords
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *own = passwords;
    }

    /// Notes why a volume cannot be changed, or that all are as they are wanted. Returns what is new.
    pub(super) fn note_refused_volume(&self, why: Option<String>) -> Option<String> {
        let mut noted = lock(&self.refused_volume);
        if noted.as_ref().map(|old| &old.message) == why.as_ref() {
            return None;
        }
        *noted = why.clone().map(|message| Condition {
            kind: "StorageResized".into(),
            status: ConditionStatus::False,
            reason: "Refused".into(),
            message,
            observed_generation: self.wanted().valid.generation,
            last_transition_time: rfc3339(unix_ms()),
        });
        drop(noted);
        self.changed.notify_one();
        why
    }

    /// The condition that says that a volume cannot be changed as it is wanted.
    pub fn storage_condition(&self) -> Option<Condition> {
        lock(&self.refused_volume).clone()
    }

    fn pods(&self) -> Api<Pod> {
        self.world.api(Some(&self.wanted().key.namespace))
    }

    fn volumes(&self) -> Api<PersistentVolumeClaim> {
        self.world.api(Some(&self.wanted().key.namespace))
    }

    /// The pod of an instance, as the watch has brought it.
    fn pod(&self, name: &InstanceName) -> Option<Arc<Pod>> {
        self.world.pods.get(&self.wanted().key, name.as_str())
    }

    /// What can be seen of the node of a pod.
    #[expect(clippy::option_option, reason = "as the world says it")]
    fn node_of(&self, pod: &Pod) -> Option<Option<NodeView>> {
        let name = pod.spec.as_ref()?.node_name.as_deref()?;
        let node = self.world.node(name)?;
        Some(node.as_deref().map(NodeView::of))
    }

    fn seen(&self, name: &InstanceName, pod: &Pod, revision: &Revision) -> Seen {
        let found = look(pod, self.node_of(pod), revision);
        let SeenPod {
            doing,
            life,
            restarts,
            mut address,
            placement,
        } = found;
        let mut lives = lock(&self.lives);
        let now = Instant::now();
        let note = lives.entry(name.clone()).or_insert_with(|| Life {
            number: life,
            doing: doing.clone(),
            since: now,
            ran_before: doing != Doing::Pending,
            settings: BTreeMap::new(),
        });
        if note.number != life {
            note.settings.clear();
            note.ran_before = false;
        }
        if note.number != life || note.doing != doing {
            note.number = life;
            note.doing = doing.clone();
            note.since = now;
        }
        let age_ms = now.duration_since(note.since).as_millis() as u64;
        let process = match doing {
            Doing::Running => Process::Running { age_ms },
            Doing::Pending => {
                // Nothing listens yet.
                address.host.clear();
                Process::Running { age_ms }
            }
            Doing::Ended { how } => Process::Exited {
                age_ms,
                quick_exits: restarts,
                how,
            },
            Doing::Unknown => Process::Unknown,
        };
        Seen {
            process,
            life,
            ran_before: note.ran_before,
            address,
            placement,
            settings: Some(note.settings.clone()),
        }
    }

    async fn patch_pod(&self, name: &str, change: &Value) -> Result<(), Error> {
        let patched = self
            .pods()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await;
        match patched {
            Ok(pod) => {
                self.world.pods.put(&self.wanted().key, pod);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(Error::api("patch pod", name)(error)),
        }
    }

    /// Asks for the end of a pod, of this one and no later one of its name.
    async fn delete_pod(&self, pod: &Pod, grace_seconds: Option<u32>) -> Result<(), Error> {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let params = DeleteParams {
            grace_period_seconds: grace_seconds,
            preconditions: Some(Preconditions {
                uid: pod.metadata.uid.clone(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match self.pods().delete(name, &params).await {
            Ok(answer) => {
                let key = &self.wanted().key;
                match answer.left() {
                    Some(left) if left.metadata.deletion_timestamp.is_some() => {
                        self.world.pods.put(key, left);
                    }
                    _ if grace_seconds == Some(0) => self.world.pods.remove(key, pod),
                    _ => {}
                }
                Ok(())
            }
            // Gone, or another one by now.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {
                Ok(())
            }
            Err(error) => Err(Error::api("delete pod", name)(error)),
        }
    }

    async fn ensure_volume(&self, instance: &DesiredInstance) -> Result<(), Error> {
        let wanted = self.wanted();
        let name = names::volume(&instance.name);
        if let Some(found) = self.world.volumes.get(&wanted.key, &name) {
            return if found.metadata.deletion_timestamp.is_some() {
                Err(Error::VolumeGoes { name })
            } else {
                Ok(())
            };
        }
        let volume = objects::volume(&wanted, instance);
        match self.volumes().create(&created_by_us(), &volume).await {
            Ok(volume) => {
                self.world.volumes.put(&wanted.key, volume);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(Error::api("create volume claim", &name)(error)),
        }
    }

    async fn create_pod(&self, instance: &DesiredInstance) -> Result<(), Error> {
        let wanted = self.wanted();
        let pod = objects::pod(&wanted, instance);
        match self.pods().create(&created_by_us(), &pod).await {
            Ok(pod) => {
                self.world.pods.put(&wanted.key, pod);
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(Error::api("create pod", instance.name.as_str())(error)),
        }
    }

    /// The node of a pod is known to be gone for good, or a person said so: only then may a pod be
    /// taken for ended that nobody has seen end.
    fn is_node_gone(&self, pod: &Pod) -> bool {
        match self.node_of(pod) {
            Some(None) => true,
            Some(Some(node)) => node.out_of_service,
            None => false,
        }
    }

    /// Points a service at one pod, or at none: one write, so that no node ever sees both or neither.
    async fn point(
        &self,
        service: &ServiceName,
        target: Option<&InstanceName>,
    ) -> Result<(), Error> {
        let wanted = self.wanted();
        let kind = ApiResource::erase::<Service>(&());
        let mut selected = names::selector(&wanted.valid.name);
        let pod = target.map_or(names::NOBODY, InstanceName::as_str);
        selected.insert(names::POD.into(), pod.into());
        let change = json!({"spec": {"selector": selected}});
        let params = PatchParams {
            field_manager: Some(FIELD_OWNER.into()),
            ..PatchParams::default()
        };
        let pointed = self
            .world
            .api_of(&kind, Some(&wanted.key.namespace))
            .patch(service.as_str(), &params, &Patch::Merge(change))
            .await
            .map_err(Error::api("patch service", service.as_str()))?;
        if let Some(cache) = self.world.children.get(&kind.kind) {
            cache.put(&wanted.key, pointed);
        }
        Ok(())
    }

    /// Whom a service that points at one pod selects.
    fn pointed(&self, service: &ServiceName) -> Option<InstanceName> {
        let cache = self.world.children.get("Service")?;
        let object = cache.get(&self.wanted().key, service.as_str())?;
        selected(&object)
    }

    /// Takes answered requests off the object.
    async fn answer(&self, replies: &[Reply]) -> Result<(), Error> {
        if replies.is_empty() {
            return Ok(());
        }
        let wanted = self.wanted();
        let mut annotations = serde_json::Map::new();
        for reply in replies {
            lock(&self.answered).insert(reply.request.clone());
            annotations.insert(request_annotation(reply.request.kind), Value::Null);
        }
        let change = json!({"metadata": {"annotations": annotations}});
        let api: Api<DoubleMaster> = self.world.api(Some(&wanted.key.namespace));
        api.patch(
            &wanted.key.name,
            &PatchParams::default(),
            &Patch::Merge(change),
        )
        .await
        .map(drop)
        .map_err(Error::api("patch doublemaster", &wanted.key.name))
    }
}

fn selected(service: &DynamicObject) -> Option<InstanceName> {
    let pod = service.data.pointer("/spec/selector")?.get(names::POD)?;
    InstanceName::parse(pod.as_str()?).ok()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Runtime for KubernetesRuntime {
    fn instances(&self) -> BTreeMap<InstanceName, Seen> {
        let Specification { wanted, revision } = self.specification();
        self.world
            .pods
            .of(&wanted.key)
            .into_iter()
            .filter_map(|(name, pod)| {
                let name = InstanceName::parse(&name).ok()?;
                let seen = self.seen(&name, &pod, &revision);
                Some((name, seen))
            })
            .collect()
    }

    fn instance(&self, name: &InstanceName) -> Option<Seen> {
        let Specification { wanted, revision } = self.specification();
        let pod = self.world.pods.get(&wanted.key, name.as_str())?;
        Some(self.seen(name, &pod, &revision))
    }

    async fn claims(&self) -> Result<BTreeMap<GroupName, Claim>, Error> {
        let (world, wanted) = (&self.world, &*self.wanted());
        Ok(Claims { world, wanted }.seen())
    }

    async fn claims_afresh(&self) -> Result<BTreeMap<GroupName, Claim>, Error> {
        let (world, wanted) = (&self.world, &*self.wanted());
        Claims { world, wanted }.fresh().await
    }

    async fn claim(&self, step: &ClaimStep) -> Result<Claimed, Error> {
        let (world, wanted) = (&self.world, &*self.wanted());
        Claims { world, wanted }.compare_and_swap(step).await
    }

    fn services(&self) -> BTreeMap<ServiceName, Vec<InstanceName>> {
        let wanted = self.wanted();
        let pods = self.world.pods.of(&wanted.key);
        names::service_suffixes()
            .into_iter()
            .map(|suffix| {
                let service = wanted.valid.name.service(suffix);
                if suffix != SUFFIX_RO {
                    let targets = self.pointed(&service).into_iter().collect();
                    return (service, targets);
                }
                let has_it = |pod: &Pod| {
                    let labels = pod.metadata.labels.as_ref();
                    labels.is_some_and(|labels| labels.contains_key(names::READER))
                };
                let targets = pods
                    .iter()
                    .filter(|(_, pod)| has_it(pod))
                    .filter_map(|(name, _)| InstanceName::parse(name).ok())
                    .collect();
                (service, targets)
            })
            .collect()
    }

    async fn switch(
        &self,
        services: &BTreeMap<ServiceName, Vec<InstanceName>>,
    ) -> Result<(), Error> {
        let before = self.services();
        let is_other = |service: &ServiceName| before.get(service) != services.get(service);
        let target = |service: &ServiceName| services.get(service).and_then(|all| all.first());
        let wanted = self.wanted();
        let rw = wanted.valid.name.service(SUFFIX_RW);
        if is_other(&rw) {
            self.point(&rw, target(&rw)).await?;
            let old = before.get(&rw).and_then(|all| all.first());
            if let Some(old) = old {
                lock(&self.left).insert(old.clone(), Instant::now());
                tokio::time::sleep(HEAD_START).await;
            }
        }
        let others = services
            .keys()
            .filter(|service| **service != rw && service.suffix() != SUFFIX_RO)
            .filter(|service| is_other(service))
            .map(|service| self.point(service, target(service)));
        join_all(others)
            .await
            .into_iter()
            .collect::<Result<(), Error>>()?;
        let readers = services.get(&wanted.valid.name.service(SUFFIX_RO));
        let pods = self.world.pods.of(&wanted.key);
        let changes = pod_changes(&pods, readers.map(Vec::as_slice), &[]);
        let patches = changes
            .iter()
            .map(|(name, change)| self.patch_pod(name, change));
        join_all(patches).await.into_iter().collect()
    }

    fn sent_to(&self) -> BTreeSet<InstanceName> {
        let mut left = lock(&self.left);
        left.retain(|_, at| at.elapsed() < LINGER);
        let rw = self.wanted().valid.name.service(SUFFIX_RW);
        left.keys().cloned().chain(self.pointed(&rw)).collect()
    }

    async fn start(&self, instance: &DesiredInstance) -> Result<(), Error> {
        if let Some(pod) = self.pod(&instance.name) {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            let has_ended = matches!(phase, Some("Failed" | "Succeeded"));
            if pod.metadata.deletion_timestamp.is_some() {
                if !self.is_node_gone(&pod) {
                    return Err(Error::PodGoes {
                        name: instance.name.to_string(),
                    });
                }
                tracing::warn!(instance = %instance.name, "its node is gone: the old pod is given up");
                self.delete_pod(&pod, Some(0)).await?;
            } else if has_ended {
                self.delete_pod(&pod, Some(0)).await?;
            } else {
                // The kubelet starts the container.
                return Ok(());
            }
        }
        self.ensure_volume(instance).await?;
        self.create_pod(instance).await
    }

    async fn restart(&self, instance: &DesiredInstance) -> Result<(), Error> {
        let Some(pod) = self.pod(&instance.name) else {
            return self.start(instance).await;
        };
        if self
            .node_of(&pod)
            .is_some_and(|node| node.is_none_or(|node| !node.reports))
        {
            return Err(Error::NodeSilent {
                name: instance.name.to_string(),
            });
        }
        self.delete_pod(&pod, Some(KILL_SECONDS)).await
    }

    async fn replace(&self, instance: &DesiredInstance) -> Result<(), Error> {
        match self.pod(&instance.name) {
            Some(pod) => self.delete_pod(&pod, None).await,
            None => self.start(instance).await,
        }
    }

    async fn stop(&self, instance: &InstanceName) -> Result<(), Error> {
        match self.pod(instance) {
            Some(pod) => self.delete_pod(&pod, None).await,
            None => Ok(()),
        }
    }

    fn passwords(&self) -> Vec<String> {
        let passwords = self.passwords.read();
        passwords.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn requests(&self) -> Vec<Request> {
        let answered = lock(&self.answered);
        self.wanted()
            .requests
            .iter()
            .filter(|request| !answered.contains(request))
            .cloned()
            .collect()
    }

    fn retained(&self) -> BTreeMap<InstanceName, Retained> {
        let volumes = self.world.volumes.of(&self.wanted().key);
        volumes
            .iter()
            .filter_map(|(name, volume)| {
                let annotations = volume.metadata.annotations.as_ref()?;
                let number = |key: &str| annotations.get(key)?.parse::<u64>().ok();
                let retained = Retained {
                    server_id: number(labels::SERVER_ID)? as u32,
                    epoch: number(labels::EPOCH).unwrap_or(0),
                };
                Some((names::instance_of_volume(name)?, retained))
            })
            .collect()
    }

    fn configured(&self, instance: &InstanceName, settings: &BTreeMap<String, String>) {
        if let Some(life) = lock(&self.lives).get_mut(instance) {
            life.settings.extend(
                settings
                    .iter()
                    .map(|(key, value)| (key.clone(), value.clone())),
            );
        }
    }

    async fn arrange(&self, arrangement: Arrangement<'_>) -> Result<(), Error> {
        let wanted = self.wanted();
        let pods = self.world.pods.of(&wanted.key);
        let changes = pod_changes(&pods, None, arrangement.groups);
        let patches = changes
            .iter()
            .map(|(name, change)| self.patch_pod(name, change));
        join_all(patches)
            .await
            .into_iter()
            .collect::<Result<(), Error>>()?;
        let volumes = self.world.volumes.of(&wanted.key);
        for (name, change) in volume_changes(&volumes, &wanted, arrangement.groups) {
            let patched = self
                .volumes()
                .patch(&name, &PatchParams::default(), &Patch::Merge(change))
                .await
                .map_err(Error::api("patch volume claim", &name))?;
            self.world.volumes.put(&wanted.key, patched);
        }
        self.answer(arrangement.replies).await
    }

    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }
}
