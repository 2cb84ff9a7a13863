//! Name types whose limits leave room for the suffixes that the operator appends.
//!
//! ```text
//! DoubleMaster  demo            ResourceName  <= 40, a DNS label
//! group         a               GroupName     the slot of a DoubleMaster, the member of a hub
//! instance      demo-a-1        InstanceName  resource, group, ordinal   <= 63
//! service       demo-rw         ServiceName   resource, suffix           <= 63
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest resource name: 63 of a DNS label, less `-<group>-<ordinal>` and a volume's suffix.
pub const RESOURCE_NAME_MAX: usize = 40;

/// Longest group name.
pub const GROUP_NAME_MAX: usize = 12;

/// A name that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("the name is empty")]
    Empty,
    /// Too long for what is appended to it.
    #[error("name `{name}` has {length} characters, at most {max} leave room for suffixes")]
    TooLong {
        /// The refused name.
        name: String,
        /// Its length.
        length: usize,
        /// The bound.
        max: usize,
    },
    /// Not a DNS label.
    #[error(
        "name `{name}` is no DNS label: lower-case letters, digits and `-`, beginning with a \
         letter and ending with a letter or digit"
    )]
    NotALabel {
        /// The refused name.
        name: String,
    },
    /// An instance's name does not end in `-<group>-<ordinal>`.
    #[error("name `{name}` is not `<resource>-<group>-<ordinal>`")]
    NotAnInstance {
        /// The refused name.
        name: String,
    },
}

fn check_label(name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > max {
        return Err(NameError::TooLong {
            name: name.into(),
            length: name.len(),
            max,
        });
    }
    let inside = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !begins || name.ends_with('-') || !name.chars().all(inside) {
        return Err(NameError::NotALabel { name: name.into() });
    }
    Ok(())
}

macro_rules! name_type {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }
    };
}

name_type! {
    /// Name of a resource: a DNS label of at most [`RESOURCE_NAME_MAX`] characters.
    ResourceName
}
name_type! {
    /// Name of a group inside its resource: `a` and `b` in a `DoubleMaster`.
    GroupName
}
name_type! {
    /// Name of an instance: `<resource>-<group>-<ordinal>`. It never says which role it has.
    InstanceName
}
name_type! {
    /// Name of a service: `<resource>-<suffix>`.
    ServiceName
}

impl ResourceName {
    /// Parses a resource's name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_label(text, RESOURCE_NAME_MAX).map(|()| Self(text.into()))
    }

    /// The instance with this ordinal in `group`.
    pub fn instance(&self, group: &GroupName, ordinal: u8) -> InstanceName {
        InstanceName(format!("{self}-{group}-{ordinal}"))
    }

    /// The service with this suffix.
    pub fn service(&self, suffix: &str) -> ServiceName {
        ServiceName(format!("{self}-{suffix}"))
    }
}

impl GroupName {
    /// Parses a group's name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_label(text, GROUP_NAME_MAX).map(|()| Self(text.into()))
    }

    /// Slot `a` of a `DoubleMaster`.
    pub fn a() -> Self {
        Self("a".into())
    }

    /// Slot `b` of a `DoubleMaster`.
    pub fn b() -> Self {
        Self("b".into())
    }
}

impl InstanceName {
    /// Parses an instance's name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_label(text, 63)?;
        let well_formed = text.rsplit_once('-').is_some_and(|(rest, ordinal)| {
            ordinal.parse::<u8>().is_ok() && rest.rsplit_once('-').is_some()
        });
        if well_formed {
            Ok(Self(text.into()))
        } else {
            Err(NameError::NotAnInstance { name: text.into() })
        }
    }

    /// The number at the end; stable, and no hint at the role.
    pub fn ordinal(&self) -> u8 {
        self.0
            .rsplit_once('-')
            .and_then(|(_, ordinal)| ordinal.parse().ok())
            .unwrap_or(0)
    }
}

impl ServiceName {
    /// Parses a service's name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_label(text, 63).map(|()| Self(text.into()))
    }

    /// What follows the last `-`: `rw`, `ro`, `a`, `b`.
    pub fn suffix(&self) -> &str {
        self.0
            .rsplit_once('-')
            .map_or(self.0.as_str(), |(_, suffix)| suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_resource_name_leaves_room_for_every_suffix() {
        let name = ResourceName::parse(&"x".repeat(RESOURCE_NAME_MAX)).unwrap();
        let group = GroupName::parse(&"g".repeat(GROUP_NAME_MAX)).unwrap();
        let instance = name.instance(&group, u8::MAX);
        assert!(instance.as_str().len() <= 63 - "-data".len());
        assert_eq!(InstanceName::parse(instance.as_str()), Ok(instance));
    }

    #[test]
    fn names_that_are_no_labels_are_refused_with_the_rule() {
        for bad in [
            "",
            "Upper",
            "9lives",
            "under_score",
            "end-",
            "-start",
            "spa ce",
        ] {
            assert!(ResourceName::parse(bad).is_err(), "{bad}");
        }
        let long = "y".repeat(RESOURCE_NAME_MAX + 1);
        assert!(
            ResourceName::parse(&long)
                .unwrap_err()
                .to_string()
                .contains("at most 40")
        );
        assert!(InstanceName::parse("dm-a").is_err());
    }

    #[test]
    fn an_ordinal_is_read_back() {
        let name = ResourceName::parse("demo")
            .unwrap()
            .instance(&GroupName::b(), 3);
        assert_eq!((name.as_str(), name.ordinal()), ("demo-b-3", 3));
        assert_eq!(
            ResourceName::parse("a-b").unwrap().service("rw").suffix(),
            "rw"
        );
    }
}
