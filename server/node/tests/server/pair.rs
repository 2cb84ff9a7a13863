//! Two masters: made, moved and broken at run time.

use super::support::{Site, bulk, converged, pair, primary_with_replica, until, wait_for_link};
use tandem_proto::status::Role;

fn state(site: &Site) -> Option<String> {
    site.client().info("doublemaster", "repl_state")
}

fn set_peer(site: &Site, other: &Site, id: &str, more: &[&str]) {
    let port = other.port_text();
    let mut words = vec!["CONFIG", "SET"];
    words.extend_from_slice(more);
    words.extend_from_slice(&["double-master-ip", "127.0.0.1", "double-master-port"]);
    words.extend_from_slice(&[&port, "double-master-server-id", id]);
    site.client().ok(&words);
}

#[test]
fn two_servers_become_a_pair_by_config_set() {
    let one = Site::start(&["--server-id", "1"]);
    let two = Site::start(&["--server-id", "2"]);
    one.client().ok(&["SET", "a", "1"]);
    set_peer(&one, &two, "2", &[]);
    set_peer(&two, &one, "1", &[]);
    for site in [&one, &two] {
        until("the link is up", || state(site).as_deref() == Some("3"));
    }
    two.client().ok(&["SET", "b", "2"]);
    until("both have both", || {
        one.client().call(&["GET", "b"]) == bulk("2")
            && two.client().call(&["GET", "a"]) == bulk("1")
    });
    converged(&one, &two);
    assert_eq!(one.status().members, [1, 2]);
}

/// AT-07: one master is gone for good; a new replica of the other one becomes its new peer.
#[test]
fn a_pair_is_rebuilt_from_a_new_replica_without_a_restart() {
    let (one, mut two) = pair(&[]);
    two.client().ok(&["SET", "theirs", "2"]);
    one.client().ok(&["SET", "ours", "1"]);
    converged(&one, &two);
    two.end();
    let three = Site::start(&[]);
    three
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &one.port_text()]);
    wait_for_link(&three);
    for n in 0..100 {
        one.client().ok(&["SET", &format!("k{n}"), "v"]);
    }
    converged(&one, &three);
    three.client().ok(&["REPLICAOF", "NO", "ONE"]);
    set_peer(&three, &one, "1", &["server-id", "3"]);
    set_peer(&one, &three, "3", &[]);
    for site in [&one, &three] {
        until("the pair is linked", || state(site).as_deref() == Some("3"));
    }
    one.client().ok(&["SET", "from", "one"]);
    three.client().ok(&["SET", "back", "three"]);
    converged(&one, &three);
    assert_eq!(three.client().integer(&["DBSIZE"]), 104);
    let status = three.status();
    assert_eq!((status.server_id, status.role), (3, Role::DoubleMaster));
    assert_eq!(one.status().members, [1, 3]);
}

#[test]
fn slaveof_no_one_breaks_the_pair_and_each_goes_on() {
    let (one, two) = pair(&[]);
    one.client().ok(&["SET", "a", "1"]);
    converged(&one, &two);
    for site in [&one, &two] {
        site.client().ok(&["SLAVEOF", "NO", "ONE"]);
    }
    one.client().ok(&["SET", "a", "2"]);
    two.client().ok(&["SET", "a", "3"]);
    assert_eq!(one.client().call(&["GET", "a"]), bulk("2"));
    assert_eq!(two.client().call(&["GET", "a"]), bulk("3"));
    assert_eq!(state(&one).as_deref(), Some("0"));
    assert_eq!(one.status().members, [1]);
}

#[test]
fn settings_of_a_pair_that_cannot_be_are_refused() {
    let site = Site::start(&["--server-id", "1"]);
    let mut client = site.client();
    let refusal = client.error(&["CONFIG", "SET", "double-master-ip", "127.0.0.1"]);
    assert!(refusal.contains("set all three"), "{refusal}");
    let port = site.port_text();
    let own = [
        "CONFIG",
        "SET",
        "double-master-ip",
        "127.0.0.1",
        "double-master-port",
    ];
    let to_itself = [own.as_slice(), &[&port, "double-master-server-id", "2"]].concat();
    assert!(client.error(&to_itself).contains("name this server itself"));
    let same = [own.as_slice(), &["1", "double-master-server-id", "1"]].concat();
    assert!(client.error(&same).contains("are both 1"));
}

#[test]
fn a_handover_inside_a_pair_keeps_the_pair() {
    let (one, two) = pair(&[]);
    let replica = Site::start(&[]);
    replica
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &one.port_text()]);
    wait_for_link(&replica);
    one.client().ok(&["SET", "a", "1"]);
    // A pair that agrees on its data set breaks the links of replicas for a moment.
    until("the handover begins", || {
        one.client().call(&["FAILOVER"]).as_error().is_none()
    });
    until("the replica is the master", || {
        replica.client().info("replication", "role").as_deref() == Some("master")
    });
    until("the pair is linked again", || {
        state(&replica).as_deref() == Some("3") && state(&two).as_deref() == Some("3")
    });
    replica.client().ok(&["SET", "b", "2"]);
    two.client().ok(&["SET", "c", "3"]);
    converged(&replica, &two);
    until("the old master follows", || {
        one.client().call(&["GET", "c"]) == bulk("3")
    });
}

#[test]
fn a_chained_replica_has_its_primarys_group() {
    let (_primary, replica) = primary_with_replica(&[]);
    let chained = Site::start(&[]);
    chained
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &replica.port_text()]);
    wait_for_link(&chained);
    assert_eq!(chained.status().server_id, 1);
}
