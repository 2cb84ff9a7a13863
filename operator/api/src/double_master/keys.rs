//! Configuration keys of a server: which belong to the operator, which a running server takes.

/// Keys that the operator sets itself, in every spelling.
pub const OPERATOR_KEYS: [&str; 23] = [
    "port",
    "bind",
    "dir",
    "db-path",
    "server-id",
    "cluster-id",
    "requirepass",
    "requirepass-previous",
    "masterauth",
    "slaveof",
    "replicaof",
    "boot-role",
    "config",
    "double-master-ip",
    "double-master-port",
    "double-master-server-id",
    "min-replicas-to-write",
    "min-slaves-to-write",
    "replica-announce-ip",
    "slave-announce-ip",
    "replica-announce-port",
    "slave-announce-port",
    "metrics-port",
];

/// A key that a running server takes; a change of any other one needs a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveKey {
    /// Its first spelling.
    pub name: &'static str,
    /// Another spelling.
    pub alias: Option<&'static str>,
    /// The value when nothing is said, so that a removed line takes effect, too.
    pub default: &'static str,
}

const fn live(name: &'static str, default: &'static str) -> LiveKey {
    LiveKey {
        name,
        alias: None,
        default,
    }
}

const fn also(name: &'static str, alias: &'static str, default: &'static str) -> LiveKey {
    LiveKey {
        name,
        alias: Some(alias),
        default,
    }
}

/// Keys that apply live, besides those of the operator.
pub const LIVE_KEYS: [LiveKey; 21] = [
    live("appendfsync", "everysec"),
    live("binlog-size-max", "0"),
    live(
        "client-output-buffer-limit",
        "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
    ),
    live("expire-logs-days", "7"),
    live("expire-logs-nums", "10"),
    live("hz", "10"),
    live("max-clock-skew", "10"),
    live("maxclients", "10000"),
    live("maxmemory", "0"),
    also("min-replicas-max-lag", "min-slaves-max-lag", "10"),
    also("repl-ping-replica-period", "repl-ping-slave-period", "10"),
    live("repl-timeout", "60"),
    also("replica-priority", "slave-priority", "100"),
    also("replica-read-only", "slave-read-only", "yes"),
    also("replica-serve-stale-data", "slave-serve-stale-data", "yes"),
    live("slowlog-log-slower-than", "10000"),
    live("slowlog-max-len", "128"),
    live("sync-window-bytes", "67108864"),
    live("sync-window-size", "9000"),
    live("throttle-bytes-per-second", "0"),
    live("timeout", "0"),
];

/// The live key of this spelling.
pub fn live_key(name: &str) -> Option<&'static LiveKey> {
    LIVE_KEYS
        .iter()
        .find(|key| key.name == name || key.alias == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_both_the_operators_and_the_users() {
        for key in LIVE_KEYS {
            let spellings = [Some(key.name), key.alias];
            for spelling in spellings.into_iter().flatten() {
                assert!(!OPERATOR_KEYS.contains(&spelling), "{spelling}");
                assert_eq!(
                    live_key(spelling),
                    LIVE_KEYS.iter().find(|k| k.name == key.name)
                );
            }
        }
        assert_eq!(live_key("databases"), None);
    }
}
