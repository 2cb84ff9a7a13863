//! What watches have brought, by resource: looking at one resource costs as much as that one has.
//!
//! Answers to our own writes go in, too, so that a round never plans from what it has just changed. An
//! event that is older than what is there changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodSpec};
use kube::Resource;
use kube::api::DynamicObject;
use tandem_api::labels;

/// A resource: its namespace and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The resource `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// The resource that an object is labelled with.
    pub fn of<K: Resource>(object: &K) -> Option<Self> {
        let meta = object.meta();
        let name = meta.labels.as_ref()?.get(labels::RESOURCE)?;
        Some(Self::new(meta.namespace.clone()?, name.clone()))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

type Objects<K> = BTreeMap<String, Entry<K>>;

/// What is known under a name.
#[derive(Debug)]
enum Entry<K> {
    There(Arc<K>),
    /// The object with this uid was deleted: an answer about it that comes late is no news.
    Deleted(Option<String>),
}

impl<K> Entry<K> {
    fn object(&self) -> Option<&Arc<K>> {
        match self {
            Self::There(object) => Some(object),
            Self::Deleted(_) => None,
        }
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Cache<K> {
    objects: RwLock<HashMap<Key, Objects<K>>>,
}

impl<K> Default for Cache<K> {
    fn default() -> Self {
        Self {
            objects: RwLock::new(HashMap::new()),
        }
    }
}

/// An object that is kept without what nobody here asks for: there are thousands of them.
pub trait Slim {
    /// Drops that.
    fn slim(&mut self) {}
}

impl Slim for Pod {
    fn slim(&mut self) {
        if let Some(spec) = &mut self.spec {
            *spec = PodSpec {
                node_name: spec.node_name.take(),
                ..PodSpec::default()
            };
        }
    }
}

impl Slim for PersistentVolumeClaim {}
impl Slim for Lease {}
impl Slim for DynamicObject {}

impl<K: Resource + Slim> Cache<K> {
    /// The objects of a resource, by name.
    pub fn of(&self, key: &Key) -> BTreeMap<String, Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let own = objects.get(key).into_iter().flatten();
        own.filter_map(|(name, entry)| Some((name.clone(), Arc::clone(entry.object()?))))
            .collect()
    }

    /// One object.
    pub fn get(&self, key: &Key, name: &str) -> Option<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(key)?.get(name)?.object().cloned()
    }

    /// Takes an object, unless what is there is newer. Returns whether that is news. Who wrote which of
    /// its fields is not kept: nobody asks, and it is the larger half.
    pub fn put(&self, key: &Key, mut object: K) -> bool {
        object.meta_mut().managed_fields = None;
        object.slim();
        let Some(name) = object.meta().name.clone() else {
            return false;
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let own = objects.entry(key.clone()).or_default();
        let is_old = match own.get(&name) {
            Some(Entry::There(old)) => !is_newer(&object, old),
            Some(Entry::Deleted(uid)) => *uid == object.meta().uid,
            None => false,
        };
        if is_old {
            return false;
        }
        own.insert(name, Entry::There(Arc::new(object)));
        true
    }

    /// Forgets an object. One that was made anew under the same name stays.
    pub fn remove(&self, key: &Key, object: &K) {
        let Some(name) = object.meta().name.as_deref() else {
            return;
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let own = objects.entry(key.clone()).or_default();
        let uid = &object.meta().uid;
        let is_other = own
            .get(name)
            .and_then(Entry::object)
            .is_some_and(|old| old.meta().uid != *uid);
        if !is_other {
            own.insert(name.into(), Entry::Deleted(uid.clone()));
        }
    }

    /// Forgets all of a resource that is not looked after any more and has nothing left.
    pub fn forget(&self, key: &Key) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let is_empty = |own: &Objects<K>| own.values().all(|entry| entry.object().is_none());
        if objects.get(key).is_some_and(is_empty) {
            objects.remove(key);
        }
    }

    /// Keeps only what a complete list of `namespace` (all when `None`) has. Returns the resources
    /// that lost something.
    pub fn retain(
        &self,
        namespace: Option<&str>,
        listed: &HashMap<(Key, String), Option<String>>,
    ) -> Vec<Key> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        for (key, own) in objects.iter_mut() {
            if namespace.is_some_and(|only| only != key.namespace) {
                continue;
            }
            let before = own.len();
            own.retain(|name, entry| {
                entry.object().is_none_or(|object| {
                    listed
                        .get(&(key.clone(), name.clone()))
                        .is_some_and(|uid| *uid == object.meta().uid)
                })
            });
            if own.len() != before {
                changed.push(key.clone());
            }
        }
        objects.retain(|_, own| !own.is_empty());
        changed
    }
}

/// Whether `new` tells more than `old`. Versions of one store only grow, also from one life of a name
/// to the next.
fn is_newer<K: Resource>(new: &K, old: &K) -> bool {
    let version =
        |object: &K| -> Option<u64> { object.meta().resource_version.as_ref()?.parse().ok() };
    match (version(new), version(old)) {
        (Some(new), Some(old)) => new > old,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, uid: &str, version: u64) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.into());
        pod.metadata.uid = Some(uid.into());
        pod.metadata.resource_version = Some(version.to_string());
        pod
    }

    #[test]
    fn an_older_event_does_not_undo_the_answer_to_an_own_write() {
        let cache = Cache::default();
        let key = Key::new("ns", "dm");
        assert!(cache.put(&key, pod("p", "u", 7)));
        assert!(!cache.put(&key, pod("p", "u", 6)));
        assert!(!cache.put(&key, pod("p", "u", 7)));
        assert!(cache.put(&key, pod("p", "u", 10)), "9 < 10 as numbers");
    }

    #[test]
    fn of_the_specification_of_a_pod_its_node_is_kept() {
        let (cache, key) = (Cache::default(), Key::new("ns", "dm"));
        let mut pod = pod("p", "u", 7);
        pod.spec = Some(PodSpec {
            node_name: Some("n".into()),
            hostname: Some("h".into()),
            ..PodSpec::default()
        });
        cache.put(&key, pod);
        let spec = cache.get(&key, "p").unwrap().spec.clone().unwrap();
        assert_eq!(
            (spec.node_name.as_deref(), spec.hostname),
            (Some("n"), None)
        );
    }

    #[test]
    fn the_end_of_an_old_object_leaves_its_successor() {
        let cache = Cache::default();
        let key = Key::new("ns", "dm");
        cache.put(&key, pod("p", "new", 9));
        cache.remove(&key, &pod("p", "old", 8));
        assert!(cache.get(&key, "p").is_some());
        cache.remove(&key, &pod("p", "new", 12));
        assert!(cache.get(&key, "p").is_none());
    }

    #[test]
    fn an_answer_about_a_deleted_object_that_comes_late_does_not_bring_it_back() {
        let cache = Cache::default();
        let key = Key::new("ns", "dm");
        cache.put(&key, pod("p", "u", 7));
        cache.remove(&key, &pod("p", "u", 8));
        assert!(!cache.put(&key, pod("p", "u", 7)));
        assert!(cache.of(&key).is_empty());
        assert!(cache.put(&key, pod("p", "new", 9)));
        assert_eq!(cache.of(&key).len(), 1);
        cache.remove(&key, &pod("p", "new", 10));
        cache.forget(&key);
        assert!(cache.get(&key, "p").is_none());
    }

    #[test]
    fn a_list_takes_away_what_it_does_not_have() {
        let cache = Cache::default();
        let key = Key::new("ns", "dm");
        cache.put(&key, pod("p", "u", 9));
        cache.put(&key, pod("q", "v", 9));
        let listed = HashMap::from([((key.clone(), "p".into()), Some("u".into()))]);
        assert!(cache.retain(Some("other"), &listed).is_empty());
        assert_eq!(
            cache.retain(Some("ns"), &listed),
            std::slice::from_ref(&key)
        );
        assert_eq!(cache.of(&key).len(), 1);
    }
}
