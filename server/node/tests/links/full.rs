//! Full resyncs: who starts one, what it leaves, and what may happen meanwhile.

mod interrupted;
mod modes;
mod words;

use crate::support::{Node, Setup, converged, until};
use std::path::Path;
use std::time::Duration;
use tandem_node::config::Config;
use tandem_proto::status::LinkState;

/// Small segments, so that a log is lost soon.
fn small(server_id: u32) -> Setup {
    Setup {
        segment_bytes: 64 << 10,
        ..Setup::new(server_id)
    }
}

/// Bytes a second at which a slowed receiver takes a state in.
const SLOW: u64 = 400_000;

fn slowly(config: &mut Config) {
    config.throttle_bytes_per_second = SLOW;
}

async fn start(directory: &Path, setup: &Setup) -> Node {
    Node::start(directory, setup).await
}

/// Writes so many values of 1,000 bytes.
fn fill(node: &Node, number: u32, count: u32, word: &str) {
    for n in 0..count {
        node.set(
            number,
            &format!("{word}{n}"),
            &format!("{word}-{n}-").repeat(100),
        );
    }
}

/// A master with 1,500 keys whose log is gone.
async fn loaded(directory: &Path, server_id: u32) -> Node {
    let node = start(directory, &small(server_id)).await;
    node.promote();
    fill(&node, 0, 1_500, "k");
    node.lose_log(0);
    node
}

/// Its link has taken over so many states since it started.
async fn took(node: &Node, count: u64) {
    until("so many full resyncs", || node.link().full_resyncs == count).await;
}

async fn streams(node: &Node) {
    until("the link streams", || {
        node.link_state() == Some(LinkState::Streaming)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_replica_takes_the_state_when_the_log_is_gone() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = loaded(dirs[0].path(), 1).await;
    let replica = start(dirs[1].path(), &small(0)).await;
    replica.links.follow(1, primary.target()).expect("follows");
    let dot = primary.set(0, "later", "v");
    converged(0, &[&primary, &replica]).await;
    assert_eq!(primary.digest(0), replica.digest(0));
    took(&replica, 1).await;
    assert_eq!(primary.links.served(), (1, 0));
    let waited = primary
        .links
        .wait_for(1, Duration::from_secs(10), |links| {
            links.count_applied(0, dot)
        })
        .await;
    assert_eq!(waited, 1);
    let head = primary.database(0).commit().head();
    until("it is durable at the replica", || {
        primary.links.horizon(0) >= Some(head)
    })
    .await;
    primary.set(0, "streamed", "v");
    converged(0, &[&primary, &replica]).await;
    took(&replica, 1).await;
    until("it may be promoted", || {
        replica.instance.not_eligible().is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_that_lost_its_place_replaces_its_state_by_itself() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = start(dirs[0].path(), &small(1)).await;
    primary.promote();
    let setup = small(0);
    let replica = start(dirs[1].path(), &setup).await;
    replica.links.follow(1, primary.target()).expect("follows");
    fill(&primary, 0, 200, "k");
    converged(0, &[&primary, &replica]).await;
    replica.stop();
    for n in 0..100 {
        primary.delete(0, &format!("k{n}"));
    }
    primary.lose_log(0);
    let replica = start(dirs[1].path(), &setup).await;
    assert!(replica.get(0, "k0").is_some(), "the old data serve");
    converged(0, &[&primary, &replica]).await;
    assert_eq!(primary.digest(0), replica.digest(0));
    assert_eq!(replica.get(0, "k0"), None);
    took(&replica, 1).await;
    // What it took over survives a restart, and goes on from the log.
    replica.stop();
    primary.set(0, "afterwards", "v");
    let replica = start(dirs[1].path(), &setup).await;
    converged(0, &[&primary, &replica]).await;
    took(&replica, 0).await;
    assert_eq!(primary.digest(0), replica.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_chain_behind_a_replaced_replica_is_replaced_too() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = start(dirs[0].path(), &small(1)).await;
    primary.promote();
    primary.set(0, "first", "v");
    let setup = small(0);
    let middle = start(dirs[1].path(), &setup).await;
    let last = start(dirs[2].path(), &small(0)).await;
    middle.links.follow(1, primary.target()).expect("follows");
    last.links.follow(1, middle.target()).expect("follows");
    converged(0, &[&primary, &middle, &last]).await;
    middle.stop();
    fill(&primary, 0, 300, "k");
    primary.lose_log(0);
    let middle = start(dirs[1].path(), &setup).await;
    converged(0, &[&primary, &middle, &last]).await;
    took(&middle, 1).await;
    took(&last, 1).await;
    primary.set(0, "again", "v");
    converged(0, &[&primary, &middle, &last]).await;
    assert_eq!(primary.digest(0), last.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_s_tail_is_handed_over_before_its_state_is_replaced() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = start(dirs[0].path(), &small(1)).await;
    let b = start(dirs[1].path(), &small(1)).await;
    a.promote();
    a.set(0, "shared", "1");
    b.links.follow(1, a.target()).expect("follows");
    converged(0, &[&a, &b]).await;
    b.promote();
    b.set(0, "alone", "2");
    fill(&a, 0, 100, "k");
    a.lose_log(0);
    a.instance.become_writer(3).expect("a higher claim");
    b.links.follow(3, a.target()).expect("follows again");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.get(0, "alone").as_deref(), Some("2"));
    assert_eq!(b.get(0, "alone").as_deref(), Some("2"));
    assert_eq!(a.digest(0), b.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tail_that_left_the_log_is_handed_over_as_a_state() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = start(dirs[0].path(), &small(1)).await;
    let b = start(dirs[1].path(), &small(1)).await;
    a.promote();
    a.set(0, "shared", "1");
    b.links.follow(1, a.target()).expect("follows");
    converged(0, &[&a, &b]).await;
    b.promote();
    b.set(0, "alone", "2");
    b.lose_log(0);
    a.instance.become_writer(3).expect("a higher claim");
    b.links.follow(3, a.target()).expect("follows again");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.get(0, "alone").as_deref(), Some("2"));
    a.set(0, "more", "3");
    converged(0, &[&a, &b]).await;
    assert_eq!(a.digest(0), b.digest(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_replicas_than_places_come_up_one_after_the_other() {
    let dirs = [0, 1, 2, 3].map(|_| tempfile::tempdir().expect("a directory"));
    let one_place = Setup {
        change: |config| config.max_rsync_parallel_num = 1,
        ..small(1)
    };
    let primary = start(dirs[0].path(), &one_place).await;
    primary.promote();
    fill(&primary, 0, 300, "k");
    primary.lose_log(0);
    let mut replicas = Vec::new();
    for dir in &dirs[1..] {
        let replica = start(dir.path(), &small(0)).await;
        replica.links.follow(1, primary.target()).expect("follows");
        replicas.push(replica);
    }
    for replica in &replicas {
        converged(0, &[&primary, replica]).await;
        took(replica, 1).await;
    }
    assert_eq!(primary.links.served().0, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_databases_and_a_large_value_come_along() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let primary = start(dirs[0].path(), &small(1)).await;
    primary.promote();
    let large = "large".repeat(2 << 20);
    for number in [0, 3, 15] {
        fill(&primary, number, 50, "k");
        primary.lose_log(number);
    }
    primary.set(3, "large", &large);
    primary.lose_log(3);
    let replica = start(dirs[1].path(), &small(0)).await;
    replica.links.follow(1, primary.target()).expect("follows");
    primary.set(7, "by the log alone", "v");
    for number in [0, 3, 7, 15] {
        converged(number, &[&primary, &replica]).await;
        assert_eq!(primary.digest(number), replica.digest(number));
    }
    assert_eq!(
        replica.get(3, "large").map(|value| value.len()),
        Some(10 << 20)
    );
    took(&replica, 3).await;
    streams(&replica).await;
}
