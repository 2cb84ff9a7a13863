//! Golden requests, whole and cut at every byte, and noise.

use super::*;
use crate::value::encode_command;
use proptest::prelude::*;

fn parse(buf: &[u8]) -> Result<(Parsed, Vec<Vec<u8>>), ProtocolError> {
    parse_within(buf, &Limits::default())
}

fn parse_within(buf: &[u8], limits: &Limits) -> Result<(Parsed, Vec<Vec<u8>>), ProtocolError> {
    let mut args = Args::new();
    let parsed = parse_command(buf, limits, &mut args)?;
    Ok((parsed, args.view(buf).iter().map(<[u8]>::to_vec).collect()))
}

const SAMPLES: &[(&[u8], &[&[u8]])] = &[
    (b"*1\r\n$4\r\nPING\r\n", &[b"PING"]),
    (
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$0\r\n\r\n",
        &[b"SET", b"key", b""],
    ),
    (
        b"*2\r\n$3\r\nGET\r\n$11\r\nbin\r\n\0\xff*1\r\n\r\n",
        &[b"GET", b"bin\r\n\0\xff*1\r\n"],
    ),
    (b"*0\r\n", &[]),
    (b"*-1\r\n", &[]),
    (b"*-123\r\n", &[]),
    (b"\r\n", &[]),
    (b"  \n", &[]),
    (b"PING\r\n", &[b"PING"]),
    (
        b"set  key \"a b\\x00\\n\" 'it\\'s'\n",
        &[b"set", b"key", b"a b\0\n", b"it's"],
    ),
];

#[test]
fn samples_are_read_and_what_follows_is_left() {
    for (bytes, args) in SAMPLES {
        let mut longer = bytes.to_vec();
        longer.extend_from_slice(b"*1\r\n$4\r\nQUIT\r\n");
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
        let expected = Ok((
            Parsed::Complete {
                consumed: bytes.len(),
            },
            args,
        ));
        assert_eq!(parse(&longer), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_truncation_is_incomplete_and_its_hint_never_too_high() {
    for (bytes, _) in SAMPLES {
        for end in 0..bytes.len() {
            let Ok((Parsed::Incomplete { need }, _)) = parse(&bytes[..end]) else {
                panic!("{} was read", bytes[..end].escape_ascii());
            };
            assert!(
                need <= bytes.len(),
                "{need} for {}",
                bytes[..end].escape_ascii()
            );
            assert!(
                need == 0 || need > end,
                "{need} for {}",
                bytes[..end].escape_ascii()
            );
        }
    }
}

#[test]
fn bad_requests_are_refused_in_the_words_of_redis() {
    let cases: &[(&[u8], &str)] = &[
        (b"*a\r\n", "Protocol error: invalid multibulk length"),
        (b"*01\r\n", "Protocol error: invalid multibulk length"),
        (b"*+1\r\n", "Protocol error: invalid multibulk length"),
        (b"*\r\n", "Protocol error: invalid multibulk length"),
        (b"*-0\r\n", "Protocol error: invalid multibulk length"),
        (b"*-\r\n", "Protocol error: invalid multibulk length"),
        (b"*1\rx", "Protocol error: invalid multibulk length"),
        (b"*1048577\r\n", "Protocol error: invalid multibulk length"),
        (
            b"*9999999999999999999",
            "Protocol error: invalid multibulk length",
        ),
        (b"*1\r\nPING\r\n", "Protocol error: expected '$', got 'P'"),
        (b"*1\r\n:1\r\n", "Protocol error: expected '$', got ':'"),
        (b"*1\r\n$-1\r\n", "Protocol error: invalid bulk length"),
        (b"*1\r\n$x\r\n", "Protocol error: invalid bulk length"),
        (
            b"*1\r\n$536870913\r\n",
            "Protocol error: invalid bulk length",
        ),
        (
            b"*1\r\n$18446744073709551617\r\n",
            "Protocol error: invalid bulk length",
        ),
        (
            b"get \"a\r\n",
            "Protocol error: unbalanced quotes in request",
        ),
        (
            b"get 'a'b\r\n",
            "Protocol error: unbalanced quotes in request",
        ),
    ];
    for (bytes, message) in cases {
        let refused = parse(bytes).map_err(|error| error.to_string());
        assert_eq!(
            refused,
            Err((*message).to_owned()),
            "{}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn strangers_get_little_room() {
    let limits = Limits::unauthenticated();
    let message = |bytes: &[u8]| parse_within(bytes, &limits).map_err(|error| error.to_string());
    assert!(matches!(
        message(b"*10\r\n"),
        Ok((Parsed::Incomplete { .. }, _))
    ));
    assert_eq!(
        message(b"*11\r\n"),
        Err("Protocol error: unauthenticated multibulk length".to_owned())
    );
    assert!(matches!(
        message(b"*1\r\n$16384\r\n"),
        Ok((Parsed::Incomplete { .. }, _))
    ));
    assert_eq!(
        message(b"*1\r\n$16385\r\n"),
        Err("Protocol error: unauthenticated bulk length".to_owned())
    );
    assert_eq!(
        message(b"1 2 3 4 5 6 7 8 9 10 11\n"),
        Err("Protocol error: unauthenticated multibulk length".to_owned())
    );
}

#[test]
fn inline_commands_end_at_their_limit() {
    let limit = Limits::default().inline_bytes_max;
    let line = |length: usize, end: &[u8]| [&vec![b'x'; length], end].concat();
    for end in [&b"\n"[..], b"\r\n"] {
        assert_eq!(parse(&line(limit, end)).unwrap().1, vec![vec![b'x'; limit]]);
        assert_eq!(
            parse(&line(limit + 1, end)),
            Err(ProtocolError::InlineTooBig)
        );
    }
    assert!(matches!(
        parse(&line(limit, b"")),
        Ok((Parsed::Incomplete { need: 0 }, _))
    ));
    assert_eq!(
        parse(&line(limit + 2, b"")),
        Err(ProtocolError::InlineTooBig)
    );
    assert_eq!(
        parse(&line(limit * 4, b"")),
        Err(ProtocolError::InlineTooBig)
    );
}

#[test]
fn the_hint_names_all_of_a_large_argument_at_once() {
    let head = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000000\r\n";
    let whole = head.len() + 1_000_000 + 2;
    assert_eq!(parse(head).unwrap().0, Parsed::Incomplete { need: whole });
    let half = [&head[..], &vec![b'x'; 500_000]].concat();
    assert_eq!(parse(&half).unwrap().0, Parsed::Incomplete { need: whole });
    // Arguments that did not begin yet count with their shortest form.
    assert_eq!(
        parse(b"*1000\r\n").unwrap().0,
        Parsed::Incomplete { need: 7 + 6 * 1000 }
    );
}

#[test]
fn waiting_for_the_hint_reads_a_long_request_in_few_calls() {
    let args: Vec<String> = (0..100_000).map(|n| format!("argument-{n}")).collect();
    let bytes = encode_command(&args);
    let mut parsed = Args::new();
    let (mut end, mut calls) = (1, 0);
    loop {
        calls += 1;
        match parse_command(&bytes[..end], &Limits::default(), &mut parsed).unwrap() {
            Parsed::Complete { consumed } => break assert_eq!(consumed, bytes.len()),
            Parsed::Incomplete { need } => end = need.max(end + 1),
        }
    }
    assert_eq!(parsed.len(), args.len());
    assert!(calls < 60, "{calls} calls");
}

#[test]
fn arguments_used_again_are_those_of_the_last_request() {
    let mut args = Args::new();
    let limits = Limits::default();
    for bytes in [&b"\"a\" 'b' c\r\n"[..], b"*1\r\n$1\r\nd\r\n", b"\r\n"] {
        parse_command(bytes, &limits, &mut args).unwrap();
        let words: Vec<&[u8]> = args.view(bytes).iter().collect();
        match bytes[0] {
            b'"' => assert_eq!(words, [b"a", b"b", b"c"]),
            b'*' => assert_eq!(words, [b"d"]),
            _ => assert!(words.is_empty() && args.is_empty()),
        }
    }
}

proptest! {
    #[test]
    fn commands_survive_the_wire(
        words in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..12)
    ) {
        let bytes = encode_command(&words);
        let expected = Ok((Parsed::Complete { consumed: bytes.len() }, words));
        prop_assert_eq!(parse(&bytes), expected);
        for end in 0..bytes.len() {
            let Ok((Parsed::Incomplete { need }, _)) = parse(&bytes[..end]) else {
                return Err(TestCaseError::fail("a cut request was read"));
            };
            prop_assert!(end < need && need <= bytes.len());
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok((Parsed::Complete { consumed }, _)) = parse(&bytes) {
            prop_assert!(consumed <= bytes.len());
        }
    }

    #[test]
    fn likely_noise_never_panics(text in "[*$0-9\r\n\"'\\\\x a-]{0,60}") {
        if let Ok((Parsed::Complete { consumed }, _)) = parse(text.as_bytes()) {
            prop_assert!(consumed <= text.len());
        }
    }
}
