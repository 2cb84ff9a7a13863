//! One controller per resource: begun when its object comes, told of each new version, ended when it
//! goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource as _, ResourceExt as _};
use tandem_api::condition::rfc3339;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_api::{Condition, ConditionStatus, DoubleMaster};
use tandem_plan::Request;
use tandem_plan::double_master::Validated;
use tokio::sync::{Notify, Semaphore, SemaphorePermit, watch};
use tokio::task::JoinSet;

use super::announce;
use super::metrics::Metrics;
use super::publish::{Publisher, patch_all};
use crate::clock::unix_ms;
use crate::error::{Error, chain};
use crate::journal::Journal;
use crate::reconcile::{Controller, Parts};
use crate::runtime::Runtime as _;
use crate::runtime::kubernetes::{
    Keeper, Key, KubernetesRuntime, Listener, ReportMap, Scope, Wanted, World, names,
};
use crate::view::Announcer;

/// Rounds of one resource are at least this far apart: many share this process.
const ROUND_PAUSE: Duration = Duration::from_millis(10);
/// A resource that could not be begun is tried again after this.
const AGAIN: Duration = Duration::from_secs(2);
/// So many resources are begun at once: a dozen calls each, which the calls of others, a failover's
/// among them, do not have to wait behind.
const BEGINNERS: usize = 8;

/// The controllers.
pub(super) struct Dispatcher {
    world: Arc<World>,
    image: String,
    metrics: Arc<Metrics>,
    recorder: Recorder,
    beginning: Arc<Semaphore>,
    running: BTreeMap<Key, Running>,
}

/// A resource that is looked after; its tasks end with this value.
struct Running {
    uid: String,
    generation: i64,
    requests: Vec<Request>,
    runtime: Arc<KubernetesRuntime>,
    specification: watch::Sender<Arc<Validated>>,
    kept: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl Dispatcher {
    pub(super) fn new(world: Arc<World>, image: String, metrics: Arc<Metrics>) -> Self {
        let reporter = Reporter {
            controller: "tandem-operator".into(),
            instance: std::env::var("POD_NAME").ok(),
        };
        let recorder = Recorder::new(world.client.clone(), reporter);
        Self {
            world,
            image,
            metrics,
            recorder,
            beginning: Arc::new(Semaphore::new(BEGINNERS)),
            running: BTreeMap::new(),
        }
    }

    /// Looks after the resources of `scope` until the future is dropped.
    pub(super) async fn run(&mut self, scope: &Scope) {
        let streams = scope.streams().into_iter().map(|namespace| {
            let api: Api<DoubleMaster> = self.world.api(namespace.as_deref());
            watcher(api, watcher::Config::default())
                .default_backoff()
                .map_ok(move |event| (namespace.clone(), event))
                .boxed()
        });
        let mut events = futures::stream::select_all(streams);
        let mut listed: BTreeMap<Option<String>, BTreeSet<Key>> = BTreeMap::new();
        while let Some(event) = events.next().await {
            let (namespace, event) = match event {
                Ok(event) => event,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "watch of resources failed, trying again");
                    continue;
                }
            };
            match event {
                Event::Init => {
                    listed.insert(namespace, BTreeSet::new());
                }
                Event::InitApply(object) => {
                    listed.entry(namespace).or_default().insert(key_of(&object));
                    self.take(&object).await;
                }
                Event::InitDone => {
                    let found = listed.remove(&namespace).unwrap_or_default();
                    let gone: Vec<Key> = self
                        .running
                        .keys()
                        .filter(|key| namespace.as_ref().is_none_or(|only| *only == key.namespace))
                        .filter(|key| !found.contains(key))
                        .cloned()
                        .collect();
                    for key in &gone {
                        self.end(key);
                    }
                }
                Event::Apply(object) => self.take(&object).await,
                Event::Delete(object) => self.end(&key_of(&object)),
            }
        }
    }

    fn end(&mut self, key: &Key) {
        if self.running.remove(key).is_some() {
            tracing::info!(resource = %key, "no longer looked after");
            self.world.forget(key);
            self.metrics.forget(key);
        }
    }

    async fn take(&mut self, object: &DoubleMaster) {
        let key = key_of(object);
        if object.metadata.deletion_timestamp.is_some() {
            return self.end(&key);
        }
        let wanted = match Wanted::read(object, &self.image) {
            Ok(wanted) => wanted,
            Err(error) => return self.refuse(object, &key, &error).await,
        };
        let uid = object.metadata.uid.clone().unwrap_or_default();
        if self
            .running
            .get(&key)
            .is_some_and(|running| running.uid != uid)
        {
            self.end(&key);
        }
        let listener = |kept: &Arc<Notify>, changed: Arc<Notify>| Listener {
            changed,
            kept: Arc::clone(kept),
            secret: wanted.valid.secret_name.clone(),
        };
        if let Some(running) = self.running.get_mut(&key) {
            let is_same = running.generation == wanted.valid.generation
                && running.requests == wanted.requests;
            if is_same {
                return;
            }
            tracing::info!(resource = %key, generation = wanted.valid.generation, "another specification");
            running.generation = wanted.valid.generation;
            running.requests.clone_from(&wanted.requests);
            self.world
                .listen(&key, listener(&running.kept, running.runtime.changed()));
            running
                .specification
                .send_replace(Arc::new(wanted.valid.clone()));
            running.runtime.want(wanted);
            running.kept.notify_one();
            return;
        }
        tracing::info!(resource = %key, "looked after");
        let (changed, kept) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        self.world
            .listen(&key, listener(&kept, Arc::clone(&changed)));
        let (specification, _) = watch::channel(Arc::new(wanted.valid.clone()));
        let generation = wanted.valid.generation;
        let requests = wanted.requests.clone();
        let runtime = Arc::new(KubernetesRuntime::new(
            Arc::clone(&self.world),
            wanted,
            changed,
        ));
        let start = Start {
            key: key.clone(),
            object: object.object_ref(&()),
            status: object.status.clone().unwrap_or_default(),
            runtime: Arc::clone(&runtime),
            specification: specification.subscribe(),
            kept: Arc::clone(&kept),
            recorder: self.recorder.clone(),
            beginning: Arc::clone(&self.beginning),
            metrics: Arc::clone(&self.metrics),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(start.run());
        let running = Running {
            uid,
            generation,
            requests,
            runtime,
            specification,
            kept,
            _tasks: tasks,
        };
        self.running.insert(key, running);
    }

    /// Says what is wrong with a specification. One that was good before stays in force.
    async fn refuse(&self, object: &DoubleMaster, key: &Key, error: &Error) {
        let message = chain(error);
        let generation = object.metadata.generation.unwrap_or(1);
        let mut status = object.status.clone().unwrap_or_default();
        let said = status.conditions.iter().any(|condition| {
            condition.kind == "Ready"
                && condition.observed_generation == generation
                && condition.message == message
        });
        if said {
            return;
        }
        tracing::warn!(resource = %key, error = message, "the specification cannot be used");
        let condition = Condition {
            kind: "Ready".into(),
            status: ConditionStatus::False,
            reason: "InvalidSpecification".into(),
            message,
            observed_generation: generation,
            last_transition_time: rfc3339(unix_ms()),
        };
        status.conditions.retain(|old| old.kind != condition.kind);
        status.conditions.push(condition);
        let api: Api<DoubleMaster> = self.world.api(Some(&key.namespace));
        let patch = serde_json::json!({
            "apiVersion": "tandem.dev/v1alpha1",
            "kind": "DoubleMaster",
            "metadata": {"name": key.name},
            "status": status,
        });
        let params = kube::api::PatchParams::apply(names::FIELD_OWNER).force();
        let patched = api
            .patch_status(&key.name, &params, &kube::api::Patch::Apply(&patch))
            .await;
        if let Err(error) = patched {
            tracing::warn!(resource = %key, error = %chain(&error), "status not published");
        }
    }
}

fn key_of(object: &DoubleMaster) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// What the tasks of a resource begin with.
struct Start {
    key: Key,
    object: k8s_openapi::api::core::v1::ObjectReference,
    status: DoubleMasterStatus,
    runtime: Arc<KubernetesRuntime>,
    specification: watch::Receiver<Arc<Validated>>,
    kept: Arc<Notify>,
    recorder: Recorder,
    beginning: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Start {
    /// Waits until few enough others are being begun; never closed, so never refused.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.beginning.acquire().await.ok()
    }

    async fn run(self) {
        let mut tasks = JoinSet::new();
        let (announcer, said) = Announcer::channel();
        tasks.spawn(announce::publish(
            self.recorder.clone(),
            self.object.clone(),
            said,
        ));
        let (store, last) = loop {
            let metrics = Arc::clone(&self.metrics);
            let key = self.key.clone();
            let told = move |report: &tandem_plan::report::FailoverReport, ended: bool| {
                if ended {
                    metrics.failover_ended(report);
                } else {
                    metrics.failover_begun(&key, report);
                }
            };
            let world = Arc::clone(self.runtime.world());
            let turn = self.turn().await;
            let opened = ReportMap::open(world, &self.runtime.wanted(), Arc::new(told)).await;
            drop(turn);
            match opened {
                Ok((store, last, writing)) => {
                    tasks.spawn(writing);
                    break (store, last);
                }
                Err(error) => {
                    tracing::warn!(resource = %self.key, error = %chain(&error), "not begun, trying again");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        };
        let name = self.runtime.wanted().valid.name.clone();
        let journal = Journal::new(name, Box::new(store), last, announcer.clone());
        let mut keeper = Keeper::new(
            Arc::clone(&self.runtime),
            announcer.clone(),
            Arc::clone(&self.kept),
        );
        // Accounts and configuration before the first pod.
        loop {
            let turn = self.turn().await;
            let kept = keeper.keep().await;
            drop(turn);
            let Err(error) = kept else { break };
            tracing::warn!(resource = %self.key, error = %chain(&error), "objects not made, trying again");
            tokio::time::sleep(AGAIN).await;
        }
        tasks.spawn(keeper.run());
        let (status, latest) = watch::channel(self.status.clone());
        let api: Api<DoubleMaster> = self.runtime.world().api(Some(&self.key.namespace));
        let (published, name) = (self.status.clone(), self.key.name.clone());
        tasks.spawn(patch_all(api, name, latest, published));
        let publisher = Publisher {
            key: self.key,
            runtime: Arc::clone(&self.runtime),
            status,
            metrics: self.metrics,
        };
        let mut controller = Controller::new(Parts {
            specification: self.specification,
            runtime: self.runtime,
            journal,
            announcer,
            publisher,
            conditions: self.status.conditions,
        })
        .with_pause(ROUND_PAUSE);
        controller.run().await;
    }
}
