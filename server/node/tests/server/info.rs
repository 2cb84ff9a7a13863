//! INFO and ROLE as tools parse them.

use super::support::{Site, bulk, pair, primary_with_replica, until};
use std::collections::BTreeMap;
use tandem_proto::value::Value;

/// A section's fields; a line without a colon, other than a header, fails.
fn fields(text: &str) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for line in text.lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once(':').expect("name:value");
        fields.insert(name.to_owned(), value.to_owned());
    }
    fields
}

#[test]
fn a_primary_lists_its_replicas_and_they_name_it() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    for n in 0..20 {
        client.ok(&["SET", &format!("k{n}"), "v"]);
    }
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let text = client.text(&["INFO", "replication"]);
    assert!(text.starts_with("# Replication\r\n"), "{text}");
    let shown = fields(&text);
    for (name, value) in [
        ("role", "master"),
        ("connected_slaves", "1"),
        ("master_failover_state", "no-failover"),
        ("second_repl_offset", "-1"),
        ("repl_backlog_active", "1"),
        ("is_eligible_for_master_election", "true"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown["master_replid"].len(), 40);
    let offset: u64 = shown["master_repl_offset"].parse().expect("a number");
    assert!(offset >= 20, "{offset}");
    let line = &shown["slave0"];
    let head = format!("ip=127.0.0.1,port={},state=online,offset=", replica.port);
    assert!(line.starts_with(&head), "{line}");
    assert!(line.contains(",lag=0,sid=1"), "{line}");
    assert!(shown["db0"].starts_with("binlog_offset="), "{shown:?}");

    let shown = fields(&replica.client().text(&["INFO", "replication"]));
    let port = primary.port_text();
    for (name, value) in [
        ("role", "slave"),
        ("master_host", "127.0.0.1"),
        ("master_port", port.as_str()),
        ("master_link_status", "up"),
        ("master_sync_in_progress", "0"),
        ("slave_priority", "100"),
        ("slave_read_only", "1"),
        ("connected_slaves", "0"),
        ("repl_connect_status", "connected"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    assert_eq!(shown["slave_repl_offset"], offset.to_string());
    assert_eq!(client.info("stats", "sync_full").as_deref(), Some("0"));
    assert_eq!(
        client.info("stats", "sync_partial_ok").as_deref(),
        Some("1")
    );
}

#[test]
fn role_answers_as_redis_does() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "k", "v"]);
    assert_eq!(client.integer(&["WAIT", "1", "10000"]), 1);
    let answer = client.call(&["ROLE"]);
    let parts = answer.as_elements().expect("an array");
    assert_eq!(parts[0], bulk("master"));
    let offset = parts[1].as_integer().expect("an offset");
    let line = Value::Array(vec![
        bulk("127.0.0.1"),
        bulk(&replica.port_text()),
        bulk(&offset.to_string()),
    ]);
    assert_eq!(parts[2], Value::Array(vec![line]));
    let expected = Value::Array(vec![
        bulk("slave"),
        bulk("127.0.0.1"),
        Value::Integer(i64::from(primary.port)),
        bulk("connected"),
        Value::Integer(offset),
    ]);
    assert_eq!(replica.client().call(&["ROLE"]), expected);
}

#[test]
fn a_pair_shows_pikas_section() {
    let (one, two) = pair(&[]);
    one.client().ok(&["SET", "k", "v"]);
    until("the write arrives", || {
        two.client().call(&["GET", "k"]) == bulk("v")
    });
    until("its place is noted", || {
        let shown = two.client().info("doublemaster", "double_master_recv_info");
        shown.is_some_and(|shown| !shown.ends_with(" 0"))
    });
    let text = two.client().text(&["INFO", "doublemaster"]);
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("# DoubleMaster(DOUBLEMASTER)"));
    let shown = fields(&text);
    let port = one.port_text();
    for (name, value) in [
        ("role", "double_master"),
        ("the peer-master host", "127.0.0.1"),
        ("the peer-master port", port.as_str()),
        ("the peer-master server_id", "1"),
        ("double_master_server_id", "1"),
        ("double_master_mode", "True"),
        ("repl_state", "3"),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    let received = &shown["double_master_recv_info"];
    let words: Vec<&str> = received.split_whitespace().collect();
    assert!(
        matches!(words.as_slice(), ["filenum", "0", "offset", n] if *n != "0"),
        "{received}"
    );
    let all = two.client().text(&["INFO"]);
    assert!(all.contains("# DoubleMaster(DOUBLEMASTER)"));
    let (replication, keyspace) = (all.find("# Replication"), all.find("# Keyspace"));
    assert!(replication < keyspace);
}

#[test]
fn a_server_alone_has_no_pairs_section_unless_asked() {
    let site = Site::start(&[]);
    let mut client = site.client();
    assert!(!client.text(&["INFO"]).contains("DoubleMaster"));
    let text = client.text(&["INFO", "doublemaster"]);
    assert!(text.contains("# DoubleMaster(MASTER)") && text.contains("double_master_mode:False"));
}

#[test]
fn the_keyspace_counts_keys_with_an_end_also_after_restarts_and_eviction() {
    let mut site = Site::start(&[]);
    let mut client = site.client();
    client.ok(&["SET", "a", "1"]);
    client.ok(&["SET", "b", "1", "EX", "1000"]);
    client.integer(&["HSET", "h", "f", "v"]);
    assert_eq!(client.integer(&["EXPIRE", "h", "1000"]), 1);
    let line = |site: &Site| site.client().info("keyspace", "db0").expect("a line");
    assert_eq!(line(&site), "keys=3,expires=2,avg_ttl=0");
    assert_eq!(client.integer(&["PERSIST", "b"]), 1);
    assert_eq!(line(&site), "keys=3,expires=1,avg_ttl=0");
    client.ok(&["DEBUG", "CHECKPOINT"]);
    site.restart();
    assert_eq!(line(&site), "keys=3,expires=1,avg_ttl=0");
    let mut client = site.client();
    assert_eq!(client.integer(&["DEL", "h"]), 1);
    assert_eq!(line(&site), "keys=2,expires=0,avg_ttl=0");
    client.ok(&["SET", "c", "1", "PX", "100000"]);
    client.ok(&["FLUSHALL"]);
    assert_eq!(client.info("keyspace", "db0"), None);
}

#[test]
fn statistics_count_traffic_and_commands_until_they_are_reset() {
    let site = Site::start(&[]);
    let mut client = site.client();
    let value = "x".repeat(10_000);
    client.ok(&["SET", "k", &value]);
    assert_eq!(client.call(&["GET", "k"]), bulk(&value));
    assert_eq!(client.call(&["GET", "none"]), Value::Null);
    let shown = fields(&client.text(&["INFO", "stats"]));
    let number = |name: &str| shown[name].parse::<u64>().expect("a number");
    assert!(number("total_net_input_bytes") > 10_000, "{shown:?}");
    assert!(number("total_net_output_bytes") > 10_000, "{shown:?}");
    assert!(number("total_commands_processed") >= 3, "{shown:?}");
    assert_eq!((number("keyspace_hits"), number("keyspace_misses")), (1, 1));
    client.ok(&["CONFIG", "RESETSTAT"]);
    let hits = client.info("stats", "keyspace_hits");
    assert_eq!(hits.as_deref(), Some("0"));
}
