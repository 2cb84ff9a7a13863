//! The states of a group, from nobody to a primary that serves; `group` draws how they follow.

use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;

/// The state of a group, in the order in which the predicates are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// No primary, and instances that may hold more have not answered yet.
    Assembling {
        /// Those.
        waiting_for: Vec<InstanceName>,
    },
    /// A primary is claimed and has to open.
    Opening {
        /// The claimed instance.
        primary: InstanceName,
        /// The claimed epoch.
        epoch: u64,
    },
    /// The claimed primary writes.
    Serving {
        /// The primary.
        primary: InstanceName,
        /// Its epoch.
        epoch: u64,
    },
    /// The primary is silent, which is not yet established as its end.
    Suspect {
        /// The primary.
        primary: InstanceName,
        /// Its epoch.
        epoch: u64,
        /// What is missing for a verdict.
        missing: String,
    },
    /// No primary and nobody to promote.
    Lost {
        /// Why.
        why: String,
    },
}

impl State {
    /// The instance that writes or may still write.
    pub fn primary(&self) -> Option<&InstanceName> {
        match self {
            Self::Serving { primary, .. } | Self::Suspect { primary, .. } => Some(primary),
            Self::Assembling { .. } | Self::Opening { .. } | Self::Lost { .. } => None,
        }
    }

    /// The instance that writes, by its own recent word.
    pub fn serving(&self) -> Option<&InstanceName> {
        match self {
            Self::Serving { primary, .. } => Some(primary),
            _ => None,
        }
    }

    /// The epoch of the claim.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Opening { epoch, .. }
            | Self::Serving { epoch, .. }
            | Self::Suspect { epoch, .. } => Some(*epoch),
            Self::Assembling { .. } | Self::Lost { .. } => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assembling { waiting_for } => {
                let names: Vec<&str> = waiting_for.iter().map(InstanceName::as_str).collect();
                write!(f, "assembling, waits for {}", names.join(" "))
            }
            Self::Opening { primary, epoch } => write!(f, "opening {primary} epoch {epoch}"),
            Self::Serving { primary, epoch } => write!(f, "serving {primary} epoch {epoch}"),
            Self::Suspect {
                primary,
                epoch,
                missing,
            } => {
                write!(f, "suspect {primary} epoch {epoch}: {missing}")
            }
            Self::Lost { why } => write!(f, "lost: {why}"),
        }
    }
}
