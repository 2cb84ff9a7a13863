//! The server's configuration: `tandem server [FILE] [--config FILE] [--KEY VALUE]...`, and what
//! `CONFIG` reads and changes of it.
//!
//! ```text
//! file text ─┐                                    ┌─ get, matching   (CONFIG GET)
//!            ├─ source ─▶ settings ─ keys ─▶ Config ─ set + check     (CONFIG SET)
//! arguments ─┘                       check ┘      └─ rewrite         (CONFIG REWRITE)
//! ```
//!
//! Keys are spelled as Redis and Pika spell them. One table ([`keys`]) says how each is read and
//! shown; a second ([`ignored`]) which keys of the two have no meaning here, and why. Only
//! [`Config::load`] touches a file.

mod address;
mod check;
mod error;
mod ignored;
mod keys;
mod nearest;
mod rewrite;
mod runtime;
mod secret;
mod source;
mod value;

pub use address::{Address, BindAddress};
pub use error::{ConfigError, Origin};
pub use keys::applies_live;
pub use runtime::Effect;
pub use secret::Secret;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is added to a client port to get the port that links dial, as in Pika 4.
pub const LINK_PORT_OFFSET: u16 = 2000;
/// Highest client port: its link port is a port, too.
pub const PORT_MAX: u16 = u16::MAX - LINK_PORT_OFFSET;
/// Highest server id of a wire format.
pub const SERVER_ID_MAX: u32 = 127;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The configuration in force. Each field is the key of its name, with `_` for `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Client port; links dial this + 2000.
    pub port: u16,
    /// Addresses that are listened on.
    pub bind: Vec<BindAddress>,
    /// Port of metrics and probes over HTTP; 0: none.
    pub metrics_port: u16,
    /// Addresses on which they are served; none: those of `bind`.
    pub metrics_bind: Vec<BindAddress>,
    /// Connections the kernel holds until they are accepted.
    pub tcp_backlog: u32,
    /// Time between TCP keepalive probes; `None`: no probes.
    pub tcp_keepalive: Option<Duration>,
    /// I/O threads; 0: picked by the number of processors.
    pub io_threads: usize,
    /// Most client connections.
    pub maxclients: u32,
    /// A client that is silent for so long is disconnected; `None`: never.
    pub timeout: Option<Duration>,
    /// Longest argument of a command, in bytes.
    pub proto_max_bulk_len: u64,
    /// Most bytes of an unfinished or unanswered request that are kept per client.
    pub client_query_buffer_limit: u64,
    /// Most bytes of output that wait for a client.
    pub client_output_buffer_limit: OutputBufferLimits,

    /// The data directory.
    pub dir: PathBuf,
    /// Number of databases.
    pub databases: u32,
    /// Bytes of caches and buffers; 0: not stated. No key is ever removed for it.
    pub maxmemory: u64,
    /// When the log is made durable.
    pub appendfsync: AppendFsync,
    /// Size at which a log file ends and the next begins, in bytes.
    pub binlog_file_size: u64,
    /// Days after its last write from which a log file may go though fewer than
    /// `expire_logs_nums` are there; the newest 10 stay.
    pub expire_logs_days: u32,
    /// Log files that may stay, beyond which the oldest go.
    pub expire_logs_nums: u32,
    /// Hard limit of the log in bytes, past which files go even if a receiver needs them; 0: none.
    pub binlog_size_max: u64,

    /// Password of clients; `None`: none is asked for.
    pub requirepass: Option<Secret>,
    /// A second password that is taken meanwhile: the one before, while passwords are changed.
    pub requirepass_previous: Option<Secret>,
    /// File that holds `requirepass`, and on a second line `requirepass-previous`.
    pub requirepass_file: Option<PathBuf>,
    /// Password this instance gives to whom it dials.
    pub masterauth: Option<Secret>,
    /// File that holds `masterauth`.
    pub masterauth_file: Option<PathBuf>,

    /// The group's server id, 1..=127; 0: none given.
    pub server_id: u32,
    /// Id of the data set, 40 hex digits; `None`: the one in the data directory, or a random one.
    pub cluster_id: Option<String>,
    /// What the instance does before it is told its role.
    pub boot_role: BootRole,
    /// Whom it follows from the start.
    pub replicaof: Option<Address>,
    /// Host of the other master; empty: none.
    pub double_master_ip: String,
    /// Client port of the other master; 0: none.
    pub double_master_port: u16,
    /// Server id of the other master; 0: none.
    pub double_master_server_id: u32,

    /// Preference in an election; lower is preferred, 0 is never.
    pub replica_priority: u32,
    /// Whether a replica without its primary answers reads.
    pub replica_serve_stale_data: bool,
    /// Whether a replica refuses writes of clients.
    pub replica_read_only: bool,
    /// Address under which others reach this instance; `None`: the one they see.
    pub replica_announce_ip: Option<String>,
    /// Port under which others reach this instance; `None`: the one it listens on.
    pub replica_announce_port: Option<u16>,
    /// Silence after which a link is taken as broken.
    pub repl_timeout: Duration,
    /// Time between the keepalives of a link.
    pub repl_ping_replica_period: Duration,
    /// Replicas that must be in time for writes to be taken; 0: no condition.
    pub min_replicas_to_write: u32,
    /// Age of a replica's last ack up to which it is in time.
    pub min_replicas_max_lag: Duration,
    /// Full resync traffic in bytes a second; 0: no limit.
    pub throttle_bytes_per_second: u64,
    /// Full resyncs served at the same time.
    pub max_rsync_parallel_num: u32,
    /// Records on their way to a receiver, not yet acknowledged.
    pub sync_window_size: u32,
    /// Bytes on their way to a receiver, not yet acknowledged.
    pub sync_window_bytes: u64,
    /// How far ahead another clock may be before an alarm is raised.
    pub max_clock_skew: Duration,
    /// How long what waits for an absent member is kept.
    pub member_absence_bound: Duration,

    /// Rounds of upkeep a second.
    pub hz: u32,
    /// Microseconds from which on a command is slow; 0: all are, negative: none is.
    pub slowlog_log_slower_than: i64,
    /// Slow commands that are kept.
    pub slowlog_max_len: u32,
    /// What is logged.
    pub loglevel: LogLevel,
    /// Where it is logged; `None`: standard output.
    pub logfile: Option<PathBuf>,

    /// The file it was read from, which `CONFIG REWRITE` writes.
    pub file: Option<PathBuf>,
    /// What was accepted but has no effect, or is unwise; to be logged once.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 6379,
            bind: vec![
                BindAddress {
                    ip: Ipv4Addr::LOCALHOST.into(),
                    is_optional: false,
                },
                BindAddress {
                    ip: Ipv6Addr::LOCALHOST.into(),
                    is_optional: true,
                },
            ],
            metrics_port: 0,
            metrics_bind: Vec::new(),
            tcp_backlog: 511,
            tcp_keepalive: Some(Duration::from_mins(5)),
            io_threads: 0,
            maxclients: 10_000,
            timeout: None,
            proto_max_bulk_len: 512 * MIB,
            client_query_buffer_limit: GIB,
            client_output_buffer_limit: OutputBufferLimits::default(),
            dir: PathBuf::from("./tandem-data"),
            databases: 16,
            maxmemory: 0,
            appendfsync: AppendFsync::EverySec,
            binlog_file_size: 100 * MIB,
            expire_logs_days: 7,
            expire_logs_nums: 10,
            binlog_size_max: 0,
            requirepass: None,
            requirepass_previous: None,
            requirepass_file: None,
            masterauth: None,
            masterauth_file: None,
            server_id: 0,
            cluster_id: None,
            boot_role: BootRole::Auto,
            replicaof: None,
            double_master_ip: String::new(),
            double_master_port: 0,
            double_master_server_id: 0,
            replica_priority: 100,
            replica_serve_stale_data: true,
            replica_read_only: true,
            replica_announce_ip: None,
            replica_announce_port: None,
            repl_timeout: Duration::from_mins(1),
            repl_ping_replica_period: Duration::from_secs(10),
            min_replicas_to_write: 0,
            min_replicas_max_lag: Duration::from_secs(10),
            throttle_bytes_per_second: 0,
            max_rsync_parallel_num: 4,
            sync_window_size: 9000,
            sync_window_bytes: 64 * MIB,
            max_clock_skew: Duration::from_secs(10),
            member_absence_bound: Duration::from_hours(24),
            hz: 10,
            slowlog_log_slower_than: 10_000,
            slowlog_max_len: 128,
            loglevel: LogLevel::Notice,
            logfile: None,
            file: None,
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the arguments after `tandem server`, and the file they name.
    pub fn load(args: &[String]) -> Result<Self, ConfigError> {
        let invocation = source::from_arguments(args)?;
        let mut config = match &invocation.file {
            None => Self::assemble(None, invocation.settings)?,
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).map_err(|source| ConfigError::ReadFile {
                        path: path.clone(),
                        source,
                    })?;
                Self::assemble(Some((path, &text)), invocation.settings)?
            }
        };
        config.read_passwords()?;
        config.warnings.extend(check::warnings(&config));
        Ok(config)
    }

    /// Takes passwords from the files that hold them.
    fn read_passwords(&mut self) -> Result<(), ConfigError> {
        if let Some(path) = &self.requirepass_file {
            let text = secret::read("requirepass-file", path)?;
            let mut lines = text.lines();
            self.requirepass = lines.next().and_then(Secret::new);
            if let Some(previous) = lines.next() {
                self.requirepass_previous = Secret::new(previous);
            }
        }
        if let Some(path) = &self.masterauth_file {
            let text = secret::read("masterauth-file", path)?;
            self.masterauth = text.lines().next().and_then(Secret::new);
        }
        Ok(())
    }

    /// The passwords that clients and links may give; none when none is asked for.
    pub fn passwords(&self) -> impl Iterator<Item = &Secret> {
        let own = self.requirepass.as_ref();
        let previous = self.requirepass_previous.as_ref();
        own.into_iter().chain(previous.filter(|_| own.is_some()))
    }

    /// Whether this is a password that clients may give; `None` when none is asked for.
    pub fn takes_password(&self, given: &[u8]) -> Option<bool> {
        self.requirepass.as_ref()?;
        Some(
            self.passwords()
                .any(|password| password.is_matched_by(given)),
        )
    }

    /// Reads a file's text and arguments; no file is touched.
    pub fn parse(file: Option<(&Path, &str)>, args: &[String]) -> Result<Self, ConfigError> {
        let mut config = Self::assemble(file, source::from_arguments(args)?.settings)?;
        config.warnings.extend(check::warnings(&config));
        Ok(config)
    }

    /// Puts it together; passwords in files are still to be read, and what is unwise to be judged.
    fn assemble(
        file: Option<(&Path, &str)>,
        arguments: Vec<source::Setting>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self {
            file: file.map(|(path, _)| path.to_owned()),
            ..Self::default()
        };
        let mut assembly = runtime::Assembly::new(&mut config);
        if let Some((path, text)) = file {
            assembly.apply_all(source::from_file(path, text)?)?;
        }
        assembly.apply_all(arguments)?;
        let origins = assembly.finish();
        check::check(&config, &|key| origins.get(key).cloned())?;
        Ok(config)
    }

    /// Gives the port that links dial.
    pub fn link_port(&self) -> u16 {
        self.port + LINK_PORT_OFFSET
    }

    /// Gives the other master of a pair, if one is declared.
    pub fn double_master(&self) -> Option<DoubleMasterPeer> {
        (!self.double_master_ip.is_empty()).then(|| DoubleMasterPeer {
            address: Address {
                host: self.double_master_ip.clone(),
                port: self.double_master_port,
            },
            server_id: self.double_master_server_id,
        })
    }
}

/// The other master of a pair, as the `double-master-*` keys declare it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoubleMasterPeer {
    /// Where its clients connect.
    pub address: Address,
    /// Its group's server id.
    pub server_id: u32,
}

/// When the log is made durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendFsync {
    /// Before a write is answered.
    Always,
    /// Once a second.
    EverySec,
    /// When the system likes.
    No,
}

/// What an instance does before it is told its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootRole {
    /// Resumes its last role, or writes if it never had one: started by hand.
    Auto,
    /// Resumes its last role, or waits if it never had one: an operator gives the first one, and its
    /// absence is no reason for a restart to be an outage.
    Resume,
    /// Writes nothing until it is told: started by an operator.
    Waiting,
}

/// What is logged: this and all that is more severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Decisions, for those who look into a server.
    Debug,
    /// Much that is seldom useful.
    Verbose,
    /// Changes of state.
    Notice,
    /// What is unexpected, and what a person must look at.
    Warning,
}

/// Bounds of the output that waits for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// Bytes past which the client is disconnected at once; 0: no bound.
    pub hard_bytes: u64,
    /// Bytes past which it is disconnected after `soft_duration`; 0: no bound.
    pub soft_bytes: u64,
    /// How long it may stay past `soft_bytes`.
    pub soft_duration: Duration,
}

/// Bounds of output by class of client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputBufferLimits {
    /// Clients that send commands. 1 GiB, where Redis has no bound: all memory here is bounded.
    pub normal: OutputBufferLimit,
    /// Receivers of a link.
    pub replica: OutputBufferLimit,
    /// Subscribers.
    pub pubsub: OutputBufferLimit,
}

impl Default for OutputBufferLimits {
    fn default() -> Self {
        let limit = |hard_bytes, soft_bytes, seconds| OutputBufferLimit {
            hard_bytes,
            soft_bytes,
            soft_duration: Duration::from_secs(seconds),
        };
        Self {
            normal: limit(GIB, 0, 0),
            replica: limit(256 * MIB, 64 * MIB, 60),
            pubsub: limit(32 * MIB, 8 * MIB, 60),
        }
    }
}

#[cfg(test)]
mod tests;
