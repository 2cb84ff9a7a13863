//! What was seen: processes, answers, claims, services. Plain values with ages, no instants.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName, ServiceName};
use tandem_proto::status::{InstanceStatus, LinkKind, LinkStatus, Role};

use crate::claim::Claim;
use crate::placement::Placement;
use crate::request::Request;
use crate::timing::Timing;

/// Everything a plan is made from, besides the specification and the time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Observed {
    /// Instances that run, ran or left data, by name.
    pub instances: BTreeMap<InstanceName, InstanceObservation>,
    /// Claims, read afresh.
    pub claims: BTreeMap<GroupName, Claim>,
    /// Where each service points now.
    pub services: BTreeMap<ServiceName, Vec<InstanceName>>,
    /// Steps that failed lately, by [`crate::Step::key`].
    pub attempts: BTreeMap<String, Attempt>,
    /// What persons ask for, in the order in which it shall be taken.
    pub requests: Vec<Request>,
    /// What volumes say that were found, whether or not their instance runs.
    pub retained: BTreeMap<InstanceName, Retained>,
    /// Instances that `-rw` sends clients to or did a moment ago, where services take their time to
    /// move; empty where they move at once.
    pub sent_to: BTreeSet<InstanceName>,
}

/// What a volume says of the data it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retained {
    /// Server id of the group that wrote it.
    pub server_id: u32,
    /// Last epoch of that group that was noted on it.
    pub epoch: u64,
}

/// One instance as seen from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceObservation {
    /// Its process (or container).
    pub process: Process,
    /// Where it serves clients; the link port follows from it.
    pub address: Address,
    /// The last answer to a probe, of whatever age.
    #[serde(default)]
    pub answer: Option<Answer>,
    /// Milliseconds since the last answer, or since the process started when that is later.
    #[serde(default)]
    pub silent_ms: u64,
    /// Probes missed in a row.
    #[serde(default)]
    pub missed_probes: u32,
    /// Age of the oldest write that was seen in its log and is not durable yet; 0 when there is none.
    #[serde(default)]
    pub unsynced_ms: u64,
    /// Whether this life of its process began before anybody here looked: an operator that just came
    /// has not heard it yet, which does not mean that it boots.
    #[serde(default)]
    pub ran_before: bool,
    /// Key of a step that is under way on it, or whose effect was not seen yet.
    #[serde(default)]
    pub busy: Option<String>,
    /// What the machine under it says.
    #[serde(default)]
    pub placement: Placement,
    /// Configuration keys that apply live, with the values this life of the process has; `None` when
    /// they cannot have changed since its start.
    #[serde(default)]
    pub settings: Option<BTreeMap<String, String>>,
}

/// State of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Process {
    /// Never started, or stopped on purpose.
    Absent,
    /// Runs.
    Running {
        /// Milliseconds since it started.
        age_ms: u64,
    },
    /// Ended by itself or was killed. A fact: it writes nothing any more.
    Exited {
        /// Milliseconds since.
        age_ms: u64,
        /// Exits in a row that followed soon after a start.
        quick_exits: u32,
        /// How it ended.
        how: String,
    },
    /// Cannot be told (its node does not report).
    Unknown,
}

/// An answer to a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What it said.
    pub status: InstanceStatus,
    /// Milliseconds since it was received.
    pub age_ms: u64,
}

/// Host and client port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Address {
    /// Host name or address.
    pub host: String,
    /// Client port; the link port is this + 2000.
    pub port: u16,
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A step that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Milliseconds since the latest failure.
    pub age_ms: u64,
    /// Failures in a row.
    pub failures: u32,
    /// What went wrong.
    pub error: String,
}

impl InstanceObservation {
    /// Whether its process is known to have ended or was never there.
    pub fn is_gone(&self) -> bool {
        matches!(self.process, Process::Absent | Process::Exited { .. })
    }

    /// Milliseconds since the process started, when it runs and that is known.
    pub fn running_ms(&self) -> Option<u64> {
        match self.process {
            Process::Running { age_ms } => Some(age_ms),
            Process::Absent | Process::Exited { .. } | Process::Unknown => None,
        }
    }

    /// Whether this life of the process has answered at all.
    pub fn has_answered(&self) -> bool {
        let Some(answer) = &self.answer else {
            return false;
        };
        match self.process {
            Process::Running { age_ms } => answer.age_ms <= age_ms,
            Process::Unknown => true,
            Process::Absent | Process::Exited { .. } => false,
        }
    }

    /// Its status when it answered within the hang timeout, in this life.
    pub fn heard(&self, timing: &Timing) -> Option<&InstanceStatus> {
        if !self.has_answered() {
            return None;
        }
        self.answer
            .as_ref()
            .filter(|answer| answer.age_ms <= timing.hang_ms)
            .map(|answer| &answer.status)
    }

    /// Its last known status, of whatever age.
    pub fn last_status(&self) -> Option<&InstanceStatus> {
        self.answer.as_ref().map(|answer| &answer.status)
    }
}

impl Observed {
    /// The status of an instance that is heard.
    pub fn heard(&self, name: &InstanceName, timing: &Timing) -> Option<&InstanceStatus> {
        self.instances.get(name)?.heard(timing)
    }

    /// The name of the instance at an address.
    pub fn name_at(&self, host: &str, port: u16) -> Option<&InstanceName> {
        self.instances
            .iter()
            .find(|(_, seen)| seen.address.port == port && seen.address.host == host)
            .map(|(name, _)| name)
    }
}

/// Whether this role takes writes.
pub fn is_writer(role: Role) -> bool {
    match role {
        Role::Primary | Role::DoubleMaster => true,
        Role::Replica | Role::Waiting => false,
    }
}

/// The link of `kind` that goes to `address`.
pub fn link_to<'a>(
    status: &'a InstanceStatus,
    kind: LinkKind,
    address: &Address,
) -> Option<&'a LinkStatus> {
    status
        .links
        .iter()
        .find(|link| link.kind == kind && link.port == address.port && link.host == address.host)
}
