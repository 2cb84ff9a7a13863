//! Keys of Redis and Pika that have no meaning here, and why.
//!
//! Most are accepted, so that an existing file can be used, and a warning tells that they do
//! nothing. Those whose loss would be dangerous (who may do what, encryption, other files) are
//! refused. A value that is what happens here anyway is taken without a word.

/// A key without meaning here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Foreign {
    pub(super) name: &'static str,
    /// What holds here, where one of the key's values says it. `CONFIG GET` shows it, since tools
    /// ask for some of these keys.
    pub(super) shown: Option<&'static str>,
    /// Why it has no meaning, and what to use instead.
    pub(super) reason: &'static str,
    /// Whether ignoring it would be dangerous.
    pub(super) is_refused: bool,
}

/// Keys that share a reason.
struct Group {
    is_refused: bool,
    reason: &'static str,
    /// With the value that holds here.
    shown: &'static [(&'static str, &'static str)],
    /// The others, with blanks between.
    hidden: &'static str,
}

/// Finds a key by its name in lower case.
pub(super) fn find(name: &str) -> Option<Foreign> {
    all().find(|foreign| foreign.name == name)
}

/// Gives all keys without meaning here.
pub(super) fn all() -> impl Iterator<Item = Foreign> {
    GROUPS.iter().flat_map(|group| {
        let foreign = |name, shown| Foreign {
            name,
            shown,
            reason: group.reason,
            is_refused: group.is_refused,
        };
        let shown = group
            .shown
            .iter()
            .map(move |&(name, value)| foreign(name, Some(value)));
        shown.chain(
            group
                .hidden
                .split_whitespace()
                .map(move |name| foreign(name, None)),
        )
    })
}

const fn ignored(
    reason: &'static str,
    shown: &'static [(&'static str, &'static str)],
    hidden: &'static str,
) -> Group {
    Group {
        is_refused: false,
        reason,
        shown,
        hidden,
    }
}

const fn refused(
    reason: &'static str,
    shown: &'static [(&'static str, &'static str)],
    hidden: &'static str,
) -> Group {
    Group {
        is_refused: true,
        reason,
        shown,
        hidden,
    }
}

static GROUPS: &[Group] = &[
    ignored(
        "every write is in the log and data go to disk by themselves; there are no snapshots",
        &[("save", ""), ("stop-writes-on-bgsave-error", "yes")],
        "rdbcompression rdbchecksum dbfilename rdb-del-sync-files \
         rdb-save-incremental-fsync sanitize-dump-payload dump-path dump-prefix \
         dump-expire",
    ),
    ignored(
        "the log is always written; `appendfsync` says when it is durable",
        &[
            ("appendonly", "yes"),
            ("write-binlog", "yes"),
            ("no-appendfsync-on-rewrite", "no"),
        ],
        "appendfilename appenddirname auto-aof-rewrite-percentage \
         auto-aof-rewrite-min-size aof-load-truncated aof-use-rdb-preamble \
         aof-timestamp-enabled aof-rewrite-incremental-fsync aof-disable-auto-gc",
    ),
    ignored(
        "the server stays in the foreground; let a service manager start and watch it",
        &[("daemonize", "no"), ("supervised", "no"), ("pidfile", "")],
        "set-proc-title proc-title-template always-show-logo shutdown-timeout \
         shutdown-on-sigint shutdown-on-sigterm crash-log-enabled \
         crash-memcheck-enabled disable-thp",
    ),
    ignored(
        "clients connect by TCP; use `port` and `bind`",
        &[("unixsocket", "")],
        "unixsocketperm network-interface bind-source-addr socket-mark-id",
    ),
    ignored(
        "`bind` says who can connect and `requirepass` who may",
        &[("protected-mode", "no")],
        "",
    ),
    ignored(
        "no key is ever removed for memory; `maxmemory` bounds caches and buffers",
        &[
            ("maxmemory-policy", "noeviction"),
            ("maxmemory-clients", "0"),
        ],
        "maxmemory-samples maxmemory-eviction-tenacity replica-ignore-maxmemory \
         slave-ignore-maxmemory lfu-log-factor lfu-decay-time",
    ),
    ignored(
        "memory is given back by itself, in the background",
        &[("activedefrag", "no")],
        "lazyfree-lazy-eviction lazyfree-lazy-expire lazyfree-lazy-server-del \
         lazyfree-lazy-user-del lazyfree-lazy-user-flush replica-lazy-flush \
         slave-lazy-flush active-defrag-ignore-bytes active-defrag-threshold-lower \
         active-defrag-threshold-upper active-defrag-cycle-min active-defrag-cycle-max \
         active-defrag-max-scan-fields activerehashing jemalloc-bg-thread oom-score-adj \
         oom-score-adj-values",
    ),
    ignored(
        "values have one form in memory and on disk, whatever their size",
        &[],
        "hash-max-listpack-entries hash-max-listpack-value hash-max-ziplist-entries \
         hash-max-ziplist-value list-max-listpack-size list-max-ziplist-size \
         list-compress-depth set-max-intset-entries set-max-listpack-entries \
         set-max-listpack-value zset-max-listpack-entries zset-max-listpack-value \
         zset-max-ziplist-entries zset-max-ziplist-value hll-sparse-max-bytes \
         stream-node-max-bytes stream-node-max-entries",
    ),
    ignored(
        "work is spread over threads by itself; `io-threads` sets their number",
        &[],
        "io-threads-do-reads thread-num thread-pool-size sync-thread-num \
         sync-binlog-thread-num slow-cmd-pool slow-cmd-thread-pool-size slow-cmd-list \
         admin-thread-pool-size admin-cmd-list dynamic-hz active-expire-effort \
         server_cpulist bio_cpulist aof_rewrite_cpulist bgsave_cpulist sync-buffer-size",
    ),
    ignored(
        "a resync streams the data files and goes on by version vectors; there is no backlog",
        &[],
        "repl-diskless-sync repl-diskless-sync-delay repl-diskless-sync-max-replicas \
         repl-diskless-load repl-backlog-size repl-backlog-ttl repl-disable-tcp-nodelay \
         propagation-error-behavior replica-ignore-disk-write-errors replica-announced \
         db-sync-path rsync-timeout-ms replication-num consensus-level run-id \
         master-run-id replication-id internal-used-unfinished-full-sync",
    ),
    ignored(
        "use `throttle-bytes-per-second`",
        &[],
        "db-sync-speed rate-limiter-bandwidth",
    ),
    ignored(
        "links authenticate with `masterauth` alone",
        &[("masteruser", "")],
        "",
    ),
    ignored("use `client-query-buffer-limit`", &[], "max-conn-rbuf-size"),
    ignored(
        "use `client-output-buffer-limit`",
        &[],
        "max-client-response-size",
    ),
    ignored(
        "use `logfile` and `loglevel`",
        &[("syslog-enabled", "no")],
        "log-path syslog-ident syslog-facility slowlog-write-errorlog \
         log-retention-time log-net-activities",
    ),
    ignored(
        "there are no scripts, functions, modules, notifications or client tracking",
        &[
            ("notify-keyspace-events", ""),
            ("enable-module-command", "no"),
        ],
        "lua-time-limit busy-reply-threshold tracking-table-max-keys",
    ),
    ignored(
        "latencies are measured by metrics, not by this key",
        &[("latency-monitor-threshold", "0")],
        "latency-tracking latency-tracking-info-percentiles",
    ),
    ignored(
        "there is no slot cluster; pairs, hubs and duplications replace it",
        &[("slotmigrate", "no"), ("instance-mode", "classic")],
        "cluster-config-file cluster-node-timeout cluster-port \
         cluster-replica-validity-factor cluster-slave-validity-factor \
         cluster-migration-barrier cluster-allow-replica-migration \
         cluster-require-full-coverage cluster-replica-no-failover \
         cluster-slave-no-failover cluster-allow-reads-when-down \
         cluster-allow-pubsubshard-when-down cluster-link-sendbuf-limit \
         cluster-announce-ip cluster-announce-port cluster-announce-tls-port \
         cluster-announce-bus-port cluster-announce-hostname \
         cluster-preferred-endpoint-type default-slot-num slotmigrate-thread-num \
         thread-migrate-keys-num",
    ),
    ignored(
        "the storage engine sizes and cleans its files by itself",
        &[],
        "db-instance-num compression compression_per_level compact-cron \
         compact-interval write-buffer-size arena-block-size max-write-buffer-size \
         max-write-buffer-num min-write-buffer-number-to-merge max-total-wal-size \
         level0-stop-writes-trigger level0-slowdown-writes-trigger \
         level0-file-num-compaction-trigger target-file-size-base \
         max-background-flushes max-background-compactions max-background-jobs \
         max-subcompactions max-cache-files max-cache-statistic-keys \
         small-compaction-threshold small-compaction-duration-threshold \
         max-bytes-for-level-base max-bytes-for-level-multiplier block-size block-cache \
         num-shard-bits share-block-cache cache-index-and-filter-blocks \
         pin_l0_filter_and_index_blocks_in_cache optimize-filters-for-hits \
         level-compaction-dynamic-level-bytes disable_auto_compactions \
         delayed-write-rate enable-partitioned-index-filters \
         rate-limiter-refill-period-us rate-limiter-fairness rate-limiter-auto-tuned \
         rate-limiter-mode enable-blob-files min-blob-size blob-file-size \
         blob-compression-type enable-blob-garbage-collection \
         blob-garbage-collection-age-cutoff blob_garbage_collection_force_threshold \
         blob-cache blob-num-shard-bits enable-db-statistics db-statistics-level",
    ),
    ignored(
        "writes are refused while the disk is full and go on when there is space, by themselves",
        &[],
        "min-check-resume-ratio least-free-disk-resume-size manually-resume-interval",
    ),
    ignored(
        "memory holds what is used most, by itself; `maxmemory` bounds it",
        &[],
        "cache-num cache-mode cache-type cache-maxmemory cache-maxmemory-policy \
         cache-maxmemory-samples cache-lfu-decay-time cache-value-item-max-size \
         max-key-size-in-cache zset-cache-start-direction zset-cache-field-num-per-key",
    ),
    ignored(
        "no connections are kept apart; `maxclients` counts all",
        &[],
        "root-connection-num",
    ),
    ignored(
        "DEBUG and CONFIG are open to whoever has the password",
        &[],
        "enable-debug-command enable-protected-configs ignore-warnings acllog-max-len \
         acl-pubsub-default",
    ),
    refused(
        "there is one password and it allows everything; set `requirepass`, and keep restricted \
         users away by other means",
        &[("aclfile", ""), ("userpass", ""), ("userblacklist", "")],
        "user acl-file rename-command",
    ),
    refused(
        "traffic would not be encrypted; remove the key and put a TLS proxy or mesh in front",
        &[
            ("tls-port", "0"),
            ("tls-replication", "no"),
            ("tls-cluster", "no"),
        ],
        "tls-cert-file tls-key-file tls-key-file-pass tls-client-cert-file \
         tls-client-key-file tls-client-key-file-pass tls-dh-params-file \
         tls-ca-cert-file tls-ca-cert-dir tls-auth-clients tls-protocols tls-ciphers \
         tls-ciphersuites tls-prefer-server-ciphers tls-session-caching \
         tls-session-cache-size tls-session-cache-timeout",
    ),
    refused(
        "there is no slot cluster; use a pair (`double-master-*`), a hub or a duplication",
        &[("cluster-enabled", "no")],
        "",
    ),
    refused(
        "a configuration is one file; put the other file's lines here",
        &[],
        "include",
    ),
    refused("there are no modules; remove the line", &[], "loadmodule"),
];
