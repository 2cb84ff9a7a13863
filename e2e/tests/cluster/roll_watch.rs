//! What became of a pair's pods while something was changed: which were made anew, in which order, and
//! how many were missing at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tandem_e2e::cluster::Stage;

const LOOK_INTERVAL: Duration = Duration::from_millis(100);
const SELECTOR: &str = "tandem.dev/resource=dm";

/// One pod, as it is told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    uid: String,
    restarts: i32,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Instances in the order in which their pods began to end, with their role before that.
    pub(crate) ended: Vec<(String, String)>,
    /// Most instances that were not ready at one look.
    pub(crate) most_away: usize,
}

/// A running watch.
#[derive(Debug)]
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

fn pods(stage: &Stage) -> Vec<Pod> {
    stage.list(SELECTOR).unwrap()
}

fn life(pod: &Pod) -> Life {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_ref());
    Life {
        uid: pod.uid().unwrap_or_default(),
        restarts: statuses
            .into_iter()
            .flatten()
            .map(|s| s.restart_count)
            .sum(),
    }
}

/// The pods as they are.
pub(crate) fn lives(stage: &Stage) -> BTreeMap<String, Life> {
    pods(stage)
        .iter()
        .map(|pod| (pod.name_any(), life(pod)))
        .collect()
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .iter()
        .flat_map(|s| s.conditions.iter().flatten());
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .into_iter()
            .any(|one| one.type_ == "Ready" && one.status == "True")
}

impl Watch {
    /// Begins to look.
    pub(crate) fn begin(stage: &Stage) -> Self {
        let cluster = stage.cluster();
        let api: Api<Pod> = Api::namespaced(cluster.client(), stage.namespace());
        let is_over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&is_over);
        let known: BTreeSet<String> = lives(stage).into_keys().collect();
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            let mut roles: BTreeMap<String, (String, String)> = BTreeMap::new();
            let mut ending = BTreeSet::new();
            while !until.load(Ordering::Relaxed) {
                let listed = cluster.run(api.list(&ListParams::default().labels(SELECTOR)));
                for pod in listed.iter().flat_map(|list| &list.items) {
                    let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
                    let role = pod
                        .labels()
                        .get("tandem.dev/role")
                        .cloned()
                        .unwrap_or_default();
                    let before = roles.insert(name.clone(), (uid.clone(), role.clone()));
                    let was_replaced = before.as_ref().is_some_and(|(old, _)| *old != uid);
                    let (ended, role) = match before {
                        Some((old, role)) if was_replaced => (old, role),
                        _ => (uid, role),
                    };
                    let ends = pod.metadata.deletion_timestamp.is_some() || was_replaced;
                    if ends && ending.insert(ended) {
                        seen.ended.push((name, role));
                    }
                }
                if let Ok(list) = &listed {
                    let ready: BTreeSet<String> = list
                        .iter()
                        .filter(|pod| is_ready(pod))
                        .map(Pod::name_any)
                        .collect();
                    let away = known.difference(&ready).count();
                    seen.most_away = seen.most_away.max(away);
                }
                std::thread::sleep(LOOK_INTERVAL);
            }
            seen
        });
        Self { is_over, thread }
    }

    /// Ends it.
    pub(crate) fn finish(self) -> Seen {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
