//! A source that does not keep to what was agreed on.

use super::{small, start};
use crate::support::{Node, PATIENCE, until};
use std::net::Ipv4Addr;
use tandem_merge::{History, Origins, VersionVector};
use tandem_node::config::LINK_PORT_OFFSET;
use tandem_node::meta::Target;
use tandem_replicate::message::{FRAME_BYTES_MAX, FRAME_HEAD, WelcomeDatabase, frame_length};
use tandem_replicate::{FullMode, Message, Verdict, Welcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers one hello with a full resync of database 0 by `mode`, then says `words`.
async fn say(listener: &TcpListener, mode: FullMode, words: Vec<u8>) {
    let accepted = tokio::time::timeout(PATIENCE, listener.accept());
    let (mut socket, _) = accepted.await.expect("somebody dials").expect("accepts");
    let mut head = [0; FRAME_HEAD];
    socket.read_exact(&mut head).await.expect("a head");
    let mut body = vec![0; frame_length(head, FRAME_BYTES_MAX).expect("a length")];
    socket.read_exact(&mut body).await.expect("a hello");
    let Ok(Message::Hello(hello)) = Message::decode(&body) else {
        panic!("not a hello");
    };
    let welcome = Welcome {
        cluster_id: hello.cluster_id.clone(),
        server_id: hello.server_id,
        instance_id: "0123456789abcdef".to_owned(),
        run: 1,
        epoch: hello.epoch,
        port: 1,
        databases: vec![WelcomeDatabase {
            number: 0,
            origins: Origins::default(),
            vv: VersionVector::new(),
            verdict: Verdict::Full(mode),
        }],
    };
    let mut bytes = Vec::new();
    Message::Welcome(Box::new(welcome)).encode(&mut bytes);
    bytes.extend_from_slice(&words);
    socket.write_all(&bytes).await.expect("writes");
    // Whatever the receiver says until it ends the link.
    let mut rest = Vec::new();
    drop(tokio::time::timeout(PATIENCE, socket.read_to_end(&mut rest)).await);
}

fn full_begin(mode: FullMode) -> Vec<u8> {
    let mut history = Vec::new();
    History::new().encode(&mut history);
    let mut bytes = Vec::new();
    Message::FullBegin {
        database: 0,
        mode,
        bytes: 0,
        history: &history,
    }
    .encode(&mut bytes);
    bytes
}

async fn replica_of(listener: &TcpListener, directory: &std::path::Path) -> Node {
    let port = listener.local_addr().expect("an address").port() - LINK_PORT_OFFSET;
    let node = start(directory, &small(1)).await;
    node.promote();
    node.set(0, "own", "v");
    let target = Target {
        host: "127.0.0.1".to_owned(),
        port,
    };
    node.links.follow(1, target).expect("follows");
    node
}

async fn ends_with(words: Vec<u8>, text: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port");
    let node = replica_of(&listener, directory.path()).await;
    say(&listener, FullMode::Replace, words).await;
    until(text, || node.link().reason.contains(text)).await;
    assert_eq!(
        node.get(0, "own").as_deref(),
        Some("v"),
        "the own state stays"
    );
    assert!(!node.database(0).is_resyncing());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn another_mode_than_agreed_is_refused() {
    ends_with(full_begin(FullMode::Merge), "another full resync").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_end_without_the_scan_is_refused() {
    let mut words = full_begin(FullMode::Replace);
    Message::FullEnd {
        database: 0,
        vv: VersionVector::new(),
    }
    .encode(&mut words);
    ends_with(words, "the scan ended early").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_state_that_was_not_begun_is_refused() {
    let mut words = Vec::new();
    Message::FullSlice {
        database: 0,
        first: 0,
        last: u64::MAX,
        vv: VersionVector::new(),
        packed: &[],
    }
    .encode(&mut words);
    ends_with(words, "did not begin").await;
}
