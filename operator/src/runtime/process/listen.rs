//! Ports at the start of a runtime: the services' are taken, the instances' have to be free.

use std::collections::BTreeMap;

use tandem_api::{InstanceName, ServiceName};
use tandem_node::config::LINK_PORT_OFFSET;
use tandem_plan::Address;
use tandem_plan::double_master::Validated;
use tokio::net::TcpListener;

use super::front::Front;
use super::ports::Ports;
use crate::error::Error;

/// Tries the ports of an instance that will be started: whoever uses them is told now, not by a server
/// that ends again and again.
pub(super) async fn check_ports(name: &InstanceName, address: &Address) -> Result<(), Error> {
    let link_port = address.port.saturating_add(LINK_PORT_OFFSET);
    for (port, what) in [(address.port, "clients"), (link_port, "links")] {
        let listening = TcpListener::bind((address.host.as_str(), port)).await;
        listening.map_err(|source| Error::Listen {
            address: format!("{}:{port}", address.host),
            what: format!("the {what} of {name}"),
            source,
        })?;
    }
    Ok(())
}

/// Listens for every service.
pub(super) async fn listen(
    valid: &Validated,
    ports: Ports,
) -> Result<BTreeMap<ServiceName, Front>, Error> {
    let mut fronts = BTreeMap::new();
    for (name, address) in ports.services(&valid.name) {
        let front = Front::listen(&address)
            .await
            .map_err(|source| Error::Listen {
                address: address.to_string(),
                what: name.to_string(),
                source,
            })?;
        fronts.insert(name, front);
    }
    Ok(fronts)
}
