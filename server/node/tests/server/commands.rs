//! A tour through the command families, in both protocols, as clients see it.

use super::support::{Client, Site, bulk, until};
use tandem_proto::value::Value;

fn simple(text: &str) -> Value {
    Value::Simple(text.to_owned())
}

fn number(value: i64) -> Value {
    Value::Integer(value)
}

fn list(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| bulk(text)).collect())
}

/// Sends a line of words.
fn ask(client: &mut Client, line: &str) -> Value {
    client.call(&line.split(' ').collect::<Vec<_>>())
}

/// The commands with answers that are the same in RESP2 and RESP3.
#[expect(clippy::too_many_lines, reason = "one table")]
fn tour(client: &mut Client) {
    assert_eq!(ask(client, "FLUSHALL"), simple("OK"));
    let table: &[(&str, Value)] = &[
        ("PING", simple("PONG")),
        ("PING hello", bulk("hello")),
        ("ECHO text", bulk("text")),
        ("SET s 5", simple("OK")),
        ("SET s 6 XX GET", bulk("5")),
        ("APPEND s 7", number(2)),
        ("GET s", bulk("67")),
        ("STRLEN s", number(2)),
        ("SETRANGE s 1 89", number(3)),
        ("GETRANGE s 0 -1", bulk("689")),
        ("INCR s", number(690)),
        ("DECRBY s 90", number(600)),
        ("INCRBYFLOAT s 0.5", bulk("600.5")),
        ("GETSET s old", bulk("600.5")),
        ("GETDEL s", bulk("old")),
        ("SETNX s 1", number(1)),
        ("SETNX s 2", number(0)),
        ("SETEX t 100 v", simple("OK")),
        ("PSETEX t 100000 v", simple("OK")),
        ("GETEX t PERSIST", bulk("v")),
        ("MSET a 1 b 2", simple("OK")),
        ("MSETNX b 3 c 4", number(0)),
        ("MGET a b s", list(&["1", "2", "1"])),
        ("HSET h f 1 g 2", number(2)),
        ("HGET h f", bulk("1")),
        ("HMGET h g f", list(&["2", "1"])),
        ("HINCRBY h f 4", number(5)),
        ("HINCRBYFLOAT h g 0.5", bulk("2.5")),
        ("HEXISTS h x", number(0)),
        ("HLEN h", number(2)),
        ("HSETNX h f 9", number(0)),
        ("HSTRLEN h g", number(3)),
        ("HDEL h g x", number(1)),
        ("HKEYS h", list(&["f"])),
        ("HVALS h", list(&["5"])),
        ("TYPE h", simple("hash")),
        ("TYPE none", simple("none")),
        ("EXISTS a b none", number(2)),
        ("EXPIRE a 100", number(1)),
        ("EXPIRE a 50 GT", number(0)),
        ("TTL a", number(100)),
        ("PERSIST a", number(1)),
        ("PTTL a", number(-1)),
        ("PEXPIREAT a 99999999999999", number(1)),
        ("PEXPIRETIME a", number(99_999_999_999_999)),
        ("TTL none", number(-2)),
        ("RENAME a z", simple("OK")),
        ("RENAMENX z b", number(0)),
        ("COPY z y", number(1)),
        ("COPY z y DB 2", number(1)),
        ("TOUCH z y none", number(2)),
        ("UNLINK y none", number(1)),
        ("DEL z", number(1)),
        ("SELECT 2", simple("OK")),
        ("DBSIZE", number(1)),
        ("KEYS *", list(&["y"])),
        ("RANDOMKEY", bulk("y")),
        ("FLUSHDB", simple("OK")),
        ("DBSIZE", number(0)),
        ("SELECT 0", simple("OK")),
        ("FLUSHALL", simple("OK")),
        ("DBSIZE", number(0)),
        ("CLIENT SETNAME tour", simple("OK")),
        ("CLIENT GETNAME", bulk("tour")),
        ("CLIENT SETINFO LIB-NAME x", simple("OK")),
        ("CONFIG SET slowlog-max-len 64", simple("OK")),
    ];
    for (line, expected) in table {
        assert_eq!(ask(client, line), *expected, "{line}");
    }
    for (line, expected) in [
        ("GET", "ERR wrong number of arguments for 'get' command"),
        ("INCRBY s x", "ERR value is not an integer or out of range"),
        ("SELECT 16", "ERR DB index is out of range"),
        (
            "EXPIRE s 1 NX XX",
            "ERR NX and XX, GT or LT options at the same time are not compatible",
        ),
        ("SET s 1 EX 0", "ERR invalid expire time in 'set' command"),
    ] {
        assert_eq!(ask(client, line).as_error(), Some(expected), "{line}");
    }
    assert_eq!(ask(client, "HSET h f v"), number(1));
    let refusal = ask(client, "INCR h");
    assert!(
        refusal
            .as_error()
            .is_some_and(|text| text.starts_with("WRONGTYPE"))
    );
    let unknown = ask(client, "NOSUCH a");
    assert!(
        unknown
            .as_error()
            .is_some_and(|text| text.starts_with("ERR unknown command 'NOSUCH'"))
    );
    assert_eq!(ask(client, "FLUSHALL"), simple("OK"));
}

#[test]
fn each_family_answers_in_both_protocols() {
    let site = Site::start(&[]);
    let mut client = site.client();
    tour(&mut client);
    assert_eq!(ask(&mut client, "GET none"), Value::Null);
    assert_eq!(ask(&mut client, "HSET h f v"), number(1));
    assert_eq!(ask(&mut client, "HGETALL h"), list(&["f", "v"]));
    let greeting = ask(&mut client, "HELLO 3");
    let Value::Map(fields) = &greeting else {
        panic!("not a map: {greeting:?}");
    };
    assert!(fields.contains(&(bulk("proto"), number(3))));
    assert!(fields.contains(&(bulk("role"), bulk("master"))));
    let all = ask(&mut client, "HGETALL h");
    assert_eq!(all, Value::Map(vec![(bulk("f"), bulk("v"))]));
    assert!(matches!(ask(&mut client, "CONFIG GET port"), Value::Map(_)));
    assert!(matches!(
        ask(&mut client, "INFO server"),
        Value::Verbatim { .. }
    ));
    tour(&mut client);
    let refusal = ask(&mut client, "HELLO 4");
    assert!(
        refusal
            .as_error()
            .is_some_and(|text| text.starts_with("NOPROTO"))
    );
    assert_eq!(ask(&mut client, "RESET"), simple("RESET"));
    assert_eq!(ask(&mut client, "HSET h f v"), number(1));
    assert_eq!(
        ask(&mut client, "HGETALL h"),
        list(&["f", "v"]),
        "RESP2 again"
    );
}

#[test]
fn the_redis_crate_works_unchanged() {
    let site = Site::start(&["--requirepass", "secret"]);
    let address = format!("redis://:secret@127.0.0.1:{}/3", site.port);
    let client = redis::Client::open(address).expect("an address");
    let mut connection = client.get_connection().expect("a connection");
    let () = redis::cmd("SET")
        .arg("k")
        .arg(7)
        .query(&mut connection)
        .expect("set");
    let (value, sum): (i64, i64) = redis::pipe()
        .atomic()
        .cmd("GET")
        .arg("k")
        .cmd("INCRBY")
        .arg("k")
        .arg(5)
        .query(&mut connection)
        .expect("a transaction");
    assert_eq!((value, sum), (7, 12));
    let found: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query(&mut connection)
        .expect("keys");
    assert_eq!(found, ["k"]);
    let refused = redis::Client::open(format!("redis://:wrong@127.0.0.1:{}/", site.port));
    assert!(refused.expect("an address").get_connection().is_err());
}

#[test]
fn a_transaction_fails_when_a_watched_key_changes() {
    let site = Site::start(&[]);
    let (mut one, mut two) = (site.client(), site.client());
    one.ok(&["SET", "k", "1"]);
    one.ok(&["WATCH", "k"]);
    one.ok(&["MULTI"]);
    assert_eq!(ask(&mut one, "SET k 2"), simple("QUEUED"));
    two.ok(&["SET", "k", "3"]);
    assert_eq!(ask(&mut one, "EXEC"), Value::Null);
    assert_eq!(ask(&mut one, "GET k"), bulk("3"));
    one.ok(&["WATCH", "k"]);
    one.ok(&["UNWATCH"]);
    two.ok(&["SET", "k", "4"]);
    one.ok(&["MULTI"]);
    assert_eq!(ask(&mut one, "INCR k"), simple("QUEUED"));
    assert_eq!(ask(&mut one, "EXEC"), Value::Array(vec![number(5)]));
    one.ok(&["MULTI"]);
    one.ok(&["DISCARD"]);
    assert!(one.error(&["EXEC"]).contains("without MULTI"));
    one.ok(&["MULTI"]);
    assert!(one.error(&["NOSUCH"]).contains("unknown command"));
    assert!(one.error(&["EXEC"]).starts_with("EXECABORT"));
}

#[test]
fn questions_about_all_keys_work_inside_a_transaction() {
    let site = Site::start(&[]);
    let mut client = site.client();
    for n in 0..40 {
        client.ok(&["SET", &format!("k{n}"), "v"]);
    }
    client.ok(&["DEBUG", "CHECKPOINT"]);
    client.ok(&["MULTI"]);
    let lines = [
        "DBSIZE",
        "SET new 1",
        "DEL k1 k2",
        "DBSIZE",
        "KEYS k1*",
        "SCAN 0 COUNT 1000",
        "RANDOMKEY",
        "INFO keyspace",
        "ROLE",
        "CONFIG GET port",
        "LASTSAVE",
        "FLUSHDB",
        "DBSIZE",
        "SET last 1",
        "KEYS *",
        "RANDOMKEY",
        "SELECT 1",
        "DBSIZE",
        "KEYS *",
    ];
    for line in lines {
        assert_eq!(ask(&mut client, line), simple("QUEUED"), "{line}");
    }
    let answers = ask(&mut client, "EXEC");
    let answers = answers.as_elements().expect("answers");
    assert_eq!(answers.len(), lines.len());
    let of = |line: &str, nth: usize| {
        let mut places = lines.iter().enumerate().filter(|(_, l)| **l == line);
        &answers[places.nth(nth).expect("it was asked").0]
    };
    assert_eq!(*of("DBSIZE", 0), number(40));
    assert_eq!(*of("DBSIZE", 1), number(39));
    assert_eq!(
        of("KEYS k1*", 0).as_elements().map(<[Value]>::len),
        Some(10)
    );
    let scanned = of("SCAN 0 COUNT 1000", 0)
        .as_elements()
        .expect("a cursor and keys");
    assert_eq!(scanned[0], bulk("0"));
    let keys = scanned[1].as_elements().expect("keys");
    assert!(keys.len() == 39 && keys.contains(&bulk("new")) && !keys.contains(&bulk("k1")));
    assert_eq!(*of("DBSIZE", 2), number(0));
    assert_eq!(*of("KEYS *", 0), list(&["last"]));
    assert_eq!(*of("RANDOMKEY", 1), bulk("last"));
    assert_eq!((of("DBSIZE", 3), of("KEYS *", 1)), (&number(0), &list(&[])));
    assert_eq!(
        ask(&mut client, "DBSIZE"),
        number(0),
        "database 1 is picked"
    );
}

#[test]
fn a_scan_sees_every_key_once_also_in_steps_inside_transactions() {
    let site = Site::start(&[]);
    let mut client = site.client();
    for n in 0..1000 {
        client.ok(&["SET", &format!("key:{n}"), "v"]);
    }
    client.integer(&["HSET", "other", "f", "v"]);
    client.ok(&["DEBUG", "CHECKPOINT"]);
    for inside in [false, true] {
        let (mut cursor, mut seen) = ("0".to_owned(), Vec::new());
        for _ in 0..2000 {
            let words = [
                "SCAN", &cursor, "COUNT", "7", "MATCH", "key:*", "TYPE", "string",
            ];
            let answer = if inside {
                client.ok(&["MULTI"]);
                client.ask(&words);
                client.reply();
                client.call(&["EXEC"]).as_elements().expect("answers")[0].clone()
            } else {
                client.call(&words)
            };
            let parts = answer.as_elements().expect("a cursor and keys").to_vec();
            let keys = parts[1].as_elements().expect("keys");
            seen.extend(
                keys.iter()
                    .filter_map(|key| key.as_str().map(ToOwned::to_owned)),
            );
            cursor = parts[0].as_str().expect("a cursor").to_owned();
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(cursor, "0", "the walk ends");
        assert_eq!(seen.len(), 1000, "inside a transaction: {inside}");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 1000);
    }
}

#[test]
fn nothing_is_answered_before_the_password() {
    let site = Site::start(&["--requirepass", "secret"]);
    let mut client = site.client();
    assert_eq!(
        client.error(&["GET", "k"]),
        "NOAUTH Authentication required."
    );
    assert!(client.error(&["HELLO", "3"]).starts_with("NOAUTH"));
    assert!(client.error(&["AUTH", "wrong"]).starts_with("WRONGPASS"));
    client.ok(&["AUTH", "secret"]);
    assert_eq!(client.call(&["GET", "k"]), Value::Null);
    let mut client = site.client();
    assert!(matches!(
        client.call(&["HELLO", "3", "AUTH", "default", "secret"]),
        Value::Map(_)
    ));
    client.ok(&["CONFIG", "SET", "requirepass", ""]);
    assert_eq!(site.client().call(&["PING"]), simple("PONG"));
    for section in ["all", "server"] {
        assert!(!client.text(&["INFO", section]).contains("secret"));
    }
}

#[test]
fn clients_are_listed_named_and_killed() {
    let site = Site::start(&[]);
    let (mut one, mut two) = (site.client(), site.client());
    two.ok(&["CLIENT", "SETNAME", "victim"]);
    let text = one.text(&["CLIENT", "LIST"]);
    assert_eq!(text.lines().count(), 2);
    let line = text
        .lines()
        .find(|line| line.contains(" name=victim "))
        .expect("its line");
    assert!(line.starts_with("id=") && line.contains(" db=0") && line.contains(" addr=127.0.0.1:"));
    let id = two.integer(&["CLIENT", "ID"]).to_string();
    assert_eq!(one.integer(&["CLIENT", "KILL", "ID", &id]), 1);
    assert_eq!(two.next_reply(), None, "it is closed");
    until("it is off the list", || {
        one.text(&["CLIENT", "LIST"]).lines().count() == 1
    });
    assert_eq!(
        one.integer(&["CLIENT", "KILL", "TYPE", "normal"]),
        0,
        "not itself"
    );
    assert!(
        one.error(&["CLIENT", "KILL", "127.0.0.1:1"])
            .contains("No such client")
    );
    assert!(
        one.error(&["CLIENT", "SETNAME", "a b"])
            .contains("cannot contain spaces")
    );
}

#[test]
fn settings_are_read_changed_and_written_back() {
    let mut site = Site::prepare(&[]);
    let directory = site.directory();
    std::fs::create_dir_all(&directory).expect("a directory");
    let file = directory.join("tandem.conf");
    std::fs::write(&file, "# mine\nmaxclients 500\n").expect("a file");
    site.configure(&["--config", &file.display().to_string()]);
    site.begin();
    let mut client = site.client();
    assert_eq!(
        client.call(&["CONFIG", "GET", "maxclients"]),
        list(&["maxclients", "500"])
    );
    client.ok(&["CONFIG", "SET", "maxclients", "400", "timeout", "100"]);
    assert_eq!(
        client.call(&["CONFIG", "GET", "maxcl*", "timeout"]),
        list(&["maxclients", "400", "timeout", "100"])
    );
    client.ok(&["CONFIG", "REWRITE"]);
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(
        text.starts_with("# mine\nmaxclients 400\n") && text.contains("timeout 100"),
        "{text}"
    );
    assert!(
        client
            .error(&["CONFIG", "SET", "port", "1"])
            .contains("restart")
    );
    assert!(
        client
            .error(&["CONFIG", "SET", "nonsense", "1"])
            .contains("nonsense")
    );
    assert!(
        client
            .error(&["CONFIG", "SET", "maxclients", "x"])
            .contains("maxclients")
    );
}

#[test]
fn slow_commands_are_logged() {
    let site = Site::start(&[]);
    let mut client = site.client();
    client.ok(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    client.ok(&["SET", "k", "v"]);
    let answer = client.call(&["SLOWLOG", "GET", "1"]);
    let entries = answer.as_elements().expect("entries");
    let entry = entries[0].as_elements().expect("an entry");
    assert_eq!(entry.len(), 6);
    assert!(
        entry[3]
            .as_elements()
            .is_some_and(|words| !words.is_empty())
    );
    assert!(client.integer(&["SLOWLOG", "LEN"]) >= 1);
    client.ok(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    client.ok(&["SLOWLOG", "RESET"]);
    assert_eq!(client.integer(&["SLOWLOG", "LEN"]), 0);
}

#[test]
fn bad_input_is_told_and_ends_the_connection() {
    let site = Site::start(&[]);
    for (bytes, expected) in [
        (&b"*1\r\n$9999999999\r\n"[..], "invalid bulk length"),
        (b"*-5\r\n*1\r\n$x\r\n", "invalid bulk length"),
        (b"*2000000000\r\n", "invalid multibulk length"),
        (b"*1\r\n:5\r\n", "expected '$'"),
        (b"SET \"k\r\n", "unbalanced quotes"),
    ] {
        let mut client = site.client();
        client.send(bytes);
        let reply = client.reply();
        let text = reply.as_error().unwrap_or_else(|| panic!("{reply:?}"));
        assert!(
            text.starts_with("ERR Protocol error") && text.contains(expected),
            "{text}"
        );
        assert_eq!(client.next_reply(), None, "closed after {text}");
    }
    let mut client = site.client();
    client.send(b"SET inline \"a b\"\r\nGET inline\r\n\r\nPING\r\n");
    assert_eq!(client.reply(), simple("OK"));
    assert_eq!(client.reply(), bulk("a b"));
    assert_eq!(client.reply(), simple("PONG"));
    let long = "k".repeat(70_000);
    assert!(
        client
            .error(&["SET", &long, "v"])
            .contains("key is 70000 bytes long")
    );
}

#[test]
fn pipelines_are_answered_in_order() {
    let site = Site::start(&[]);
    let mut client = site.client();
    for n in 0..2000 {
        client.ask(&["SET", &format!("k{}", n % 50), &n.to_string()]);
        client.ask(&["GET", &format!("k{}", n % 50)]);
    }
    for n in 0..2000 {
        assert_eq!(client.reply(), simple("OK"));
        assert_eq!(client.reply(), bulk(&n.to_string()));
    }
}
