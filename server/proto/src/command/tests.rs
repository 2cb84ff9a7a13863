//! The table against what Redis 7 says, and the answers of `COMMAND`.

use super::*;
use crate::reply::{Protocol, Reply};
use crate::value::{Value, decode};
use std::collections::BTreeSet;

#[test]
fn well_known_commands_are_as_in_redis() {
    for (name, arity, flags, keys, since) in [
        ("get", 2, "readonly fast", (1, 1, 1), "1.0.0"),
        ("set", -3, "write denyoom", (1, 1, 1), "1.0.0"),
        ("incr", 2, "write denyoom fast", (1, 1, 1), "1.0.0"),
        ("hset", -4, "write denyoom fast", (1, 1, 1), "2.0.0"),
        ("mset", -3, "write denyoom", (1, -1, 2), "1.0.1"),
        ("del", -2, "write", (1, -1, 1), "1.0.0"),
        ("rename", 3, "write", (1, 2, 1), "1.0.0"),
        ("exec", 1, "noscript loading stale", (0, 0, 0), "1.2.0"),
        (
            "auth",
            -2,
            "noscript loading stale fast no_auth",
            (0, 0, 0),
            "1.0.0",
        ),
        (
            "shutdown",
            -1,
            "admin noscript loading stale no_multi",
            (0, 0, 0),
            "1.0.0",
        ),
        ("ping", -1, "fast", (0, 0, 0), "1.0.0"),
        ("wait", 3, "noscript", (0, 0, 0), "3.0.0"),
    ] {
        let spec = lookup(name.as_bytes()).unwrap();
        let shown = spec.flags.names().collect::<Vec<_>>().join(" ");
        let positions = (spec.first_key, spec.last_key, spec.key_step);
        assert_eq!(
            (spec.name, spec.arity, shown.as_str(), positions, spec.since),
            (name, arity, flags, keys, since)
        );
    }
}

#[test]
fn every_name_finds_its_own_row_in_any_case() {
    for spec in all() {
        assert_eq!(lookup(spec.name.as_bytes()), Some(spec));
        assert_eq!(lookup(spec.name.to_uppercase().as_bytes()), Some(spec));
        assert_eq!(spec.id.spec(), spec);
        assert_eq!(spec.name, spec.name.to_lowercase());
    }
    assert_eq!(lookup(b"GeT").map(|spec| spec.id), Some(CommandId::Get));
}

#[test]
fn other_names_find_nothing() {
    let names: &[&[u8]] = &[
        b"",
        b"g",
        b"gett",
        b"get\0",
        b"\0get",
        b"monitor",
        b"a-name-of-seventeen",
        b"\xc7ET",
    ];
    for name in names {
        assert_eq!(lookup(name), None, "{}", name.escape_ascii());
    }
}

#[test]
fn rows_make_sense() {
    let names: BTreeSet<&str> = all().iter().map(|spec| spec.name).collect();
    assert_eq!(names.len(), all().len());
    for spec in all() {
        let (write, read) = (spec.is_write(), spec.flags.contains(Flags::READONLY));
        assert!(!(write && read), "{} reads and writes", spec.name);
        assert!(
            !spec.flags.contains(Flags::DENYOOM) || write,
            "{}",
            spec.name
        );
        assert_eq!(spec.first_key == 0, spec.key_step == 0, "{}", spec.name);
        assert_ne!(spec.arity, 0, "{}", spec.name);
        assert!(spec.summary.ends_with('.'), "{}", spec.name);
    }
}

#[test]
fn arity_is_exact_or_least() {
    let accepts = |name: &str, argc| lookup(name.as_bytes()).unwrap().accepts(argc);
    assert_eq!(
        [1, 2, 3].map(|argc| accepts("get", argc)),
        [false, true, false]
    );
    assert_eq!(
        [2, 3, 9].map(|argc| accepts("set", argc)),
        [false, true, true]
    );
}

#[test]
fn keys_stand_where_the_row_says() {
    let cases: &[(&str, usize, &[usize])] = &[
        ("get", 2, &[1]),
        ("mset", 5, &[1, 3]),
        ("del", 4, &[1, 2, 3]),
        ("rename", 3, &[1, 2]),
        ("copy", 6, &[1, 2]),
        ("object", 3, &[2]),
        ("object", 2, &[]),
        ("ping", 2, &[]),
        ("mget", 1, &[]),
        ("mget", 0, &[]),
    ];
    for &(name, argc, expected) in cases {
        let spec = lookup(name.as_bytes()).unwrap();
        assert_eq!(
            keys(spec, argc).collect::<Vec<_>>(),
            expected,
            "{name} {argc}"
        );
    }
}

fn ask(line: &str, protocol: Protocol) -> Value {
    let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let mut out = Vec::new();
    answer_command(&args, &mut Reply::new(&mut out, protocol));
    let (value, length) = decode(&out).unwrap().expect("a whole reply");
    assert_eq!(length, out.len(), "one reply to {line}");
    value
}

#[test]
fn command_tells_of_all_commands() {
    for protocol in [Protocol::Resp2, Protocol::Resp3] {
        assert_eq!(
            ask("COMMAND", protocol).as_elements().unwrap().len(),
            all().len()
        );
        assert_eq!(
            ask("COMMAND COUNT", protocol),
            Value::Integer(all().len() as i64)
        );
        assert_eq!(ask("COMMAND INFO", protocol), ask("COMMAND", protocol));
        assert_eq!(
            ask("COMMAND LIST", protocol).as_elements().unwrap().len(),
            all().len()
        );
    }
}

#[test]
fn command_info_has_the_ten_parts_that_redis_sends() {
    let simple = |texts: &[&str]| {
        Value::Set(
            texts
                .iter()
                .map(|text| Value::Simple((*text).to_owned()))
                .collect(),
        )
    };
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let map = |pairs: &[(&str, Value)]| {
        Value::Map(
            pairs
                .iter()
                .map(|(key, value)| (bulk(key), value.clone()))
                .collect(),
        )
    };
    let mget = Value::Array(vec![
        bulk("mget"),
        Value::Integer(-2),
        simple(&["readonly", "fast"]),
        Value::Integer(1),
        Value::Integer(-1),
        Value::Integer(1),
        simple(&["@read", "@string", "@fast"]),
        Value::Array(vec![]),
        Value::Array(vec![map(&[
            ("flags", simple(&["RO", "access"])),
            (
                "begin_search",
                map(&[
                    ("type", bulk("index")),
                    ("spec", map(&[("index", Value::Integer(1))])),
                ]),
            ),
            (
                "find_keys",
                map(&[
                    ("type", bulk("range")),
                    (
                        "spec",
                        map(&[
                            ("lastkey", Value::Integer(-1)),
                            ("keystep", Value::Integer(1)),
                            ("limit", Value::Integer(0)),
                        ]),
                    ),
                ]),
            ),
        ])]),
        Value::Array(vec![]),
    ]);
    assert_eq!(
        ask("COMMAND INFO mget nonsense", Protocol::Resp3),
        Value::Array(vec![mget, Value::Null])
    );
}

#[test]
fn command_docs_are_maps_by_name() {
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    let docs = ask("COMMAND DOCS ECHO nonsense", Protocol::Resp3);
    let echo = [
        ("summary", "Gives its argument back."),
        ("since", "1.0.0"),
        ("group", "connection"),
    ];
    let echo = Value::Map(
        echo.into_iter()
            .map(|(key, value)| (bulk(key), bulk(value)))
            .collect(),
    );
    assert_eq!(docs, Value::Map(vec![(bulk("echo"), echo)]));
}

#[test]
fn command_getkeys_answers_and_refuses_as_redis() {
    let answer = |line: &str| match ask(line, Protocol::Resp2) {
        Value::Array(keys) => keys
            .iter()
            .map(|key| key.as_str().unwrap())
            .collect::<Vec<_>>()
            .join(" "),
        other => other.as_error().unwrap().to_owned(),
    };
    assert_eq!(answer("COMMAND GETKEYS MSET a 1 b 2"), "a b");
    assert_eq!(answer("COMMAND GETKEYS object encoding k"), "k");
    assert_eq!(
        answer("COMMAND GETKEYS object help"),
        "ERR The command has no key arguments"
    );
    assert_eq!(
        answer("COMMAND GETKEYS ping"),
        "ERR The command has no key arguments"
    );
    assert_eq!(
        answer("COMMAND GETKEYS nonsense"),
        "ERR Invalid command specified"
    );
    assert_eq!(
        answer("COMMAND GETKEYS get"),
        "ERR Invalid number of arguments specified for command"
    );
    assert_eq!(
        answer("COMMAND GETKEYS"),
        "ERR wrong number of arguments for 'command|getkeys' command"
    );
    assert_eq!(
        answer("COMMAND nonsense"),
        "ERR unknown subcommand 'nonsense'. Try COMMAND HELP."
    );
}

#[test]
fn command_list_filters() {
    let list = |line: &str| -> Vec<String> {
        let answer = ask(line, Protocol::Resp2);
        let names = answer.as_elements().unwrap().iter();
        names
            .map(|name| name.as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        list("COMMAND LIST FILTERBY PATTERN INCR*"),
        ["incr", "incrby", "incrbyfloat"]
    );
    assert_eq!(
        list("COMMAND LIST FILTERBY ACLCAT transaction"),
        ["multi", "exec", "discard", "watch", "unwatch"]
    );
    assert_eq!(list("COMMAND LIST FILTERBY MODULE x"), [""; 0]);
    let refused = ask("COMMAND LIST FILTERBY", Protocol::Resp2);
    assert_eq!(refused, Value::Error("ERR syntax error".to_owned()));
}

#[test]
fn refusals_are_in_the_words_of_redis() {
    let written = |write: &dyn Fn(&mut Reply<'_>)| {
        let mut out = Vec::new();
        write(&mut Reply::new(&mut out, Protocol::Resp2));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(&|reply| refuse_arity(CommandId::Get.spec(), reply)),
        "-ERR wrong number of arguments for 'get' command\r\n"
    );
    assert_eq!(
        written(&|reply| refuse_unknown([&b"foo\r"[..], b"a", b"b\n"], reply)),
        "-ERR unknown command 'foo ', with args beginning with: 'a' 'b ' \r\n"
    );
    let long = vec![b'x'; 1000];
    let refused = written(&|reply| refuse_unknown([&long[..], &long, &long], reply));
    assert!(refused.len() < 400, "{} bytes", refused.len());
}
