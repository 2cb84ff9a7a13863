//! Passwords that change while everything runs, and passwords from files.

use super::support::{Site, bulk, until, wait_for_link};
use tandem_node::config::{Config, applies_live};
use tandem_proto::value::Value;

#[test]
fn a_password_is_changed_without_breaking_a_link() {
    let primary = Site::start(&["--server-id", "1", "--requirepass", "old"]);
    let mut master = primary.client();
    master.ok(&["AUTH", "old"]);
    let replica = Site::start(&[
        "--masterauth",
        "old",
        "--replicaof",
        "127.0.0.1",
        &primary.port_text(),
    ]);
    wait_for_link(&replica);
    let connected = |client: &mut super::support::Client| client.info("stats", "sync_partial_ok");
    // The first write opens the database, and the link's stream of it is counted then.
    master.ok(&["SET", "k", "0"]);
    until("the link brings it", || {
        replica.client().call(&["GET", "k"]) == bulk("0")
    });
    let before = connected(&mut master);
    master.ok(&[
        "CONFIG",
        "SET",
        "requirepass",
        "new",
        "requirepass-previous",
        "old",
    ]);
    for word in ["old", "new"] {
        primary.client().ok(&["AUTH", word]);
    }
    let wrong = primary.client().call(&["AUTH", "third"]);
    assert!(matches!(wrong, Value::Error(_)), "{wrong:?}");
    master.ok(&["SET", "k", "1"]);
    until("the link goes on", || {
        replica.client().call(&["GET", "k"]) == bulk("1")
    });
    assert_eq!(connected(&mut master), before, "it was not dialled again");
    // A link that has to be dialled anew gets in by the old password as well.
    replica.client().ok(&["REPLICAOF", "NO", "ONE"]);
    replica
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &primary.port_text()]);
    wait_for_link(&replica);
    replica.client().ok(&["CONFIG", "SET", "masterauth", "new"]);
    master.ok(&["CONFIG", "SET", "requirepass-previous", ""]);
    let refused = primary.client().call(&["AUTH", "old"]);
    assert!(matches!(refused, Value::Error(_)), "{refused:?}");
    master.ok(&["SET", "k", "2"]);
    until("the link goes on", || {
        replica.client().call(&["GET", "k"]) == bulk("2")
    });
}

#[test]
fn passwords_are_read_from_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("word");
    let path_text = path.display().to_string();
    let words = [
        "--requirepass-file",
        &path_text,
        "--masterauth-file",
        &path_text,
    ];
    let refused = |why: &str| {
        let site = Site::prepare(&words);
        let error = Config::load(&site.arguments()).expect_err(why).to_string();
        assert!(
            error.contains("requirepass-file") && error.contains(&path_text),
            "{error}"
        );
    };
    refused("the file is missing");
    std::fs::write(&path, "\n").expect("writes");
    refused("the file is empty");
    std::fs::write(&path, "of the file\nbefore\n").expect("writes");
    let both = [&words[..], &["--requirepass", "x"]].concat();
    let error = Config::load(&Site::prepare(&both).arguments()).expect_err("given twice");
    assert!(error.to_string().contains("keep one"), "{error}");
    let exposed = |words: &[&str]| {
        let words = [&["--bind", "0.0.0.0"], words].concat();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        Config::load(&words).expect("loads").warnings
    };
    assert_eq!(exposed(&words), [""; 0]);
    assert_eq!(exposed(&[]).len(), 1);
    assert_eq!(exposed(&words[..2]), [""; 0]);
    let follows = [&words[..2], &["--replicaof", "h 1"]].concat();
    assert_eq!(exposed(&follows).len(), 1, "masterauth is still asked for");
    let follows = [&words[..], &["--replicaof", "h 1"]].concat();
    assert_eq!(exposed(&follows), [""; 0]);
    let site = Site::start(&words);
    for word in ["of the file", "before"] {
        let mut client = site.client();
        client.ok(&["AUTH", word]);
        client.ok(&["SET", "k", word]);
    }
    let answer = site.client().call(&["GET", "k"]);
    assert_eq!(
        answer,
        Value::Error("NOAUTH Authentication required.".to_owned())
    );
    let mut client = site.client();
    client.ok(&["AUTH", "of the file"]);
    client.ok(&["CONFIG", "SET", "requirepass", "another"]);
    site.client().ok(&["AUTH", "another"]);
    let config = Config::load(&site.arguments()).expect("loads");
    let text = config.rewrite("");
    assert!(
        !text.contains("of the file") && text.contains("requirepass-file"),
        "{text}"
    );
}

#[test]
fn what_applies_live_is_told() {
    for key in [
        "requirepass",
        "masterauth",
        "maxmemory",
        "appendfsync",
        "MaxClients",
        "timeout",
    ] {
        assert!(applies_live(key), "{key}");
    }
    for key in [
        "port",
        "dir",
        "metrics-port",
        "replicaof",
        "no-such-key",
        "requirepass-file",
    ] {
        assert!(!applies_live(key), "{key}");
    }
}
