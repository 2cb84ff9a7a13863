//! One bounded command to one instance.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_api::InstanceName;

/// Stands before the sources in the text and the key of a promotion.
pub(crate) const COLLECTING: &str = " collecting from ";

/// What to do to one instance. The epoch in a step is that of the claim it was planned under; the
/// claim is read again before each disruptive step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Makes it its group's writer.
    Promote {
        /// The claimed instance.
        instance: InstanceName,
        /// The claimed epoch.
        epoch: u64,
        /// Instances to collect from before it opens.
        collect_from: Vec<InstanceName>,
    },
    /// Takes the writer role from an instance that holds it under an older epoch: it follows the
    /// primary, which first pulls what it alone holds.
    Fence {
        /// The old writer.
        instance: InstanceName,
        /// The epoch it is shown.
        epoch: u64,
        /// Whom it follows.
        primary: InstanceName,
    },
    /// Tells an instance that lost its claim the epoch between that one and the present one: it never
    /// opens under its own again, and does not write.
    Withdraw {
        /// The instance that did not open.
        instance: InstanceName,
        /// The epoch it is shown, one below the claim's.
        epoch: u64,
    },
    /// Points a replica, or an instance without role, at the primary.
    Follow {
        /// The follower.
        instance: InstanceName,
        /// Epoch of the primary.
        epoch: u64,
        /// The primary.
        primary: InstanceName,
    },
    /// Tells a writer which writer of the other group it pulls from.
    Peer {
        /// The writer told.
        instance: InstanceName,
        /// The other writer.
        peer: InstanceName,
        /// The other group's server id.
        server_id: u32,
    },
    /// Tells the writing groups.
    Members {
        /// The instance told.
        instance: InstanceName,
        /// Their server ids.
        server_ids: Vec<u32>,
    },
    /// Asks for a full resync of a link.
    FullResync {
        /// Whose link.
        instance: InstanceName,
        /// Whose state it takes.
        source: InstanceName,
        /// Epoch of the claim of the instance's group: with another one their roles are others.
        epoch: u64,
        /// Why, and what becomes of its own state.
        mode: Resync,
    },
    /// Starts a process that does not run.
    Start {
        /// The instance.
        instance: InstanceName,
    },
    /// Kills a process that does not answer and starts it again.
    Restart {
        /// The instance.
        instance: InstanceName,
        /// Why.
        reason: String,
    },
    /// Stops an instance that is not wanted any more; its data stays.
    Stop {
        /// The instance.
        instance: InstanceName,
    },
    /// Ends an instance in order and starts it again as the specification wants it now (a new pod on
    /// the same volume).
    Replace {
        /// The instance.
        instance: InstanceName,
        /// What differs, or what is wrong with the present one.
        reason: String,
    },
    /// Sets configuration keys that apply live.
    Configure {
        /// The instance.
        instance: InstanceName,
        /// Keys and their new values.
        settings: BTreeMap<String, String>,
    },
}

/// Why a full resync is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resync {
    /// A writer's link lost its place: the states are merged.
    Mend,
    /// A person asked for it, of a writer: the states are merged.
    Merge,
    /// A person asked for it, of a replica: it takes its primary's state instead of its own.
    Replace,
}

impl Step {
    /// The instance it acts on.
    pub fn instance(&self) -> &InstanceName {
        match self {
            Self::Promote { instance, .. }
            | Self::Fence { instance, .. }
            | Self::Withdraw { instance, .. }
            | Self::Follow { instance, .. }
            | Self::Peer { instance, .. }
            | Self::Members { instance, .. }
            | Self::FullResync { instance, .. }
            | Self::Start { instance }
            | Self::Restart { instance, .. }
            | Self::Stop { instance }
            | Self::Replace { instance, .. }
            | Self::Configure { instance, .. } => instance,
        }
    }

    /// Whether it takes something away from clients or decides who writes: at most one at a time per
    /// group, and only under a claim that was read afresh.
    pub fn is_disruptive(&self) -> bool {
        match self {
            Self::Promote { .. }
            | Self::Fence { .. }
            | Self::Withdraw { .. }
            | Self::FullResync { .. }
            | Self::Restart { .. }
            | Self::Stop { .. }
            | Self::Replace { .. } => true,
            Self::Follow { .. }
            | Self::Peer { .. }
            | Self::Members { .. }
            | Self::Start { .. }
            | Self::Configure { .. } => false,
        }
    }

    /// The epoch it carries, when it carries one.
    pub fn epoch(&self) -> Option<u64> {
        match self {
            Self::Promote { epoch, .. }
            | Self::Fence { epoch, .. }
            | Self::Withdraw { epoch, .. }
            | Self::FullResync { epoch, .. }
            | Self::Follow { epoch, .. } => Some(*epoch),
            _ => None,
        }
    }

    /// What the keys of all promotions under one claim begin with, whomever they collect from; of
    /// other steps the key.
    pub fn word(&self) -> String {
        match self {
            Self::Promote {
                instance, epoch, ..
            } => format!("promote {instance} epoch {epoch}"),
            other => other.key(),
        }
    }

    /// Identifies repetitions of the same step, for back-off.
    pub fn key(&self) -> String {
        match self {
            Self::Restart { instance, .. } => format!("restart {instance}"),
            Self::Replace { instance, .. } => format!("replace {instance}"),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promote {
                instance,
                epoch,
                collect_from,
            } => {
                write!(f, "promote {instance} epoch {epoch}")?;
                if collect_from.is_empty() {
                    return Ok(());
                }
                let names: Vec<&str> = collect_from.iter().map(InstanceName::as_str).collect();
                write!(f, "{COLLECTING}{}", names.join(" "))
            }
            Self::Fence {
                instance,
                epoch,
                primary,
            } => {
                write!(f, "fence {instance} behind {primary} epoch {epoch}")
            }
            Self::Withdraw { instance, epoch } => write!(f, "withdraw {instance} epoch {epoch}"),
            Self::Follow {
                instance,
                epoch,
                primary,
            } => {
                write!(f, "follow {instance} -> {primary} epoch {epoch}")
            }
            Self::Peer {
                instance,
                peer,
                server_id,
            } => {
                write!(f, "peer {instance} -> {peer} server id {server_id}")
            }
            Self::Members {
                instance,
                server_ids,
            } => {
                let ids: Vec<String> = server_ids.iter().map(u32::to_string).collect();
                write!(f, "members {instance}: {}", ids.join(" "))
            }
            Self::FullResync {
                instance,
                source,
                mode,
                ..
            } => {
                let word = match mode {
                    Resync::Mend | Resync::Merge => "",
                    Resync::Replace => ", replacing its own state",
                };
                write!(f, "full resync {instance} <- {source}{word}")
            }
            Self::Start { instance } => write!(f, "start {instance}"),
            Self::Restart { instance, reason } => write!(f, "restart {instance} ({reason})"),
            Self::Stop { instance } => write!(f, "stop {instance}"),
            Self::Replace { instance, reason } => write!(f, "replace {instance} ({reason})"),
            Self::Configure { instance, settings } => {
                let words: Vec<String> = settings
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"))
                    .collect();
                write!(f, "configure {instance}: {}", words.join(" "))
            }
        }
    }
}
