//! The table of keys.

use super::super::value::{self, SECONDS_MAX};
use super::super::{AppendFsync, BootRole, GIB, LogLevel, MIB, SERVER_ID_MAX, Secret};
use super::Change::{AtRunTime, AtStart, ByCommand};
use super::{Key, Read, read, show};

/// A row of the table: name and aliases, change, one value or words, reader, the field's text.
macro_rules! key {
    ($name:literal $(| $alias:literal)*, $change:expr, $kind:ident,
        |$config:ident, $value:ident| $read:expr, $show:expr) => {
        Key {
            name: $name,
            aliases: &[$($alias),*],
            change: $change,
            read: Read::$kind(|$config, $value| {
                $read;
                Ok(())
            }),
            show: $show,
        }
    };
}

const FSYNC_WORDS: &[(&str, AppendFsync)] = &[
    ("always", AppendFsync::Always),
    ("everysec", AppendFsync::EverySec),
    ("no", AppendFsync::No),
];
const BOOT_ROLE_WORDS: &[(&str, BootRole)] = &[
    ("auto", BootRole::Auto),
    ("resume", BootRole::Resume),
    ("waiting", BootRole::Waiting),
];
/// Redis' words first, then Pika's.
const LOG_LEVEL_WORDS: &[(&str, LogLevel)] = &[
    ("debug", LogLevel::Debug),
    ("verbose", LogLevel::Verbose),
    ("notice", LogLevel::Notice),
    ("warning", LogLevel::Warning),
    ("info", LogLevel::Notice),
    ("error", LogLevel::Warning),
];

/// All keys, in the order in which a file is written.
pub(in super::super) static KEYS: &[Key] = &[
    key!("port", AtStart, One, |c, v| c.port = value::port(v)?, |c| c
        .port
        .to_string()),
    key!(
        "bind",
        AtStart,
        Words,
        |c, v| c.bind = value::bind(v)?,
        |c| show::join(&c.bind)
    ),
    key!(
        "metrics-port",
        AtStart,
        One,
        |c, v| c.metrics_port = value::number(v, 0..=65_535)?,
        |c| c.metrics_port.to_string()
    ),
    key!(
        "metrics-bind",
        AtStart,
        Words,
        |c, v| c.metrics_bind = if v == [""] {
            Vec::new()
        } else {
            value::bind(v)?
        },
        |c| show::join(&c.metrics_bind)
    ),
    key!(
        "tcp-backlog",
        AtStart,
        One,
        |c, v| c.tcp_backlog = value::number(v, 1..=65_535)?,
        |c| c.tcp_backlog.to_string()
    ),
    key!(
        "tcp-keepalive",
        AtStart,
        One,
        |c, v| c.tcp_keepalive = value::seconds_or_never(v, SECONDS_MAX)?,
        |c| show::seconds_or_never(c.tcp_keepalive)
    ),
    key!(
        "io-threads",
        AtStart,
        One,
        |c, v| c.io_threads = value::number(v, 0..=128)?,
        |c| c.io_threads.to_string()
    ),
    key!(
        "maxclients",
        AtRunTime,
        One,
        |c, v| c.maxclients = value::number(v, 1..=1_000_000)?,
        |c| c.maxclients.to_string()
    ),
    key!(
        "timeout",
        AtRunTime,
        One,
        |c, v| c.timeout = value::seconds_or_never(v, SECONDS_MAX)?,
        |c| show::seconds_or_never(c.timeout)
    ),
    key!(
        "proto-max-bulk-len",
        AtStart,
        One,
        |c, v| c.proto_max_bulk_len = value::size(v, MIB..=512 * MIB)?,
        |c| c.proto_max_bulk_len.to_string()
    ),
    key!(
        "client-query-buffer-limit",
        AtStart,
        One,
        |c, v| c.client_query_buffer_limit = value::size(v, MIB..=4 * GIB - MIB)?,
        |c| c.client_query_buffer_limit.to_string()
    ),
    key!(
        "client-output-buffer-limit",
        AtRunTime,
        Words,
        |c, v| read::output_limits(&mut c.client_output_buffer_limit, v)?,
        |c| show::output_limits(&c.client_output_buffer_limit)
    ),
    key!(
        "dir" | "db-path",
        AtStart,
        One,
        |c, v| c.dir = read::path(v).ok_or("the path of a directory")?,
        |c| c.dir.display().to_string()
    ),
    key!(
        "databases",
        AtStart,
        One,
        |c, v| c.databases = value::number(v, 1..=256)?,
        |c| c.databases.to_string()
    ),
    key!(
        "maxmemory",
        AtRunTime,
        One,
        |c, v| c.maxmemory = value::size(v, 0..=u64::MAX)?,
        |c| c.maxmemory.to_string()
    ),
    key!(
        "appendfsync",
        AtRunTime,
        One,
        |c, v| c.appendfsync = value::choice(v, FSYNC_WORDS)?,
        |c| show::word(FSYNC_WORDS, c.appendfsync)
    ),
    key!(
        "binlog-file-size",
        AtStart,
        One,
        |c, v| c.binlog_file_size = value::size(v, MIB..=2 * GIB)?,
        |c| c.binlog_file_size.to_string()
    ),
    key!(
        "expire-logs-days",
        AtRunTime,
        One,
        |c, v| c.expire_logs_days = value::number(v, 1..=36_500)?,
        |c| c.expire_logs_days.to_string()
    ),
    key!(
        "expire-logs-nums",
        AtRunTime,
        One,
        |c, v| c.expire_logs_nums = value::number(v, 1..=1_000_000)?,
        |c| c.expire_logs_nums.to_string()
    ),
    key!(
        "binlog-size-max",
        AtRunTime,
        One,
        |c, v| c.binlog_size_max = value::size(v, 0..=u64::MAX)?,
        |c| c.binlog_size_max.to_string()
    ),
    key!(
        "requirepass",
        AtRunTime,
        One,
        |c, v| c.requirepass = Secret::new(v),
        |c| show::exposed(c.requirepass.as_ref())
    ),
    key!(
        "requirepass-previous",
        AtRunTime,
        One,
        |c, v| c.requirepass_previous = Secret::new(v),
        |c| show::exposed(c.requirepass_previous.as_ref())
    ),
    key!(
        "requirepass-file",
        AtStart,
        One,
        |c, v| c.requirepass_file = read::path(v),
        |c| show::path(c.requirepass_file.as_ref())
    ),
    key!(
        "masterauth-file",
        AtStart,
        One,
        |c, v| c.masterauth_file = read::path(v),
        |c| show::path(c.masterauth_file.as_ref())
    ),
    key!(
        "masterauth",
        AtRunTime,
        One,
        |c, v| c.masterauth = Secret::new(v),
        |c| show::exposed(c.masterauth.as_ref())
    ),
    key!(
        "server-id",
        AtRunTime,
        One,
        |c, v| c.server_id = value::number(v, 0..=SERVER_ID_MAX)?,
        |c| c.server_id.to_string()
    ),
    key!(
        "cluster-id",
        AtStart,
        One,
        |c, v| c.cluster_id = value::cluster_id(v)?,
        |c| c.cluster_id.clone().unwrap_or_default()
    ),
    key!(
        "boot-role",
        AtStart,
        One,
        |c, v| c.boot_role = value::choice(v, BOOT_ROLE_WORDS)?,
        |c| show::word(BOOT_ROLE_WORDS, c.boot_role)
    ),
    key!(
        "replicaof" | "slaveof",
        ByCommand("REPLICAOF HOST PORT"),
        Words,
        |c, v| c.replicaof = value::address(v)?,
        |c| show::address(c.replicaof.as_ref())
    ),
    key!(
        "double-master-ip",
        AtRunTime,
        One,
        |c, v| c.double_master_ip = if v.is_empty() {
            String::new()
        } else {
            value::host(v)?
        },
        |c| c.double_master_ip.clone()
    ),
    key!(
        "double-master-port",
        AtRunTime,
        One,
        |c, v| c.double_master_port = if v == "0" { 0 } else { value::port(v)? },
        |c| c.double_master_port.to_string()
    ),
    key!(
        "double-master-server-id",
        AtRunTime,
        One,
        |c, v| c.double_master_server_id = value::number(v, 0..=SERVER_ID_MAX)?,
        |c| c.double_master_server_id.to_string()
    ),
    key!(
        "replica-priority" | "slave-priority",
        AtRunTime,
        One,
        |c, v| c.replica_priority = value::number(v, 0..=i32::MAX as u32)?,
        |c| c.replica_priority.to_string()
    ),
    key!(
        "replica-serve-stale-data" | "slave-serve-stale-data",
        AtRunTime,
        One,
        |c, v| c.replica_serve_stale_data = value::flag(v)?,
        |c| show::yes_no(c.replica_serve_stale_data)
    ),
    key!(
        "replica-read-only" | "slave-read-only",
        AtRunTime,
        One,
        |c, v| c.replica_read_only = value::flag(v)?,
        |c| show::yes_no(c.replica_read_only)
    ),
    key!(
        "replica-announce-ip" | "slave-announce-ip",
        AtStart,
        One,
        |c, v| c.replica_announce_ip = if v.is_empty() {
            None
        } else {
            Some(value::host(v)?)
        },
        |c| c.replica_announce_ip.clone().unwrap_or_default()
    ),
    key!(
        "replica-announce-port" | "slave-announce-port",
        AtStart,
        One,
        |c, v| c.replica_announce_port = if v == "0" {
            None
        } else {
            Some(value::port(v)?)
        },
        |c| c.replica_announce_port.unwrap_or(0).to_string()
    ),
    key!(
        "repl-timeout",
        AtRunTime,
        One,
        |c, v| c.repl_timeout = value::seconds(v, 1..=SECONDS_MAX)?,
        |c| show::seconds(c.repl_timeout)
    ),
    key!(
        "repl-ping-replica-period" | "repl-ping-slave-period",
        AtRunTime,
        One,
        |c, v| c.repl_ping_replica_period = value::seconds(v, 1..=SECONDS_MAX)?,
        |c| show::seconds(c.repl_ping_replica_period)
    ),
    key!(
        "min-replicas-to-write" | "min-slaves-to-write",
        AtRunTime,
        One,
        |c, v| c.min_replicas_to_write = value::number(v, 0..=1000)?,
        |c| c.min_replicas_to_write.to_string()
    ),
    key!(
        "min-replicas-max-lag" | "min-slaves-max-lag",
        AtRunTime,
        One,
        |c, v| c.min_replicas_max_lag = value::seconds(v, 0..=SECONDS_MAX)?,
        |c| show::seconds(c.min_replicas_max_lag)
    ),
    key!(
        "throttle-bytes-per-second",
        AtRunTime,
        One,
        |c, v| c.throttle_bytes_per_second = value::size(v, 0..=u64::MAX)?,
        |c| c.throttle_bytes_per_second.to_string()
    ),
    key!(
        "max-rsync-parallel-num",
        AtStart,
        One,
        |c, v| c.max_rsync_parallel_num = value::number(v, 1..=64)?,
        |c| c.max_rsync_parallel_num.to_string()
    ),
    key!(
        "sync-window-size",
        AtRunTime,
        One,
        |c, v| c.sync_window_size = value::number(v, 1..=90_000)?,
        |c| c.sync_window_size.to_string()
    ),
    key!(
        "sync-window-bytes",
        AtRunTime,
        One,
        |c, v| c.sync_window_bytes = value::size(v, MIB..=4 * GIB)?,
        |c| c.sync_window_bytes.to_string()
    ),
    key!(
        "max-clock-skew",
        AtRunTime,
        One,
        |c, v| c.max_clock_skew = value::seconds(v, 0..=86_400)?,
        |c| show::seconds(c.max_clock_skew)
    ),
    key!(
        "member-absence-bound",
        AtStart,
        One,
        |c, v| c.member_absence_bound = value::seconds(v, 1..=SECONDS_MAX)?,
        |c| show::seconds(c.member_absence_bound)
    ),
    key!(
        "hz",
        AtRunTime,
        One,
        |c, v| c.hz = value::number(v, 1..=500)?,
        |c| c.hz.to_string()
    ),
    key!(
        "slowlog-log-slower-than",
        AtRunTime,
        One,
        |c, v| c.slowlog_log_slower_than = value::number(v, -1..=i64::MAX)?,
        |c| c.slowlog_log_slower_than.to_string()
    ),
    key!(
        "slowlog-max-len",
        AtRunTime,
        One,
        |c, v| c.slowlog_max_len = value::number(v, 0..=1_000_000)?,
        |c| c.slowlog_max_len.to_string()
    ),
    key!(
        "loglevel",
        AtStart,
        One,
        |c, v| c.loglevel = value::choice(v, LOG_LEVEL_WORDS)?,
        |c| show::word(LOG_LEVEL_WORDS, c.loglevel)
    ),
    key!(
        "logfile",
        AtStart,
        One,
        |c, v| c.logfile = read::path(v),
        |c| show::path(c.logfile.as_ref())
    ),
];
