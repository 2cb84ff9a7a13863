//! Samples of every type, whole, cut at every byte, and noise.

use super::*;
use crate::error::ProtocolError;
use crate::reply::{Protocol, Reply};
use proptest::prelude::*;

fn samples() -> Vec<(&'static [u8], Value)> {
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    vec![
        (b"+OK\r\n", Value::Simple("OK".into())),
        (b"-ERR no\r\n", Value::Error("ERR no".into())),
        (b":-42\r\n", Value::Integer(-42)),
        (b"$5\r\na\r\nbc\r\n", bulk("a\r\nbc")),
        (b"$0\r\n\r\n", bulk("")),
        (b"$-1\r\n", Value::Null),
        (b"*-1\r\n", Value::Null),
        (b"_\r\n", Value::Null),
        (b"*0\r\n", Value::Array(vec![])),
        (b"*2\r\n:1\r\n*1\r\n$1\r\na\r\n", {
            Value::Array(vec![Value::Integer(1), Value::Array(vec![bulk("a")])])
        }),
        (b"%1\r\n+k\r\n:1\r\n", {
            Value::Map(vec![(Value::Simple("k".into()), Value::Integer(1))])
        }),
        (b"~1\r\n#t\r\n", Value::Set(vec![Value::Boolean(true)])),
        (b"#f\r\n", Value::Boolean(false)),
        (b",1.5\r\n", Value::Double(1.5)),
        (b",-inf\r\n", Value::Double(f64::NEG_INFINITY)),
        (
            b"(-12345678901234567890123\r\n",
            Value::BigNumber("-12345678901234567890123".into()),
        ),
        (
            b"=8\r\ntxt:a\nbc\r\n",
            Value::Verbatim {
                format: *b"txt",
                text: b"a\nbc".to_vec(),
            },
        ),
        (b"!6\r\nERR no\r\n", Value::Error("ERR no".into())),
        (b">2\r\n+message\r\n$1\r\nx\r\n", {
            Value::Push(vec![Value::Simple("message".into()), bulk("x")])
        }),
        (
            b"|1\r\n+ttl\r\n:3\r\n*1\r\n:7\r\n",
            Value::Array(vec![Value::Integer(7)]),
        ),
        (b"*2\r\n|1\r\n+a\r\n:3\r\n:7\r\n:8\r\n", {
            Value::Array(vec![Value::Integer(7), Value::Integer(8)])
        }),
    ]
}

#[test]
fn every_type_is_read() {
    for (bytes, value) in samples() {
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(b"+next\r\n");
        assert_eq!(
            decode(&longer),
            Ok(Some((value, bytes.len()))),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn every_truncation_is_incomplete() {
    for (bytes, _) in samples() {
        for end in 0..bytes.len() {
            assert_eq!(
                decode(&bytes[..end]),
                Ok(None),
                "{}",
                bytes[..end].escape_ascii()
            );
        }
    }
}

#[test]
fn bad_replies_are_named() {
    let malformed = |kind| ProtocolError::MalformedReply { kind };
    let too_big = |size_max| ProtocolError::ReplyTooBig { size_max };
    let cases: &[(&[u8], ProtocolError)] = &[
        (b"GET\r\n", ProtocolError::UnknownReplyType { got: b'G' }),
        (b":x\r\n", malformed(b':')),
        (b":1\n", malformed(b':')),
        (b"$-2\r\n", malformed(b'$')),
        (b"%-1\r\n", malformed(b'%')),
        (b"#x\r\n", malformed(b'#')),
        (b",x\r\n", malformed(b',')),
        (b"(1x\r\n", malformed(b'(')),
        (b"=3\r\ntxt\r\n", malformed(b'=')),
        (b"_x\r\n", malformed(b'_')),
        (b"$1073741825\r\n", too_big(1 << 30)),
        (b"*67108865\r\n", too_big(64 << 20)),
        (b"%9223372036854775807\r\n", too_big(32 << 20)),
    ];
    for (bytes, error) in cases {
        assert_eq!(decode(bytes), Err(*error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn nesting_is_followed_to_its_bound_only() {
    let nested = |depth: usize| [b"*1\r\n".repeat(depth), b":1\r\n".to_vec()].concat();
    assert!(decode(&nested(DEPTH_MAX)).unwrap().is_some());
    let error = Err(ProtocolError::ReplyTooDeep {
        depth_max: DEPTH_MAX,
    });
    assert_eq!(decode(&nested(DEPTH_MAX + 1)), error);
    assert_eq!(decode(&b"*1\r\n".repeat(1_000_000)), error);
}

#[test]
fn a_line_without_end_is_given_up() {
    let endless = vec![b'+'; (1 << 20) + 8];
    assert_eq!(
        decode(&endless),
        Err(ProtocolError::ReplyTooBig { size_max: 1 << 20 })
    );
}

#[test]
fn accessors_read_what_either_protocol_sends() {
    assert_eq!(Value::Bulk(b"12".to_vec()).as_integer(), Some(12));
    assert_eq!(Value::Boolean(true).as_integer(), Some(1));
    assert_eq!(Value::Simple("OK".into()).as_str(), Some("OK"));
    assert_eq!(Value::Error("ERR".into()).as_bytes(), None);
    assert_eq!(Value::Error("ERR".into()).as_error(), Some("ERR"));
    assert_eq!(
        Value::Set(vec![Value::Null]).as_elements(),
        Some(&[Value::Null][..])
    );
}

#[test]
fn commands_are_encoded_as_clients_send_them() {
    assert_eq!(
        encode_command(["SET", "k", ""]),
        b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n"
    );
}

fn any_value() -> impl Strategy<Value = Value> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    let leaf = prop_oneof![
        "[a-zA-Z ]{0,8}".prop_map(Value::Simple),
        "ERR [a-z]{0,8}".prop_map(Value::Error),
        any::<i64>().prop_map(Value::Integer),
        bytes().prop_map(Value::Bulk),
        Just(Value::Null),
        any::<i32>().prop_map(|value| Value::Double(f64::from(value) / 4.0)),
        any::<bool>().prop_map(Value::Boolean),
        bytes().prop_map(|text| Value::Verbatim {
            format: *b"txt",
            text
        }),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let many = || proptest::collection::vec(inner.clone(), 0..4);
        prop_oneof![
            many().prop_map(Value::Array),
            many().prop_map(Value::Set),
            many().prop_map(Value::Push),
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
        ]
    })
}

fn write_all(values: &[Value], reply: &mut Reply<'_>) {
    for value in values {
        write(value, reply);
    }
}

fn write(value: &Value, reply: &mut Reply<'_>) {
    match value {
        Value::Simple(text) => reply.simple(text),
        Value::Error(text) => reply.error(text),
        Value::Integer(value) => reply.integer(*value),
        Value::Bulk(bytes) => reply.bulk(bytes),
        Value::Null => reply.null(),
        Value::Array(values) => {
            reply.array(values.len());
            write_all(values, reply);
        }
        Value::Map(pairs) => {
            reply.map(pairs.len());
            for (key, value) in pairs {
                write(key, reply);
                write(value, reply);
            }
        }
        Value::Set(values) => {
            reply.set(values.len());
            write_all(values, reply);
        }
        Value::Double(value) => reply.double(*value),
        Value::Boolean(value) => reply.boolean(*value),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Verbatim { format, text } => reply.verbatim(*format, text),
        Value::Push(values) => {
            reply.push(values.len());
            write_all(values, reply);
        }
    }
}

proptest! {
    #[test]
    fn what_reply_writes_is_read_back(value in any_value()) {
        let mut bytes = Vec::new();
        write(&value, &mut Reply::new(&mut bytes, Protocol::Resp3));
        prop_assert_eq!(decode(&bytes), Ok(Some((value, bytes.len()))));
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(Some((_, length))) = decode(&bytes) {
            prop_assert!(length <= bytes.len());
        }
    }

    #[test]
    fn likely_noise_never_panics(text in "[-+:$*_%~,#(=>!|0-9a-z\r\n]{0,60}") {
        if let Ok(Some((_, length))) = decode(text.as_bytes()) {
            prop_assert!(length <= text.len());
        }
    }
}
