//! What a person asks for, and what became of it.
//!
//! A request is text on the object, and a plan that sees it either acts on it, or refuses it with the
//! reason, or still works on it. Whoever carries the plan out takes away what was answered.
//!
//! ```text
//! switchover  a            slot a gets another primary, without a lost write
//! switchover  a=dm-a-1     that one
//! failover    a[=dm-a-1]   the same, without waiting for the old one
//! resync      dm-a-1       it takes its source's whole state
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};
use tandem_api::{GroupName, InstanceName};

/// What kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// Another primary, without a lost write.
    Switchover,
    /// Another primary, at once.
    Failover,
    /// A full resync.
    Resync,
}

impl RequestKind {
    /// The word, as in the annotation `tandem.dev/<word>`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switchover => "switchover",
            Self::Failover => "failover",
            Self::Resync => "resync",
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Switchover, Self::Failover, Self::Resync];
}

/// A request as it was written: not checked yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Its kind.
    pub kind: RequestKind,
    /// `<slot>`, `<slot>=<instance>` or `<instance>`.
    pub text: String,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.text)
    }
}

/// What a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A slot, and perhaps whom it shall get.
    Slot {
        /// The slot.
        group: GroupName,
        /// The wanted primary; the best one when absent.
        to: Option<InstanceName>,
    },
    /// One instance.
    Instance(InstanceName),
}

impl Request {
    /// Reads the text, or says what is wrong with it.
    pub fn target(&self) -> Result<Target, String> {
        let wanted = match self.kind {
            RequestKind::Switchover | RequestKind::Failover => "<slot> or <slot>=<instance>",
            RequestKind::Resync => "<instance>",
        };
        let bad = |error: tandem_api::NameError| format!("`{}`: {error}; give {wanted}", self.text);
        let text = self.text.trim();
        if self.kind == RequestKind::Resync {
            return InstanceName::parse(text).map(Target::Instance).map_err(bad);
        }
        let (group, to) = match text.split_once('=') {
            Some((group, to)) => (group, Some(InstanceName::parse(to).map_err(bad)?)),
            None => (text, None),
        };
        let group = GroupName::parse(group).map_err(bad)?;
        Ok(Target::Slot { group, to })
    }
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The request.
    pub request: Request,
    /// Whether it is done, or begun so that nothing stops it; otherwise it is refused.
    pub done: bool,
    /// For people.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_slot_an_instance_or_what_is_wrong() {
        let target = |kind, text: &str| {
            Request {
                kind,
                text: text.into(),
            }
            .target()
        };
        let a1 = InstanceName::parse("dm-a-1").unwrap();
        assert_eq!(
            target(RequestKind::Switchover, "a"),
            Ok(Target::Slot {
                group: GroupName::a(),
                to: None
            })
        );
        assert_eq!(
            target(RequestKind::Failover, "a=dm-a-1"),
            Ok(Target::Slot {
                group: GroupName::a(),
                to: Some(a1.clone())
            })
        );
        assert_eq!(
            target(RequestKind::Resync, "dm-a-1"),
            Ok(Target::Instance(a1))
        );
        let refused = target(RequestKind::Switchover, "a=nobody").unwrap_err();
        assert!(refused.contains("give <slot> or <slot>=<instance>"));
        assert!(target(RequestKind::Resync, "").is_err());
    }
}
