//! What watches have brought, by resource: looking at one resource costs as much as that one has.
//!
//! Answers to our own writes go in, too, so that a round never plans from what it has just changed. An
//! event that is older than what is there changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use kube::Resource;
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

type Objects<K> = BTreeMap<String, Arc<K>>;

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

impl<K: Resource> Cache<K> {
    /// The objects of a resource, by name.
    pub fn of(&self, key: &Key) -> BTreeMap<String, Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(key).cloned().unwrap_or_default()
    }

    /// One object.
    pub fn get(&self, key: &Key, name: &str) -> Option<Arc<K>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(key)?.get(name).cloned()
    }

    /// Takes an object, unless what is there is newer. Returns whether that is news.
    pub fn put(&self, key: &Key, object: K) -> bool {
        let Some(name) = object.meta().name.clone() else {
            return false;
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        let own = objects.entry(key.clone()).or_default();
        if own.get(&name).is_some_and(|old| !is_newer(&object, old)) {
            return false;
        }
        own.insert(name, Arc::new(object));
        true
    }

    /// Forgets an object. One that was made anew under the same name stays.
    pub fn remove(&self, key: &Key, object: &K) {
        let Some(name) = object.meta().name.as_deref() else {
            return;
        };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = objects.get_mut(key) {
            let is_it = |old: &Arc<K>| old.meta().uid == object.meta().uid;
            if own.get(name).is_some_and(is_it) {
                own.remove(name);
            }
            if own.is_empty() {
                objects.remove(key);
            }
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
            own.retain(|name, object| {
                listed
                    .get(&(key.clone(), name.clone()))
                    .is_some_and(|uid| *uid == object.meta().uid)
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
    use k8s_openapi::api::core::v1::Pod;

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
    fn a_list_takes_away_what_it_does_not_have() {
        let cache = Cache::default();
        let key = Key::new("ns", "dm");
        cache.put(&key, pod("p", "u", 9));
        cache.put(&key, pod("q", "v", 9));
        let listed = HashMap::from([((key.clone(), "p".into()), Some("u".into()))]);
        assert!(cache.retain(Some("other"), &listed).is_empty());
        assert_eq!(cache.retain(Some("ns"), &listed), [key.clone()]);
        assert_eq!(cache.of(&key).len(), 1);
    }
}
