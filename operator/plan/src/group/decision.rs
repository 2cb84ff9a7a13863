//! What a decision about a group is made from, and what it says.

use tandem_api::{GroupName, InstanceName};

use crate::detection::{Cause, Witness};
use crate::failover_start::FailoverStart;
use crate::outcome::{ClaimStep, Waiting};
use crate::state::State;
use crate::step::Step;
use crate::timing::Timing;

/// A group as its kind presents it.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Its name.
    pub name: &'a GroupName,
    /// Its server id.
    pub server_id: u32,
    /// Its instances.
    pub instances: &'a [InstanceName],
    /// Writers of other groups that pull from this one: witnesses.
    pub outside: &'a [InstanceName],
}

/// What to do about a group's roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its state.
    pub state: State,
    /// The claim to make first.
    pub claim: Option<ClaimStep>,
    /// Why it is made.
    pub failover: Option<FailoverStart>,
    /// The one step that decides who writes.
    pub disruptive: Option<Step>,
    /// Steps behind it, in any order.
    pub repairs: Vec<Step>,
    /// Instances that stream from the primary.
    pub followers: Vec<InstanceName>,
    /// Instances that answer and do not.
    pub strays: Vec<InstanceName>,
    /// What it waits for.
    pub waits_for: Vec<Waiting>,
    /// Why another primary is needed and cannot be had.
    pub blocked: Option<Blocked>,
    /// Who said what of a primary that is silent.
    pub witnesses: Vec<Witness>,
}

/// Why there is no failover.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blocked {
    /// One CamelCase word, stable.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Blocked {
    /// A block with its word.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

impl Decision {
    pub(super) fn in_state(state: State) -> Self {
        Self {
            state,
            claim: None,
            failover: None,
            disruptive: None,
            repairs: Vec::new(),
            followers: Vec::new(),
            strays: Vec::new(),
            waits_for: Vec::new(),
            blocked: None,
            witnesses: Vec::new(),
        }
    }

    pub(super) fn waiting(state: State, what: impl Into<String>, why: impl Into<String>) -> Self {
        let mut decision = Self::in_state(state);
        decision.waits_for.push(Waiting::new(what, why));
        decision
    }
}

/// The times a decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Intervals.
    pub timing: &'a Timing,
    /// Unix milliseconds.
    pub now_ms: u64,
}

/// Why there is no primary.
pub(super) struct Vacancy {
    pub(super) cause: Option<Cause>,
    pub(super) witnesses: Vec<Witness>,
    pub(super) old: Option<InstanceName>,
}
