//! Probes: one task per instance asks for its status at a fixed pace, over one kept connection.
//!
//! A probe that is not answered when the next one is due counts as missed and goes on being waited
//! for: so a hang is found within the hang timeout, not within a sum of timeouts, and an operator that
//! was stopped itself has missed nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_api::InstanceName;
use tandem_plan::{Address, Process};
use tandem_proto::status::InstanceStatus;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use super::tracker::Tracker;
use crate::instance_client::{Error, InstanceClient};
use crate::runtime::Runtime;

/// A question that is not answered for so long is given up together with its connection.
const GIVE_UP: Duration = Duration::from_secs(2);

type Asked = (Option<InstanceClient>, Result<InstanceStatus, Error>);
type Pending = Pin<Box<dyn Future<Output = Asked> + Send>>;

/// The probing tasks; they end with this value.
#[derive(Debug, Default)]
pub struct Prober {
    tasks: JoinSet<()>,
    pace: Duration,
    probed: BTreeMap<InstanceName, AbortHandle>,
}

impl Prober {
    /// Probes every instance that the runtime knows now, each at `pace`. To be called whenever there
    /// may be other ones.
    pub fn cover<R: Runtime>(&mut self, runtime: &Arc<R>, tracker: &Arc<Tracker>, pace: Duration) {
        let known = runtime.instances();
        if self.pace != pace {
            self.stop();
            self.pace = pace;
        }
        self.probed.retain(|name, task| {
            let stays = known.contains_key(name);
            if !stays {
                task.abort();
            }
            stays
        });
        for name in known.into_keys() {
            if !self.probed.contains_key(&name) {
                let probing = probe(Arc::clone(runtime), Arc::clone(tracker), name.clone(), pace);
                let task = self.tasks.spawn(probing);
                self.probed.insert(name, task);
            }
        }
        // Those that were ended leave nothing behind.
        while self.tasks.try_join_next().is_some() {}
    }

    /// Ends all probes.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.probed.clear();
    }
}

/// Asks one instance once, with a connection of its own.
pub async fn ask_once(
    address: &Address,
    password: Option<&str>,
    deadline: Duration,
) -> Result<InstanceStatus, Error> {
    InstanceClient::connect(address, password, deadline)
        .await?
        .status()
        .await
}

struct Question {
    asked: Instant,
    life: u64,
    pending: Pending,
}

async fn probe<R: Runtime>(
    runtime: Arc<R>,
    tracker: Arc<Tracker>,
    name: InstanceName,
    pace: Duration,
) {
    let poke = tracker.poke_of(&name);
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut client: Option<InstanceClient> = None;
    let mut question: Option<Question> = None;
    loop {
        let is_tick = tokio::select! {
            _ = ticks.tick() => true,
            () = poke.notified() => false,
            (asked, life, (kept, answer)) = answer_to(&mut question) => {
                question = None;
                client = kept;
                note(&tracker, &name, life, asked, answer);
                continue;
            }
        };
        let Some((life, address)) = running(runtime.as_ref(), &name) else {
            question = None;
            client = None;
            continue;
        };
        let is_open = question
            .as_ref()
            .is_some_and(|question| question.life == life && question.asked.elapsed() < GIVE_UP);
        if is_open {
            if is_tick {
                tracker.missed(&name, life);
            }
            continue;
        }
        if let Some(old) = question.take() {
            client = None;
            if old.life == life {
                tracker.missed(&name, life);
            }
        }
        let pending = Box::pin(ask(client.take(), address, runtime.passwords()));
        question = Some(Question {
            asked: Instant::now(),
            life,
            pending,
        });
    }
}

/// Waits for the answer to the open question; for ever when there is none.
async fn answer_to(question: &mut Option<Question>) -> (Instant, u64, Asked) {
    match question {
        Some(question) => (
            question.asked,
            question.life,
            question.pending.as_mut().await,
        ),
        None => std::future::pending().await,
    }
}

fn note(
    tracker: &Tracker,
    name: &InstanceName,
    life: u64,
    asked: Instant,
    answer: Result<InstanceStatus, Error>,
) {
    match answer {
        Ok(status) => tracker.answered(name, life, asked, status),
        Err(error) => {
            tracing::debug!(instance = %name, error = %crate::error::chain(&error), "probe failed");
            tracker.missed(name, life);
        }
    }
}

fn running<R: Runtime>(runtime: &R, name: &InstanceName) -> Option<(u64, Address)> {
    let seen = runtime.instance(name)?;
    if seen.address.host.is_empty() {
        return None;
    }
    match seen.process {
        Process::Running { .. } | Process::Unknown => Some((seen.life, seen.address)),
        Process::Absent | Process::Exited { .. } => None,
    }
}

async fn ask(client: Option<InstanceClient>, address: Address, passwords: Vec<String>) -> Asked {
    let connected = match client {
        Some(client) => Ok(client),
        None => InstanceClient::connect_with_any(&address, &passwords, GIVE_UP).await,
    };
    match connected {
        Err(error) => (None, Err(error)),
        Ok(mut client) => match client.status().await {
            Ok(status) => (Some(client), Ok(status)),
            Err(error) => (None, Err(error)),
        },
    }
}
