//! What the machine under an instance says of it, beyond its process: where it is, whether that place
//! or its shape is about to go, and what keeps it from running. A runtime that has nothing to say
//! leaves it at the default.

use serde::{Deserialize, Serialize};

/// Where and how an instance is placed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Placement {
    /// The node it is on.
    pub node: Option<String>,
    /// Why it will have to go from there: `node n1 is cordoned`. Its role is moved first.
    pub leaving: Option<String>,
    /// Its end was asked for already (a pod with a deletion time): nothing can be started in its
    /// place until it is gone, and it may be stuck there for good.
    pub terminating: bool,
    /// What differs between it and what the specification wants: `image`, `resources`. Mended by a
    /// replacement.
    pub outdated: Option<String>,
    /// What keeps it from running, when it cannot help itself: `image x cannot be pulled`.
    pub trouble: Option<String>,
    /// Whether the machine takes it for ready; `None` when it does not say.
    pub ready: Option<bool>,
}

impl Placement {
    /// Why it will not stay: it is being ended, or its place goes.
    pub fn going(&self) -> Option<&str> {
        if self.terminating {
            return Some(self.leaving.as_deref().unwrap_or("it is being ended"));
        }
        self.leaving.as_deref()
    }

    /// Whether it is known to be on another node than this one.
    pub fn is_elsewhere(&self, node: &str) -> bool {
        self.node.as_deref().is_some_and(|own| own != node)
    }
}
