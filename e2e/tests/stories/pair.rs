//! Two masters write: to one side, to both, to the same keys, with delay, with replicas.

use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Instance, Local, Proxy, Server, Story, ports, scaled, wait_until_equal};
use tandem_proto::status::{LinkKind, LinkState};

const EQUAL_TIMEOUT: Duration = Duration::from_secs(60);
const CLIENTS: usize = 12;
const CLIENTS_MANY: usize = 64;

/// Two masters by hand, each behind a proxy, with streaming links.
struct Delayed {
    masters: [Server; 2],
    _proxies: [Proxy; 2],
}

fn delayed_pair(delay: Duration) -> Result<Delayed> {
    let own = [ports::free()?, ports::free()?];
    let proxies = [Proxy::to_links_of(own[0])?, Proxy::to_links_of(own[1])?];
    for proxy in &proxies {
        proxy.delay(delay);
    }
    let seen = [proxies[0].port(), proxies[1].port()];
    let masters = Server::pair(own, seen, &[])?;
    for master in &masters {
        let peer = LinkKind::Peer;
        master
            .instance()
            .wait_for_links(peer, LinkState::Streaming, 1)?;
    }
    Ok(Delayed {
        masters,
        _proxies: proxies,
    })
}

fn masters_of(local: &Local) -> Result<[Instance; 2]> {
    let report = local.report()?;
    Ok([
        report.master("a")?.instance()?,
        report.master("b")?.instance()?,
    ])
}

/// Writes two loads at once, each to its own master, and gives the writes per second.
fn write_both(loads: [&Load; 2], masters: [Instance; 2], clients: usize) -> Result<f64> {
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| loads[0].write(masters[0], clients));
        let other = loads[1].write(masters[1], clients);
        one.join()
            .map_err(|_| anyhow::anyhow!("a load panicked"))??;
        other
    })?;
    let writes = loads[0].keys.len() + loads[1].keys.len();
    Ok(writes as f64 / begun.elapsed().as_secs_f64())
}

#[test]
fn at_01_writes_to_one_master_are_all_on_both() -> Result<()> {
    let story = Story::begin("AT-01");
    let local = Local::start("double-master-no-replicas.yaml", 3)?;
    let [a, b] = masters_of(&local)?;
    for (run, clients) in [CLIENTS, CLIENTS_MANY].into_iter().enumerate() {
        let load = Load::new(&format!("run{run}"), 0..scaled(300_000));
        let took = load.write(a, clients)?;
        let lag = wait_until_equal(&[a, b], EQUAL_TIMEOUT)?;
        load.check(b, &[])?;
        let rate = load.keys.len() as f64 / took.as_secs_f64();
        story.says(format_args!(
            "{clients} clients, {rate:.0} writes/s, equal {} ms later",
            lag.as_millis()
        ));
    }
    ensure!(b.keys()? == 2 * scaled(300_000) as u64, "keys were lost");
    Ok(())
}
