//! What a server does by itself: sweeping, marks, closing of lives.

use super::support::{Client, Site, bulk, converged, pair, primary_with_replica, until};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use tandem_proto::value::Value;

fn keyspace(site: &Site) -> Option<String> {
    site.client().info("keyspace", "db0")
}

fn number(site: &Site, section: &str, field: &str) -> u64 {
    let shown = site.client().info(section, field).expect("a field");
    shown.parse().expect("a number")
}

/// Whether nothing at all is held of a key.
fn is_forgotten(site: &Site, key: &str) -> bool {
    site.client().call(&["DEBUG", "OBJECT", key]).as_error() == Some("ERR no such key")
}

#[test]
fn a_writer_alone_sweeps_what_has_expired() {
    let mut site = Site::start(&["--hz", "100"]);
    let mut client = site.client();
    for n in 0..300 {
        client.ok(&["SET", &format!("k{n}"), "v", "PX", "30"]);
    }
    client.ok(&["SET", "stays", "v"]);
    assert_eq!(client.integer(&["HSET", "h", "f", "v"]), 1);
    assert_eq!(client.integer(&["PEXPIRE", "h", "30"]), 1);
    until("all are swept", || {
        keyspace(&site).as_deref() == Some("keys=1,expires=0,avg_ttl=0")
    });
    assert_eq!(number(&site, "stats", "expired_keys"), 301);
    site.restart();
    assert_eq!(site.client().integer(&["DBSIZE"]), 1);
}

#[test]
fn expired_keys_on_disk_alone_are_swept_too() {
    let mut site = Site::start(&["--hz", "100"]);
    let mut client = site.client();
    client.ok(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    for n in 0..50 {
        client.ok(&["SET", &format!("k{n}"), "v", "PX", "1"]);
    }
    client.ok(&["DEBUG", "CHECKPOINT"]);
    site.restart();
    until("all are swept", || keyspace(&site).is_none());
    assert!(is_forgotten(&site, "k7"));
}

#[test]
fn a_replica_hides_and_leaves_sweeping_to_its_primary() {
    let (primary, replica) = primary_with_replica(&["--hz", "100"]);
    let mut client = primary.client();
    client.ok(&["DEBUG", "SET-ACTIVE-EXPIRE", "0"]);
    client.ok(&["SET", "k", "v", "PX", "20"]);
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let mut reader = replica.client();
    until("it is hidden", || reader.call(&["GET", "k"]) == Value::Null);
    assert_eq!(
        keyspace(&replica).as_deref(),
        Some("keys=1,expires=1,avg_ttl=0")
    );
    client.ok(&["DEBUG", "SET-ACTIVE-EXPIRE", "1"]);
    until(
        "the primary sweeps, and the replica takes that over",
        || keyspace(&primary).is_none() && keyspace(&replica).is_none(),
    );
    assert_eq!(number(&replica, "stats", "expired_keys"), 0);
}

#[test]
fn an_idle_master_marks_while_the_other_waits_to_sweep_and_then_is_silent() {
    let (one, two) = pair(&["--hz", "50"]);
    one.client().ok(&["SET", "k", "v", "PX", "100"]);
    until("the write arrives", || keyspace(&two).is_some());
    until("both have swept", || {
        keyspace(&one).is_none() && keyspace(&two).is_none()
    });
    assert!(number(&two, "tandem", "marks_written") >= 1);
    assert_eq!(number(&one, "stats", "expired_keys"), 1);
    assert_eq!(
        number(&two, "stats", "expired_keys"),
        0,
        "the writer of the end sweeps"
    );
    converged(&one, &two);
    let marks =
        || number(&one, "tandem", "marks_written") + number(&two, "tandem", "marks_written");
    // Marks must not call for marks.
    let mut quiet = false;
    for _ in 0..5 {
        let before = marks();
        std::thread::sleep(Duration::from_millis(2500));
        quiet |= marks() == before;
        if quiet {
            break;
        }
    }
    assert!(quiet, "marks go on for ever");
}

#[test]
fn what_waits_for_an_absent_master_is_swept_past_the_bound() {
    let (one, mut two) = pair(&["--hz", "50", "--member-absence-bound", "4"]);
    two.client().ok(&["SET", "theirs", "v"]);
    until("the write arrives", || keyspace(&one).is_some());
    two.end();
    let mut client = one.client();
    client.ok(&["SET", "k", "v", "PX", "50"]);
    until("it is hidden", || client.call(&["GET", "k"]) == Value::Null);
    assert_eq!(
        client.integer(&["DBSIZE"]),
        2,
        "it waits for the other master"
    );
    until("it is swept past the bound", || {
        client.integer(&["DBSIZE"]) == 1
    });
    assert_eq!(client.call(&["GET", "theirs"]), bulk("v"));
}

fn count(client: &mut Client, key: &str, times: usize) {
    for _ in 0..times {
        client.integer(&["INCR", key]);
    }
}

#[test]
fn dead_contributions_to_counters_go_on_both_masters() {
    let (one, two) = pair(&["--hz", "50"]);
    count(&mut one.client(), "c", 3);
    until("the count arrives", || {
        two.client().call(&["GET", "c"]) == bulk("3")
    });
    count(&mut two.client(), "c", 2);
    until("the count arrives", || {
        one.client().call(&["GET", "c"]) == bulk("5")
    });
    assert_eq!(two.client().integer(&["DEL", "c"]), 1);
    until("nothing is left of it", || {
        is_forgotten(&one, "c") && is_forgotten(&two, "c")
    });
    count(&mut one.client(), "c", 1);
    until("it begins anew", || {
        two.client().call(&["GET", "c"]) == bulk("1")
    });
}

#[test]
fn earlier_lives_are_closed_and_nothing_waits_for_them() {
    let (mut one, two) = pair(&["--hz", "50"]);
    count(&mut one.client(), "c", 3);
    until("the count arrives", || {
        two.client().call(&["GET", "c"]) == bulk("3")
    });
    one.restart();
    until("the old life is closed", || {
        number(&one, "tandem", "lives_closed") >= 1
    });
    until("the link is back", || {
        two.client().info("doublemaster", "repl_state").as_deref() == Some("3")
    });
    assert_eq!(two.client().integer(&["DEL", "c"]), 1);
    until("nothing is left of the old life's count", || {
        is_forgotten(&one, "c") && is_forgotten(&two, "c")
    });
    converged(&one, &two);
}

#[test]
fn a_clock_far_ahead_raises_an_alarm() {
    let (one, two) = pair(&["--max-clock-skew", "1"]);
    let database = two.database(0);
    let ahead = tandem_node::instance::wall_ms() + 60_000;
    let wall = tandem_merge::stamp::stamp_of_ms(ahead);
    let receipt = database.append_mark(wall, false, &[]).expect("a mark");
    database.flush(receipt.lsn).expect("flushes");
    two.client().ok(&["SET", "k", "v"]);
    until("the alarm", || {
        number(&one, "tandem", "clock_skew_alarm") == 1
    });
    let skew = number(&one, "tandem", "clock_skew_ms");
    assert!((30_000..=61_000).contains(&skew), "{skew}");
    assert!(one.status().clock_skew_ms > 30_000);
    one.client().ok(&["SET", "k", "w"]);
    converged(&one, &two);
}

#[test]
fn memory_stays_within_its_bound_and_every_key_is_still_there() {
    let mut site = Site::start(&["--hz", "100", "--maxmemory", "24mb"]);
    let mut client = site.client();
    let value = "x".repeat(10_000);
    for n in 0..4_000 {
        client.ok(&["SET", &format!("k{n}"), &value]);
    }
    let budget = (24 << 20) - (8 << 20);
    until("what is cold is on the disk alone", || {
        number(&site, "memory", "used_memory") <= budget
    });
    assert_eq!(client.integer(&["DBSIZE"]), 4_000);
    for n in (0..4_000).step_by(37) {
        assert_eq!(client.integer(&["STRLEN", &format!("k{n}")]), 10_000);
    }
    assert_eq!(number(&site, "stats", "evicted_keys"), 0);
    let digest = client.text(&["DEBUG", "DIGEST"]);
    site.restart();
    assert_eq!(site.client().text(&["DEBUG", "DIGEST"]), digest);
}

#[test]
fn no_life_is_closed_while_an_instance_of_the_group_is_away_unless_it_is_gone_for_good() {
    let (mut primary, mut replica) = primary_with_replica(&["--hz", "50"]);
    primary.client().ok(&["SET", "k", "v"]);
    let id = replica.status().instance_id;
    // Who the others are is written down once a second.
    until("the replica is written down", || {
        let path = primary.directory().join("instance.json");
        let text = std::fs::read_to_string(path).expect("an identity");
        text.contains(&id)
    });
    replica.end();
    primary.restart();
    primary.client().ok(&["SET", "k", "w"]);
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(number(&primary, "tandem", "lives_closed"), 0);
    primary.client().ok(&["TANDEM", "INSTANCES"]);
    until("the earlier life is closed", || {
        number(&primary, "tandem", "lives_closed") == 1
    });
}

#[test]
fn segments_that_are_older_than_the_configuration_says_are_removed() {
    let site = Site::start(&["--binlog-file-size", "1mb", "--expire-logs-nums", "100"]);
    let mut client = site.client();
    let value = "x".repeat(1 << 20);
    for n in 0..14 {
        client.ok(&["SET", &format!("k{n}"), &value]);
    }
    client.ok(&["DEBUG", "CHECKPOINT"]);
    let segments = || -> Vec<PathBuf> {
        let listed = std::fs::read_dir(site.directory().join("db0/log")).expect("a log");
        let mut paths: Vec<_> = listed.map(|one| one.expect("a file").path()).collect();
        paths.sort();
        paths
    };
    let all = segments();
    assert!(all.len() > 12, "{all:?}");
    let old = SystemTime::now() - Duration::from_hours(24 * 5);
    for path in &all[..2] {
        let file = std::fs::File::options().write(true).open(path);
        file.expect("opens").set_modified(old).expect("is set");
    }
    client.ok(&["CONFIG", "SET", "hz", "100"]);
    client.ok(&["CONFIG", "SET", "expire-logs-days", "4"]);
    until("the old ones are removed", || {
        // A file may have been created ahead meanwhile.
        segments().starts_with(&all[2..])
    });
}
