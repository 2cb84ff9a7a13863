//! What every client needs: data, restart, bad input.

use super::support::{Site, bulk};

#[test]
fn a_restart_keeps_data_and_digest() {
    let mut site = Site::start(&[]);
    let mut client = site.client();
    for n in 0..500 {
        client.ok(&["SET", &format!("key:{n}"), &format!("value {n}")]);
    }
    client.ok(&["SELECT", "3"]);
    assert_eq!(client.integer(&["HSET", "h", "f", "1", "g", "2"]), 2);
    assert_eq!(client.integer(&["INCRBY", "n", "41"]), 41);
    let digest = client.text(&["DEBUG", "DIGEST"]);
    site.restart();
    let mut client = site.client();
    assert_eq!(client.text(&["DEBUG", "DIGEST"]), digest);
    assert_eq!(client.integer(&["DBSIZE"]), 500);
    assert_eq!(client.call(&["GET", "key:77"]), bulk("value 77"));
    client.ok(&["SELECT", "3"]);
    assert_eq!(client.integer(&["INCR", "n"]), 42);
}
