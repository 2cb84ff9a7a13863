//! What a plan says: claims, steps, service targets, status, events, and what it waits for.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName, ServiceName};

use crate::claim::Claim;
use crate::events::Event;
use crate::explanation::Explanation;
use crate::failover_start::FailoverStart;
use crate::request::Reply;
use crate::state::State;
use crate::step::Step;

/// Everything to do now. A plan leaves nothing to choose; when there is nothing to do it has no
/// claims, no steps, no events, and its services are those observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan<S> {
    /// Instances that should exist.
    pub instances: Vec<DesiredInstance>,
    /// One entry per group, in the order of their names.
    pub groups: Vec<GroupPlan>,
    /// Where each service has to point. Only instances that were seen to be usable, so switching to
    /// them needs no claim and comes before everything else.
    pub services: BTreeMap<ServiceName, Vec<InstanceName>>,
    /// Status to publish.
    pub status: S,
    /// What is about to change, for people.
    pub events: Vec<Event>,
    /// Requests that are answered, done or refused, and can be taken away once this plan was carried
    /// out. One that is still worked on is not among them.
    pub replies: Vec<Reply>,
    /// What it waits for.
    pub waits_for: Vec<Waiting>,
    /// Why each group has the primary it has, and could it get another one.
    pub explanations: Vec<Explanation>,
    /// Look again after this many milliseconds, whatever happens.
    pub look_again_ms: u64,
}

/// An instance that should exist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredInstance {
    /// Its name.
    pub name: InstanceName,
    /// Its group.
    pub group: GroupName,
    /// Server id of the group.
    pub server_id: u32,
}

/// What one group needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupPlan {
    /// The group.
    pub group: GroupName,
    /// The state it was found in, or is brought into by the claim below.
    pub state: State,
    /// The claim to make before any step.
    pub claim: Option<ClaimStep>,
    /// Why that claim is made.
    pub failover: Option<FailoverStart>,
    /// Steps, at most one of them disruptive and that one first.
    pub steps: Vec<Step>,
    /// Instances that follow the primary and stream from it.
    pub followers: Vec<InstanceName>,
    /// Instances that answer and do not (yet).
    pub strays: Vec<InstanceName>,
    /// Whether its primary streams from the other group's.
    pub paired: bool,
    /// Instances that still have the role but nothing that clients need: their place may go (no
    /// budget has to protect them). A primary without replicas whose peer serves.
    pub released: Vec<InstanceName>,
}

/// A compare-and-swap of a group's claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimStep {
    /// The group.
    pub group: GroupName,
    /// What was there when the plan was made; anything else refuses it.
    pub expected: Option<Claim>,
    /// What shall be there.
    pub claim: Claim,
}

/// Something that has to happen by itself, or by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// For what.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Waiting {
    /// A wait for `what`, because of `why`.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            why: why.into(),
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.why)
    }
}

impl<S> Plan<S> {
    /// Whether it changes nothing: no claim, no step, no event.
    pub fn is_idle(&self) -> bool {
        self.events.is_empty()
            && self
                .groups
                .iter()
                .all(|group| group.claim.is_none() && group.steps.is_empty())
    }

    /// All steps, group by group.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.groups.iter().flat_map(|group| &group.steps)
    }
}

impl<S> fmt::Display for Plan<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            writeln!(f, "group {}: {}", group.group, group.state)?;
            if let Some(step) = &group.claim {
                let expected = step.expected.as_ref().map_or(0, |claim| claim.epoch);
                let Claim {
                    epoch, instance, ..
                } = &step.claim;
                writeln!(f, "  claim epoch {expected} => {epoch} {instance}")?;
            }
            if let Some(start) = &group.failover {
                for witness in &start.witnesses {
                    writeln!(f, "  witness {witness}")?;
                }
                for candidate in &start.candidates {
                    let word = if candidate.instance == start.new {
                        "chosen".into()
                    } else {
                        format!("not chosen: {}", candidate.refused)
                    };
                    writeln!(
                        f,
                        "  candidate {} own {} total {} {word}",
                        candidate.instance, candidate.own_records, candidate.total_records
                    )?;
                }
            }
            for step in &group.steps {
                let mark = if step.is_disruptive() {
                    "step!"
                } else {
                    "step "
                };
                writeln!(f, "  {mark} {step}")?;
            }
        }
        for (service, targets) in &self.services {
            let names: Vec<&str> = targets.iter().map(InstanceName::as_str).collect();
            let names = if names.is_empty() {
                "nobody".into()
            } else {
                names.join(" ")
            };
            writeln!(f, "service {service} -> {names}")?;
        }
        for reply in &self.replies {
            let word = if reply.done { "done" } else { "refused" };
            writeln!(f, "request {}: {word}: {}", reply.request, reply.message)?;
        }
        for event in &self.events {
            writeln!(f, "event {event}")?;
        }
        for waiting in &self.waits_for {
            writeln!(f, "waits for {waiting}")?;
        }
        writeln!(f, "look again in {} ms", self.look_again_ms)
    }
}
