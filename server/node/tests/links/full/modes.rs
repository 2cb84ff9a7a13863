//! Merge, force, and who has to ask.

use super::{fill, loaded, slowly, small, start, streams, took};
use crate::support::{Node, Setup, converged, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tandem_proto::status::LinkState;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_empty_master_comes_up_by_itself() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = loaded(dirs[0].path(), 1).await;
    let b = start(dirs[1].path(), &small(2)).await;
    b.promote();
    a.pair_with(&b);
    b.pair_with(&a);
    converged(0, &[&a, &b]).await;
    took(&b, 1).await;
    took(&a, 0).await;
    b.set(0, "of b", "1");
    a.set(0, "of a", "2");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.digest(0), b.digest(0));
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
}

/// Two masters that wrote apart until neither log reaches back.
async fn apart(dirs: &[tempfile::TempDir; 2]) -> [Node; 2] {
    let a = start(dirs[0].path(), &small(1)).await;
    let b = start(dirs[1].path(), &small(2)).await;
    a.promote();
    b.promote();
    a.pair_with(&b);
    b.pair_with(&a);
    fill(&a, 0, 200, "k");
    converged(0, &[&a, &b]).await;
    a.links.set_peer(None).expect("is cut off");
    b.links.set_peer(None).expect("is cut off");
    a.delete(0, "k1");
    b.delete(0, "k2");
    for (node, word) in [(&a, "a"), (&b, "b")] {
        fill(node, 0, 100, word);
        node.set(0, "both", word);
        node.lose_log(0);
    }
    a.pair_with(&b);
    b.pair_with(&a);
    [a, b]
}

async fn lost(node: &Node) {
    until("the place is lost", || {
        let link = node.link();
        link.state == LinkState::LostPlace && link.reason.contains("SLAVEOF")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn masters_that_lost_their_place_wait_and_merge_when_asked() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let [a, b] = apart(&dirs).await;
    lost(&a).await;
    lost(&b).await;
    assert_eq!((a.get(0, "b1"), b.get(0, "a1")), (None, None));
    b.links
        .slaveof("127.0.0.1", a.port, false)
        .expect("asks for a full resync");
    streams(&b).await;
    assert!(b.get(0, "a1").is_some() && b.get(0, "b1").is_some());
    assert_eq!(
        (b.get(0, "k1"), b.get(0, "k2")),
        (None, None),
        "both deletes hold"
    );
    assert!(b.instance.is_writable());
    assert_eq!(a.get(0, "b1"), None, "nobody asked for the other direction");
    a.links
        .slaveof("127.0.0.1", b.port, false)
        .expect("asks for a full resync");
    converged(0, &[&a, &b]).await;
    took(&a, 1).await;
    took(&b, 1).await;
    assert_eq!(a.digest(0), b.digest(0));
    a.set(0, "on", "a");
    b.set(0, "and on", "b");
    converged(0, &[&a, &b]).await;
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
    streams(&a).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_masters_may_merge_at_the_same_time() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let [a, b] = apart(&dirs).await;
    for (one, other) in [(&a, &b), (&b, &a)] {
        one.links
            .slaveof("127.0.0.1", other.port, false)
            .expect("asks for a full resync");
    }
    converged(0, &[&a, &b]).await;
    streams(&a).await;
    streams(&b).await;
    assert_eq!(a.digest(0), b.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn force_gives_up_the_own_state_and_begins_a_new_life() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let [a, b] = apart(&dirs).await;
    lost(&b).await;
    // The other master hears nothing of what is given up.
    a.links.set_peer(None).expect("pulls no more");
    b.set(5, "in another database", "goes too");
    let before = b.instance.meta();
    b.links
        .slaveof("127.0.0.1", a.port, true)
        .expect("asks for a full resync");
    until("its own writes are gone", || b.get(0, "b1").is_none()).await;
    streams(&b).await;
    until("it writes again", || b.instance.is_writable()).await;
    let after = b.instance.meta();
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!(after.epoch, before.epoch);
    assert!(!after.unfinished_resync);
    assert_eq!(b.get(5, "in another database"), None);
    assert_eq!(b.get(0, "both").as_deref(), Some("a"));
    took(&b, 2).await;
    a.pair_with(&b);
    b.set(0, "new life", "b");
    a.set(0, "old life", "a");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.digest(0), b.digest(0));
    assert_eq!(a.get(0, "new life").as_deref(), Some("b"));
    assert_eq!(a.get(0, "b1"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_with_foreign_data_follows_only_by_force() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = loaded(dirs[0].path(), 1).await;
    let b = start(dirs[1].path(), &small(2)).await;
    b.promote();
    b.set(0, "foreign", "b");
    let cluster = b.instance.meta().cluster_id;
    b.links
        .slaveof("127.0.0.1", a.port, false)
        .expect("takes the role");
    let refused = || b.link().state == LinkState::Refused && b.link().reason.contains("force");
    until("it is refused", refused).await;
    // Again and again: the first refusal must not make its data any less foreign.
    b.links
        .request_full(&a.target(), tandem_replicate::FullMode::Replace)
        .expect("dials again");
    until("the wish is refused, too", || {
        a.links.served() == (0, 0) && refused()
    })
    .await;
    assert_eq!(b.instance.meta().cluster_id, cluster);
    assert_eq!(
        (b.get(0, "foreign").as_deref(), a.get(0, "foreign")),
        (Some("b"), None)
    );
    b.links
        .slaveof("127.0.0.1", a.port, true)
        .expect("takes the role");
    converged(0, &[&a, &b]).await;
    assert_eq!((b.get(0, "foreign"), a.get(0, "foreign")), (None, None));
    until("it belongs to the new primary's data set", || {
        let meta = b.instance.meta();
        meta.cluster_id == a.instance.meta().cluster_id
            && (meta.server_id, meta.unfinished_resync) == (1, false)
    })
    .await;
    a.set(0, "streamed", "v");
    converged(0, &[&a, &b]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_go_on_writing_and_nothing_acknowledged_is_lost() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Arc::new(loaded(dirs[0].path(), 1).await);
    let slow = Setup {
        change: slowly,
        ..small(2)
    };
    let b = Arc::new(start(dirs[1].path(), &slow).await);
    b.promote();
    for n in 0..100 {
        b.set(0, &format!("k{n}"), "b was here before");
    }
    a.pair_with(&b);
    b.pair_with(&a);
    lost(&b).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = [(&a, "a"), (&b, "b")]
        .map(|(node, word)| {
            let (node, stop) = (Arc::clone(node), Arc::clone(&stop));
            let count = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&count);
            let thread = std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let n = counted.load(Ordering::Relaxed);
                    node.set(0, &format!("ledger-{word}-{n}"), word);
                    node.set(0, &format!("k{}", n % 1_500), &format!("{word}{n}"));
                    counted.store(n + 1, Ordering::Relaxed);
                    std::thread::sleep(std::time::Duration::from_micros(300));
                }
            });
            (word, count, thread)
        })
        .into();
    b.links
        .slaveof("127.0.0.1", a.port, false)
        .expect("asks for a full resync");
    until("it shows how far it is", || {
        let link = b.link();
        link.state == LinkState::FullResync && link.reason.contains("bytes taken")
    })
    .await;
    assert_eq!(b.get(0, "k1200"), None, "the old state serves");
    streams(&b).await;
    let at_switch: Vec<u64> = writers
        .iter()
        .map(|one| one.1.load(Ordering::Relaxed))
        .collect();
    until("both have written on", || {
        let now = writers.iter().map(|one| one.1.load(Ordering::Relaxed));
        now.zip(&at_switch).all(|(now, then)| now > then + 50)
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut ledger = Vec::new();
    for (word, count, thread) in writers {
        thread.join().expect("wrote to the end");
        ledger.push((word, count.load(Ordering::Relaxed)));
    }
    assert!(ledger.iter().all(|(_, count)| *count > 200), "{ledger:?}");
    converged(0, &[&a, &b]).await;
    for (word, count) in ledger {
        for n in 0..count {
            assert_eq!(
                b.get(0, &format!("ledger-{word}-{n}")).as_deref(),
                Some(word)
            );
        }
    }
    assert_eq!(a.digest(0), b.digest(0));
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
}
