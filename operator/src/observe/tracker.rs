//! The latest word of every instance, and which steps are under way. Instants in, ages out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tandem_api::InstanceName;
use tandem_plan::{Answer, Attempt, InstanceObservation, Step};
use tandem_proto::status::InstanceStatus;
use tokio::sync::Notify;

use crate::runtime::Seen;

/// A finished step's effect has to show in an answer within this, or it is planned again.
const EFFECT_WAIT: Duration = Duration::from_secs(1);

/// A link that has heard nothing for so long is told of at once; pings come more often.
const SILENT_MS: u64 = 500;

/// Tries of a step are counted together when no more than this lies between them.
const ATTEMPT_MEMORY: Duration = Duration::from_secs(10);

/// The latest word of every instance.
#[derive(Debug)]
pub struct Tracker {
    inner: Mutex<Inner>,
    changed: Arc<Notify>,
    /// Whether the age of unsynced writes says anything (not with `appendfsync no`).
    syncs: AtomicBool,
    /// Whether nothing is waited for: then an answer that says what the one before said wakes nobody.
    is_calm: AtomicBool,
}

#[derive(Debug, Default)]
struct Inner {
    instances: BTreeMap<InstanceName, Tracked>,
    attempts: BTreeMap<String, Tried>,
}

#[derive(Debug)]
struct Tracked {
    life: u64,
    life_since: Instant,
    answer: Option<(InstanceStatus, Instant)>,
    missed: u32,
    busy: Option<Busy>,
    unsynced_since: Option<Instant>,
    poke: Arc<Notify>,
}

#[derive(Debug)]
struct Busy {
    key: String,
    done: Option<Instant>,
}

#[derive(Debug)]
struct Tried {
    at: Instant,
    count: u32,
    error: String,
}

impl Tracked {
    fn new(life: u64) -> Self {
        Self {
            life,
            life_since: Instant::now(),
            answer: None,
            missed: 0,
            busy: None,
            unsynced_since: None,
            poke: Arc::new(Notify::new()),
        }
    }

    fn enter_life(&mut self, life: u64) {
        if self.life != life {
            self.life = life;
            self.life_since = Instant::now();
            self.missed = 0;
            self.unsynced_since = None;
        }
    }
}

impl Tracker {
    /// An empty one; `changed` is woken when there is something new to plan from.
    pub fn new(changed: Arc<Notify>) -> Self {
        Self {
            inner: Mutex::new(Inner::default()),
            changed,
            syncs: AtomicBool::new(true),
            is_calm: AtomicBool::new(false),
        }
    }

    /// Says whether the last plan had nothing to wait for. Positions and ages alone are then looked at
    /// when the plan wants to look again, and not with each answer.
    pub fn set_calm(&self, is_calm: bool) {
        self.is_calm.store(is_calm, Ordering::Relaxed);
    }

    /// Says whether the instances make their writes durable by themselves.
    pub fn set_syncs(&self, syncs: bool) {
        self.syncs.store(syncs, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, name: &InstanceName, act: impl FnOnce(&mut Tracked) -> T) -> T {
        let mut inner = self.lock();
        let tracked = inner
            .instances
            .entry(name.clone())
            .or_insert_with(|| Tracked::new(0));
        act(tracked)
    }

    /// Woken when an instance shall be asked at once.
    pub fn poke_of(&self, name: &InstanceName) -> Arc<Notify> {
        self.with(name, |tracked| Arc::clone(&tracked.poke))
    }

    /// Notes an answer to a question asked at `asked`, by the process in its `life`.
    pub fn answered(&self, name: &InstanceName, life: u64, asked: Instant, status: InstanceStatus) {
        let syncs = self.syncs.load(Ordering::Relaxed);
        let is_calm = self.is_calm.load(Ordering::Relaxed);
        let is_news = self.with(name, |tracked| {
            let is_same = is_calm
                && tracked.life == life
                && tracked.missed == 0
                && tracked.busy.is_none()
                && tracked
                    .answer
                    .as_ref()
                    .is_some_and(|(old, _)| gist(old) == gist(&status));
            tracked.enter_life(life);
            tracked.missed = 0;
            if tracked
                .busy
                .as_ref()
                .is_some_and(|busy| busy.done.is_some_and(|at| asked >= at))
            {
                tracked.busy = None;
            }
            if syncs {
                tracked.unsynced_since = unsynced_since(tracked, &status);
            }
            tracked.answer = Some((status, Instant::now()));
            !is_same
        });
        if is_news {
            self.changed.notify_one();
        }
    }

    /// Notes a probe without answer.
    pub fn missed(&self, name: &InstanceName, life: u64) {
        self.with(name, |tracked| {
            tracked.enter_life(life);
            tracked.missed = tracked.missed.saturating_add(1);
        });
        self.changed.notify_one();
    }

    /// Notes that a step begins.
    pub fn begin(&self, step: &Step) {
        let key = step.key();
        let mut inner = self.lock();
        if let Some(tracked) = inner.instances.get_mut(step.instance()) {
            tracked.busy = Some(Busy {
                key: key.clone(),
                done: None,
            });
        }
        let now = Instant::now();
        inner
            .attempts
            .retain(|_, tried| now.duration_since(tried.at) < ATTEMPT_MEMORY);
        let tried = inner.attempts.entry(key).or_insert(Tried {
            at: now,
            count: 0,
            error: String::new(),
        });
        tried.at = now;
        tried.count += 1;
        tried.error.clear();
    }

    /// Notes how a step ended, and has the instance asked at once.
    pub fn finish(&self, step: &Step, error: Option<String>) {
        let key = step.key();
        let mut inner = self.lock();
        if let Some(tracked) = inner.instances.get_mut(step.instance()) {
            if let Some(busy) = tracked.busy.as_mut().filter(|busy| busy.key == key) {
                busy.done = Some(Instant::now());
            }
            if error.is_some() {
                tracked.busy = None;
            }
            tracked.poke.notify_one();
        }
        if let (Some(tried), Some(error)) = (inner.attempts.get_mut(&key), error) {
            tried.at = Instant::now();
            tried.error = error;
        }
        drop(inner);
        self.changed.notify_one();
    }

    /// What is seen of one instance.
    pub fn observation(&self, name: &InstanceName, seen: &Seen) -> InstanceObservation {
        let now = Instant::now();
        let millis = |at: Instant| now.saturating_duration_since(at).as_millis() as u64;
        self.with(name, |tracked| {
            tracked.enter_life(seen.life);
            let is_over = |busy: &Busy| {
                busy.done
                    .is_some_and(|at| now.duration_since(at) > EFFECT_WAIT)
            };
            if tracked.busy.as_ref().is_some_and(is_over) {
                tracked.busy = None;
            }
            let heard_at = tracked.answer.as_ref().map(|(_, at)| *at);
            let since = heard_at.map_or(tracked.life_since, |at| at.max(tracked.life_since));
            InstanceObservation {
                process: seen.process.clone(),
                address: seen.address.clone(),
                answer: tracked.answer.as_ref().map(|(status, at)| Answer {
                    status: status.clone(),
                    age_ms: millis(*at),
                }),
                silent_ms: millis(since),
                missed_probes: tracked.missed,
                unsynced_ms: tracked.unsynced_since.map_or(0, millis),
                ran_before: seen.ran_before,
                busy: tracked.busy.as_ref().map(|busy| busy.key.clone()),
                placement: seen.placement.clone(),
                settings: seen.settings.clone(),
            }
        })
    }

    /// Steps tried lately.
    pub fn attempts(&self) -> BTreeMap<String, Attempt> {
        let now = Instant::now();
        self.lock()
            .attempts
            .iter()
            .filter(|(_, tried)| now.duration_since(tried.at) < ATTEMPT_MEMORY)
            .map(|(key, tried)| {
                let age_ms = now.duration_since(tried.at).as_millis() as u64;
                let attempt = Attempt {
                    age_ms,
                    failures: tried.count,
                    error: tried.error.clone(),
                };
                (key.clone(), attempt)
            })
            .collect()
    }
}

/// What an answer says besides positions and ages, which differ each time.
fn gist(status: &InstanceStatus) -> InstanceStatus {
    let mut gist = status.clone();
    (gist.now_ms, gist.uptime_ms, gist.clock_skew_ms) = (0, 0, 0);
    gist.last_sync_age_ms = 0;
    gist.databases.clear();
    for link in &mut gist.links {
        link.lag_records = 0;
        let is_silent = |age: u64| u64::from(age >= SILENT_MS);
        link.last_contact_ms = link.last_contact_ms.map(is_silent);
    }
    for receiver in &mut gist.receivers {
        (receiver.lag_bytes, receiver.lag_records) = (0, 0);
        (receiver.last_ack_ms, receiver.last_durable_ms) = (0, 0);
        receiver.echoes = 0;
    }
    gist
}

/// Since when writes wait for the disk: the first change of a log head that was seen after the last
/// finished fsync. Seen late by at most a probe interval, so the age is a lower bound.
fn unsynced_since(tracked: &Tracked, status: &InstanceStatus) -> Option<Instant> {
    let now = Instant::now();
    let synced_at = now.checked_sub(Duration::from_millis(status.last_sync_age_ms));
    let before = tracked
        .unsynced_since
        .filter(|since| synced_at.is_none_or(|synced_at| *since > synced_at));
    let (old, _) = tracked.answer.as_ref()?;
    let heads = |status: &InstanceStatus| -> Vec<(u32, u64, u64)> {
        status
            .databases
            .iter()
            .map(|d| (d.database, d.segment, d.offset))
            .collect()
    };
    let has_moved = old.instance_id == status.instance_id && heads(old) != heads(status);
    before.or_else(|| has_moved.then_some(now))
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use serde_json::json;

    use super::*;

    fn status(offset: u64, contact_ms: u64, state: &str) -> InstanceStatus {
        let value = json!({
            "format": 1, "instance_id": "a", "cluster_id": "c", "server_id": 1, "epoch": 1,
            "incarnation": null, "role": "replica", "writable": false, "not_writable_reason": null,
            "eligible": true, "not_eligible_reason": null, "priority": 100, "now_ms": offset,
            "uptime_ms": offset, "pid": 7, "receivers": [], "members": [1],
            "databases": [{"database": 0, "version_vector": [], "segment": 0, "offset": offset, "keys": 1}],
            "links": [{
                "kind": "replica", "host": "h", "port": 1, "server_id": 1, "instance_id": "b",
                "state": state, "reason": "", "last_contact_ms": contact_ms, "lag_records": offset,
                "full_resyncs": 0, "partial_resyncs": 0,
            }],
            "last_sync_age_ms": offset, "poisoned": false, "clock_skew_ms": 0,
        });
        serde_json::from_value(value).unwrap()
    }

    /// Whether an answer after a first one, at rest, asks for a round.
    fn wakes(second: InstanceStatus) -> bool {
        let changed = Arc::new(Notify::new());
        let tracker = Tracker::new(Arc::clone(&changed));
        let name = InstanceName::parse("dm-a-0").unwrap();
        let asked = Instant::now();
        tracker.answered(&name, 1, asked, status(1, 10, "streaming"));
        assert!(changed.notified().now_or_never().is_some(), "the first");
        tracker.set_calm(true);
        tracker.answered(&name, 1, asked, second);
        changed.notified().now_or_never().is_some()
    }

    #[test]
    fn at_rest_positions_and_ages_wake_nobody_and_all_else_does() {
        assert!(!wakes(status(2, 200, "streaming")));
        assert!(wakes(status(2, SILENT_MS, "streaming")), "a silent link");
        assert!(wakes(status(1, 10, "connecting")), "another state");
    }
}
