//! Reconcile: observe, plan, act, status. The same four lines for each kind, whatever woke them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_api::Condition;
use tandem_api::double_master::DoubleMasterStatus;
use tandem_plan::double_master::{DoubleMasterPlan, Validated, plan};
use tokio::sync::Notify;
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
}

/// The controller of one `DoubleMaster`.
pub struct Controller<R, P> {
    valid: Validated,
    runtime: Arc<R>,
    tracker: Arc<Tracker>,
    actor: Actor<R>,
    journal: Arc<Journal>,
    announcer: Announcer,
    publisher: P,
    changed: Arc<Notify>,
    conditions: Vec<Condition>,
    _prober: Prober,
}

/// Two rounds are at least this far apart, so that a burst of answers costs one plan.
const ROUND_PAUSE: Duration = Duration::from_millis(2);

impl<R: Runtime, P: Publish> Controller<R, P> {
    /// Starts probing.
    pub fn new(
        valid: Validated,
        runtime: Arc<R>,
        journal: Arc<Journal>,
        announcer: Announcer,
        publisher: P,
    ) -> Self {
        let changed = runtime.changed();
        let syncs = valid
            .config
            .get("appendfsync")
            .is_none_or(|when| when != "no");
        let tracker = Arc::new(Tracker::new(Arc::clone(&changed), syncs));
        let pace = Duration::from_millis(valid.timing.probe_interval_ms);
        let prober = Prober::start(&runtime, &tracker, pace);
        let actor = Actor::new(
            Arc::clone(&runtime),
            Arc::clone(&tracker),
            Arc::clone(&journal),
            valid.timing.collect_ms,
        );
        Self {
            valid,
            runtime,
            tracker,
            actor,
            journal,
            announcer,
            publisher,
            changed,
            conditions: Vec::new(),
            _prober: prober,
        }
    }

    /// Reconciles until the future is dropped. It ends by itself only when something fails for good.
    pub async fn run(&mut self) {
        loop {
            let began = Instant::now();
            let look_again = match self.reconcile().await {
                Ok(plan) => Duration::from_millis(plan.look_again_ms),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "round failed, trying again");
                    Duration::from_millis(self.valid.timing.probe_interval_ms)
                }
            };
            tokio::time::sleep(ROUND_PAUSE.saturating_sub(began.elapsed())).await;
            // Woken or not: every round looks at everything.
            if timeout(look_again, self.changed.notified()).await.is_err() {
                tracing::trace!("looking again unasked");
            }
        }
    }

    /// One round.
    pub async fn reconcile(&mut self) -> Result<DoubleMasterPlan, Error> {
        let now_ms = unix_ms();
        let observed = observe(self.runtime.as_ref(), &self.tracker).await?;
        let plan = plan(&self.valid, &observed, &self.conditions, now_ms);
        self.actor.act(&plan, now_ms).await?;
        self.status(&plan);
        Ok(plan)
    }

    fn status(&mut self, plan: &DoubleMasterPlan) {
        for event in &plan.events {
            self.announcer.say(event.message.clone());
        }
        self.journal.advance(&plan.groups, &plan.services);
        let mut status = plan.status.clone();
        status.last_failover = self.journal.last();
        self.conditions.clone_from(&status.conditions);
        self.publisher.publish(status);
    }
}
