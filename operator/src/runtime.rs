//! What a plan is carried out on. Two machines stand behind this trait: processes on this host, and
//! (a later piece) a Kubernetes cluster. The same plans run on both.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_plan::outcome::{ClaimStep, DesiredInstance};
use tandem_plan::{Address, Claim, Process};
use tokio::sync::Notify;

use crate::error::Error;

pub mod process;

/// What is seen of one instance without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process.
    pub process: Process,
    /// Number of this life of its process; changes with each start.
    pub life: u64,
    /// Where it serves clients.
    pub address: Address,
}

/// Outcome of a compare-and-swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// The claim is on record.
    Yes,
    /// Something else was there: plan again.
    Conflict,
}

/// A machine that instances run on.
pub trait Runtime: Send + Sync + 'static {
    /// Processes and addresses of the instances it knows.
    fn instances(&self) -> BTreeMap<InstanceName, Seen>;

    /// Reads all claims afresh.
    fn claims(&self) -> impl Future<Output = Result<BTreeMap<GroupName, Claim>, Error>> + Send;

    /// Replaces a claim if it is what the step expects.
    fn claim(&self, step: &ClaimStep) -> impl Future<Output = Result<Claimed, Error>> + Send;

    /// Where services point.
    fn services(&self) -> BTreeMap<ServiceName, Vec<InstanceName>>;

    /// Points services; connections to instances that are no target any more are closed.
    fn switch(
        &self,
        services: &BTreeMap<ServiceName, Vec<InstanceName>>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Starts an instance, without a role.
    fn start(&self, instance: &DesiredInstance) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends an instance's process at once and starts it again.
    fn restart(&self, instance: &DesiredInstance)
    -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends an instance in order and starts it again as the specification wants it now.
    fn replace(&self, instance: &DesiredInstance)
    -> impl Future<Output = Result<(), Error>> + Send;

    /// Stops an instance; its data stays.
    fn stop(&self, instance: &InstanceName) -> impl Future<Output = Result<(), Error>> + Send;

    /// Password of the instances.
    fn password(&self) -> Option<&str>;

    /// Woken by every change of a process.
    fn changed(&self) -> Arc<Notify>;
}
