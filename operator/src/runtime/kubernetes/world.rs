//! Everything that is watched, one stream per kind and namespace, however many resources there are.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Secret};
use kube::api::DynamicObject;
use kube::core::{ApiResource, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tandem_api::labels;
use tokio::sync::{Notify, watch as latest};
use tokio::task::JoinSet;

use super::cache::{Cache, Key, Slim};
use super::objects::children;
use crate::error::chain;

/// Namespaces that are looked after; all when empty.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Their names.
    pub namespaces: Vec<String>,
}

impl Scope {
    /// One entry per stream: a namespace, or `None` for all of them at once.
    pub fn streams(&self) -> Vec<Option<String>> {
        if self.namespaces.is_empty() {
            vec![None]
        } else {
            self.namespaces.iter().cloned().map(Some).collect()
        }
    }
}

/// Who is woken by changes of a resource's objects.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Woken by what a plan is made from: pods, volumes, claims, nodes.
    pub changed: Arc<Notify>,
    /// Woken by what is kept beside the pods.
    pub kept: Arc<Notify>,
    /// The secret whose changes count among that.
    pub secret: Option<String>,
}

/// Whom a kind wakes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakes {
    Plan,
    Both,
    Keeper,
}

/// What is seen of the cluster.
pub struct World {
    /// The way to the API server.
    pub client: Client,
    /// Pods of ours.
    pub pods: Cache<Pod>,
    /// Volume claims of ours.
    pub volumes: Cache<PersistentVolumeClaim>,
    /// Claims.
    pub leases: Cache<Lease>,
    /// What the operator applies and repairs, by kind.
    pub children: BTreeMap<String, Cache<DynamicObject>>,
    nodes: RwLock<Option<BTreeMap<String, Arc<Node>>>>,
    secrets: RwLock<HashMap<Key, String>>,
    listeners: RwLock<HashMap<Key, Listener>>,
}

impl Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}

/// The watching tasks; they end with this value.
#[derive(Debug)]
pub struct Watching {
    tasks: JoinSet<()>,
    lists: Vec<latest::Receiver<bool>>,
}

impl Watching {
    /// Waits until every kind was listed once.
    pub async fn listed(&mut self) {
        for list in &mut self.lists {
            if list.wait_for(|done| *done).await.is_err() {
                tracing::error!("a watch ended");
            }
        }
    }

    /// Ends all watches.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
    }
}

impl World {
    /// An empty one.
    pub fn new(client: Client) -> Arc<Self> {
        let children = children::kinds()
            .into_iter()
            .map(|kind| (kind.kind, Cache::default()))
            .collect();
        Arc::new(Self {
            client,
            pods: Cache::default(),
            volumes: Cache::default(),
            leases: Cache::default(),
            children,
            nodes: RwLock::new(None),
            secrets: RwLock::new(HashMap::new()),
            listeners: RwLock::new(HashMap::new()),
        })
    }

    /// Wakes `listener` whenever something of the resource changes.
    pub fn listen(&self, key: &Key, listener: Listener) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.insert(key.clone(), listener);
    }

    /// Ends that.
    pub fn forget(&self, key: &Key) {
        let mut listeners = self
            .listeners
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.remove(key);
        self.pods.forget(key);
        self.volumes.forget(key);
        self.leases.forget(key);
        self.children.values().for_each(|cache| cache.forget(key));
    }

    fn wake(&self, key: &Key, wakes: Wakes) {
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(listener) = listeners.get(key) else {
            return;
        };
        if wakes != Wakes::Keeper {
            listener.changed.notify_one();
        }
        if wakes != Wakes::Plan {
            listener.kept.notify_one();
        }
    }

    fn wake_all(&self) {
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for listener in listeners.values() {
            listener.changed.notify_one();
        }
    }

    /// The node of that name. `None` when nodes cannot be seen; `Some(None)` when it does not exist.
    pub fn node(&self, name: &str) -> Option<Option<Arc<Node>>> {
        let nodes = self.nodes.read().unwrap_or_else(PoisonError::into_inner);
        Some(nodes.as_ref()?.get(name).cloned())
    }

    /// Version of a secret; `None` when there is none.
    pub fn secret_version(&self, key: &Key) -> Option<String> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.get(key).cloned()
    }

    /// Begins to watch.
    pub fn watch(self: &Arc<Self>, scope: &Scope) -> Watching {
        let mut watching = Watching {
            tasks: JoinSet::new(),
            lists: Vec::new(),
        };
        let ours = watcher::Config::default().labels(&format!(
            "{}={},{}",
            labels::MANAGED_BY,
            labels::MANAGER,
            labels::RESOURCE
        ));
        for namespace in scope.streams() {
            let namespace = namespace.as_deref();
            let pods = watch(self.api::<Pod>(namespace), ours.clone());
            self.spawn(&mut watching, pods, namespace, Wakes::Plan, |world| {
                &world.pods
            });
            let volumes = watch(self.api::<PersistentVolumeClaim>(namespace), ours.clone());
            self.spawn(&mut watching, volumes, namespace, Wakes::Both, |world| {
                &world.volumes
            });
            let leases = watch(self.api::<Lease>(namespace), ours.clone());
            self.spawn(&mut watching, leases, namespace, Wakes::Plan, |world| {
                &world.leases
            });
            for kind in children::kinds() {
                let objects = watch(self.api_of(&kind, namespace), ours.clone());
                let name = kind.kind.clone();
                // Where services point is planned.
                let wakes = if name == "Service" {
                    Wakes::Both
                } else {
                    Wakes::Keeper
                };
                self.spawn(&mut watching, objects, namespace, wakes, move |world| {
                    &world.children[&name]
                });
            }
            self.spawn_secrets(&mut watching, namespace);
        }
        self.spawn_nodes(&mut watching);
        watching
    }

    /// An API of `namespace`, or of all of them.
    pub fn api<K>(&self, namespace: Option<&str>) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// The same for a kind that is known by its description.
    pub fn api_of(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }

    fn spawn<K>(
        self: &Arc<Self>,
        watching: &mut Watching,
        stream: impl Stream<Item = watcher::Result<Event<K>>> + Send + 'static,
        namespace: Option<&str>,
        wakes: Wakes,
        cache: impl Fn(&Self) -> &Cache<K> + Send + 'static,
    ) where
        K: Resource + Slim + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    {
        let (done, list) = latest::channel(false);
        watching.lists.push(list);
        let world = Arc::clone(self);
        let namespace = namespace.map(str::to_string);
        watching.tasks.spawn(async move {
            let mut stream = std::pin::pin!(stream.default_backoff());
            let mut listed = HashMap::new();
            loop {
                let event = match stream.try_next().await {
                    Ok(Some(event)) => event,
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "watch failed, trying again");
                        continue;
                    }
                };
                match event {
                    Event::Init => listed.clear(),
                    Event::InitApply(object) => {
                        if let Some(key) = Key::of(&object) {
                            let uid = object.meta().uid.clone();
                            listed.insert((key.clone(), object.name_any()), uid);
                            world.take(cache(&world), &key, object, wakes);
                        }
                    }
                    Event::InitDone => {
                        for key in cache(&world).retain(namespace.as_deref(), &listed) {
                            world.wake(&key, wakes);
                        }
                        listed.clear();
                        done.send_replace(true);
                    }
                    Event::Apply(object) => {
                        if let Some(key) = Key::of(&object) {
                            world.take(cache(&world), &key, object, wakes);
                        }
                    }
                    Event::Delete(object) => {
                        if let Some(key) = Key::of(&object) {
                            cache(&world).remove(&key, &object);
                            world.wake(&key, wakes);
                        }
                    }
                }
            }
        });
    }

    fn take<K: Resource + Slim>(&self, cache: &Cache<K>, key: &Key, object: K, wakes: Wakes) {
        if cache.put(key, object) {
            self.wake(key, wakes);
        }
    }

    fn spawn_secrets(self: &Arc<Self>, watching: &mut Watching, namespace: Option<&str>) {
        let (done, list) = latest::channel(false);
        watching.lists.push(list);
        let world = Arc::clone(self);
        let stream = watch(
            self.api::<PartialObjectMeta<Secret>>(namespace),
            watcher::Config::default(),
        );
        watching.tasks.spawn(async move {
            let mut stream = std::pin::pin!(stream.default_backoff());
            loop {
                match stream.try_next().await {
                    Ok(Some(Event::InitApply(secret) | Event::Apply(secret))) => {
                        world.secret_changed(&secret, true);
                    }
                    Ok(Some(Event::Delete(secret))) => world.secret_changed(&secret, false),
                    Ok(Some(Event::Init)) => {}
                    Ok(Some(Event::InitDone)) => {
                        done.send_replace(true);
                    }
                    Ok(None) => return,
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "watch of secrets failed, trying again");
                        done.send_replace(true);
                    }
                }
            }
        });
    }

    /// Keeps the version of a secret that somebody names, nothing else of it.
    fn secret_changed(&self, secret: &PartialObjectMeta<Secret>, is_there: bool) {
        let name = secret.name_any();
        let namespace = secret.namespace().unwrap_or_default();
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        let key = Key::new(namespace, name);
        {
            let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
            if is_there {
                secrets.insert(key.clone(), version);
            } else {
                secrets.remove(&key);
            }
        }
        let listeners = self
            .listeners
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        for (resource, listener) in listeners.iter() {
            if resource.namespace == key.namespace
                && listener.secret.as_deref() == Some(key.name.as_str())
            {
                listener.kept.notify_one();
            }
        }
    }

    /// Nodes are a help, not a need: without access to them everything else goes on.
    fn spawn_nodes(self: &Arc<Self>, watching: &mut Watching) {
        let (done, list) = latest::channel(false);
        watching.lists.push(list);
        let world = Arc::clone(self);
        let api: Api<Node> = Api::all(self.client.clone());
        let stream = watch(api, watcher::Config::default());
        watching.tasks.spawn(async move {
            let mut stream = std::pin::pin!(stream.default_backoff());
            let mut next = BTreeMap::new();
            loop {
                match stream.try_next().await {
                    Ok(Some(Event::Init)) => next.clear(),
                    Ok(Some(Event::InitApply(node))) => {
                        next.insert(node.name_any(), Arc::new(slim(node)));
                    }
                    Ok(Some(Event::InitDone)) => {
                        *world.nodes.write().unwrap_or_else(PoisonError::into_inner) =
                            Some(std::mem::take(&mut next));
                        done.send_replace(true);
                        world.wake_all();
                    }
                    Ok(Some(Event::Apply(node))) => {
                        world.node_changed(&node.name_any(), Some(slim(node)));
                    }
                    Ok(Some(Event::Delete(node))) => world.node_changed(&node.name_any(), None),
                    Ok(None) => return,
                    Err(error) => {
                        if !done.send_replace(true) {
                            tracing::warn!(
                                error = %chain(&error),
                                "nodes cannot be seen: cordons are not noticed until they can"
                            );
                        }
                    }
                }
            }
        });
    }

    fn node_changed(&self, name: &str, node: Option<Node>) {
        let is_news = {
            let mut nodes = self.nodes.write().unwrap_or_else(PoisonError::into_inner);
            let nodes = nodes.get_or_insert_default();
            let before = nodes.get(name).map(|node| NodeView::of(node));
            let is_news = before != node.as_ref().map(NodeView::of);
            match node {
                Some(node) => nodes.insert(name.to_string(), Arc::new(node)),
                None => nodes.remove(name),
            };
            is_news
        };
        if is_news {
            self.wake_all();
        }
    }
}

/// What of a node decides anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeView {
    /// Its kubelet reports, and says that all is well.
    pub reports: bool,
    /// No new pods are placed there.
    pub cordoned: bool,
    /// A person said that it is off.
    pub out_of_service: bool,
}

impl NodeView {
    /// The view of a node.
    pub fn of(node: &Node) -> Self {
        let spec = node.spec.as_ref();
        let conditions = node
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref());
        let reports = conditions.is_some_and(|conditions| {
            conditions
                .iter()
                .any(|condition| condition.type_ == "Ready" && condition.status != "Unknown")
        });
        Self {
            reports,
            cordoned: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            out_of_service: spec
                .and_then(|spec| spec.taints.as_ref())
                .is_some_and(|taints| {
                    taints
                        .iter()
                        .any(|taint| taint.key == super::names::OUT_OF_SERVICE)
                }),
        }
    }
}

fn slim(mut node: Node) -> Node {
    node.metadata.managed_fields = None;
    node.metadata.annotations = None;
    if let Some(status) = &mut node.status {
        status.images = None;
        status.volumes_attached = None;
        status.volumes_in_use = None;
    }
    node
}
