//! Continuations: replicas, pairs, rings, reconnects, handover.

use crate::support::{Node, Setup, converged, until};
use std::time::Duration;
use tandem_proto::status::{LinkKind, LinkState};

async fn pair() -> ([tempfile::TempDir; 2], [Node; 2]) {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(2)).await;
    a.promote();
    b.promote();
    a.pair_with(&b);
    b.pair_with(&a);
    (dirs, [a, b])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_masters_exchange_what_they_write() {
    let (_dirs, [a, b]) = pair().await;
    for n in 0..500 {
        a.set(0, &format!("a{n}"), "of a");
        b.set(0, &format!("b{n}"), "of b");
        a.set(0, "both", &format!("a{n}"));
        b.set(0, "both", &format!("b{n}"));
    }
    converged(0, &[&a, &b]).await;
    assert_eq!(a.all(0).len(), 1_001);
    assert_eq!(a.vector(0).values().sum::<u64>(), 2_000);
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
    assert_eq!((a.links.duplicates(), b.links.duplicates()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pair_agrees_on_one_data_set_and_its_members() {
    let (_dirs, [a, b]) = pair().await;
    let smaller = a
        .instance
        .meta()
        .cluster_id
        .min(b.instance.meta().cluster_id);
    until("both agreed", || {
        [&a, &b].iter().all(|node| {
            let meta = node.instance.meta();
            meta.cluster_agreed && meta.cluster_id == smaller && meta.members.len() == 2
        })
    })
    .await;
    until("both stream", || {
        [&a, &b]
            .iter()
            .all(|node| node.link_state() == Some(LinkState::Streaming))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_follows_and_passes_on_to_its_own_replica() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let middle = Node::start(dirs[1].path(), &Setup::new(0)).await;
    let last = Node::start(dirs[2].path(), &Setup::new(0)).await;
    primary.promote();
    for n in 0..100 {
        primary.set(0, &format!("k{n}"), "v");
    }
    middle
        .links
        .slaveof("127.0.0.1", primary.port, false)
        .expect("follows");
    last.links
        .slaveof("127.0.0.1", middle.port, false)
        .expect("follows");
    let dot = primary.set(3, "later", "opened after the handshake");
    converged(0, &[&primary, &middle, &last]).await;
    converged(3, &[&primary, &middle, &last]).await;
    assert_eq!(
        middle.instance.meta().server_id,
        1,
        "a replica has the id of its primary"
    );
    assert_eq!(last.instance.meta().server_id, 1);
    let waited = primary
        .links
        .wait_for(1, Duration::from_secs(10), |links| {
            links.count_applied(3, dot)
        })
        .await;
    assert_eq!(waited, 1);
    let head = primary.database(3).commit().head();
    let durable = primary
        .links
        .wait_for(1, Duration::from_secs(10), |links| {
            links.count_durable(3, head)
        })
        .await;
    assert_eq!(
        durable, 1,
        "the link makes what it received durable by itself"
    );
    assert_eq!(primary.links.horizon(3), Some(head));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_link_that_was_away_continues_from_the_log() {
    let (dirs, [a, b]) = pair().await;
    let setup = Setup {
        port: b.port,
        ..Setup::new(2)
    };
    a.set(0, "before", "1");
    converged(0, &[&a, &b]).await;
    b.stop();
    for n in 0..2_000 {
        a.set(0, &format!("k{n}"), "while it was away");
    }
    let b = Node::start(dirs[1].path(), &setup).await;
    b.set(0, "back", "2");
    converged(0, &[&a, &b]).await;
    let (link, back) = (b.link(), a.link());
    assert_eq!((link.full_resyncs, back.full_resyncs), (0, 0));
    assert!(link.partial_resyncs >= 1);
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ring_of_three_sends_nothing_back() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let mut nodes = Vec::new();
    for (at, dir) in dirs.iter().enumerate() {
        let node = Node::start(dir.path(), &Setup::new(at as u32 + 1)).await;
        node.promote();
        node.instance
            .update(|meta| {
                meta.members = vec![1, 2, 3];
                meta.cluster_id = "1".repeat(40);
                meta.cluster_agreed = true;
            })
            .expect("was told of the members");
        nodes.push(node);
    }
    for at in 0..3 {
        nodes[at].pair_with(&nodes[(at + 1) % 3]);
    }
    for n in 0..300 {
        for node in &nodes {
            node.set(0, &format!("k{}", n % 50), &format!("{n} of {}", node.port));
        }
    }
    converged(0, &[&nodes[0], &nodes[1], &nodes[2]]).await;
    let total: u64 = nodes[0].vector(0).values().sum();
    assert_eq!(total, 900);
    assert_eq!(nodes.iter().map(Node::echoes).sum::<u64>(), 0);
    assert_eq!(
        nodes
            .iter()
            .map(|node| node.links.duplicates())
            .sum::<u64>(),
        0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_collects_what_another_replica_alone_holds() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let ahead = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let next = Node::start(dirs[1].path(), &Setup::new(1)).await;
    ahead.promote();
    for n in 0..50 {
        ahead.set(0, &format!("k{n}"), "only here");
    }
    next.instance.follow(1, ahead.target()).expect("was told");
    next.links.follow(1, ahead.target()).expect("follows");
    let collected = next
        .links
        .collect(vec![ahead.target()], Duration::from_secs(10))
        .await;
    assert_eq!(collected.failed, Vec::new());
    assert_eq!(collected.complete, vec![ahead.target()]);
    assert_eq!(next.all(0), ahead.all(0));
    let gone = tandem_node::meta::Target {
        host: "127.0.0.1".to_owned(),
        port: 1,
    };
    let failed = next
        .links
        .collect(vec![gone.clone()], Duration::from_millis(300))
        .await;
    assert_eq!(failed.failed.len(), 1);
    assert_eq!(failed.failed[0].0, gone);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_collects_need_not_have_the_sources_data_set_yet() {
    for (own, is_agreed) in [("1", false), ("3", false), ("3", true)] {
        let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
        let ahead = Node::start(dirs[0].path(), &Setup::new(1)).await;
        let next = Node::start(dirs[1].path(), &Setup::new(1)).await;
        let set = |node: &Node, id: &str, agreed| {
            node.instance.update(|meta| {
                meta.cluster_id = id.repeat(40);
                meta.cluster_agreed = agreed;
            })
        };
        set(&ahead, "2", false).expect("was told");
        set(&next, own, is_agreed).expect("was told");
        ahead.promote();
        ahead.set(0, "k", "only here");
        let collected = next
            .links
            .collect(vec![ahead.target()], Duration::from_secs(10))
            .await;
        assert_eq!(collected.failed, Vec::new(), "from {own}, {is_agreed}");
        assert_eq!(next.all(0), ahead.all(0));
        let after = (ahead.instance.meta(), next.instance.meta());
        assert_eq!(after.0.cluster_id, "2".repeat(40));
        let kept = if is_agreed { own } else { "2" };
        assert_eq!(after.1.cluster_id, kept.repeat(40));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_pulls_from_a_replica_that_is_ahead_of_it() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(1)).await;
    a.promote();
    a.set(0, "shared", "1");
    b.links.follow(1, a.target()).expect("follows");
    converged(0, &[&a, &b]).await;
    // The replica wrote as a master once, and nobody has heard of it.
    b.promote();
    b.set(0, "alone", "2");
    a.instance.become_writer(3).expect("a higher claim");
    b.links.follow(3, a.target()).expect("follows again");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.get(0, "alone").as_deref(), Some("2"));
    until("the replica link stands", || {
        b.link_state() == Some(LinkState::Streaming)
    })
    .await;
    assert_eq!(b.link().kind, LinkKind::Replica);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cutting_links_again_and_again_loses_and_repeats_nothing() {
    let (_dirs, [a, b]) = pair().await;
    let mut random = 12_345u64;
    for round in 0..20 {
        for n in 0..100 {
            a.set(0, &format!("a{round}-{n}"), "1");
            b.set(0, &format!("b{round}-{n}"), "2");
        }
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let (one, other) = if random >> 63 == 0 {
            (&a, &b)
        } else {
            (&b, &a)
        };
        one.links.set_peer(None).expect("is cut off");
        for n in 0..(random >> 32) % 50 {
            one.set(0, &format!("cut{round}-{n}"), "3");
        }
        one.pair_with(other);
    }
    converged(0, &[&a, &b]).await;
    let written: u64 = a.vector(0).values().sum();
    assert_eq!(a.all(0).len() as u64, written);
    assert_eq!((a.echoes(), b.echoes()), (0, 0));
}

/// Flips a byte in the first log segment where this text stands.
fn spoil(directory: &std::path::Path, text: &str) {
    let path = directory.join("db0/log/log.0000000001");
    let mut bytes = std::fs::read(&path).expect("the segment");
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes())
        .expect("it stands in the segment");
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).expect("writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_log_damaged_at_run_time_costs_its_readers_a_full_resync_and_no_more() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = Node::start(dirs[0].path(), &Setup::new(1)).await;
    primary.promote();
    for n in 0..200 {
        primary.set(0, &format!("k{n}"), &format!("value-of-{n}"));
    }
    spoil(dirs[0].path(), "value-of-100");
    let replica = Node::start(dirs[1].path(), &Setup::new(1)).await;
    replica
        .links
        .slaveof("127.0.0.1", primary.port, false)
        .expect("follows");
    converged(0, &[&primary, &replica]).await;
    assert_eq!(replica.all(0).len(), 200);
    until("the replica streams", || {
        replica.link_state() == Some(LinkState::Streaming)
    })
    .await;
    assert_eq!(replica.link().full_resyncs, 1);
    primary.set(0, "later", "streams");
    converged(0, &[&primary, &replica]).await;
    assert_eq!(replica.link().full_resyncs, 1, "one state was enough");
    assert!(primary.database(0).wants_checkpoint());
    while !primary.database(0).checkpoint().expect("checkpoints") {}
    assert!(!primary.database(0).wants_checkpoint());
    let expected = primary.all(0);
    primary.stop();
    let again = Node::start(dirs[0].path(), &Setup::new(1)).await;
    assert_eq!(
        again.all(0),
        expected,
        "the damage is behind the checkpoint"
    );
    assert_eq!(again.instance.not_eligible(), None);
}
