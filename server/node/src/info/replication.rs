//! `# Replication` in Redis' shape, with Pika's fields added.
//!
//! Offsets count records of all databases: such a number means the same on every instance, so that
//! what a replica holds can be compared with what its primary has.

use super::text::{field, line};
use crate::meta::{Meta, StoredRole};
use crate::server::Server;
use tandem_merge::VersionVector;
use tandem_proto::status::{LinkKind, LinkState, LinkStatus, ReceiverStatus};
use tandem_store::Database;

fn records(vv: &VersionVector) -> u64 {
    vv.rows().map(|(_, row)| row.high).sum()
}

/// Records held, in all databases.
pub fn offset(server: &Server) -> u64 {
    let opened = server.instance.store.opened();
    opened
        .map(|database| records(&database.commit().history.vv))
        .sum()
}

/// Records that the logs no longer hold.
fn base_offset(server: &Server) -> u64 {
    let opened = server.instance.store.opened();
    opened
        .map(|database| records(&database.commit().history.base))
        .sum()
}

pub(super) fn about(server: &Server, out: &mut String) {
    let meta = server.instance.meta();
    let (dialled, receivers) = server
        .links()
        .map(|links| links.status())
        .unwrap_or_default();
    let held = offset(server);
    line(out, "# Replication");
    if meta.role == StoredRole::Writer {
        field(out, "role", "master");
    } else {
        let link = dialled.iter().find(|one| one.kind == LinkKind::Replica);
        about_link(server, &meta, link, held, out);
    }
    about_receivers(server, &receivers, held, out);
    field(out, "master_failover_state", server.failover.phase().name());
    field(out, "ReplicationID", &meta.cluster_id);
    field(out, "master_replid", &meta.cluster_id);
    field(out, "master_replid2", "0".repeat(40));
    field(out, "master_repl_offset", held);
    field(out, "second_repl_offset", -1);
    let (size, files) = {
        let config = server.instance.config.read();
        (config.binlog_file_size, u64::from(config.expire_logs_nums))
    };
    let base = base_offset(server);
    field(out, "repl_backlog_active", 1);
    field(out, "repl_backlog_size", size.saturating_mul(files));
    field(out, "repl_backlog_first_byte_offset", base + 1);
    field(out, "repl_backlog_histlen", held.saturating_sub(base));
    let eligible = server.instance.not_eligible().is_none();
    field(out, "is_eligible_for_master_election", eligible);
    for database in server.instance.store.opened() {
        about_log(server, database, out);
    }
}

/// What only a replica says.
fn about_link(
    server: &Server,
    meta: &Meta,
    link: Option<&LinkStatus>,
    held: u64,
    out: &mut String,
) {
    let priority = server.instance.config.read().replica_priority;
    let state = link.map(|link| link.state);
    let up = state == Some(LinkState::Streaming);
    let silence_ms = link.and_then(|link| link.last_contact_ms);
    field(out, "role", "slave");
    if let Some(primary) = &meta.follow {
        field(out, "master_host", &primary.host);
        field(out, "master_port", primary.port);
    }
    field(out, "master_link_status", if up { "up" } else { "down" });
    let silence = silence_ms.map_or(-1, |ms| (ms / 1000) as i64);
    field(out, "master_last_io_seconds_ago", silence);
    let syncing = state == Some(LinkState::FullResync);
    field(out, "master_sync_in_progress", u8::from(syncing));
    field(out, "slave_read_repl_offset", held);
    field(out, "slave_repl_offset", held);
    if !up {
        let since_start = server.instance.started.elapsed().as_millis() as u64;
        let down_ms = silence_ms.unwrap_or(since_start);
        field(out, "master_link_down_since_seconds", down_ms / 1000);
    }
    field(out, "repl_connect_status", connect_status(state));
    if let Some(link) = link {
        field(out, "slave_lag_records", link.lag_records);
        if !link.reason.is_empty() {
            field(out, "master_link_error", &link.reason);
        }
    }
    field(out, "slave_priority", priority);
    // Whatever `replica-read-only` says: what a replica wrote itself would be nobody's.
    field(out, "slave_read_only", 1);
    field(out, "replica_announced", 1);
}

/// Pika's word for a link's state.
fn connect_status(state: Option<LinkState>) -> &'static str {
    match state {
        Some(LinkState::Streaming) => "connected",
        Some(LinkState::FullResync) => "syncing_full",
        Some(LinkState::Connecting) => "connecting",
        Some(LinkState::LostPlace | LinkState::Refused) => "error",
        None => "no_connect",
    }
}

fn about_receivers(server: &Server, receivers: &[ReceiverStatus], held: u64, out: &mut String) {
    let replicas: Vec<_> = receivers
        .iter()
        .filter(|one| one.kind == LinkKind::Replica)
        .collect();
    field(out, "connected_slaves", replicas.len());
    if server.instance.config.read().min_replicas_to_write > 0 {
        field(out, "min_slaves_good_slaves", server.good_replicas());
    }
    // A replica may attach before it has taken its primary's id.
    let server_id = server.instance.meta().server_id;
    for (at, replica) in replicas.iter().enumerate() {
        let state = match replica.state {
            LinkState::Streaming => "online",
            LinkState::FullResync => "send_bulk",
            _ => "wait_bgsave",
        };
        let text = format!(
            "ip={},port={},state={state},offset={},lag={},sid={},lag_bytes={}",
            replica.host,
            replica.port,
            held.saturating_sub(replica.lag_records),
            replica.last_ack_ms / 1000,
            server_id,
            replica.lag_bytes,
        );
        field(out, &format!("slave{at}"), text);
    }
}

/// Pika's line about a database's log: where it ends, and up to which file it may be purged.
fn about_log(server: &Server, database: &Database, out: &mut String) {
    let position = database.commit().position();
    let needed = server
        .links()
        .and_then(|links| links.horizon(database.number));
    let replay_from = database.replay_from().min(needed.unwrap_or(u64::MAX));
    let segments = database.log.segments();
    let purgeable = segments
        .windows(2)
        .rfind(|pair| pair[1].base <= replay_from)
        .map(|pair| format!("write2file{}", pair[0].number));
    let text = format!(
        "binlog_offset={} {},safety_purge={}",
        position.segment,
        position.offset,
        purgeable.as_deref().unwrap_or("none"),
    );
    field(out, &format!("db{}", database.number), text);
}
