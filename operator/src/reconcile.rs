//! Reconcile: observe, plan, act, status. The same four lines for each kind, whatever woke them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_api::Condition;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_plan::double_master::{DoubleMasterPlan, Validated, plan};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::act::Actor;
use crate::clock::unix_ms;
use crate::error::{Error, chain};
use crate::journal::Journal;
use crate::observe::{Prober, Tracker, observe};
use crate::runtime::Runtime;
use crate::view::Announcer;

/// Who is told the outcome of each round.
pub trait Publish: Send + Sync + 'static {
    /// Takes the status, with the latest failover already in it.
    fn publish(&self, status: DoubleMasterStatus);

    /// Notes how long a round took, and whether it failed.
    fn round(&self, took: Duration, failed: bool) {
        tracing::trace!(?took, failed, "round");
    }
}

/// The controller of one `DoubleMaster`.
pub struct Controller<R, P> {
    specification: watch::Receiver<Arc<Validated>>,
    runtime: Arc<R>,
    tracker: Arc<Tracker>,
    journal: Arc<Journal>,
    announcer: Announcer,
    publisher: P,
    changed: Arc<Notify>,
    conditions: Vec<Condition>,
    prober: Prober,
    pause: Duration,
}

/// Two rounds are at least this far apart, so that a burst of answers costs one plan.
const ROUND_PAUSE: Duration = Duration::from_millis(2);

/// What a controller works with.
#[derive(Debug)]
pub struct Parts<R, P> {
    /// What is wanted; a newer one takes effect with the next round.
    pub specification: watch::Receiver<Arc<Validated>>,
    /// What it runs on.
    pub runtime: Arc<R>,
    /// Failover reports.
    pub journal: Arc<Journal>,
    /// Who is told of events.
    pub announcer: Announcer,
    /// Who is told the outcome of each round.
    pub publisher: P,
    /// Conditions as they were published last.
    pub conditions: Vec<Condition>,
}

impl<R: Runtime, P: Publish> Controller<R, P> {
    /// A controller that has seen nothing yet.
    pub fn new(parts: Parts<R, P>) -> Self {
        let Parts {
            specification,
            runtime,
            journal,
            announcer,
            publisher,
            conditions,
        } = parts;
        let changed = runtime.changed();
        let tracker = Arc::new(Tracker::new(Arc::clone(&changed)));
        Self {
            specification,
            runtime,
            tracker,
            journal,
            announcer,
            publisher,
            changed,
            conditions,
            prober: Prober::default(),
            pause: ROUND_PAUSE,
        }
    }

    /// Keeps rounds at least this far apart, where many controllers share a machine.
    #[must_use]
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Reconciles until the future is dropped. It ends by itself only when something fails for good.
    pub async fn run(&mut self) {
        loop {
            let began = Instant::now();
            let outcome = self.reconcile().await;
            self.publisher.round(began.elapsed(), outcome.is_err());
            let look_again = match outcome {
                Ok(plan) => Duration::from_millis(plan.look_again_ms),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "round failed, trying again");
                    Duration::from_millis(self.specification.borrow().timing.probe_interval_ms)
                }
            };
            tokio::time::sleep(self.pause.saturating_sub(began.elapsed())).await;
            // Woken or not: every round looks at everything.
            if timeout(look_again, self.changed.notified()).await.is_err() {
                tracing::trace!("looking again unasked");
            }
        }
    }

    /// One round.
    pub async fn reconcile(&mut self) -> Result<DoubleMasterPlan, Error> {
        let valid = Arc::clone(&self.specification.borrow_and_update());
        let pace = Duration::from_millis(valid.timing.probe_interval_ms);
        self.prober.cover(&self.runtime, &self.tracker, pace);
        let syncs = valid
            .config
            .get("appendfsync")
            .is_none_or(|when| when != "no");
        self.tracker.set_syncs(syncs);
        let now_ms = unix_ms();
        let observed = observe(self.runtime.as_ref(), &self.tracker).await?;
        let plan = plan(&valid, &observed, &self.conditions, now_ms);
        // Said before it is done: a round that fails half way is told, too.
        for event in &plan.events {
            self.announcer.event(event);
        }
        let actor = Actor::new(
            Arc::clone(&self.runtime),
            Arc::clone(&self.tracker),
            Arc::clone(&self.journal),
            valid.timing.collect_ms,
        );
        let acted = actor.act(&plan, now_ms).await;
        self.status(&plan);
        self.tracker
            .set_calm(acted.is_ok() && plan.waits_for.is_empty());
        acted.map(|()| plan)
    }

    fn status(&mut self, plan: &DoubleMasterPlan) {
        self.journal.advance(&plan.groups, &plan.services);
        let mut status = plan.status.clone();
        status.last_failover = self.journal.last();
        self.conditions.clone_from(&status.conditions);
        self.publisher.publish(status);
    }
}
