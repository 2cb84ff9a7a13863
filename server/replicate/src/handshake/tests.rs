use super::*;
use crate::message::{FullMode, WelcomeDatabase};
use tandem_merge::{History, Origin, OriginIndex, Origins, Row, VersionVector};

fn hello(kind: LinkKind) -> Hello {
    Hello {
        format: FORMAT,
        kind,
        cluster_id: "bbb".to_owned(),
        cluster_agreed: false,
        server_id: 2,
        instance_id: "receiver".to_owned(),
        run: 1,
        own: None,
        epoch: 5,
        by_hand: false,
        host: String::new(),
        port: 7002,
        password: Vec::new(),
        databases: Vec::new(),
    }
}

fn local() -> Local<'static> {
    Local {
        cluster_id: "aaa",
        cluster_agreed: false,
        server_id: 1,
        instance_id: "source",
        epoch: 5,
        peer: Some(2),
        members: &[],
        passwords: &[],
    }
}

fn replica() -> Hello {
    Hello {
        server_id: 1,
        ..hello(LinkKind::Replica)
    }
}

fn code(hello: &Hello, local: &Local<'_>) -> Option<RefuseCode> {
    decide(hello, local).err().map(|refusal| refusal.code)
}

#[test]
fn strangers_are_refused_in_order_of_what_they_may_learn() {
    let passwords = [b"right".to_vec()];
    let secret = Local {
        passwords: &passwords,
        ..local()
    };
    let wrong = Hello {
        password: b"wrong".to_vec(),
        ..hello(LinkKind::Peer)
    };
    let other_format = Hello {
        format: 2,
        ..wrong.clone()
    };
    assert_eq!(code(&other_format, &secret), Some(RefuseCode::Format));
    assert_eq!(code(&wrong, &secret), Some(RefuseCode::Auth));
    assert_eq!(
        code(&hello(LinkKind::Peer), &secret),
        Some(RefuseCode::Auth)
    );
    let longer = Hello {
        password: b"right!".to_vec(),
        ..wrong.clone()
    };
    assert_eq!(code(&longer, &secret), Some(RefuseCode::Auth));
    let right = Hello {
        password: b"right".to_vec(),
        ..wrong
    };
    assert_eq!(code(&right, &secret), None);
}

#[test]
fn any_of_the_passwords_is_taken_and_nothing_between_them() {
    let passwords = [b"present".to_vec(), b"previous".to_vec()];
    let secret = Local {
        passwords: &passwords,
        ..local()
    };
    let with = |password: &[u8]| Hello {
        password: password.to_vec(),
        ..hello(LinkKind::Peer)
    };
    assert_eq!(code(&with(b"present"), &secret), None);
    assert_eq!(code(&with(b"previous"), &secret), None);
    for wrong in [&b""[..], b"pre", b"presentprevious", b"previous "] {
        assert_eq!(code(&with(wrong), &secret), Some(RefuseCode::Auth));
    }
    assert_eq!(code(&with(b"anything"), &local()), None);
}

#[test]
fn an_instance_does_not_follow_itself() {
    let mut mirror = replica();
    mirror.instance_id = "source".to_owned();
    let refusal = decide(&mirror, &local()).expect_err("refused");
    assert_eq!(refusal.code, RefuseCode::Same);
    assert_eq!(
        refusal.reason,
        "The master ip:port and the slave ip:port are the same"
    );
}

#[test]
fn server_ids_fit_the_kind_of_link() {
    let with = |kind, server_id| Hello {
        server_id,
        ..hello(kind)
    };
    let alone = Local {
        peer: None,
        ..local()
    };
    let told = Local {
        peer: None,
        members: &[1, 2, 3],
        ..local()
    };
    let table = [
        (with(LinkKind::Peer, 2), local(), None),
        (with(LinkKind::Peer, 3), local(), Some(RefuseCode::ServerId)),
        (with(LinkKind::Peer, 1), local(), Some(RefuseCode::ServerId)),
        (with(LinkKind::Peer, 0), local(), Some(RefuseCode::ServerId)),
        (
            with(LinkKind::Peer, 2),
            Local {
                server_id: 0,
                ..local()
            },
            Some(RefuseCode::ServerId),
        ),
        (with(LinkKind::Peer, 2), alone, Some(RefuseCode::ServerId)),
        (with(LinkKind::Peer, 3), told, None),
        (with(LinkKind::Replica, 1), local(), None),
        (with(LinkKind::Replica, 0), local(), None),
        (with(LinkKind::Replica, 9), local(), None),
        (
            with(LinkKind::Replica, 2),
            local(),
            Some(RefuseCode::ServerId),
        ),
        (with(LinkKind::Handover, 1), local(), None),
        (
            with(LinkKind::Handover, 2),
            local(),
            Some(RefuseCode::ServerId),
        ),
    ];
    for (hello, local, expected) in table {
        assert_eq!(
            code(&hello, &local),
            expected,
            "{:?} {}",
            hello.kind,
            hello.server_id
        );
    }
}

#[test]
fn an_old_claim_to_be_primary_is_refused_on_both_sides() {
    let newer = Hello {
        epoch: 6,
        ..replica()
    };
    assert_eq!(code(&newer, &local()), Some(RefuseCode::Superseded));
    assert_eq!(
        code(
            &Hello {
                by_hand: true,
                ..newer.clone()
            },
            &local()
        ),
        None
    );
    assert_eq!(
        code(
            &Hello {
                kind: LinkKind::Handover,
                ..newer.clone()
            },
            &local()
        ),
        None
    );
    let answer = welcome("bbb", 1, 5);
    let refusal = check_welcome(&newer, &answer, None).expect_err("refused");
    assert_eq!(refusal.code, RefuseCode::Superseded);
    check_welcome(&newer, &welcome("bbb", 1, 6), None).expect("an equal epoch is fine");
}

fn welcome(cluster_id: &str, server_id: u32, epoch: u64) -> Welcome {
    Welcome {
        cluster_id: cluster_id.to_owned(),
        server_id,
        instance_id: "source".to_owned(),
        run: 1,
        epoch,
        port: 7001,
        databases: Vec::<WelcomeDatabase>::new(),
    }
}

#[test]
fn a_pair_agrees_on_the_smaller_id_once() {
    let theirs = |agreed| Hello {
        cluster_agreed: agreed,
        ..hello(LinkKind::Peer)
    };
    let mine = |agreed| Local {
        cluster_agreed: agreed,
        ..local()
    };
    let accept = |id: &str, agree, same_cluster| {
        Ok(Decision {
            cluster_id: id.to_owned(),
            agree,
            same_cluster,
        })
    };
    assert_eq!(
        decide(&theirs(false), &mine(false)),
        accept("aaa", true, false)
    );
    assert_eq!(
        decide(&theirs(true), &mine(false)),
        accept("bbb", true, false)
    );
    assert_eq!(
        decide(&theirs(false), &mine(true)),
        accept("aaa", false, false)
    );
    assert_eq!(code(&theirs(true), &mine(true)), Some(RefuseCode::Cluster));
    let same = Hello {
        cluster_id: "aaa".to_owned(),
        ..theirs(true)
    };
    assert_eq!(decide(&same, &mine(true)), accept("aaa", false, true));
    assert_eq!(decide(&same, &mine(false)), accept("aaa", true, true));
}

#[test]
fn a_replica_takes_its_primarys_id_and_a_peer_keeps_an_agreed_one() {
    let decision = decide(
        &Hello {
            cluster_agreed: true,
            ..replica()
        },
        &local(),
    )
    .expect("accepted");
    assert_eq!(
        (decision.cluster_id.as_str(), decision.agree),
        ("aaa", false)
    );
    let agreed = Hello {
        cluster_agreed: true,
        ..replica()
    };
    let taken = check_welcome(&agreed, &welcome("aaa", 1, 5), None).expect("accepted");
    assert_eq!((taken.cluster_id.as_str(), taken.agree), ("aaa", true));
    let peer = Hello {
        cluster_agreed: true,
        ..hello(LinkKind::Peer)
    };
    let refusal = check_welcome(&peer, &welcome("aaa", 1, 5), Some(1)).expect_err("refused");
    assert_eq!(refusal.code, RefuseCode::Cluster);
}

#[test]
fn who_collects_changes_no_data_set_of_the_source() {
    let decided = |theirs, mine| {
        let hello = Hello {
            cluster_agreed: theirs,
            server_id: 1,
            ..hello(LinkKind::Handover)
        };
        let local = Local {
            cluster_agreed: mine,
            cluster_id: "ccc",
            ..local()
        };
        let decision = decide(&hello, &local).ok()?;
        assert!(!decision.agree);
        let welcome = welcome(&decision.cluster_id, 1, 5);
        let taken = check_welcome(&hello, &welcome, None).expect("is taken by who asked");
        Some(taken.cluster_id)
    };
    let some = |id: &str| Some(id.to_owned());
    assert_eq!(decided(false, false), some("ccc"));
    assert_eq!(decided(false, true), some("ccc"));
    assert_eq!(decided(true, false), some("bbb"));
    assert_eq!(decided(true, true), None);
}

#[test]
fn a_peer_is_who_it_was_said_to_be() {
    let refusal = check_welcome(&hello(LinkKind::Peer), &welcome("aaa", 3, 5), Some(1));
    assert_eq!(refusal.expect_err("refused").code, RefuseCode::ServerId);
}

fn origin(server_id: u32) -> Origin {
    Origin {
        server_id,
        epoch: 1,
        incarnation: u64::from(server_id),
    }
}

fn source(rows: &[(u32, u64)], base: &[(u32, u64)]) -> History {
    let mut history = History::new();
    for (server_id, high) in rows {
        let index = history.origins.intern(origin(*server_id));
        history.vv.raise(index, *high);
    }
    for (server_id, high) in base {
        let index = history.origins.intern(origin(*server_id));
        history.base.raise(index, *high);
    }
    history
}

fn held(rows: &[(u32, u64)], source: &History) -> Held {
    let (mut origins, mut vv) = (Origins::default(), VersionVector::new());
    for (server_id, high) in rows {
        vv.raise(origins.intern(origin(*server_id)), *high);
    }
    Held::new(&origins, &vv, &source.origins)
}

fn verdict_code(verdict: &Verdict) -> Result<Option<FullMode>, RefuseCode> {
    match verdict {
        Verdict::Partial => Ok(None),
        Verdict::Full(mode) => Ok(Some(*mode)),
        Verdict::Refused(refusal) => Err(refusal.code),
    }
}

type Expected = Result<Option<FullMode>, RefuseCode>;
type Case<'c> = (LinkKind, &'c [(u32, u64)], Option<FullMode>, bool, Expected);

#[test]
fn each_database_is_judged_by_what_is_held() {
    use FullMode::{Merge, Overwrite, Replace};
    use LinkKind::{Handover, Peer, Replica};
    let source = source(&[(1, 100), (2, 50)], &[(1, 20)]);
    let table: [Case<'_>; 20] = [
        (Replica, &[(1, 20)], None, true, Ok(None)),
        (Replica, &[(1, 19)], None, true, Ok(Some(Replace))),
        (Replica, &[], None, false, Ok(Some(Replace))),
        (Replica, &[(1, 101)], None, true, Ok(None)),
        (
            Replica,
            &[(1, 19), (2, 51)],
            None,
            true,
            Err(RefuseCode::HandoverFirst),
        ),
        (Replica, &[(9, 1)], None, false, Err(RefuseCode::Foreign)),
        (Replica, &[(1, 20), (9, 1)], None, true, Ok(None)),
        (
            Replica,
            &[(9, 1)],
            None,
            true,
            Err(RefuseCode::HandoverFirst),
        ),
        (
            Replica,
            &[(9, 1)],
            Some(Overwrite),
            false,
            Ok(Some(Overwrite)),
        ),
        (
            Replica,
            &[(9, 1)],
            Some(Replace),
            true,
            Err(RefuseCode::HandoverFirst),
        ),
        (Replica, &[(1, 50)], Some(Replace), true, Ok(Some(Replace))),
        (Peer, &[(1, 20), (9, 3)], None, false, Ok(None)),
        (Peer, &[(1, 19)], None, true, Err(RefuseCode::LostPlace)),
        (Peer, &[(9, 1)], None, true, Err(RefuseCode::LostPlace)),
        (Peer, &[], None, true, Ok(Some(Merge))),
        (Peer, &[(1, 19)], Some(Merge), true, Ok(Some(Merge))),
        (Peer, &[(9, 1)], Some(Merge), true, Ok(Some(Merge))),
        (Peer, &[(9, 1)], Some(Overwrite), true, Ok(Some(Overwrite))),
        (Handover, &[(1, 90)], None, true, Ok(None)),
        (Handover, &[(1, 10)], None, true, Ok(Some(Merge))),
    ];
    for (kind, rows, wish, same_cluster, expected) in table {
        let held = held(rows, &source);
        let verdict = judge(kind, &held, wish, &source, same_cluster);
        assert_eq!(
            verdict_code(&verdict),
            expected,
            "{kind:?} {rows:?} {wish:?} {same_cluster}"
        );
    }
}

#[test]
fn a_source_with_holes_refuses_whoever_needs_them_and_gives_no_state() {
    let mut source = source(&[(1, 100)], &[]);
    source.vv.set_row(
        OriginIndex(0),
        Row {
            high: 100,
            holes: vec![(10, 20)],
        },
    );
    let judged = |rows: &[(u32, u64)], wish| {
        verdict_code(&judge(
            LinkKind::Peer,
            &held(rows, &source),
            wish,
            &source,
            true,
        ))
    };
    assert_eq!(judged(&[(1, 19)], None), Err(RefuseCode::Hole));
    assert_eq!(judged(&[(1, 20)], None), Ok(None));
    assert_eq!(
        judged(&[(1, 20)], Some(FullMode::Merge)),
        Err(RefuseCode::Hole)
    );
    assert_eq!(
        judged(&[(1, 20)], Some(FullMode::Overwrite)),
        Err(RefuseCode::Hole)
    );
}

#[test]
fn holes_are_repaired_only_by_a_source_that_holds_all_else() {
    let source = source(&[(1, 100), (2, 5)], &[]);
    let mut held = held(&[(1, 50), (2, 5)], &source);
    held.vv.set_row(
        OriginIndex(0),
        Row {
            high: 50,
            holes: vec![(10, 20)],
        },
    );
    let judged = |held: &Held| {
        verdict_code(&judge(
            LinkKind::Peer,
            held,
            Some(FullMode::Merge),
            &source,
            true,
        ))
    };
    assert_eq!(judged(&held), Ok(Some(FullMode::Merge)));
    held.vv.raise(OriginIndex(1), 6);
    assert_eq!(judged(&held), Err(RefuseCode::HandoverFirst));
}

#[test]
fn a_replica_with_holes_takes_the_state_anew_by_itself() {
    let source = source(&[(1, 100)], &[]);
    let mut held = held(&[(1, 100)], &source);
    let row = Row {
        high: 100,
        holes: vec![(10, 20)],
    };
    held.vv.set_row(OriginIndex(0), row);
    let judged = |kind| verdict_code(&judge(kind, &held, None, &source, true));
    assert_eq!(judged(LinkKind::Replica), Ok(Some(FullMode::Replace)));
    assert_eq!(judged(LinkKind::Peer), Ok(None));
}

#[test]
fn an_instance_that_holds_only_holes_counts_as_empty() {
    let source = source(&[(1, 100)], &[(1, 60)]);
    let mut held = held(&[], &source);
    held.vv.set_row(
        OriginIndex(0),
        Row {
            high: 50,
            holes: vec![(1, 50)],
        },
    );
    assert!(held.is_empty());
}

#[test]
fn only_an_empty_receiver_is_given_the_state_for_a_long_log() {
    use LinkKind::{Handover, Peer, Replica};
    let source = source(&[(1, 100)], &[]);
    let (empty, some) = (held(&[], &source), held(&[(1, 1)], &source));
    let code =
        |kind, held, bytes| verdict_code(&shorten(Verdict::Partial, kind, held, &source, bytes));
    assert_eq!(code(Replica, &empty, 1 << 30), Ok(Some(FullMode::Replace)));
    assert_eq!(code(Peer, &empty, 1 << 30), Ok(Some(FullMode::Merge)));
    assert_eq!(code(Handover, &empty, 1 << 30), Ok(None));
    assert_eq!(code(Replica, &some, 1 << 30), Ok(None));
    assert_eq!(code(Replica, &empty, 1 << 20), Ok(None));
}
