//! Claims about the hot path. That it says and writes what a draft does is checked for every command
//! of every other test (`testing::Site::run_args`).

use crate::testing::{Site, shown};

#[test]
fn simple_commands_take_the_hot_path() {
    let mut site = Site::new();
    for line in [
        "GET k",
        "SET k v",
        "GET k",
        "SET k v EX 10",
        "SET k v px 10000",
        "SETEX k 10 v",
        "PSETEX k 10000 v",
        "STRLEN k",
        "TTL k",
        "PTTL k",
        "EXISTS k",
        "DEL k",
        "DEL k",
        "SETNX n 5",
        "SETNX n 6",
        "INCR n",
        "DECR n",
        "INCRBY n 10",
        "DECRBY n 3",
        "EXPIRE n 10",
        "INCR n",
        "GET n",
        "UNLINK n",
        "PEXPIRE n 10",
        "HSET h f v",
        "HSET h f w",
        "HSET h g x",
        "HGET h f",
        "HGET h x",
        "HGET nothing f",
        "HEXISTS h f",
        "HLEN h",
        "HINCRBY h n 3",
    ] {
        let before = site.fast_count;
        site.run(line);
        assert_eq!(site.fast_count, before + 1, "{line}");
    }
}

#[test]
fn what_needs_words_is_left_to_a_draft() {
    let mut site = Site::new();
    site.run("HSET h f v");
    site.run("SET s abc");
    let fast_count = site.fast_count;
    for line in [
        "GET h",
        "INCR h",
        "INCR s",
        "INCRBY s x",
        "DECRBY s -9223372036854775808",
        "HGET s f",
        "HSET s f v",
        "HSET h a 1 b 2",
        "SET s v NX",
        "SET s v EX 0",
        "SET s v EX x",
        "SETEX s 0 v",
        "EXPIRE s 0",
        "EXPIRE s 10 NX",
        "DEL s h",
        "MGET s",
    ] {
        site.run(line);
    }
    assert_eq!(site.fast_count, fast_count);
}

#[test]
fn expired_keys_are_gone_on_both_ways() {
    let mut site = Site::new();
    let mut run = |line: &str| shown(&site.run(line));
    for (set_up, line, reply) in [
        ("SET k v PX 5", "GET k", "$-1"),
        ("SET k v PX 5", "EXISTS k", ":0"),
        ("SET k v PX 5", "STRLEN k", ":0"),
        ("SET k v PX 5", "TTL k", ":-2"),
        ("SET k v PX 5", "DEL k", ":0"),
        ("SET k 7 PX 5", "INCR k", ":1"),
        ("SET k v PX 5", "EXPIRE k 5", ":0"),
        ("SET k v PX 5", "SETNX k w", ":1"),
        ("SET k v PX 5", "HSET k f v", ":1"),
        ("SET k v PX 5", "APPEND k w", ":1"),
        ("SET k v PX 5", "SET k w XX", "$-1"),
        ("SET k v PX 5", "SET k w KEEPTTL", "+OK"),
        ("SET k v PX 5", "RENAME k l", "-ERR no such key"),
        ("SET k v PX 5", "COPY k l", ":0"),
        ("SET k v PX 5", "PERSIST k", ":0"),
        ("SET k v PX 5", "GETEX k PERSIST", "$-1"),
        ("SET k v PX 5", "TYPE k", "+none"),
    ] {
        run("DEL k");
        run(set_up);
        run("@6");
        assert_eq!(run(line), reply, "{line}");
    }
    run("DEL k");
    run("HSET k f v g w");
    run("PEXPIRE k 5");
    run("@6");
    for (line, reply) in [
        ("HGET k f", "$-1"),
        ("HLEN k", ":0"),
        ("HGETALL k", "*0"),
        ("HEXISTS k f", ":0"),
        ("HDEL k f", ":0"),
        ("HSCAN k 0", "*2|$1|0|*0"),
        ("HRANDFIELD k", "$-1"),
        ("HINCRBY k n 2", ":2"),
        ("HKEYS k", "*1|$1|n"),
        ("TTL k", ":-1"),
        ("HSET k f x", ":1"),
        ("HLEN k", ":2"),
    ] {
        assert_eq!(run(line), reply, "{line}");
    }
}

#[test]
fn a_key_lives_through_the_millisecond_of_its_end() {
    let mut site = Site::new();
    let mut run = |line: &str| shown(&site.run(line));
    run("SET k v PX 5");
    assert_eq!(run("PTTL k"), ":5");
    run("@5");
    assert_eq!(run("PTTL k"), ":0");
    assert_eq!(run("GET k"), "$1|v");
    run("@1");
    assert_eq!(run("PTTL k"), ":-2");
    assert_eq!(run("GET k"), "$-1");
}
