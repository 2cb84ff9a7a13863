//! The page of metrics. Names, units and labels are a contract: docs/metrics.md lists them, and a test
//! compares.

use super::subject::Subject;
use super::text::{Page, seconds_of_ms};
use crate::instance::Instance;
use crate::memory;
use crate::server::Server;
use crate::stats::Family;
use std::sync::atomic::{AtomicU64, Ordering};
use tandem_proto::status::{LinkState, LinkStatus, ReceiverStatus, Role};
use tandem_store::Database;
use tandem_store::disk::{Disk, RealDisk, Space};
use tandem_store::log::{BOUNDS_US, GROUPS};

/// Renders the page.
pub(super) fn render(subject: &Subject) -> String {
    let mut page = Page::default();
    page.gauge("tandem_build_info", "Version of the server; always 1.")
        .with(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let uptime = subject.started.elapsed().as_millis() as u64;
    page.gauge("tandem_uptime_seconds", "Time since the process began.")
        .value(seconds_of_ms(uptime));
    let server = subject.server();
    page.gauge(
        "tandem_recovering",
        "Whether the log is being recovered: nothing is served yet, and no other metric is there.",
    )
    .value(u8::from(server.is_none()));
    if let Some(server) = server {
        identity(&server, &mut page);
        clients(&server, &mut page);
        resources(&server, &mut page);
        databases(&server, &mut page);
        syncs(&server, &mut page);
        links(&server, &mut page);
    }
    page.finish()
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn identity(server: &Server, page: &mut Page) {
    let instance = &server.instance;
    let meta = instance.meta();
    page.gauge("tandem_instance_info", "Who this instance is; always 1.")
        .with(
            &[
                ("instance_id", &meta.instance_id),
                ("cluster_id", &meta.cluster_id),
                ("server_id", &meta.server_id.to_string()),
            ],
            1,
        );
    let mut roles = page.gauge(
        "tandem_role",
        "Role: 1 for the one it has, 0 for the others.",
    );
    for role in Role::ALL {
        roles.with(&[("role", role.as_str())], u8::from(role == meta.role()));
    }
    page.gauge("tandem_epoch", "Highest epoch of its group that it knows.")
        .value(meta.epoch);
    page.gauge(
        "tandem_writable",
        "Whether writes of clients are taken now.",
    )
    .value(u8::from(server.accepts_writes().is_ok()));
    page.gauge("tandem_eligible", "Whether it may be promoted.")
        .value(u8::from(instance.not_eligible().is_none()));
    page.gauge(
        "tandem_clock_skew_seconds",
        "How far the newest stamp of any record is ahead of this clock.",
    )
    .value(seconds_of_ms(read(&server.upkeep.skew_ms)));
}

fn clients(server: &Server, page: &mut Page) {
    let stats = &server.stats;
    page.gauge("tandem_connected_clients", "Connected clients.")
        .value(server.clients.count());
    page.gauge("tandem_clients_max", "Most clients at once (maxclients).")
        .value(server.clients_max());
    let mut families = page.counter("tandem_commands_total", "Commands run, by family.");
    for family in Family::ALL {
        let count = read(&stats.families[family as usize]);
        families.with(&[("family", family.name())], count);
    }
    let counters = [
        (
            "tandem_connections_total",
            "Connections accepted.",
            &stats.connections,
        ),
        (
            "tandem_connections_rejected_total",
            "Connections refused because there were too many.",
            &stats.rejected,
        ),
        (
            "tandem_keyspace_hits_total",
            "Reads that found a key.",
            &stats.hits,
        ),
        (
            "tandem_keyspace_misses_total",
            "Reads that found none.",
            &stats.misses,
        ),
        (
            "tandem_expired_keys_total",
            "Keys removed because their end had passed.",
            &stats.expired,
        ),
        (
            "tandem_cache_evictions_total",
            "Rounds in which clean objects were forgotten from memory; they stay on disk.",
            &stats.evicted,
        ),
        (
            "tandem_network_input_bytes_total",
            "Bytes received from clients.",
            &stats.input_bytes,
        ),
        (
            "tandem_network_output_bytes_total",
            "Bytes sent to clients.",
            &stats.output_bytes,
        ),
    ];
    for (name, help, counter) in counters {
        page.counter(name, help).value(read(counter));
    }
    page.gauge("tandem_slowlog_entries", "Slow commands that are kept.")
        .value(server.slowlog.len());
}

fn resources(server: &Server, page: &mut Page) {
    let (maxmemory, directory) = {
        let config = server.instance.config.read();
        (config.maxmemory, config.dir.clone())
    };
    page.gauge("tandem_memory_objects_bytes", "Objects in memory.")
        .value(read(&server.upkeep.memory_bytes));
    page.gauge(
        "tandem_memory_resident_bytes",
        "Resident set of the process.",
    )
    .value(memory::resident_bytes());
    page.gauge(
        "tandem_memory_limit_bytes",
        "What caches and buffers may take: maxmemory, or half of the machine's.",
    )
    .value(memory::total_bytes(maxmemory));
    page.gauge(
        "tandem_memory_stalled",
        "Whether writers wait because memory is over its bound.",
    )
    .value(u8::from(server.upkeep.stall.load(Ordering::Relaxed)));
    let (system, user) = memory::cpu_seconds();
    let mut cpu = page.counter("tandem_cpu_seconds_total", "Processor time, by mode.");
    cpu.with(&[("mode", "system")], system);
    cpu.with(&[("mode", "user")], user);
    let space = RealDisk.space(&directory).unwrap_or(Space {
        free_bytes: 0,
        total_bytes: 0,
    });
    page.gauge(
        "tandem_disk_free_bytes",
        "Free space where the data directory is.",
    )
    .value(space.free_bytes);
    page.gauge(
        "tandem_disk_total_bytes",
        "Size of the file system of the data directory.",
    )
    .value(space.total_bytes);
}

/// One metric of every database.
fn each(
    instance: &Instance,
    mut add: impl FnMut(&[(&str, &str)], u64),
    value: impl Fn(&Database) -> u64,
) {
    for database in instance.store.opened() {
        let number = database.number.to_string();
        add(&[("database", &number)], value(database));
    }
}

type Look = fn(&Database) -> u64;

/// What is shown of each database that goes up and down.
const DATABASE_GAUGES: [(&str, &str, Look); 14] = [
    (
        "tandem_keys",
        "Keys, expired ones that were not swept included.",
        |d| d.cells.counts().keys.max(0) as u64,
    ),
    ("tandem_keys_with_expiry", "Keys with a deadline.", |d| {
        d.cells.counts().expires.max(0) as u64
    }),
    ("tandem_data_bytes", "Bytes of the tree on disk.", |d| {
        d.cells.tree().disk_bytes()
    }),
    ("tandem_log_bytes", "Bytes of log on disk.", |d| {
        let oldest = d.log.segments().first().map_or(0, |info| info.base);
        d.log.written().saturating_sub(oldest)
    }),
    ("tandem_log_files", "Files of log on disk.", |d| {
        d.log.segments().len() as u64
    }),
    (
        "tandem_log_position_file",
        "The log's end: number of the file.",
        |d| d.commit().position().segment,
    ),
    (
        "tandem_log_position_offset_bytes",
        "The log's end: offset in that file.",
        |d| d.commit().position().offset,
    ),
    (
        "tandem_log_unsynced_bytes",
        "Bytes of log that are written and not durable.",
        |d| d.log.written().saturating_sub(d.log.durable()),
    ),
    (
        "tandem_log_replay_bytes",
        "Bytes of log since the last checkpoint: what a restart replays.",
        |d| d.log.written().saturating_sub(d.replay_from()),
    ),
    (
        "tandem_log_full",
        "Whether the disk is full: writes are refused until there is space.",
        |d| u64::from(d.log.is_full()),
    ),
    (
        "tandem_log_poisoned",
        "Whether the log failed to persist: writes are refused until a restart.",
        |d| u64::from(d.log.is_poisoned()),
    ),
    (
        "tandem_holes",
        "Whether records are known of but not held.",
        |d| u64::from(d.has_holes()),
    ),
    (
        "tandem_checkpoint_running",
        "Whether a checkpoint is being written.",
        |d| u64::from(d.is_checkpointing()),
    ),
    (
        "tandem_resync_running",
        "Whether a full resync is being received.",
        |d| u64::from(d.is_resyncing()),
    ),
];

/// What is shown of each database that only grows.
const DATABASE_COUNTERS: [(&str, &str, Look); 4] = [
    (
        "tandem_log_written_bytes_total",
        "Bytes ever written to the log.",
        |d| d.log.written(),
    ),
    (
        "tandem_log_durable_bytes_total",
        "Bytes of log ever made durable.",
        |d| d.log.durable(),
    ),
    (
        "tandem_records_held_total",
        "Records held, of all writers.",
        |d| d.commit().history.vv.rows().map(|(_, row)| row.high).sum(),
    ),
    (
        "tandem_conflicts_merged_total",
        "Records received whose writer had not seen all that was held here: merged.",
        Database::concurrent,
    ),
];

fn databases(server: &Server, page: &mut Page) {
    let instance = &server.instance;
    for (name, help, value) in DATABASE_GAUGES {
        let mut samples = page.gauge(name, help);
        each(instance, |labels, value| samples.with(labels, value), value);
    }
    for (name, help, value) in DATABASE_COUNTERS {
        let mut samples = page.counter(name, help);
        each(instance, |labels, value| samples.with(labels, value), value);
    }
}

fn syncs(server: &Server, page: &mut Page) {
    let (mut counts, mut sum_us) = ([0; GROUPS], 0);
    for database in server.instance.store.opened() {
        let (one, us) = database.log.timing().read();
        for (count, more) in counts.iter_mut().zip(one) {
            *count += more;
        }
        sum_us += us;
    }
    page.histogram(
        "tandem_fsync_duration_seconds",
        "How long an fsync of a log takes.",
        &BOUNDS_US,
        &counts,
        sum_us,
    );
    page.gauge(
        "tandem_fsync_age_seconds",
        "Time since the last round of fsyncs ended; grows when the disk hangs.",
    )
    .value(seconds_of_ms(server.syncer.age_ms()));
}

fn links(server: &Server, page: &mut Page) {
    let Some(links) = server.links() else { return };
    let (dialled, receivers) = links.status();
    let peer = |host: &str, port: u16| format!("{host}:{port}");
    let dialled: Vec<_> = dialled
        .iter()
        .map(|link| (link.kind.as_str(), peer(&link.host, link.port), link))
        .collect();
    let receivers: Vec<_> = receivers
        .iter()
        .map(|one| (one.kind.as_str(), peer(&one.host, one.port), one))
        .collect();
    pulled_links(&dialled, page);
    served_links(&receivers, page);
    let (full, partial) = links.served();
    let counters = [
        (
            "tandem_full_resyncs_served_total",
            "Full resyncs begun for receivers.",
            full,
        ),
        (
            "tandem_partial_resyncs_served_total",
            "Continuations granted to receivers.",
            partial,
        ),
        (
            "tandem_lost_places_total",
            "Receivers whose place in the log was gone.",
            links.refused_places(),
        ),
        (
            "tandem_records_received_twice_total",
            "Records that came over a link and were held already.",
            links.duplicates(),
        ),
    ];
    for (name, help, value) in counters {
        page.counter(name, help).value(value);
    }
    let good = server.good_replicas();
    page.gauge(
        "tandem_replicas_in_time",
        "Replicas in time for min-replicas-to-write.",
    )
    .value(good);
}

/// Links that this instance pulls over, with kind and source.
fn pulled_links(dialled: &[(&str, String, &LinkStatus)], page: &mut Page) {
    let mut states = page.gauge(
        "tandem_link_state",
        "Links that this instance pulls over: 1 for the state of each, 0 for the others.",
    );
    for (kind, peer, link) in dialled {
        for state in LinkState::ALL {
            let labels = [("kind", *kind), ("peer", peer), ("state", state.as_str())];
            states.with(&labels, u8::from(link.state == state));
        }
    }
    let mut lag = page.gauge(
        "tandem_link_lag_records",
        "Records that the source holds and this instance has not applied.",
    );
    for (kind, peer, link) in dialled {
        lag.with(&[("kind", kind), ("peer", peer)], link.lag_records);
    }
    let mut silence = page.gauge(
        "tandem_link_silence_seconds",
        "Time since anything came from the source; absent before the first contact.",
    );
    for (kind, peer, link) in dialled {
        if let Some(ms) = link.last_contact_ms {
            silence.with(&[("kind", kind), ("peer", peer)], seconds_of_ms(ms));
        }
    }
    let mut full = page.counter(
        "tandem_full_resyncs_total",
        "Full resyncs received, by link.",
    );
    for (kind, peer, link) in dialled {
        full.with(&[("kind", kind), ("peer", peer)], link.full_resyncs);
    }
    let mut partial = page.counter(
        "tandem_partial_resyncs_total",
        "Continuations from the log received, by link.",
    );
    for (kind, peer, link) in dialled {
        partial.with(&[("kind", kind), ("peer", peer)], link.partial_resyncs);
    }
}

/// Name, help and value of a metric of receivers.
type OfReceiver = (&'static str, &'static str, fn(&ReceiverStatus) -> String);

/// Links over which others pull from this instance, with kind and receiver.
fn served_links(receivers: &[(&str, String, &ReceiverStatus)], page: &mut Page) {
    let mut states = page.gauge(
        "tandem_receiver_state",
        "Receivers that pull from this instance: 1 for the state of each, 0 for the others.",
    );
    for (kind, peer, one) in receivers {
        for state in LinkState::ALL {
            let labels = [("kind", *kind), ("peer", peer), ("state", state.as_str())];
            states.with(&labels, u8::from(one.state == state));
        }
    }
    let told: [OfReceiver; 4] = [
        (
            "tandem_receiver_lag_records",
            "Records held here that a receiver has not acknowledged.",
            |one| one.lag_records.to_string(),
        ),
        (
            "tandem_receiver_lag_bytes",
            "Bytes of log that a receiver has not applied.",
            |one| one.lag_bytes.to_string(),
        ),
        (
            "tandem_receiver_lag_seconds",
            "Time since what a receiver has made durable last reached the end of the log.",
            |one| seconds_of_ms(one.last_durable_ms),
        ),
        (
            "tandem_receiver_ack_age_seconds",
            "Time since a receiver's last ack.",
            |one| seconds_of_ms(one.last_ack_ms),
        ),
    ];
    for (name, help, value) in told {
        let mut samples = page.gauge(name, help);
        for (kind, peer, one) in receivers {
            samples.with(&[("kind", kind), ("peer", peer)], value(one));
        }
    }
}
