//! What is refused, and the whole words of each refusal.

use super::super::Config;
use super::{by_args, by_file};

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn wrong_arguments_are_named_with_their_remedy() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["--prot", "1"],
            "command line: `prot` is no configuration key; did you mean `port`?",
        ),
        (
            &["--colour", "red"],
            "command line: `colour` is no configuration key; remove it; `CONFIG GET *` lists the \
             keys there are",
        ),
        (
            &["--port", "64000"],
            "command line: `port` cannot be `64000`; give a whole number from 1 to 63535 (links \
             use the port + 2000)",
        ),
        (
            &["--port"],
            "command line: `port` has no value; give a whole number from 1 to 63535 (links use \
             the port + 2000)",
        ),
        (
            &["--requirepass"],
            "command line: `requirepass` has no value; give a value, `\"\"` for none",
        ),
        (
            &["--port", "1", "2"],
            "command line: `port` takes one value, not 2; put a value with blanks into double \
             quotes",
        ),
        (
            &["--port", "1", "--port", "2"],
            "command line: `port` was set to another value at command line; keep one of the two",
        ),
        (
            &["--slaveof", "h", "1", "--replicaof", "h", "2"],
            "command line: `replicaof` was set to another value at command line; keep one of the \
             two",
        ),
        (
            &["--databases", "0"],
            "command line: `databases` cannot be `0`; give a whole number from 1 to 256",
        ),
        (
            &["--maxmemory", "1tb"],
            "command line: `maxmemory` cannot be `1tb`; give a size of 0 or more, such as 512mb \
             or 1gb",
        ),
        (
            &["--maxmemory", "99999999999gb"],
            "command line: `maxmemory` cannot be `99999999999gb`; give a size of 0 or more, such \
             as 512mb or 1gb",
        ),
        (
            &["--binlog-file-size", "1kb"],
            "command line: `binlog-file-size` cannot be `1kb`; give a size from 1mb to 2gb, such \
             as 64mb",
        ),
        (
            &["--appendfsync", "sometimes"],
            "command line: `appendfsync` cannot be `sometimes`; give one of always, everysec, no",
        ),
        (
            &["--replica-read-only", "maybe"],
            "command line: `replica-read-only` cannot be `maybe`; give yes or no",
        ),
        (
            &["--repl-timeout", "0"],
            "command line: `repl-timeout` cannot be `0`; give a whole number from 1 to 31622400, \
             in seconds",
        ),
        (
            &["--bind", "my host"],
            "command line: `bind` cannot be `my host`; give IP addresses, such as `127.0.0.1 \
             -::1`, or `*` for all",
        ),
        (
            &["--slaveof", "h"],
            "command line: `slaveof` cannot be `h`; give HOST PORT, with a port from 1 to 63535, \
             or `no one`",
        ),
        (
            &["--client-output-buffer-limit", "normal", "1"],
            "command line: `client-output-buffer-limit` cannot be `normal 1`; give CLASS HARD \
             SOFT SECONDS, such as `replica 256mb 64mb 60`, where CLASS is normal, replica or \
             pubsub",
        ),
        (
            &["--cluster-id", "abc"],
            "command line: `cluster-id` cannot be `abc`; give 40 hexadecimal digits, or `\"\"` for \
             the one in the data directory",
        ),
        (
            &["--dir", ""],
            "command line: `dir` cannot be ``; give the path of a directory",
        ),
        (
            &["a.conf", "stray"],
            "command line: `stray` belongs to no key; write --KEY VALUE",
        ),
        (
            &["--"],
            "command line: `--` belongs to no key; write --KEY VALUE",
        ),
        (
            &["a.conf", "--config", "b.conf"],
            "command line: `a.conf` and `b.conf` both name a configuration file; give one",
        ),
        (
            &["--config"],
            "command line: `config` has no value; give the path of a configuration file",
        ),
        (
            &["--rename-command", "FLUSHALL", ""],
            "command line: `rename-command` is not supported: there is one password and it allows \
             everything; set `requirepass`, and keep restricted users away by other means",
        ),
        (
            &["--tls-port", "6380"],
            "command line: `tls-port` is not supported: traffic would not be encrypted; remove \
             the key and put a TLS proxy or mesh in front",
        ),
    ];
    for (words, message) in cases {
        assert_eq!(
            by_args(words).map(|_| ()),
            Err((*message).to_owned()),
            "{words:?}"
        );
    }
}

#[test]
fn wrong_lines_are_named_with_file_and_line() {
    let cases = [
        ("\nport x\n", {
            "`t.conf` line 2: `port` cannot be `x`; give a whole number from 1 to 63535 (links \
             use the port + 2000)"
        }),
        ("port 6379 # mine\n", {
            "`t.conf` line 1: `port` takes one value, not 3; put the comment on a line of its own"
        }),
        ("requirepass \"open\n", {
            "`t.conf` line 1: a quote is not closed, or closed inside a word; write key \"value\""
        }),
        ("port 1\n\nport 2\n", {
            "`t.conf` line 3: `port` was set to another value at `t.conf` line 1; keep one of the \
             two"
        }),
        ("include other.conf\n", {
            "`t.conf` line 1: `include` is not supported: a configuration is one file; put the \
             other file's lines here"
        }),
        ("replica-prioritty 3\n", {
            "`t.conf` line 1: `replica-prioritty` is no configuration key; did you mean \
             `replica-priority`?"
        }),
    ];
    for (text, message) in cases {
        assert_eq!(
            by_file(text).map(|_| ()),
            Err(message.to_owned()),
            "{text:?}"
        );
    }
    assert_eq!(
        by_file("port 7\nport 7\n").unwrap().port,
        7,
        "the same again is no contradiction"
    );
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let pair = "double-master-ip 10.0.0.2\ndouble-master-port 7002\ndouble-master-server-id 2\n";
    let own_port = "server-id 1\nport 7002\ndouble-master-server-id 2\ndouble-master-port 7002\n";
    let itself = |ip: &str| {
        format!(
            "`t.conf` line 5: the double-master keys name this server itself ({ip}:7002); set \
             `double-master-ip` and `double-master-port` to those of the other master"
        )
    };
    let cases = [
        ("server-id 1\ndouble-master-ip h\n".to_owned(), {
            "`t.conf` line 2: `double-master-ip` is set without `double-master-port` and \
             `double-master-server-id`; set all three double-master keys together, or none"
                .to_owned()
        }),
        (pair.to_owned(), {
            "`t.conf` line 1: a double master needs an id of its own, and `server-id` is not set; \
             set `server-id` to a number from 1 to 127 other than the peer's"
                .to_owned()
        }),
        (format!("server-id 2\n{pair}"), {
            "`t.conf` line 4: `server-id` and `double-master-server-id` are both 2; give each \
             master an id of its own"
                .to_owned()
        }),
        (format!("server-id 1\nreplicaof 10.0.0.3 6379\n{pair}"), {
            "`t.conf` line 2: `replicaof` and the double-master keys are both set; keep one: a \
             replica of a master, or a master of a pair"
                .to_owned()
        }),
        (
            format!("{own_port}double-master-ip 127.0.0.1\n"),
            itself("127.0.0.1"),
        ),
        (
            format!("{own_port}double-master-ip LocalHost\n"),
            itself("LocalHost"),
        ),
        (format!("{own_port}double-master-ip ::1\n"), itself("[::1]")),
        (
            format!("{own_port}double-master-ip 127.0.0.9\nbind 0.0.0.0\n"),
            itself("127.0.0.9"),
        ),
        (
            format!("{own_port}double-master-ip 10.0.0.9\nbind 10.0.0.9\n"),
            itself("10.0.0.9"),
        ),
        (
            format!("{own_port}double-master-ip a.b\nreplica-announce-ip a.b\n"),
            itself("a.b"),
        ),
        ("slaveof 127.0.0.1 6379\n".to_owned(), {
            "`t.conf` line 1: `replicaof` names this server itself (127.0.0.1:6379); give the \
             host and port of its primary"
                .to_owned()
        }),
    ];
    for (text, message) in cases {
        assert_eq!(by_file(&text).map(|_| ()), Err(message), "{text}");
    }
    let other_loopback = format!("{own_port}double-master-ip 127.0.0.2\n");
    assert!(
        by_file(&other_loopback).is_ok(),
        "another loopback address is another server"
    );
}

#[test]
fn config_set_refuses_in_plain_words() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("port", "1")],
            "`port` can't be changed at run time; restart with `--port VALUE`",
        ),
        (
            &[("slaveof", "h 1")],
            "`slaveof` can't be changed at run time; use `REPLICAOF HOST PORT`",
        ),
        (&[("tiemout", "1")], {
            "CONFIG SET: `tiemout` is no configuration key; did you mean `timeout`?"
        }),
        (&[("timeout", "1"), ("timeout", "2")], {
            "CONFIG SET: `timeout` was set to another value at CONFIG SET; keep one of the two"
        }),
        (&[("cluster-enabled", "yes")], {
            "CONFIG SET: `cluster-enabled` is not supported: there is no slot cluster; use a pair \
             (`double-master-*`), a hub or a duplication"
        }),
    ];
    for (pairs, message) in cases {
        let error = Config::default().set(pairs).unwrap_err().to_string();
        assert_eq!(error, *message);
    }
}
