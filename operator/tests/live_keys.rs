//! The keys that the operator applies to a running instance are those that the server takes then.

use std::collections::BTreeSet;

use tandem_api::double_master::{LIVE_KEYS, OPERATOR_KEYS};
use tandem_node::config::{Config, applies_live};

#[test]
fn the_operator_and_the_server_agree_on_what_applies_live() {
    let server: BTreeSet<&str> = Config::default()
        .matching(b"*")
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| applies_live(name) && !OPERATOR_KEYS.contains(name))
        .collect();
    let operator: BTreeSet<&str> = LIVE_KEYS
        .iter()
        .flat_map(|key| [Some(key.name), key.alias])
        .flatten()
        .collect();
    assert_eq!(operator, server);
}

#[test]
fn a_key_that_is_taken_away_goes_back_to_the_servers_own_default() {
    for key in LIVE_KEYS {
        let default = Config::default();
        let mut set = Config::default();
        let taken = set.set(&[(key.name, key.default)]);
        assert!(taken.is_ok(), "{}: {taken:?}", key.name);
        assert_eq!(set.get(key.name), default.get(key.name), "{}", key.name);
    }
}
