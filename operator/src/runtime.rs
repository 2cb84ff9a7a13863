//! What a plan is carried out on. Two machines stand behind this trait: processes on this host, and
//! a Kubernetes cluster. The same plans run on both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_plan::observed::Retained;
use tandem_plan::outcome::{ClaimStep, DesiredInstance, GroupPlan};
use tandem_plan::{Address, Claim, Placement, Process, Reply, Request};
use tokio::sync::Notify;

use crate::error::Error;

pub mod kubernetes;
pub mod process;

/// What is seen of one instance without asking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its process.
    pub process: Process,
    /// Number of this life of its process; changes with each start.
    pub life: u64,
    /// Whether this life began before this runtime looked.
    pub ran_before: bool,
    /// Where it serves clients; without host while it has no address.
    pub address: Address,
    /// Where and how it stands.
    pub placement: Placement,
    /// Settings that this life of it is known to have; `None` when they cannot change while it runs.
    pub settings: Option<BTreeMap<String, String>>,
}

/// What a plan says besides steps, for the runtime to arrange in each round.
#[derive(Debug, Clone, Copy)]
pub struct Arrangement<'a> {
    /// Where services point.
    pub services: &'a BTreeMap<ServiceName, Vec<InstanceName>>,
    /// The groups, as they were found.
    pub groups: &'a [GroupPlan],
    /// Requests that were answered.
    pub replies: &'a [Reply],
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

    /// One of them.
    fn instance(&self, name: &InstanceName) -> Option<Seen> {
        self.instances().remove(name)
    }

    /// All claims, as good as is known without asking far away.
    fn claims(&self) -> impl Future<Output = Result<BTreeMap<GroupName, Claim>, Error>> + Send;

    /// All claims, read where they are kept.
    fn claims_afresh(
        &self,
    ) -> impl Future<Output = Result<BTreeMap<GroupName, Claim>, Error>> + Send {
        self.claims()
    }

    /// Replaces a claim if it is what the step expects.
    fn claim(&self, step: &ClaimStep) -> impl Future<Output = Result<Claimed, Error>> + Send;

    /// Where services point.
    fn services(&self) -> BTreeMap<ServiceName, Vec<InstanceName>>;

    /// Points services; connections to instances that are no target any more are closed.
    fn switch(
        &self,
        services: &BTreeMap<ServiceName, Vec<InstanceName>>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Instances that `-rw` sends clients to or did a moment ago; empty where services move at once.
    fn sent_to(&self) -> BTreeSet<InstanceName> {
        BTreeSet::new()
    }

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

    /// Password of the instances, and older ones that an instance may still have.
    fn passwords(&self) -> Vec<String>;

    /// What people asked for.
    fn requests(&self) -> Vec<Request> {
        Vec::new()
    }

    /// Volumes that were found, with whose data they hold.
    fn retained(&self) -> BTreeMap<InstanceName, Retained> {
        BTreeMap::new()
    }

    /// Notes settings that an instance has taken.
    fn configured(&self, instance: &InstanceName, settings: &BTreeMap<String, String>) {
        tracing::debug!(%instance, ?settings, "settings taken");
    }

    /// Arranges what follows from a plan and is no step: called in each round, does nothing when all
    /// is as it should be.
    fn arrange(
        &self,
        arrangement: Arrangement<'_>,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = arrangement;
        async { Ok(()) }
    }

    /// Woken by every change of a process.
    fn changed(&self) -> Arc<Notify>;
}
