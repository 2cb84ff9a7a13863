//! Claims about commands as such, whatever their family.

use crate::testing::{Site, next_random, shown};
use crate::{Env, execute, is_data_command};
use tandem_merge::{Draft, Kind, Objects};
use tandem_proto::{CommandId, Flags, Group, Protocol, Reply, command};

#[test]
fn a_transaction_sees_its_own_writes_and_leaves_one_record() {
    let mut site = Site::new();
    let reply = site.run_as_one(&[
        "SET k 5",
        "INCR k",
        "APPEND k 0",
        "GET k",
        "HSET h f v",
        "HSET h f w g x",
        "HLEN h",
        "HDEL h f g",
        "EXISTS h",
        "SET h now",
        "GET h",
        "RENAME k l",
        "GET k",
        "INCRBY l 40",
        "COPY l m",
        "EXPIRE m 100",
        "DEL l l",
        "INCR s",
        "INCR s",
        "GETDEL s",
        "SETNX s x",
        "SETRANGE s 3 y",
    ]);
    assert_eq!(
        shown(&reply),
        "+OK|:6|:2|$2|60|:1|:1|:2|:2|:0|+OK|$3|now|+OK|$-1|:100|:1|:1|:1|:1|:2|$1|2|:1|:4"
    );
    assert_eq!(site.sequence, 1, "one record");
    for (line, reply) in [
        ("GET h", "$3|now"),
        ("GET m", "$3|100"),
        ("TTL m", ":100"),
        ("EXISTS k l", ":0"),
        ("INCR m", ":101"),
        ("GET s", "$4|x\\x00\\x00y"),
    ] {
        assert_eq!(shown(&site.run(line)), reply, "{line}");
    }
}

#[test]
fn a_refused_command_inside_a_transaction_changes_nothing() {
    let mut site = Site::new();
    site.run("SET s abc");
    let refused = [
        "INCR s",
        "HSET s f v",
        "SETRANGE s -1 x",
        "MSET s",
        "HSET h f",
        "EXPIRE s x",
    ];
    let reply = shown(&site.run_as_one(&refused));
    assert_eq!(reply.matches("-ERR").count(), 5, "{reply}");
    assert_eq!(reply.matches("-WRONGTYPE").count(), 1, "{reply}");
    assert_eq!(site.sequence, 1, "no record");
    let reply = shown(&site.run_as_one(&["SET s 1", "INCRBY s x", "INCR s", "HGET s f"]));
    assert_eq!(
        reply,
        "+OK|-ERR value is not an integer or out of range|:2|-WRONGTYPE Operation against a key \
         holding the wrong kind of value"
    );
    assert_eq!(shown(&site.run("GET s")), "$1|2");
}

/// A transaction answers as its commands one by one, and leaves the same state.
#[test]
fn commands_over_one_draft_do_what_they_do_one_by_one() {
    let lines = [
        "SET a 1",
        "SET a 2 EX 100",
        "INCR a",
        "INCRBY a -4",
        "INCRBYFLOAT a 0.5",
        "APPEND a 7",
        "GET a",
        "SET b x",
        "RENAME a b",
        "RENAME b a",
        "COPY a b REPLACE",
        "DEL a",
        "DEL b",
        "HSET a f 1 g 2",
        "HSET b f 3",
        "HINCRBY a f 2",
        "HINCRBYFLOAT b f 0.25",
        "HDEL a f",
        "HDEL a f g",
        "HDEL b f",
        "HGET a f",
        "HLEN a",
        "EXPIRE a 200",
        "PERSIST a",
        "TTL a",
        "GETDEL a",
        "SETRANGE a 2 zz",
        "SET a 9 KEEPTTL",
        "SETNX b 5",
        "MSETNX a 1 b 2",
        "TYPE a",
        "GETEX b EX 300",
        "TTL b",
        "EXISTS a b",
        "EXPIRE b -1",
        "GETSET a 12",
        "STRLEN a",
        "HRANDFIELD a 0",
        "MGET a b",
        "HMGET b f g",
        "HSETNX b f 1",
    ];
    let mut seed = 11;
    for round in 0..400 {
        let mut one_by_one = Site::new();
        for _ in 0..8 {
            let at = (next_random(&mut seed) % lines.len() as u64) as usize;
            one_by_one.run(lines[at]);
        }
        let mut as_one = one_by_one.clone();
        let chosen: Vec<&str> = (0..6)
            .map(|_| lines[(next_random(&mut seed) % lines.len() as u64) as usize])
            .collect();
        let single: Vec<u8> = chosen
            .iter()
            .flat_map(|line| one_by_one.run(line))
            .collect();
        let whole = as_one.run_as_one(&chosen);
        assert_eq!(shown(&whole), shown(&single), "round {round}: {chosen:?}");
        for line in [
            "TYPE a",
            "TYPE b",
            "GET a",
            "GET b",
            "TTL a",
            "TTL b",
            "HLEN a",
            "HGET a f",
            "HGET a g",
            "HLEN b",
            "HGET b f",
            "INCR a",
            "HINCRBY b f 1",
        ] {
            let (left, right) = (as_one.run(line), one_by_one.run(line));
            assert_eq!(
                shown(&left),
                shown(&right),
                "round {round}: {line} after {chosen:?}"
            );
        }
    }
}

#[test]
fn the_table_and_the_dispatch_know_the_same_commands() {
    for spec in command::all() {
        let site = Site::new();
        let mut draft = site.draft();
        let mut random = || 0;
        let mut env = Env {
            now: draft.now(),
            wall_ms: site.wall_ms,
            random: &mut random,
        };
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        // As many arguments as it takes at least; what they say does not matter here.
        let count = spec.arity.unsigned_abs() as usize;
        let mut args: Vec<&[u8]> = vec![b"1"; count];
        args[0] = spec.name.as_bytes();
        execute(spec, &args, &mut draft, &mut env, &mut reply);
        let is_known = !out.starts_with(b"-ERR unknown command");
        assert_eq!(is_known, is_data_command(spec.id), "{}", spec.name);
    }
    assert!(!is_data_command(CommandId::Scan) && !is_data_command(CommandId::FlushDb));
    assert!(is_data_command(CommandId::Get) && is_data_command(CommandId::Object));
}

#[test]
fn a_command_with_too_few_arguments_is_refused_and_not_run() {
    let mut site = Site::new();
    for spec in command::all()
        .iter()
        .filter(|spec| is_data_command(spec.id))
    {
        let reply = shown(&site.run(spec.name));
        let words = format!("-ERR wrong number of arguments for '{}' command", spec.name);
        assert_eq!(reply, words);
    }
}

#[test]
fn reading_leaves_no_effect() {
    let mut site = Site::new();
    site.run("SET s v EX 100");
    site.run("HSET h f 1");
    let sequence = site.sequence;
    for spec in command::all()
        .iter()
        .filter(|spec| is_data_command(spec.id) && spec.flags.contains(Flags::READONLY))
    {
        let key = if spec.group == Group::Hash { "h" } else { "s" };
        let count = spec.arity.unsigned_abs() as usize;
        let line = match spec.id {
            CommandId::Object => "OBJECT ENCODING s".to_owned(),
            _ => format!("{} {key}{}", spec.name, " 0".repeat(count - 2)),
        };
        let reply = shown(&site.run(&line));
        assert!(!reply.starts_with('-'), "{line}: {reply}");
        assert_eq!(site.sequence, sequence, "{line}");
    }
}

#[test]
fn a_long_string_grows_to_the_limit_and_no_further() {
    let mut site = Site::new();
    assert_eq!(shown(&site.run("SETRANGE k 536870911 x")), ":536870912");
    let too_long = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)";
    assert_eq!(shown(&site.run("APPEND k y")), too_long);
    assert_eq!(shown(&site.run("APPEND k \"\"")), ":536870912");
    assert_eq!(shown(&site.run("SETRANGE k 536870912 y")), too_long);
    assert_eq!(shown(&site.run("GETRANGE k -2 -1")), "$2|\\x00x");
    assert_eq!(shown(&site.run("STRLEN k")), ":536870912");
    let object = site.table.object(b"k").expect("the string");
    assert_eq!(
        object.kind(site.clock.last, &site.origins),
        Some(Kind::String)
    );
    let draft = Draft::new(&site.table, &site.origins, None, site.clock.last);
    assert!(draft.is_empty());
}
