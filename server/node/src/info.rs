//! INFO: sections in Redis' shape, with Pika's fields where its tools look for them.

mod pair;
mod replication;
mod text;

pub use replication::offset;

use crate::memory;
use crate::server::Server;
use std::sync::atomic::{AtomicU64, Ordering};
use text::{field, line};

/// The version of Redis whose behaviour clients find here.
pub const REDIS_VERSION: &str = "7.2.0";

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
        // A server that is none of a pair says so only when it is asked.
        let named = wanted.iter().any(|w| w == section);
        let shown = everything && (section != "doublemaster" || pair::is_declared(server));
        if shown || named {
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
        "clients" => about_clients(server, out),
        "memory" => about_memory(server, out),
        "persistence" => about_persistence(server, out),
        "stats" => about_stats(server, out),
        "replication" => replication::about(server, out),
        "doublemaster" => pair::about(server, out),
        "cpu" => about_cpu(out),
        "tandem" => about_tandem(server, out),
        "keyspace" => about_keyspace(server, out),
        _ => {}
    }
}

fn about_server(server: &Server, out: &mut String) {
    let config = server.instance.config.read();
    let meta = server.instance.meta();
    let uptime = server.instance.started.elapsed().as_secs();
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    line(out, "# Server");
    field(out, "redis_version", REDIS_VERSION);
    field(out, "redis_mode", "standalone");
    field(out, "tandem_version", env!("CARGO_PKG_VERSION"));
    field(out, "os", std::env::consts::OS);
    field(out, "arch_bits", usize::BITS);
    field(out, "multiplexing_api", "epoll");
    field(out, "process_id", std::process::id());
    field(out, "run_id", format!("{:0>40}", meta.instance_id));
    field(out, "tcp_port", config.port);
    field(out, "server_id", meta.server_id);
    field(out, "server_time_usec", server.wall_ms() * 1000);
    field(out, "uptime_in_seconds", uptime);
    field(out, "uptime_in_days", uptime / 86_400);
    field(out, "hz", config.hz);
    field(out, "configured_hz", config.hz);
    field(out, "executable", executable.unwrap_or_default());
    let file = config.file.as_ref().map(|path| path.display().to_string());
    field(out, "config_file", file.unwrap_or_default());
    field(out, "io_threads_active", u8::from(server.workers() > 1));
}

fn about_clients(server: &Server, out: &mut String) {
    line(out, "# Clients");
    field(out, "connected_clients", server.clients.count());
    field(out, "cluster_connections", 0);
    field(out, "maxclients", server.clients_max());
    field(out, "blocked_clients", 0);
}

fn about_memory(server: &Server, out: &mut String) {
    let maxmemory = server.instance.config.read().maxmemory;
    let used = server.upkeep.memory_bytes.load(Ordering::Relaxed);
    let total = memory::machine_bytes();
    line(out, "# Memory");
    field(out, "used_memory", used);
    field(out, "used_memory_human", text::human(used));
    let resident = memory::resident_bytes();
    field(out, "used_memory_rss", resident);
    field(out, "used_memory_rss_human", text::human(resident));
    field(out, "used_memory_peak", server.upkeep.memory_peak());
    field(out, "total_system_memory", total);
    field(out, "total_system_memory_human", text::human(total));
    field(out, "maxmemory", maxmemory);
    field(out, "maxmemory_human", text::human(maxmemory));
    // No key is ever removed for memory: what is cold is on the disk alone.
    field(out, "maxmemory_policy", "noeviction");
    let is_stalled = server.upkeep.stall.load(Ordering::Relaxed);
    field(out, "writers_wait_for_memory", u8::from(is_stalled));
}

fn about_persistence(server: &Server, out: &mut String) {
    let opened: Vec<_> = server.instance.store.opened().collect();
    let poisoned = opened.iter().any(|database| database.log.is_poisoned());
    let full = opened.iter().any(|database| database.log.is_full());
    let status = if poisoned || full { "err" } else { "ok" };
    let saving = server.stats.saving.load(Ordering::Relaxed);
    line(out, "# Persistence");
    field(out, "loading", 0);
    field(out, "async_loading", 0);
    field(out, "rdb_changes_since_last_save", 0);
    field(out, "rdb_bgsave_in_progress", u8::from(saving));
    let saved = server.stats.last_save.load(Ordering::Relaxed);
    field(out, "rdb_last_save_time", saved);
    field(out, "rdb_last_bgsave_status", "ok");
    field(out, "aof_enabled", 1);
    field(out, "aof_rewrite_in_progress", u8::from(saving));
    field(out, "aof_last_bgrewrite_status", "ok");
    field(out, "aof_last_write_status", status);
    let written: u64 = opened.iter().map(|database| database.log.written()).sum();
    field(out, "aof_current_size", written);
    field(out, "last_sync_age_ms", server.syncer.age_ms());
    for database in opened {
        let position = database.commit().position();
        let name = format!("db{}_log", database.number);
        let text = format!(
            "filenum={},offset={},written={},durable={},replay_from={},tree_bytes={},holes={}",
            position.segment,
            position.offset,
            database.log.written(),
            database.log.durable(),
            database.replay_from(),
            database.cells.tree().disk_bytes(),
            u8::from(database.has_holes()),
        );
        field(out, &name, text);
    }
}

fn about_stats(server: &Server, out: &mut String) {
    let stats = &server.stats;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (full, partial) = server.links().map_or((0, 0), |links| links.served());
    let lost = server.links().map_or(0, |links| links.refused_places());
    line(out, "# Stats");
    field(out, "total_connections_received", get(&stats.connections));
    field(out, "total_commands_processed", stats.commands());
    let rate = get(&stats.commands_per_second);
    field(out, "instantaneous_ops_per_sec", rate);
    field(out, "total_net_input_bytes", get(&stats.input_bytes));
    field(out, "total_net_output_bytes", get(&stats.output_bytes));
    field(out, "rejected_connections", get(&stats.rejected));
    field(out, "sync_full", full);
    field(out, "sync_partial_ok", partial);
    field(out, "sync_partial_err", lost);
    field(out, "expired_keys", get(&stats.expired));
    field(out, "evicted_keys", 0);
    field(out, "evicted_objects", get(&stats.evicted));
    field(out, "keyspace_hits", get(&stats.hits));
    field(out, "keyspace_misses", get(&stats.misses));
    field(out, "slow_logs_count", server.slowlog.len());
}

fn about_cpu(out: &mut String) {
    line(out, "# CPU");
    let (system, user) = memory::cpu_seconds();
    field(out, "used_cpu_sys", format!("{system:.6}"));
    field(out, "used_cpu_user", format!("{user:.6}"));
}

fn about_tandem(server: &Server, out: &mut String) {
    let meta = server.instance.meta();
    line(out, "# Tandem");
    field(out, "instance_id", &meta.instance_id);
    field(out, "cluster_id", &meta.cluster_id);
    field(out, "epoch", meta.epoch);
    let writable = server.instance.is_writable();
    field(out, "writable", u8::from(writable));
    if writable {
        field(out, "incarnation", format!("{:016x}", meta.incarnation));
    }
    let members: Vec<String> = meta.members.iter().map(ToString::to_string).collect();
    field(out, "members", members.join(","));
    let duplicates = server.links().map_or(0, |links| links.duplicates());
    field(out, "records_received_twice", duplicates);
    field(out, "marks_written", server.upkeep.counts.marks());
    field(out, "lives_closed", server.upkeep.counts.closed());
    let skew = server.upkeep.skew_ms.load(Ordering::Relaxed);
    field(out, "clock_skew_ms", skew);
    let bound = server.instance.config.read().max_clock_skew.as_millis() as u64;
    field(out, "clock_skew_alarm", u8::from(skew > bound));
}

fn about_keyspace(server: &Server, out: &mut String) {
    line(out, "# Keyspace");
    for database in server.instance.store.opened() {
        let counts = database.cells.counts();
        if counts.keys > 0 {
            let name = format!("db{}", database.number);
            let (keys, expires) = (counts.keys, counts.expires);
            let text = format!("keys={keys},expires={expires},avg_ttl=0");
            field(out, &name, text);
        }
    }
}
