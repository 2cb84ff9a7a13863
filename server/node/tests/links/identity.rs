//! Who is refused, and why.

use crate::support::{Node, Setup, converged, until};
use tandem_node::config::Secret;
use tandem_node::meta::StoredRole;
use tandem_proto::status::LinkState;

async fn refused(node: &Node, text: &str) {
    until(text, || {
        let link = node.link();
        link.state == LinkState::Refused && link.reason.contains(text)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_password_is_refused_until_it_is_right() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let closed = Setup {
        change: |config| config.requirepass = Secret::new("right"),
        ..Setup::new(1)
    };
    let source = Node::start(dirs[0].path(), &closed).await;
    let receiver = Node::start(dirs[1].path(), &Setup::new(1)).await;
    source.promote();
    source.set(0, "k", "v");
    receiver.instance.config.write().masterauth = Secret::new("wrong");
    receiver
        .links
        .slaveof("127.0.0.1", source.port, false)
        .expect("takes the role");
    refused(&receiver, "masterauth").await;
    assert_eq!(receiver.get(0, "k"), None);
    receiver.instance.config.write().masterauth = Secret::new("right");
    converged(0, &[&source, &receiver]).await;
    assert_eq!(receiver.get(0, "k").as_deref(), Some("v"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn masters_with_wrong_ids_do_not_exchange() {
    let dirs = [0, 1, 2].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let twin = Node::start(dirs[1].path(), &Setup::new(1)).await;
    let third = Node::start(dirs[2].path(), &Setup::new(3)).await;
    for node in [&a, &twin, &third] {
        node.promote();
        node.set(0, &format!("of {}", node.port), "v");
    }
    twin.pair_with(&a);
    refused(&twin, "both masters have server id 1").await;
    third.pair_with(&a);
    refused(&third, "is not the other master here").await;
    assert_eq!(third.all(0).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_agreed_data_sets_stay_apart() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(2)).await;
    for node in [&a, &b] {
        node.promote();
        node.instance
            .update(|meta| meta.cluster_agreed = true)
            .expect("is stored");
    }
    b.pair_with(&a);
    a.pair_with(&b);
    refused(&b, "another data set").await;
    refused(&a, "another data set").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn following_foreign_data_needs_force() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(1)).await;
    a.promote();
    b.promote();
    a.set(0, "mine", "a");
    b.set(0, "other", "b");
    b.links
        .slaveof("127.0.0.1", a.port, false)
        .expect("takes the role");
    refused(&b, "force").await;
    assert_eq!(b.get(0, "other").as_deref(), Some("b"), "its data stay");
    assert_eq!(a.get(0, "other"), None, "nobody takes them over unasked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_that_dials_itself_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let a = Node::start(dir.path(), &Setup::new(1)).await;
    a.promote();
    let error = a
        .links
        .slaveof("localhost", a.port, false)
        .expect_err("is refused");
    assert_eq!(
        error.to_string(),
        "ERR The master ip:port and the slave ip:port are the same"
    );
    assert_eq!(a.instance.meta().role, StoredRole::Writer);
    // Under a name that nobody can tell is its own, the handshake finds out.
    a.instance.config.write().bind.clear();
    a.links
        .slaveof("127.0.0.1", a.port, false)
        .expect("takes the role");
    refused(&a, "The master ip:port and the slave ip:port are the same").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pair_takes_no_third_master() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(2)).await;
    a.promote();
    a.pair_with(&b);
    let error = a
        .links
        .slaveof("127.0.0.1", 1, false)
        .expect_err("is refused");
    assert_eq!(
        error.to_string(),
        "ERR In double master mode, can not set other server as the peer-master"
    );
    a.links.slaveof_no_one().expect("breaks the pair");
    assert_eq!(a.instance.meta().peer, None);
    assert!(a.instance.is_writable(), "it goes on as a master");
    assert!(a.links.status().0.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cloned_volume_stops_writing() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let a = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let b = Node::start(dirs[1].path(), &Setup::new(2)).await;
    let life = a.promote();
    b.promote();
    a.set(0, "k", "1");
    // Somewhere a copy of the first volume went on writing under the same life, and the other
    // master has heard of it.
    {
        let database = b.database(0);
        let mut commit = database.commit();
        let index = commit.history.origins.intern(life);
        commit.history.vv.raise(index, 5);
    }
    a.pair_with(&b);
    b.pair_with(&a);
    until("writing stops", || !a.instance.is_writable()).await;
    assert_eq!(a.instance.meta().role, StoredRole::Waiting);
    assert!(b.instance.is_writable(), "the honest one goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_claim_is_refused_and_learns_of_the_newer_one() {
    let dirs = [0, 1].map(|_| tempfile::tempdir().expect("a directory"));
    let old = Node::start(dirs[0].path(), &Setup::new(1)).await;
    let replica = Node::start(dirs[1].path(), &Setup::new(1)).await;
    old.promote();
    replica
        .links
        .follow(7, old.target())
        .expect("was told of epoch 7");
    refused(&replica, "older than epoch 7").await;
    assert_eq!(old.instance.meta().epoch, 7);
}
