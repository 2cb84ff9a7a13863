//! Writes at and above the bound of a record: what passes reaches the replica, what does not changes
//! nothing anywhere.

use super::support::{Client, Site, bulk, converged, primary_with_replica, until};
use tandem_merge::record::RECORD_BYTES_MAX;
use tandem_proto::value::Value;

const MIB: usize = 1 << 20;

fn megabytes(count: usize) -> Vec<u8> {
    vec![b'x'; count * 1_000_000]
}

/// The reply is the refusal of a record that is too large.
#[track_caller]
fn refused(reply: &Value) {
    match reply {
        Value::Error(text) => assert!(
            text.starts_with("ERR this write is a record of ") && text.contains("smaller"),
            "{text}"
        ),
        other => panic!("taken: {other:?}"),
    }
}

fn offset(client: &mut Client) -> Option<String> {
    client.info("replication", "master_repl_offset")
}

#[test]
fn a_write_above_the_bound_is_refused_whole_and_the_link_goes_on() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    client.ok(&["SET", "old", "1"]);
    let before = offset(&mut client);
    refused(&client.call(&[b"SET".to_vec(), b"old".to_vec(), megabytes(70)]));
    let half = megabytes(35);
    let (mset, one, two) = (b"MSET".to_vec(), b"old".to_vec(), b"new".to_vec());
    refused(&client.call(&[mset, one, half.clone(), two, half.clone()]));
    client.ok(&[b"SET".to_vec(), b"half".to_vec(), half]);
    let before = offset(&mut client).filter(|now| Some(now) != before.as_ref());
    client.ok(&["MULTI"]);
    client.call(&["SET", "small", "1"]);
    for copy in ["one", "two"] {
        let queued = client.call(&["COPY", "half", copy, "DB", "1"]);
        assert_eq!(queued, Value::Simple("QUEUED".to_owned()));
    }
    refused(&client.call(&["EXEC"]));
    client.ok(&["SELECT", "1"]);
    assert_eq!(client.integer(&["DBSIZE"]), 0);
    client.ok(&["SELECT", "0"]);
    assert_eq!(client.integer(&["EXISTS", "new", "small"]), 0);
    assert_eq!(client.call(&["GET", "old"]), bulk("1"));
    assert_eq!(offset(&mut client), before, "nothing is in the log");
    client.ok(&["SET", "after", "1"]);
    converged(&primary, &replica);
}

#[test]
fn a_record_of_nearly_the_bound_passes_a_link() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    let value = vec![b'x'; RECORD_BYTES_MAX - 100];
    client.ok(&[b"SET".to_vec(), b"big".to_vec(), value.clone()]);
    client.ok(&["SET", "after", "1"]);
    until("the replica has what came after", || {
        replica.client().call(&["GET", "after"]) == bulk("1")
    });
    assert_eq!(
        replica.client().integer(&["STRLEN", "big"]),
        value.len() as i64
    );
    let links = replica.status().links;
    assert_eq!(links[0].full_resyncs, 0, "{links:?}");
}

#[test]
fn a_hash_above_the_bound_is_whole_on_a_replica_and_goes_by_one_del() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    for n in 0..70 {
        let field = format!("f{n}").into_bytes();
        client.ask(&[b"HSET".to_vec(), b"h".to_vec(), field, vec![b'y'; MIB]]);
    }
    for _ in 0..70 {
        assert_eq!(client.reply(), Value::Integer(1));
    }
    refused(&client.call(&["COPY", "h", "copy"]));
    refused(&client.call(&["COPY", "h", "copy", "DB", "1"]));
    refused(&client.call(&["RENAME", "h", "renamed"]));
    assert_eq!(client.integer(&["HLEN", "h"]), 70);
    assert_eq!(client.integer(&["EXISTS", "copy", "renamed"]), 0);
    converged(&primary, &replica);
    assert_eq!(client.integer(&["DEL", "h"]), 1);
    converged(&primary, &replica);
    assert_eq!(replica.client().integer(&["DBSIZE"]), 0);
}

/// A hash whose counters cannot be removed by one record.
fn counters(client: &mut Client, key: &str) {
    let field = |n: u32| [vec![b'f'; 60_000], n.to_le_bytes().to_vec()].concat();
    for n in 0..1_200 {
        let words = [b"HINCRBY".to_vec(), key.as_bytes().to_vec()];
        client.ask(&[words.as_slice(), &[field(n), b"1".to_vec()]].concat());
    }
    for _ in 0..1_200 {
        assert_eq!(client.reply(), Value::Integer(1));
    }
}

#[test]
fn many_counters_are_removed_in_several_records() {
    let (primary, replica) = primary_with_replica(&[]);
    let mut client = primary.client();
    counters(&mut client, "deleted");
    client.ok(&["SET", "other", "1"]);
    assert_eq!(client.integer(&["DEL", "deleted", "other", "absent"]), 2);
    assert_eq!(client.integer(&["DBSIZE"]), 0);
    converged(&primary, &replica);
    counters(&mut client, "flushed");
    client.ok(&["FLUSHDB"]);
    assert_eq!(client.integer(&["DBSIZE"]), 0);
    converged(&primary, &replica);
    counters(&mut client, "expired");
    assert_eq!(client.integer(&["PEXPIRE", "expired", "1"]), 1);
    until("the sweep has removed it", || {
        client.integer(&["DBSIZE"]) == 0
    });
    converged(&primary, &replica);
    until("the replica holds no key either", || {
        replica.client().integer(&["DBSIZE"]) == 0
    });
    assert!(site_streams(&replica));
}

fn site_streams(replica: &Site) -> bool {
    let links = replica.status().links;
    links[0].full_resyncs == 0 && links[0].state == tandem_proto::status::LinkState::Streaming
}
