use super::*;
use tandem_proto::status::LinkKind;

fn origin(server_id: u32) -> Origin {
    Origin {
        server_id,
        epoch: 3,
        incarnation: 0xdead_beef_0000_0000 + u64::from(server_id),
    }
}

fn vector() -> VersionVector {
    let mut vv = VersionVector::new();
    vv.raise(OriginIndex(0), 7);
    let row = tandem_merge::Row {
        high: 20,
        holes: vec![(3, 5), (9, 9)],
    };
    vv.set_row(OriginIndex(1), row);
    vv
}

fn origins() -> tandem_merge::Origins {
    let mut origins = tandem_merge::Origins::default();
    origins.intern(origin(1));
    origins.intern(origin(2));
    origins
}

fn hello() -> Hello {
    let database = |number, wish| HelloDatabase {
        number,
        origins: origins(),
        vv: vector(),
        wish,
    };
    Hello {
        format: FORMAT,
        kind: LinkKind::Peer,
        cluster_id: "c".repeat(40),
        cluster_agreed: true,
        server_id: 2,
        instance_id: "i".repeat(16),
        run: 77,
        own: Some(origin(2)),
        epoch: 9,
        by_hand: true,
        host: "h".to_owned(),
        port: 6379,
        password: b"secret".to_vec(),
        databases: vec![database(0, None), database(3, Some(FullMode::Overwrite))],
    }
}

fn welcome() -> Welcome {
    let verdicts = [
        Verdict::Partial,
        Verdict::Full(FullMode::Merge),
        Verdict::Refused(Refusal::new(RefuseCode::Hole, "hole")),
    ];
    let database = |(number, verdict)| WelcomeDatabase {
        number: number as u32,
        origins: origins(),
        vv: vector(),
        verdict,
    };
    Welcome {
        cluster_id: "c".to_owned(),
        server_id: 1,
        instance_id: "j".to_owned(),
        run: 5,
        epoch: 4,
        port: 7001,
        databases: verdicts.into_iter().enumerate().map(database).collect(),
    }
}

fn all() -> Vec<Message<'static>> {
    let rows: Rows = vec![(OriginIndex(0), 5), (OriginIndex(300), u64::MAX)];
    vec![
        Message::Hello(Box::new(hello())),
        Message::Welcome(Box::new(welcome())),
        Message::Refuse(Refusal::new(RefuseCode::Auth, "no")),
        Message::Origins {
            database: 1,
            first: 2,
            origins: vec![origin(1), origin(9)],
        },
        Message::Records {
            database: 15,
            lsn: 1 << 40,
            packed: b"\x03abc",
        },
        Message::Head {
            database: 0,
            lsn: 9,
            head: 12,
            rows: rows.clone(),
        },
        Message::Ack(Ack {
            database: 2,
            applied: rows,
            applied_lsn: 8,
            durable_lsn: 7,
        }),
        Message::Ping {
            clock_ms: 1_700_000_000_000,
        },
        Message::Pong {
            clock_ms: 5,
            asked_ms: 4,
        },
        Message::FullBegin {
            database: 0,
            mode: FullMode::Replace,
            bytes: 1 << 30,
            history: b"h",
        },
        Message::FullPart {
            database: 0,
            packed: b"xyz",
        },
        Message::FullSlice {
            database: 0,
            first: 0,
            last: u64::MAX,
            vv: vector(),
            packed: b"p",
        },
        Message::FullEnd {
            database: 0,
            vv: vector(),
        },
        Message::FullDone {
            database: 0,
            vv: vector(),
        },
        Message::Bye {
            reason: "done".to_owned(),
        },
    ]
}

fn payload(frame: &[u8]) -> &[u8] {
    let head = *frame
        .first_chunk::<FRAME_HEAD>()
        .expect("a frame has a head");
    let length = frame_length(head, FRAME_BYTES_MAX).expect("length");
    assert_eq!(frame.len(), FRAME_HEAD + length);
    check_frame(head, &frame[FRAME_HEAD..]).expect("checksum");
    &frame[FRAME_HEAD..]
}

#[test]
fn every_message_survives_a_round_trip() {
    for message in all() {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        assert_eq!(Message::decode(payload(&frame)).expect("decodes"), message);
    }
}

#[test]
fn every_truncation_is_an_error_or_shorter_free_bytes() {
    for message in all() {
        let mut frame = Vec::new();
        message.encode(&mut frame);
        let whole = payload(&frame);
        for cut in 0..whole.len() {
            // Messages that end in free bytes stay messages, others must not.
            if let Ok(short) = Message::decode(&whole[..cut]) {
                assert_ne!(short, message, "cut at {cut}");
            }
        }
    }
}

#[test]
fn each_flipped_bit_is_noticed_by_the_frame() {
    let mut frame = Vec::new();
    Message::Ping { clock_ms: 12_345 }.encode(&mut frame);
    for bit in 0..frame.len() * 8 {
        let mut bad = frame.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let head = *bad.first_chunk::<FRAME_HEAD>().expect("head");
        let same_length = frame_length(head, FRAME_BYTES_MAX) == Ok(frame.len() - FRAME_HEAD);
        assert!(
            !same_length || check_frame(head, &bad[FRAME_HEAD..]).is_err(),
            "bit {bit}"
        );
    }
}

#[test]
fn random_bytes_never_panic() {
    let (mut state, mut decoded_count) = (1u64, 0u32);
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        for _ in 0..(state >> 58) {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            bytes.push((state >> 33) as u8 % 20);
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(99);
        let decoded = Message::decode(&bytes).is_ok();
        decoded_count += u32::from(decoded);
    }
    assert!(decoded_count > 0, "some of them are messages");
}

#[test]
fn lengths_beyond_the_bound_are_refused() {
    let mut head = [0; FRAME_HEAD];
    assert_eq!(
        frame_length(head, 10),
        Err(FrameError::Length { length: 0, max: 10 })
    );
    head[0] = 11;
    assert_eq!(
        frame_length(head, 10),
        Err(FrameError::Length {
            length: 11,
            max: 10
        })
    );
    head[0] = 10;
    assert_eq!(frame_length(head, 10), Ok(10));
}

#[test]
fn records_packed_in_place_are_a_records_message() {
    let mut out = b"before".to_vec();
    let mut frame = RecordsFrame::begin(&mut out, 4);
    frame.push(&mut out, b"one");
    frame.push(&mut out, b"");
    assert_eq!((frame.count(), frame.bytes(&out)), (2, 5));
    assert_eq!(frame.finish(&mut out, 99), 2);
    let message = Message::decode(payload(&out[6..])).expect("decodes");
    let Message::Records {
        database: 4,
        lsn: 99,
        packed,
    } = message
    else {
        panic!("not the records: {message:?}");
    };
    let mut records = PackedRecords::new(packed);
    assert_eq!(records.next_record(), Ok(Some(&b"one"[..])));
    assert_eq!(records.next_record(), Ok(Some(&b""[..])));
    assert_eq!(records.next_record(), Ok(None));
}

#[test]
fn an_empty_records_frame_is_taken_back() {
    let mut out = b"before".to_vec();
    let frame = RecordsFrame::begin(&mut out, 4);
    assert_eq!(frame.finish(&mut out, 99), 0);
    assert_eq!(out, b"before");
}

#[test]
fn a_hello_does_not_show_its_password() {
    assert!(!format!("{:?}", hello()).contains("secret"));
}
