//! Either side ends in the middle.

use super::{fill, loaded, slowly, small, start, streams, took};
use crate::support::{Node, Setup, converged, until};
use tandem_proto::status::LinkState;

/// Waits until a part of the state has arrived.
async fn begun(node: &Node) {
    until("a part has arrived", || {
        let (links, _) = node.links.status();
        links.first().is_some_and(|link| {
            link.state == LinkState::FullResync && link.reason.contains("bytes taken")
        })
    })
    .await;
    assert!(node.database(0).is_resyncing());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_source_that_ends_in_the_middle_is_asked_again() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = loaded(dirs[0].path(), 1).await;
    let again = Setup {
        port: primary.port,
        ..small(1)
    };
    let slow = Setup {
        change: slowly,
        ..small(0)
    };
    let replica = start(dirs[1].path(), &slow).await;
    replica.links.follow(1, primary.target()).expect("follows");
    begun(&replica).await;
    primary.stop();
    until("it dials again", || {
        replica.link().state == LinkState::Connecting
    })
    .await;
    assert!(!replica.database(0).is_resyncing(), "nothing is left of it");
    assert!(replica.all(0).is_empty(), "the old state is whole");
    replica.instance.config.write().throttle_bytes_per_second = 0;
    let primary = start(dirs[0].path(), &again).await;
    primary.set(0, "back", "v");
    converged(0, &[&primary, &replica]).await;
    assert_eq!(primary.digest(0), replica.digest(0));
    took(&replica, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_receiver_that_ends_in_the_middle_has_its_old_state() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = loaded(dirs[0].path(), 1).await;
    let mut setup = small(2);
    setup.change = slowly;
    let other = start(dirs[1].path(), &setup).await;
    other.promote();
    fill(&other, 0, 100, "own");
    let old = other.all(0);
    primary.pair_with(&other);
    other.pair_with(&primary);
    until("the place is lost", || {
        other.link().state == LinkState::LostPlace
    })
    .await;
    other
        .links
        .slaveof("127.0.0.1", primary.port, false)
        .expect("asks for a full resync");
    begun(&other).await;
    other.stop();
    setup.change = |_| {};
    let other = start(dirs[1].path(), &setup).await;
    assert_eq!(other.all(0), old);
    assert!(other.instance.is_writable(), "it goes on as it was");
    until("somebody has to ask again", || {
        other.link_state() == Some(LinkState::LostPlace)
    })
    .await;
    other
        .links
        .slaveof("127.0.0.1", primary.port, false)
        .expect("asks for a full resync");
    converged(0, &[&primary, &other]).await;
    assert_eq!(primary.digest(0), other.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_state_given_up_in_part_is_taken_over_after_a_restart() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = loaded(dirs[0].path(), 1).await;
    let setup = small(2);
    let b = start(dirs[1].path(), &setup).await;
    b.promote();
    b.set(0, "own", "b");
    let before = b.instance.meta().incarnation;
    a.pair_with(&b);
    b.pair_with(&a);
    until("the place is lost", || {
        b.link().state == LinkState::LostPlace
    })
    .await;
    // As a crash between the switches of two databases leaves it.
    b.instance
        .update(|meta| meta.unfinished_resync = true)
        .expect("is stored");
    b.stop();
    let b = Node::start_as_it_may(dirs[1].path(), &setup).await;
    assert!(!b.instance.is_writable(), "its data are not whole");
    converged(0, &[&a, &b]).await;
    until("it writes again", || b.instance.is_writable()).await;
    assert!(!b.instance.meta().unfinished_resync);
    streams(&b).await;
    assert_ne!(b.instance.meta().incarnation, before);
    took(&b, 1).await;
    b.set(0, "new", "b");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.digest(0), b.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_in_the_middle_keeps_the_old_state() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = start(dirs[0].path(), &small(1)).await;
    primary.promote();
    let mut setup = small(0);
    let replica = start(dirs[1].path(), &setup).await;
    replica.links.follow(1, primary.target()).expect("follows");
    primary.set(0, "old", "v");
    converged(0, &[&primary, &replica]).await;
    replica.stop();
    fill(&primary, 0, 1_500, "k");
    primary.lose_log(0);
    setup.change = slowly;
    let replica = start(dirs[1].path(), &setup).await;
    begun(&replica).await;
    primary.stop();
    replica.instance.become_writer(9).expect("writes");
    replica.set(0, "alive", "v");
    until("the resync is given up", || {
        !replica.database(0).is_resyncing()
    })
    .await;
    assert_eq!(
        replica.all(0).into_keys().collect::<Vec<_>>(),
        ["alive", "old"]
    );
    assert!(replica.instance.is_writable());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_without_data_is_not_promoted_in_the_middle() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = loaded(dirs[0].path(), 1).await;
    let slow = Setup {
        change: slowly,
        ..small(0)
    };
    let replica = start(dirs[1].path(), &slow).await;
    replica.links.follow(1, primary.target()).expect("follows");
    begun(&replica).await;
    let refused = replica.instance.become_writer(9).expect_err("is refused");
    assert!(refused.to_string().contains("not finished"), "{refused}");
    replica.instance.config.write().throttle_bytes_per_second = 0;
    converged(0, &[&primary, &replica]).await;
    until("it may be promoted", || {
        replica.instance.not_eligible().is_none()
    })
    .await;
}
