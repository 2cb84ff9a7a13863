//! Claims about keys.

use crate::testing::{Site, run_cases, shown, split};
use crate::{CopyRequest, copy_across};

#[test]
fn keys_answer_as_redis_does() {
    let (commands, _) = run_cases(include_str!("../../tests/cases/keys.txt"));
    assert!(commands > 250, "{commands} commands");
}

/// Copies from one site's database to another's; gives the reply.
fn copy_between(from: &Site, to: &mut Site, line: &str) -> String {
    let args = split(line);
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let request = CopyRequest::parse(&args).expect("a COPY that can be read");
    let source = from.draft();
    let reply = to.with_draft(|target, reply| copy_across(&request, &source, target, reply));
    shown(&reply)
}

#[test]
fn copy_says_which_database_it_wants() {
    let request = |line: &str| {
        let args = split(line);
        let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
        CopyRequest::parse(&args).map(|one| (one.database, one.replaces))
    };
    assert_eq!(request("COPY a b"), Some((None, false)));
    assert_eq!(request("COPY a b REPLACE"), Some((None, true)));
    assert_eq!(request("COPY a b DB 3"), Some((Some(3), false)));
    assert_eq!(request("COPY a b replace db -1"), Some((Some(-1), true)));
    for refused in [
        "COPY a",
        "COPY a b DB",
        "COPY a b DB x",
        "COPY a b FOO",
        "COPY a b DB 3000000000",
    ] {
        assert_eq!(request(refused), None, "{refused}");
    }
}

#[test]
fn copy_reaches_another_database_with_value_and_end() {
    let (mut one, mut two) = (Site::new(), Site::new());
    one.run("SET s v EX 100");
    one.run("INCRBY n 5");
    one.run("HSET h f v g w");
    one.run("EXPIRE h 200");
    two.run("SET busy x");
    for (line, reply) in [
        ("COPY s s DB 1", ":1"),
        ("COPY s s DB 1", ":0"),
        ("COPY n n DB 1", ":1"),
        ("COPY h h DB 1", ":1"),
        ("COPY h busy DB 1", ":0"),
        ("COPY h busy DB 1 REPLACE", ":1"),
        ("COPY nothing busy DB 1 REPLACE", ":0"),
    ] {
        assert_eq!(copy_between(&one, &mut two, line), reply, "{line}");
    }
    for (line, reply) in [
        ("GET s", "$1|v"),
        ("TTL s", ":100"),
        ("INCR n", ":6"),
        ("TTL n", ":-1"),
        ("HLEN h", ":2"),
        ("HGET h g", "$1|w"),
        ("TTL h", ":200"),
        ("TYPE busy", "+hash"),
        ("HGET busy f", "$1|v"),
    ] {
        assert_eq!(shown(&two.run(line)), reply, "{line}");
    }
    assert_eq!(shown(&one.run("GET n")), "$1|5");
}

#[test]
fn a_copy_without_end_takes_the_targets_end_away() {
    let (mut one, mut two) = (Site::new(), Site::new());
    one.run("SET s v");
    one.run("HSET h f v");
    for line in ["SET s x EX 10", "SET h x EX 10"] {
        two.run(line);
    }
    assert_eq!(copy_between(&one, &mut two, "COPY s s DB 1 REPLACE"), ":1");
    assert_eq!(copy_between(&one, &mut two, "COPY h h DB 1 REPLACE"), ":1");
    assert_eq!(shown(&two.run("TTL s")), ":-1");
    assert_eq!(shown(&two.run("TTL h")), ":-1");
}

#[test]
fn time_left_runs_down_and_rounds_as_in_redis() {
    let mut site = Site::new();
    let mut run = |line: &str| shown(&site.run(line));
    run("SET k v PX 10000");
    for (pass, ttl, pttl) in [
        ("@0", 10, 10_000),
        ("@499", 10, 9501),
        ("@2", 9, 9499),
        ("@9000", 0, 499),
    ] {
        run(pass);
        assert_eq!(run("TTL k"), format!(":{ttl}"));
        assert_eq!(run("PTTL k"), format!(":{pttl}"));
    }
    run("@500");
    assert_eq!(run("TTL k"), ":-2");
}
