//! What is taken, what is refused and in which words, and that what is shown can be read again.

mod refused;

use super::keys::{KEYS, Read};
use super::*;
use std::collections::BTreeSet;
use std::error::Error as _;

fn args(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn by_args(words: &[&str]) -> Result<Config, String> {
    Config::parse(None, &args(words)).map_err(|error| error.to_string())
}

fn by_file(text: &str) -> Result<Config, String> {
    Config::parse(Some((Path::new("t.conf"), text)), &[]).map_err(|error| error.to_string())
}

/// The settings alone: where they came from does not count.
fn settings(config: Config) -> Config {
    Config {
        file: None,
        warnings: Vec::new(),
        ..config
    }
}

fn address(host: &str, port: u16) -> Address {
    Address {
        host: host.to_owned(),
        port,
    }
}

#[test]
fn nothing_given_is_the_default() {
    let config = by_args(&[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(
        (config.port, config.link_port(), config.databases),
        (6379, 8379, 16)
    );
    assert_eq!(config.get("bind"), Some("127.0.0.1 -::1".to_owned()));
    assert_eq!(config.double_master(), None);
}

#[test]
fn the_pair_of_the_quickstart_is_read() {
    let line = "--port 7001 --dir d --server-id 1 --double-master-ip 127.0.0.1 \
                --double-master-port 7002 --double-master-server-id 2";
    let config = by_args(&line.split_whitespace().collect::<Vec<_>>()).unwrap();
    assert_eq!((config.port, config.server_id), (7001, 1));
    assert_eq!(config.dir, PathBuf::from("d"));
    let peer = DoubleMasterPeer {
        address: address("127.0.0.1", 7002),
        server_id: 2,
    };
    assert_eq!(config.double_master(), Some(peer));
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn a_redis_file_is_read() {
    let text = "# a comment\n\n  PORT 7000\nbind 0.0.0.0 -::1\nrequirepass \"a b\\\"#\"\n\
                appendfsync always\nmaxmemory 512mb\ntimeout 30\nslaveof 10.0.0.1 6380\n\
                client-output-buffer-limit replica 1gb 0 0\n\
                client-output-buffer-limit normal 2mb 1mb 9 pubsub 3mb 0 0\n\
                slowlog-log-slower-than -1\nslave-serve-stale-data no\nlogfile /var/log/t\n\
                masterauth secret\n";
    let limit = |hard_bytes, soft_bytes, seconds| OutputBufferLimit {
        hard_bytes,
        soft_bytes,
        soft_duration: Duration::from_secs(seconds),
    };
    let expected = Config {
        port: 7000,
        bind: ["0.0.0.0", "-::1"]
            .map(|ip| BindAddress::parse(ip).unwrap())
            .to_vec(),
        requirepass: Secret::new("a b\"#"),
        appendfsync: AppendFsync::Always,
        maxmemory: 512 << 20,
        timeout: Some(Duration::from_secs(30)),
        replicaof: Some(address("10.0.0.1", 6380)),
        client_output_buffer_limit: OutputBufferLimits {
            normal: limit(2 << 20, 1 << 20, 9),
            replica: limit(1 << 30, 0, 0),
            pubsub: limit(3 << 20, 0, 0),
        },
        slowlog_log_slower_than: -1,
        replica_serve_stale_data: false,
        logfile: Some(PathBuf::from("/var/log/t")),
        masterauth: Secret::new("secret"),
        file: Some(PathBuf::from("t.conf")),
        ..Config::default()
    };
    assert_eq!(by_file(text), Ok(expected));
}

#[test]
fn a_pika_file_is_read_and_what_has_no_meaning_is_told() {
    let text = "port : 9221\nthread-num : 1\ndb-path : ./db/\nrequirepass :\nmasterauth : p:w\n\
                slaveof : 10.0.0.1:9222\nslave-read-only : 1\ndouble-master-ip :\n\
                expire-logs-days : 3\nloglevel : info\nuserpass :\nbinlog-file-size: 104857600\n\
                databases:1\n#daemonize : yes\n";
    let config = by_file(text).unwrap();
    let expected = Config {
        port: 9221,
        dir: PathBuf::from("./db/"),
        masterauth: Secret::new("p:w"),
        replicaof: Some(address("10.0.0.1", 9222)),
        expire_logs_days: 3,
        databases: 1,
        ..Config::default()
    };
    assert_eq!(settings(config.clone()), expected);
    assert_eq!(
        config.warnings,
        [
            "`t.conf` line 2: `thread-num` has no effect here: work is spread over threads by itself; \
          `io-threads` sets their number"
        ]
    );
}

#[test]
fn arguments_go_over_the_file() {
    let file = Some((Path::new("t.conf"), "port 1000\nmaxclients 5\n"));
    let config = Config::parse(file, &args(&["--port", "2000"])).unwrap();
    assert_eq!((config.port, config.maxclients), (2000, 5));
}

#[test]
fn arguments_have_several_forms() {
    let words = [
        "--slaveof",
        "h",
        "1",
        "--requirepass=--x",
        "--bind",
        "127.0.0.1 ::1",
    ];
    let config = by_args(&words).unwrap();
    assert_eq!(config.replicaof, Some(address("h", 1)));
    assert_eq!(config.requirepass, Secret::new("--x"));
    assert_eq!(config.bind.len(), 2);
    assert_eq!(
        by_args(&["--slaveof", "no", "one"]).unwrap(),
        Config::default()
    );
    assert_eq!(
        by_args(&["--save", "", "--appendonly", "yes"]).unwrap(),
        Config::default()
    );
}

#[test]
fn the_file_is_the_first_word_or_named() {
    let directory = std::env::temp_dir().join(format!("tandem-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("t.conf");
    std::fs::write(&path, "port 7123\n").unwrap();
    let path = path.to_str().unwrap();
    for words in [
        vec![path, "--databases", "3"],
        vec!["--databases", "3", "--config", path],
    ] {
        let config = Config::load(&args(&words)).unwrap();
        assert_eq!((config.port, config.databases), (7123, 3));
        assert_eq!(config.file, Some(PathBuf::from(path)));
    }
    let missing = directory.join("missing.conf").display().to_string();
    let error = Config::load(&args(&[&missing])).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("failed to read configuration file `{missing}`")
    );
    assert!(error.source().is_some(), "the cause is kept");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn what_is_unwise_is_warned_of() {
    let warnings = |text: &str| by_file(text).unwrap().warnings;
    assert_eq!(
        warnings("bind *\n"),
        [
            "`bind` lets other machines in and no password is asked for; set `requirepass`, or bind \
          to loopback addresses only"
        ]
    );
    assert_eq!(warnings("bind *\nrequirepass x\n"), [""; 0]);
    let writable = warnings("replica-read-only no\n");
    assert!(writable.len() == 1 && writable[0].contains("has no effect"));
    assert_eq!(
        warnings("requirepass x\nreplicaof h 1\n"),
        [
            "`requirepass` is set and `masterauth` is not; if the other server has a password, too, \
          its links are refused until `masterauth` is that password"
        ]
    );
    assert_eq!(
        warnings("repl-timeout 10\n"),
        [
            "`repl-ping-replica-period` is not below `repl-timeout`; an idle link will be taken as \
          broken"
        ]
    );
}

#[test]
fn names_are_unique_and_every_default_reads_back() {
    let own = KEYS.iter().flat_map(keys::Key::spellings);
    let names: Vec<&str> = own
        .chain(ignored::all().map(|foreign| foreign.name))
        .collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(unique.len(), names.len(), "a key stands in two places");
    assert!(names.iter().all(|name| *name == name.to_lowercase()));
    for key in KEYS {
        // Written over another configuration, the default must win.
        let mut config = unusual();
        let shown = (key.show)(&Config::default());
        let words: Vec<&str> = match key.read {
            Read::Words(_) if !shown.is_empty() => shown.split(' ').collect(),
            _ => vec![&shown],
        };
        key.apply(&mut config, &words)
            .unwrap_or_else(|e| panic!("{}: give {e}", key.name));
        assert_eq!((key.show)(&config), shown, "{}", key.name);
    }
}

/// A configuration in which every key differs from its default.
fn unusual() -> Config {
    let text = "port 7001\nbind 10.0.0.1 -fe80::1\ntcp-backlog 100\ntcp-keepalive 0\nio-threads 4\n\
        maxclients 77\ntimeout 5\nproto-max-bulk-len 2mb\nclient-query-buffer-limit 3mb\n\
        client-output-buffer-limit normal 1mb 2 3\ndir \"/some where/#1\"\ndatabases 3\n\
        maxmemory 123456789\nappendfsync no\nbinlog-file-size 2mb\nexpire-logs-days 1\n\
        expire-logs-nums 2\nbinlog-size-max 9gb\nrequirepass \":a \\\" '#\\n\"\nmasterauth \"\\\\x\"\n\
        server-id 127\ncluster-id 00112233445566778899aabbccddeeff00112233\nboot-role waiting\n\
        double-master-ip ::2\ndouble-master-port 7002\ndouble-master-server-id 126\n\
        requirepass-previous p\nmetrics-port 9121\nmetrics-bind 10.0.0.2\n\
        replica-priority 0\nreplica-serve-stale-data no\nreplica-read-only no\n\
        replica-announce-ip x.example\nreplica-announce-port 7003\nrepl-timeout 61\n\
        repl-ping-replica-period 11\nmin-replicas-to-write 1\nmin-replicas-max-lag 0\n\
        throttle-bytes-per-second 1000\nmax-rsync-parallel-num 2\nsync-window-size 1\n\
        sync-window-bytes 1mb\nmax-clock-skew 0\nhz 20\nmember-absence-bound 60\n\
        slowlog-log-slower-than 0\nslowlog-max-len 0\nloglevel debug\nlogfile l.txt\n";
    by_file(text).unwrap()
}

#[test]
fn a_rewritten_file_gives_the_same_configuration() {
    let replica = by_file("replicaof ::3 6380\n").unwrap();
    for config in [unusual(), replica, Config::default()] {
        let text = config.rewrite("");
        let again = by_file(&text).unwrap();
        assert_eq!(settings(again), settings(config.clone()), "{text}");
        assert_eq!(
            config.rewrite(&text),
            text,
            "a second rewrite changes nothing"
        );
    }
    let config = unusual();
    // These contradict others that are set.
    let apart = ["replicaof", "requirepass-file", "masterauth-file"];
    for key in KEYS.iter().filter(|key| !apart.contains(&key.name)) {
        assert_ne!(
            (key.show)(&config),
            (key.show)(&Config::default()),
            "{}",
            key.name
        );
    }
}

#[test]
fn a_rewrite_keeps_what_it_does_not_know() {
    let text = "# mine\nport 7000\n\nsave 60 1000\nslave-priority : 5\nport 7000\nmaxclients 10\n\
                slaveof h 1\n";
    let mut config = by_file(text).unwrap();
    config
        .set(&[("replica-priority", "9"), ("timeout", "8")])
        .unwrap();
    config.replicaof = None;
    let expected = "# mine\nport 7000\n\nsave 60 1000\nslave-priority 9\nmaxclients 10\n\
                    # Written by CONFIG REWRITE\ntimeout 8\n";
    assert_eq!(config.rewrite(text), expected);
}

#[test]
fn keys_are_shown_in_every_spelling() {
    let config = unusual();
    assert_eq!(config.get("PORT"), Some("7001".to_owned()));
    assert_eq!(config.get("slave-priority"), config.get("replica-priority"));
    assert_eq!(config.get("maxmemory"), Some("123456789".to_owned()));
    assert_eq!(config.get("appendonly"), Some("yes".to_owned()));
    assert_eq!(config.get("dynamic-hz"), None);
    assert_eq!(config.get("nonsense"), None);
    let names = |pattern: &str| -> Vec<&str> {
        config
            .matching(pattern.as_bytes())
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names("s*-PRIORITY"), ["slave-priority"]);
    assert_eq!(
        names("MAXMEMORY*"),
        ["maxmemory", "maxmemory-policy", "maxmemory-clients"]
    );
    assert_eq!(names("save"), ["save"]);
    assert_eq!(names("nonsense"), [""; 0]);
    let default = Config::default();
    assert_eq!(
        default.get("client-output-buffer-limit").unwrap(),
        "normal 1073741824 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    );
}

#[test]
fn config_set_changes_all_or_nothing() {
    let mut config = by_file("server-id 1\n").unwrap();
    let before = config.clone();
    let effect = config.set(&[("maxclients", "5"), ("slave-priority", "100"), ("save", "")]);
    assert_eq!(
        effect.unwrap(),
        Effect {
            changed: vec!["maxclients"],
            warnings: vec![]
        }
    );
    assert_eq!(
        config,
        Config {
            maxclients: 5,
            ..before
        }
    );

    let before = config.clone();
    let error = config
        .set(&[("timeout", "9"), ("appendfsync", "x")])
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "CONFIG SET: `appendfsync` cannot be `x`; give one of always, everysec, no"
    );
    assert_eq!(config, before);

    let pairs = [("double-master-ip", "h"), ("double-master-port", "1")];
    let error = config.set(&pairs).unwrap_err().to_string();
    assert_eq!(
        error,
        "CONFIG SET: `double-master-ip` is set without `double-master-server-id`; set all three \
         double-master keys together, or none"
    );
    assert_eq!(config, before);

    let effect = config
        .set(&[pairs[0], pairs[1], ("double-master-server-id", "2")])
        .unwrap();
    assert!(effect.has("double-master-") && !effect.has("slowlog-"));
    assert_eq!(config.double_master().unwrap().address, address("h", 1));
    let effect = config
        .set(&[("save", "60 1"), ("repl-timeout", "5")])
        .unwrap();
    assert_eq!(effect.changed, ["repl-timeout"]);
    assert_eq!(effect.warnings.len(), 2, "{:?}", effect.warnings);
}

#[test]
fn passwords_are_never_printed() {
    let config = by_args(&["--requirepass", "hunter2", "--masterauth", "hunter2"]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let wrong = [
        by_args(&["--requirepass", "hunter2", "x"]),
        by_args(&["--requirepass", "a", "--requirepass", "hunter2"]),
        by_file("requirepass \"hunter2\n"),
    ];
    for error in wrong {
        assert!(!error.unwrap_err().contains("hunter2"));
    }
}

#[test]
fn a_password_matches_itself_only() {
    let secret = Secret::new("pass").unwrap();
    let matches = ["pass", "pasS", "pas", "passs", ""].map(|p| secret.is_matched_by(p.as_bytes()));
    assert_eq!(matches, [true, false, false, false, false]);
    assert_eq!(Secret::new(""), None);
}
