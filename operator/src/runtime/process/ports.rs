//! Stable ports from one base.
//!
//! ```text
//! base + 0  -rw    base + 1  -ro    base + 2  -a    base + 3  -b
//! base + 11 + n    instance n of slot a            base + 21 + n    instance n of slot b
//! + 2000           link port of each instance
//! ```

use std::collections::BTreeMap;

use tandem_api::{InstanceName, ResourceName, ServiceName};
use tandem_plan::Address;

use crate::error::Error;

/// Base when nothing says otherwise.
pub(super) const BASE_DEFAULT: u16 = 7000;

/// Distance of link ports from client ports, as in Pika v4.
const LINK_OFFSET: u16 = 2000;
const SERVICE_SUFFIXES: [&str; 4] = ["rw", "ro", "a", "b"];
const INSTANCES_AT: u16 = 11;
const SLOT_STRIDE: u16 = 10;

/// Ports of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

impl Ports {
    /// Ports from `base` on.
    pub fn new(base: u16) -> Result<Self, Error> {
        let highest = u32::from(base) + u32::from(INSTANCES_AT + 2 * SLOT_STRIDE + LINK_OFFSET);
        if base == 0 || highest > u32::from(u16::MAX) {
            return Err(Error::BasePort { base });
        }
        Ok(Self { base })
    }

    /// The base.
    pub fn base(self) -> u16 {
        self.base
    }

    /// Address of an instance.
    pub fn instance(self, name: &InstanceName) -> Address {
        let in_slot_b = name.as_str().rsplit('-').nth(1) == Some("b");
        let slot = if in_slot_b { SLOT_STRIDE } else { 0 };
        let ordinal = u16::from(name.ordinal()).min(SLOT_STRIDE - 1);
        loopback(self.base + INSTANCES_AT + slot + ordinal)
    }

    /// Addresses of the services.
    pub fn services(self, resource: &ResourceName) -> BTreeMap<ServiceName, Address> {
        SERVICE_SUFFIXES
            .iter()
            .zip(self.base..)
            .map(|(suffix, port)| (resource.service(suffix), loopback(port)))
            .collect()
    }
}

fn loopback(port: u16) -> Address {
    Address {
        host: "127.0.0.1".into(),
        port,
    }
}

#[cfg(test)]
mod tests {
    use tandem_api::GroupName;

    use super::*;

    #[test]
    fn no_two_things_share_a_port() {
        let ports = Ports::new(7000).unwrap();
        let resource = ResourceName::parse("dm").unwrap();
        let mut seen: Vec<u16> = ports
            .services(&resource)
            .values()
            .map(|address| address.port)
            .collect();
        for group in [GroupName::a(), GroupName::b()] {
            for ordinal in 0..=5 {
                let port = ports.instance(&resource.instance(&group, ordinal)).port;
                seen.extend([port, port + LINK_OFFSET]);
            }
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
        assert_eq!(
            ports.instance(&resource.instance(&GroupName::a(), 0)).port,
            7011
        );
    }

    #[test]
    fn a_base_without_room_is_refused() {
        assert!(Ports::new(63_600).is_err());
        assert!(Ports::new(0).is_err());
    }
}
