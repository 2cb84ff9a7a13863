//! Act: carries out a plan. Services first (their targets are usable already), then claims, then the
//! steps, each in a task of its own so that a slow instance holds nobody back.

mod steps;

use std::sync::Arc;

use tandem_plan::outcome::{DesiredInstance, GroupPlan};
use tandem_plan::{Plan, Step};

use crate::error::{Error, chain};
use crate::journal::Journal;
use crate::observe::Tracker;
use crate::runtime::{Arrangement, Claimed, Runtime};

/// What acting needs.
#[derive(Debug)]
pub struct Actor<R> {
    runtime: Arc<R>,
    tracker: Arc<Tracker>,
    journal: Arc<Journal>,
    collect_ms: u64,
}

impl<R: Runtime> Actor<R> {
    /// An actor; promotions collect for up to `collect_ms`.
    pub fn new(
        runtime: Arc<R>,
        tracker: Arc<Tracker>,
        journal: Arc<Journal>,
        collect_ms: u64,
    ) -> Self {
        Self {
            runtime,
            tracker,
            journal,
            collect_ms,
        }
    }

    /// Carries out a plan. Steps go on in the background.
    pub async fn act<S>(&self, plan: &Plan<S>, now_ms: u64) -> Result<(), Error> {
        let before = self.runtime.services();
        if before != plan.services {
            self.runtime.switch(&plan.services).await?;
        }
        for group in &plan.groups {
            if self.claim(group, &before, now_ms).await? {
                for step in &group.steps {
                    self.begin(step, &plan.instances);
                }
            }
        }
        let arrangement = Arrangement {
            services: &plan.services,
            groups: &plan.groups,
            replies: &plan.replies,
        };
        self.runtime.arrange(arrangement).await
    }

    /// Makes the claim of a group, when there is one.
    ///
    /// Returns whether its steps may go ahead.
    async fn claim(
        &self,
        group: &GroupPlan,
        before: &crate::journal::Services,
        now_ms: u64,
    ) -> Result<bool, Error> {
        let Some(step) = &group.claim else {
            return Ok(true);
        };
        match self.runtime.claim(step).await? {
            Claimed::Conflict => {
                tracing::warn!(group = %group.group, "another claim came first, planning again");
                Ok(false)
            }
            Claimed::Yes => {
                let epoch = step.claim.epoch;
                tracing::info!(group = %group.group, epoch, instance = %step.claim.instance, "claimed");
                if let Some(start) = &group.failover {
                    self.journal.open(start.clone(), before, now_ms);
                }
                Ok(true)
            }
        }
    }

    fn begin(&self, step: &Step, instances: &[DesiredInstance]) {
        self.tracker.begin(step);
        let task = steps::StepTask {
            runtime: Arc::clone(&self.runtime),
            step: step.clone(),
            desired: instances
                .iter()
                .find(|wanted| wanted.name == *step.instance())
                .cloned(),
            collect_ms: self.collect_ms,
        };
        let tracker = Arc::clone(&self.tracker);
        let journal = Arc::clone(&self.journal);
        let step = step.clone();
        tokio::spawn(async move {
            match task.run().await {
                Ok(done) => {
                    tracing::debug!(%step, "step done");
                    if let Some(promotion) = done.promotion {
                        journal.promoted(step.instance(), &promotion);
                    }
                    tracker.finish(&step, None);
                }
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(%step, error, "step failed");
                    tracker.finish(&step, Some(error));
                }
            }
        });
    }
}
