//! One step to commands. The claim is read afresh before each step that carries an epoch.

use std::sync::Arc;
use std::time::Duration;

use tandem_api::InstanceName;
use tandem_plan::outcome::DesiredInstance;
use tandem_plan::{Address, Claim, Resync, Step};

use crate::instance_client::{self, COMMAND_TIMEOUT, InstanceClient, Promotion};
use crate::runtime::Runtime;

/// A promotion gets its time to collect and this much more.
const PROMOTION_MARGIN: Duration = Duration::from_secs(4);

/// Following may hand over first.
const FOLLOW_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum StepError {
    /// The runtime could not do it.
    #[error("the runtime failed")]
    Runtime(#[from] crate::error::Error),
    /// The instance could not, or would not.
    #[error("the instance failed")]
    Instance(#[from] instance_client::Error),
    /// The claim is another one by now.
    #[error("the claim moved on, epoch {epoch} is not the present one")]
    ClaimMoved {
        /// Epoch of the step.
        epoch: u64,
    },
    /// An instance of the step is not known to the runtime.
    #[error("instance {0} is not known")]
    Unknown(InstanceName),
}

/// What a step brought.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) promotion: Option<Promotion>,
}

/// A step to carry out.
#[derive(Debug)]
pub(super) struct StepTask<R> {
    pub(super) runtime: Arc<R>,
    pub(super) step: Step,
    pub(super) desired: Option<DesiredInstance>,
    pub(super) collect_ms: u64,
}

impl<R: Runtime> StepTask<R> {
    /// Carries it out, within bounds.
    pub(super) async fn run(&self) -> Result<Done, StepError> {
        self.check_claim().await?;
        let mut done = Done::default();
        match &self.step {
            Step::Promote {
                instance,
                epoch,
                collect_from,
            } => {
                let collect = Duration::from_millis(self.collect_ms);
                let from: Vec<Address> = collect_from
                    .iter()
                    .filter_map(|name| self.address(name).ok())
                    .collect();
                let mut client = self.client(instance, collect + PROMOTION_MARGIN).await?;
                done.promotion = Some(client.promote(*epoch, &from, collect).await?);
            }
            Step::Fence {
                instance,
                epoch,
                primary,
            }
            | Step::Follow {
                instance,
                epoch,
                primary,
            } => {
                let primary = self.address(primary)?;
                self.client(instance, FOLLOW_TIMEOUT)
                    .await?
                    .follow(*epoch, &primary)
                    .await?;
            }
            Step::Withdraw { instance, epoch } => {
                self.client(instance, COMMAND_TIMEOUT)
                    .await?
                    .demote(*epoch)
                    .await?;
            }
            Step::Peer {
                instance,
                peer,
                server_id,
            } => {
                let peer = self.address(peer)?;
                self.client(instance, COMMAND_TIMEOUT)
                    .await?
                    .peer(&peer, *server_id)
                    .await?;
            }
            Step::Members {
                instance,
                server_ids,
            } => {
                self.client(instance, COMMAND_TIMEOUT)
                    .await?
                    .members(server_ids)
                    .await?;
            }
            Step::FullResync {
                instance,
                source,
                mode,
                ..
            } => {
                let source = self.address(source)?;
                self.client(instance, COMMAND_TIMEOUT)
                    .await?
                    .full_resync(&source, *mode == Resync::Replace)
                    .await?;
            }
            Step::Start { .. } => self.runtime.start(self.desired()?).await?,
            Step::Restart { .. } => self.runtime.restart(self.desired()?).await?,
            Step::Replace { .. } => self.runtime.replace(self.desired()?).await?,
            Step::Stop { instance } => self.runtime.stop(instance).await?,
            Step::Configure { instance, settings } => {
                self.client(instance, COMMAND_TIMEOUT)
                    .await?
                    .configure(settings)
                    .await?;
                self.runtime.configured(instance, settings);
            }
        }
        Ok(done)
    }

    async fn check_claim(&self) -> Result<(), StepError> {
        let Some(epoch) = self.step.epoch() else {
            return Ok(());
        };
        let fits = |claim: &Claim| match &self.step {
            Step::Promote { instance, .. } => claim.epoch == epoch && claim.instance == *instance,
            Step::Fence { primary, .. } | Step::Follow { primary, .. } => {
                claim.epoch == epoch && claim.instance == *primary
            }
            Step::FullResync {
                instance,
                source,
                mode,
                ..
            } => {
                let primary = if *mode == Resync::Replace {
                    source
                } else {
                    instance
                };
                claim.epoch == epoch && claim.instance == *primary
            }
            Step::Withdraw { instance, .. } => {
                claim.epoch == epoch + 1 && claim.instance != *instance
            }
            _ => true,
        };
        let claims = if self.step.is_disruptive() {
            self.runtime.claims_afresh().await?
        } else {
            self.runtime.claims().await?
        };
        if claims.values().any(fits) {
            Ok(())
        } else {
            Err(StepError::ClaimMoved { epoch })
        }
    }

    fn desired(&self) -> Result<&DesiredInstance, StepError> {
        self.desired
            .as_ref()
            .ok_or_else(|| StepError::Unknown(self.step.instance().clone()))
    }

    fn address(&self, name: &InstanceName) -> Result<Address, StepError> {
        let seen = self.runtime.instance(name);
        seen.map(|seen| seen.address)
            .filter(|address| !address.host.is_empty())
            .ok_or_else(|| StepError::Unknown(name.clone()))
    }

    async fn client(
        &self,
        name: &InstanceName,
        deadline: Duration,
    ) -> Result<InstanceClient, StepError> {
        let address = self.address(name)?;
        Ok(InstanceClient::connect_with_any(&address, &self.runtime.passwords(), deadline).await?)
    }
}
