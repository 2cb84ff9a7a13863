//! FAILOVER: a planned switch without a lost write.

use super::support::{Client, Site, bulk, converged, primary_with_replica, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tandem_proto::value::Value;

fn phase(site: &Site) -> String {
    let mut client = site.client();
    client
        .info("replication", "master_failover_state")
        .expect("a state")
}

fn is_master(site: &Site) -> bool {
    site.client().info("replication", "role").as_deref() == Some("master")
}

#[test]
fn no_acknowledged_write_is_lost_under_load() {
    let (primary, replica) = primary_with_replica(&[]);
    let stop = Arc::new(AtomicBool::new(false));
    let port = primary.port;
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || {
                let mut client = Client::connect(port);
                let mut acknowledged = 0u64;
                while !stop.load(Ordering::Relaxed) {
                    let key = format!("w{writer}:{acknowledged}");
                    match client.call(&["SET", &key, "v"]) {
                        Value::Simple(_) => acknowledged += 1,
                        Value::Error(text) => {
                            assert!(text.starts_with("READONLY"), "{text}");
                            break;
                        }
                        other => panic!("{other:?}"),
                    }
                }
                acknowledged
            })
        })
        .collect();
    until("some writes", || {
        primary.client().integer(&["DBSIZE"]) > 200
    });
    primary.client().ok(&["FAILOVER"]);
    until("the roles have changed", || {
        is_master(&replica) && !is_master(&primary)
    });
    stop.store(true, Ordering::Relaxed);
    let acknowledged: u64 = writers
        .into_iter()
        .map(|w| w.join().expect("a writer"))
        .sum();
    assert!(acknowledged > 200);
    let mut client = replica.client();
    assert_eq!(client.integer(&["DBSIZE"]), acknowledged as i64);
    client.ok(&["SET", "after", "1"]);
    until("the old primary follows", || {
        primary.client().call(&["GET", "after"]) == bulk("1")
    });
    converged(&primary, &replica);
    assert_eq!(phase(&primary), "no-failover");
    assert_eq!(replica.status().epoch, 2);
}

#[test]
fn a_named_target_takes_over() {
    let (primary, replica) = primary_with_replica(&[]);
    let second = Site::start(&[]);
    second
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &primary.port_text()]);
    super::support::wait_for_replica(&primary, &second);
    let mut client = primary.client();
    client.ok(&["SET", "k", "v"]);
    client.ok(&[
        "FAILOVER",
        "TO",
        "127.0.0.1",
        &second.port_text(),
        "TIMEOUT",
        "10000",
    ]);
    until("the named one writes", || {
        is_master(&second) && !is_master(&primary)
    });
    assert!(!is_master(&replica));
    second.client().ok(&["SET", "k", "w"]);
    for site in [&primary, &replica] {
        until("the write reaches all", || {
            site.client().call(&["GET", "k"]) == bulk("w")
        });
    }
}

#[test]
fn priority_decides_between_replicas_that_hold_all() {
    let (primary, never) = primary_with_replica(&["--replica-priority", "0"]);
    let follower = |priority: &str| {
        let site = Site::start(&["--replica-priority", priority]);
        site.client()
            .ok(&["REPLICAOF", "127.0.0.1", &primary.port_text()]);
        super::support::wait_for_replica(&primary, &site);
        site
    };
    let mut client = primary.client();
    client.ok(&["SET", "k", "v"]);
    client.ok(&["FAILOVER"]);
    until("it is given up", || phase(&primary) == "no-failover");
    assert!(is_master(&primary), "the only replica has priority 0");
    client.ok(&["SET", "k", "w"]);
    let (late, early) = (follower("90"), follower("20"));
    assert_eq!(client.integer(&["WAIT", "3", "10000"]), 3);
    client.ok(&["FAILOVER", "TIMEOUT", "10000"]);
    until("the preferred one writes", || {
        is_master(&early) && !is_master(&primary)
    });
    assert!(!is_master(&late) && !is_master(&never));
    for site in [&primary, &late, &never] {
        until("they follow", || {
            site.client().call(&["GET", "k"]) == bulk("w")
        });
    }
}

#[test]
fn a_bad_target_or_none_is_refused() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    assert!(
        client
            .error(&["FAILOVER", "ABORT"])
            .contains("No failover in progress")
    );
    let refusal = client.error(&["FAILOVER", "TO", "127.0.0.1", "1"]);
    assert!(refusal.contains("is not a replica"), "{refusal}");
    let refusal = client.error(&["FAILOVER", "TO", "127.0.0.1", "1", "FORCE"]);
    assert!(refusal.contains("requires both a timeout"), "{refusal}");
    let refusal = client.error(&["FAILOVER", "TIMEOUT", "0"]);
    assert!(refusal.contains("greater than 0"), "{refusal}");
    let refusal = replica.client().error(&["FAILOVER"]);
    assert!(refusal.contains("is a replica"), "{refusal}");
    let alone = Site::start(&[]);
    let refusal = alone.client().error(&["FAILOVER"]);
    assert!(refusal.contains("requires connected replicas"), "{refusal}");
}

#[test]
fn an_abort_lets_the_waiting_writes_go_on() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "k", "0"]);
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let database = replica.database(0);
    // The replica applies nothing as long as its shards are locked.
    let held = database.lock_all(0);
    client.ok(&["SET", "k", "1"]);
    client.ok(&["FAILOVER", "TIMEOUT", "60000"]);
    assert_eq!(phase(&primary), "waiting-for-sync");
    assert!(client.error(&["FAILOVER"]).contains("already in progress"));
    let mut waiting = primary.client();
    waiting.ask(&["SET", "k", "2"]);
    let mut queued = primary.client();
    queued.ok(&["MULTI"]);
    assert_eq!(queued.text(&["SET", "m", "1"]), "QUEUED");
    queued.ask(&["EXEC"]);
    assert_eq!(
        client.call(&["GET", "k"]),
        bulk("1"),
        "reads go on, the write waits"
    );
    client.ok(&["FAILOVER", "ABORT"]);
    assert_eq!(waiting.reply(), Value::Simple("OK".to_owned()));
    assert_eq!(queued.reply().as_elements().map(<[Value]>::len), Some(1));
    drop(held);
    until("nothing is under way", || phase(&primary) == "no-failover");
    assert!(is_master(&primary));
    converged(&primary, &replica);
}

#[test]
fn a_timeout_gives_up_unless_forced() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "k", "0"]);
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let database = replica.database(0);
    let held = database.lock_all(0);
    client.ok(&["SET", "k", "1"]);
    client.ok(&["FAILOVER", "TIMEOUT", "50"]);
    until("it is given up", || phase(&primary) == "no-failover");
    assert!(is_master(&primary));
    client.ok(&["SET", "k", "2"]);
    let port = replica.port_text();
    client.ok(&[
        "FAILOVER",
        "TO",
        "127.0.0.1",
        &port,
        "FORCE",
        "TIMEOUT",
        "50",
    ]);
    until("the promotion begins", || {
        phase(&primary) == "failover-in-progress" || !is_master(&primary)
    });
    drop(held);
    until("the replica writes", || {
        is_master(&replica) && !is_master(&primary)
    });
    converged(&primary, &replica);
    assert_eq!(
        replica.client().call(&["GET", "k"]),
        bulk("2"),
        "what it lacked was handed over"
    );
}
