//! The upkeep thread: what is done each round, and what once a second.

use crate::memory;
use crate::meta::{StoredRole, Target};
use crate::server::Server;
use crate::tasks::{Sweeper, Swept, marks, upkeep};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};
use tandem_proto::status::LinkKind;
use tandem_store::Database;
use tandem_store::database::Retention;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// The part of a round's period that sweeping may take.
const SWEEP_PART: u32 = 5;

/// Runs until told to stop.
pub(crate) fn run(server: &Arc<Server>) {
    let mut keeper = Keeper {
        server,
        hand: 0,
        sweeper: Sweeper::default(),
        awaited: Swept::default(),
        second: Instant::now(),
        commands: 0,
    };
    loop {
        let hz = server.instance.config.read().hz.max(1);
        let period = SECOND / hz;
        if !server.upkeep.rest(period) {
            return;
        }
        keeper.round(period);
        if keeper.second.elapsed() >= SECOND {
            keeper.second = Instant::now();
            keeper.each_second();
        }
    }
}

struct Keeper<'s> {
    server: &'s Arc<Server>,
    /// Where eviction goes on.
    hand: usize,
    sweeper: Sweeper,
    /// What the rounds since the last marks found.
    awaited: Swept,
    second: Instant,
    /// Commands run up to the last second.
    commands: u64,
}

impl Keeper<'_> {
    fn round(&mut self, period: Duration) {
        let server = self.server;
        let instance = &server.instance;
        let maxmemory = instance.config.read().maxmemory;
        let budget = memory::object_bytes(memory::total_bytes(maxmemory));
        server
            .upkeep
            .bound_memory(instance, &server.stats, budget, &mut self.hand);
        if let Some(links) = server.links() {
            links.set_stalled(server.upkeep.stall.load(Ordering::Relaxed));
        }
        for database in instance.store.opened() {
            if database.wants_checkpoint() {
                upkeep::checkpoint(database);
            }
        }
        server.judge_links();
        if server.sweeping.load(Ordering::Relaxed) && !server.failover.is_pausing() {
            let swept = self.sweeper.round(instance, period / SWEEP_PART);
            let expired = &server.stats.expired;
            expired.fetch_add(swept.expired, Ordering::Relaxed);
            if swept.wrote {
                server.log_grew();
            }
            self.awaited.awaited.extend(swept.awaited);
        }
    }

    fn each_second(&mut self) {
        let server = self.server;
        let instance = &server.instance;
        upkeep::tend_logs(instance, &|database| horizon(server, database), &|| {
            retention(server)
        });
        upkeep::reserve_stamps(instance);
        server.upkeep.watch_clocks(instance);
        meet_siblings(server);
        let awaited = std::mem::take(&mut self.awaited).awaited;
        if let Some(links) = server.links()
            && !server.failover.is_pausing()
            && marks::write(instance, links, &awaited, &server.upkeep.counts)
        {
            server.log_grew();
        }
        let commands = server.stats.commands();
        let rate = commands.saturating_sub(self.commands);
        server
            .stats
            .commands_per_second
            .store(rate, Ordering::Relaxed);
        self.commands = commands;
    }
}

/// The lsn that a database's slowest receiver has durably passed.
pub(crate) fn horizon(server: &Server, database: &Database) -> u64 {
    let needed = server
        .links()
        .and_then(|links| links.horizon(database.number));
    needed.unwrap_or_else(|| database.log.durable())
}

fn retention(server: &Server) -> Retention {
    let config = server.instance.config.read();
    let age_max = DAY * config.expire_logs_days;
    Retention {
        segments_min: config.expire_logs_nums as usize,
        old_before: SystemTime::now().checked_sub(age_max),
        bytes_max: config.binlog_size_max,
    }
}

/// Writes down the other instances of the own group that links have met.
fn meet_siblings(server: &Server) {
    let Some(links) = server.links() else { return };
    let meta = server.instance.meta();
    let (dialled, receivers) = links.status();
    let own = |server_id: u32| server_id == meta.server_id && server_id != 0;
    let followed = dialled
        .into_iter()
        .filter(|_| meta.role == StoredRole::Replica)
        .filter(|link| link.kind == LinkKind::Replica && own(link.server_id))
        .map(|link| (link.instance_id, link.host, link.port));
    let following = receivers
        .into_iter()
        // A replica that has no group yet is of this one.
        .filter(|one| one.kind == LinkKind::Replica)
        .map(|one| (one.instance_id, one.host, one.port));
    for (instance_id, host, port) in followed.chain(following) {
        if instance_id.is_empty() {
            continue;
        }
        if let Err(error) = server.instance.meet(&instance_id, Target { host, port }) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an instance of the group was not written down"
            );
        }
    }
}
