//! INFO: sections in Redis' shape, with Pika's fields where its tools look for them.

use crate::memory;
use crate::server::Server;
use std::fmt::Write as _;
use std::sync::atomic::Ordering;

/// Sections in the order in which INFO shows them.
const SECTIONS: [&str; 10] = [
    "server",
    "clients",
    "memory",
    "persistence",
    "stats",
    "replication",
    "doublemaster",
    "cpu",
    "tandem",
    "keyspace",
];

/// Renders the wanted sections; all when none is named.
pub fn render(server: &Server, wanted: &[String]) -> String {
    let everything = wanted.is_empty()
        || wanted
            .iter()
            .any(|w| matches!(w.as_str(), "all" | "everything" | "default"));
    let mut text = String::new();
    for section in SECTIONS {
        if everything || wanted.iter().any(|w| w == section) {
            if !text.is_empty() {
                text.push_str("\r\n");
            }
            one(server, section, &mut text);
        }
    }
    text
}

fn one(server: &Server, section: &str, out: &mut String) {
    match section {
        "server" => about_server(server, out),
        "clients" => {
            line(out, "# Clients");
            field(out, "connected_clients", server.clients.count());
            field(out, "maxclients", server.clients_max());
        }
        "memory" => about_memory(server, out),
        "persistence" => about_persistence(server, out),
        "stats" => about_stats(server, out),
        "replication" => about_replication(server, out),
        "keyspace" => {
            line(out, "# Keyspace");
            for database in server.instance.store.opened() {
                let keys = database.cells.keys();
                if keys > 0 {
                    field(
                        out,
                        &format!("db{}", database.number),
                        format!("keys={keys},expires=0,avg_ttl=0"),
                    );
                }
            }
        }
        _ => {}
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\r\n");
}

pub(crate) fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{name}:{value}\r\n");
}

fn about_server(server: &Server, out: &mut String) {
    let config = server.instance.config.read();
    let meta = server.instance.meta();
    let uptime = server.instance.started.elapsed().as_secs();
    line(out, "# Server");
    field(out, "redis_version", crate::dispatch::REDIS_VERSION);
    field(out, "tandem_version", env!("CARGO_PKG_VERSION"));
    field(out, "redis_mode", "standalone");
    field(out, "os", std::env::consts::OS);
    field(out, "arch_bits", usize::BITS);
    field(out, "process_id", std::process::id());
    field(out, "run_id", format!("{:0>40}", meta.instance_id));
    field(out, "tcp_port", config.port);
    field(out, "server_id", meta.server_id);
    field(out, "uptime_in_seconds", uptime);
    field(out, "uptime_in_days", uptime / 86_400);
    let file = config.file.as_ref().map(|path| path.display().to_string());
    field(out, "config_file", file.unwrap_or_default());
}

fn about_memory(server: &Server, out: &mut String) {
    line(out, "# Memory");
    let used = server.upkeep.memory_bytes.load(Ordering::Relaxed);
    field(out, "used_memory", used);
    field(out, "used_memory_rss", memory::resident_bytes());
    field(out, "maxmemory", server.instance.config.read().maxmemory);
    field(out, "maxmemory_policy", "noeviction");
}

fn about_persistence(server: &Server, out: &mut String) {
    line(out, "# Persistence");
    field(out, "loading", 0);
    field(out, "aof_enabled", 1);
    field(out, "last_sync_age_ms", server.syncer.age_ms());
    let opened: Vec<_> = server.instance.store.opened().collect();
    let poisoned = opened.iter().any(|database| database.log.is_poisoned());
    let full = opened.iter().any(|database| database.log.is_full());
    let status = if poisoned || full { "err" } else { "ok" };
    field(out, "aof_last_write_status", status);
    for database in opened {
        let position = database.commit().position();
        field(
            out,
            &format!("db{}_log", database.number),
            format!(
                "segment={},offset={},written={},durable={},replay_from={},tree_bytes={},holes={}",
                position.segment,
                position.offset,
                database.log.written(),
                database.log.durable(),
                database.replay_from(),
                database.cells.tree().disk_bytes(),
                u8::from(database.has_holes()),
            ),
        );
    }
}

fn about_stats(server: &Server, out: &mut String) {
    let stats = &server.stats;
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    line(out, "# Stats");
    field(out, "total_connections_received", get(&stats.connections));
    field(out, "total_commands_processed", get(&stats.commands));
    field(out, "rejected_connections", get(&stats.rejected));
    field(out, "expired_keys", get(&stats.expired));
    field(out, "evicted_keys", 0);
    field(out, "keyspace_hits", get(&stats.hits));
    field(out, "keyspace_misses", get(&stats.misses));
}

fn about_replication(server: &Server, out: &mut String) {
    line(out, "# Replication");
    let writable = server.instance.is_writable();
    field(out, "role", if writable { "master" } else { "slave" });
    field(out, "connected_slaves", 0);
}
