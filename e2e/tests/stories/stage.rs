//! What several stories begin with.

use std::time::Duration;

use anyhow::Result;
use tandem_e2e::client::wait_for;
use tandem_e2e::story::{Instance, Proxy, Server, ports};
use tandem_proto::status::{LinkKind, LinkState};

/// How long instances may take to become equal once the load has ended.
pub(crate) const EQUAL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long anything else may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Two masters by hand. `proxies[i]` leads to the links of `masters[i]`: what is cut there, the
/// other master does not get.
pub(crate) struct Pair {
    pub(crate) masters: [Server; 2],
    pub(crate) proxies: [Proxy; 2],
}

impl Pair {
    /// Starts both and waits until they stream to each other.
    pub(crate) fn start(options: &[(&str, &str)]) -> Result<Self> {
        let own = [ports::free()?, ports::free()?];
        let proxies = [Proxy::to_links_of(own[0])?, Proxy::to_links_of(own[1])?];
        let seen = [proxies[0].port(), proxies[1].port()];
        let masters = Server::pair(own, seen, options)?;
        let pair = Self { masters, proxies };
        pair.wait_until_streaming()?;
        Ok(pair)
    }

    pub(crate) fn wait_until_streaming(&self) -> Result<()> {
        for instance in self.instances() {
            instance.wait_for_links(LinkKind::Peer, LinkState::Streaming, 1)?;
        }
        Ok(())
    }

    pub(crate) fn instances(&self) -> [Instance; 2] {
        [self.masters[0].instance(), self.masters[1].instance()]
    }

    /// Cuts both directions.
    pub(crate) fn cut(&self) {
        self.proxies.iter().for_each(Proxy::cut);
    }

    pub(crate) fn heal(&self) {
        self.proxies.iter().for_each(Proxy::heal);
    }

    pub(crate) fn delay(&self, by: Duration) {
        self.proxies.iter().for_each(|proxy| proxy.delay(by));
    }
}

/// Starts a replica of the group with id 1, and waits until it streams.
pub(crate) fn replica_of(port: u16, options: &[(&str, &str)]) -> Result<Server> {
    let target = format!("127.0.0.1 {port}");
    let mut all = vec![("server-id", "1")];
    all.extend(options);
    let mut replica = Server::prepare(ports::free()?, &all)?;
    replica.set_option("replicaof", &target);
    replica.start_again()?;
    streams_from_primary(&replica)?;
    Ok(replica)
}

/// Waits until a replica streams from its primary.
pub(crate) fn streams_from_primary(replica: &Server) -> Result<()> {
    let instance = replica.instance();
    instance.wait_for_links(LinkKind::Replica, LinkState::Streaming, 1)
}

/// Waits until a key has a value.
pub(crate) fn wait_for_value(instance: Instance, key: &str, value: &str) -> Result<()> {
    let what = format!("`{key}` = `{value}` on port {}", instance.port);
    wait_for(&what, TIMEOUT, || {
        let found: Option<String> = instance.ask(&["GET", key])?;
        Ok((found.as_deref() == Some(value)).then_some(()))
    })
}
