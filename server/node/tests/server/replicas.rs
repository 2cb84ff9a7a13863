//! What replicas are needed for, and what they refuse.

use super::support::{Site, bulk, primary_with_replica, until, wait_for_link};
use tandem_proto::value::Value;

#[test]
fn waitaof_counts_disks_here_and_there() {
    let (primary, _replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "k", "v"]);
    let both = Value::Array(vec![Value::Integer(1), Value::Integer(1)]);
    assert_eq!(client.call(&["WAITAOF", "1", "1", "10000"]), both);
    let none = client.call(&["WAITAOF", "0", "5", "50"]);
    assert_eq!(none.as_elements().map(<[Value]>::len), Some(2));
    assert!(
        client
            .error(&["WAITAOF", "2", "0", "0"])
            .contains("out of range")
    );
    assert!(
        client
            .error(&["WAITAOF", "1", "0", "-1"])
            .contains("negative")
    );
}

#[test]
fn wait_returns_at_the_timeout_with_what_there_is() {
    let site = Site::start(&[]);
    let mut client = site.client();
    client.ok(&["SET", "k", "v"]);
    assert_eq!(client.integer(&["WAIT", "1", "30"]), 0);
    assert_eq!(client.integer(&["WAIT", "0", "0"]), 0);
}

#[test]
fn writes_are_refused_while_too_few_replicas_are_in_time() {
    let (primary, mut replica) = primary_with_replica(&["--hz", "50"]);
    let mut client = primary.client();
    let set = [
        "CONFIG",
        "SET",
        "min-replicas-to-write",
        "1",
        "min-replicas-max-lag",
        "10",
    ];
    client.ok(&set);
    client.ok(&["SET", "k", "1"]);
    let good = client.info("replication", "min_slaves_good_slaves");
    assert_eq!(good.as_deref(), Some("1"));
    replica.end();
    until("writes are refused", || {
        client.call(&["SET", "k", "2"]).as_error()
            == Some("NOREPLICAS Not enough good replicas to write.")
    });
    assert_eq!(client.call(&["GET", "k"]).as_str().map(str::len), Some(1));
    client.ok(&["MULTI"]);
    assert!(client.error(&["SET", "k", "3"]).starts_with("NOREPLICAS"));
    assert!(client.error(&["EXEC"]).starts_with("EXECABORT"));
    replica.begin();
    until("writes are taken again", || {
        client.call(&["SET", "k", "4"]).as_error().is_none()
    });
}

#[test]
fn a_replica_refuses_writes_and_stale_reads_if_told_so() {
    let (mut primary, replica) = primary_with_replica(&["--hz", "50"]);
    primary.client().ok(&["SET", "k", "v"]);
    let mut client = replica.client();
    until("the write arrives", || {
        client.call(&["GET", "k"]) == bulk("v")
    });
    assert_eq!(
        client.error(&["SET", "k", "w"]),
        "READONLY You can't write against a read only replica."
    );
    client.ok(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
    primary.end();
    until("stale reads are refused", || {
        client.call(&["GET", "k"]).as_error()
            == Some(
                "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            )
    });
    assert!(
        client
            .info("replication", "master_link_down_since_seconds")
            .is_some()
    );
    client.ok(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]);
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
    client.ok(&["CONFIG", "SET", "replica-serve-stale-data", "no"]);
    primary.begin();
    wait_for_link(&replica);
    until("reads are answered again", || {
        client.call(&["GET", "k"]) == bulk("v")
    });
}

#[test]
fn a_promoted_replica_keeps_the_data_and_writes() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "k", "v"]);
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let mut client = replica.client();
    client.ok(&["REPLICAOF", "NO", "ONE"]);
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
    client.ok(&["SET", "k", "w"]);
    assert_eq!(replica.status().epoch, primary.status().epoch + 1);
}

#[test]
fn saves_answer_as_tools_expect() {
    let site = Site::start(&[]);
    let mut client = site.client();
    client.ok(&["SET", "k", "v"]);
    let before = client.integer(&["LASTSAVE"]);
    client.ok(&["SAVE"]);
    assert!(client.integer(&["LASTSAVE"]) >= before);
    assert_eq!(client.text(&["BGSAVE"]), "Background saving started");
    until("the save ends", || {
        let running = client.info("persistence", "rdb_bgsave_in_progress");
        running.as_deref() == Some("0")
    });
    assert_eq!(
        client.text(&["BGREWRITEAOF"]),
        "Background append only file rewriting started"
    );
    assert!(client.integer(&["MEMORY", "USAGE", "k"]) > 1);
    assert_eq!(client.call(&["MEMORY", "USAGE", "none"]), Value::Null);
}
