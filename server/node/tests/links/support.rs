//! Instances in one process, linked over loopback, without client connections.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Moment};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Dot, Draft, Effect, EffectWriter, Marks, NEVER, Objects, Origin};
use tandem_node::config::{Config, LINK_PORT_OFFSET};
use tandem_node::instance::{Instance, wall_ms};
use tandem_node::links::Links;
use tandem_node::meta::{Peer, StoredRole, Target};
use tandem_proto::status::{LinkState, LinkStatus};
use tandem_store::database::Retention;
use tandem_store::disk::{Disk, RealDisk};
use tandem_store::tree::Engine;
use tandem_store::{Database, Options, Store};

/// Longest wait for anything that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`; fails with `what` after [`PATIENCE`].
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Moment::now() + PATIENCE;
    while !holds() {
        assert!(Moment::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A client port whose link port is free.
pub(crate) fn free_port() -> u16 {
    loop {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = probe.local_addr().expect("its address").port();
        if port > LINK_PORT_OFFSET + 1024 {
            return port - LINK_PORT_OFFSET;
        }
    }
}

/// How an instance is made.
pub(crate) struct Setup {
    pub(crate) server_id: u32,
    pub(crate) port: u16,
    pub(crate) segment_bytes: u64,
    pub(crate) change: fn(&mut Config),
}

impl Setup {
    pub(crate) fn new(server_id: u32) -> Self {
        Self {
            server_id,
            port: free_port(),
            segment_bytes: 1 << 20,
            change: |_| {},
        }
    }
}

/// An instance with its links.
pub(crate) struct Node {
    pub(crate) instance: Arc<Instance>,
    pub(crate) links: Arc<Links>,
    pub(crate) port: u16,
}

impl Node {
    /// Starts what lies in `directory`; a writer has to be able to go on.
    pub(crate) async fn start(directory: &Path, setup: &Setup) -> Self {
        let node = Self::start_as_it_may(directory, setup).await;
        let is_writer = node.instance.meta().role == StoredRole::Writer;
        assert_eq!(node.instance.is_writable(), is_writer);
        node
    }

    /// Starts what lies in `directory`; a writer goes on when its data are whole.
    pub(crate) async fn start_as_it_may(directory: &Path, setup: &Setup) -> Self {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let mut config = Config {
            port: setup.port,
            ..Config::default()
        };
        (setup.change)(&mut config);
        let options = Options {
            segment_bytes: setup.segment_bytes,
            ..Options::default()
        };
        let engine = Engine::new(8 << 20, 64);
        let store = Store::open(directory, 16, Arc::clone(&disk), engine, options, |_, _| {})
            .expect("the store opens");
        let instance = Instance::new(store, config, disk, directory).expect("the identity loads");
        let server_id = setup.server_id;
        instance
            .update(|meta| {
                if meta.server_id == 0 {
                    meta.server_id = server_id;
                }
            })
            .expect("the identity is stored");
        if instance.meta().role == StoredRole::Writer {
            let epoch = instance.meta().epoch;
            drop(instance.resume_writer(epoch));
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, setup.port + LINK_PORT_OFFSET));
        let links = Links::start(Arc::clone(&instance), &[(address, false)])
            .await
            .expect("listens");
        Self {
            instance,
            links,
            port: setup.port,
        }
    }

    pub(crate) fn target(&self) -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            port: self.port,
        }
    }

    /// Makes it a writer of the next epoch.
    pub(crate) fn promote(&self) -> Origin {
        self.instance
            .become_writer(self.instance.meta().epoch + 1)
            .expect("writes")
    }

    /// Makes `other` its other master.
    pub(crate) fn pair_with(&self, other: &Self) {
        let server_id = other.instance.meta().server_id;
        let peer = Peer {
            target: other.target(),
            server_id,
        };
        self.links.set_peer(Some(peer)).expect("has a peer");
    }

    pub(crate) fn database(&self, number: u32) -> Arc<Database> {
        let database = self.instance.store.database(number).expect("opens");
        Arc::clone(database.expect("exists"))
    }

    /// SET without anything else; written to the log and announced to links.
    pub(crate) fn set(&self, number: u32, key: &str, value: &str) -> Dot {
        let database = self.database(number);
        let mut effects = EffectWriter::default();
        effects.push(&Effect::SetString {
            key: key.as_bytes(),
            value: value.as_bytes(),
            deadline: NEVER,
            marks: Marks::default(),
        });
        let wall = stamp_of_ms(wall_ms());
        let receipt = {
            let mut locked = database.lock_one(key.as_bytes(), wall).expect("locks");
            locked
                .commit(&effects)
                .expect("commits")
                .expect("is a record")
        };
        database.flush(receipt.lsn).expect("flushes");
        self.links.wake();
        receipt.dot
    }

    /// DEL; written to the log and announced to links.
    pub(crate) fn delete(&self, number: u32, key: &str) {
        let database = self.database(number);
        let mut effects = EffectWriter::default();
        let wall = stamp_of_ms(wall_ms());
        let mut locked = database.lock_one(key.as_bytes(), wall).expect("locks");
        {
            let origins = locked.origins();
            let mut draft = Draft::new(&locked, &origins, locked.own(), locked.now());
            assert!(draft.delete(key.as_bytes()), "{key} is there");
            draft.finish(0, &mut effects);
        }
        let receipt = locked.commit(&effects).expect("commits");
        drop(locked);
        database
            .flush(receipt.expect("is a record").lsn)
            .expect("flushes");
        self.links.wake();
    }

    /// Writes until the log is long, then removes all of it that is not needed for a restart, whoever
    /// waits for it.
    pub(crate) fn lose_log(&self, number: u32) {
        let database = self.database(number);
        let keep = Retention {
            segments_min: 1,
            bytes_max: 1,
            old_before: None,
        };
        let value = "x".repeat(4_096);
        let mut round = 0;
        loop {
            for _ in 0..32 {
                self.set(number, "filler", &value);
            }
            while !database.checkpoint().expect("checkpoints") {}
            let (removed, _) = database.purge(u64::MAX, keep).expect("purges");
            round += 1;
            assert!(round < 1_000, "the log never ends a segment");
            if removed > 0 && round > 1 {
                return;
            }
        }
    }

    /// Digest of what a database shows.
    pub(crate) fn digest(&self, number: u32) -> (u128, u64) {
        let database = self.database(number);
        let now = database.now(stamp_of_ms(wall_ms()));
        database.digest(now).expect("digests")
    }

    pub(crate) fn get(&self, number: u32, key: &str) -> Option<String> {
        let database = self.instance.store.get(number)?;
        let wall = stamp_of_ms(wall_ms());
        let locked = database.lock_one(key.as_bytes(), wall).expect("locks");
        let object = locked.object(key.as_bytes())?;
        let value = object.string(locked.now(), &locked.origins())?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// Every visible string of a database.
    pub(crate) fn all(&self, number: u32) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        let Some(database) = self.instance.store.get(number) else {
            return out;
        };
        let origins = database.commit().history.origins.clone();
        let now = database.now(stamp_of_ms(wall_ms()));
        let visited = database.cells.visit_all(|_, object| {
            if let Some(value) = object.string(now, &origins) {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                out.insert(text(object.key()), text(&value));
            }
            true
        });
        visited.expect("visits");
        out
    }

    /// What it holds: highest sequence by origin.
    pub(crate) fn vector(&self, number: u32) -> BTreeMap<Origin, u64> {
        let Some(database) = self.instance.store.get(number) else {
            return BTreeMap::new();
        };
        let commit = database.commit();
        let history = &commit.history;
        let row = |(index, row): (_, &tandem_merge::Row)| {
            Some((history.origins.origin(index)?, row.high))
        };
        history.vv.rows().filter_map(row).collect()
    }

    /// The one link that it dials.
    pub(crate) fn link(&self) -> LinkStatus {
        let (links, _) = self.links.status();
        links.into_iter().next().expect("it dials")
    }

    pub(crate) fn link_state(&self) -> Option<LinkState> {
        self.links.status().0.first().map(|link| link.state)
    }

    /// Records that were sent to those who wrote them.
    pub(crate) fn echoes(&self) -> u64 {
        self.links
            .status()
            .1
            .iter()
            .map(|receiver| receiver.echoes)
            .sum()
    }

    /// Makes all it has durable and stops.
    pub(crate) fn stop(self) {
        for database in self.instance.store.opened() {
            database.flush_all().expect("flushes");
            database.log.sync().expect("syncs");
        }
    }
}

/// Waits until all of these hold the same, and checks that they show the same.
pub(crate) async fn converged(number: u32, nodes: &[&Node]) {
    let deadline = Moment::now() + PATIENCE;
    let equal = || {
        nodes
            .windows(2)
            .all(|pair| pair[0].vector(number) == pair[1].vector(number))
    };
    while !equal() {
        if Moment::now() > deadline {
            for node in nodes {
                eprintln!("{:?}\n{:?}", node.vector(number), node.links.status());
            }
            panic!("never held the same");
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for pair in nodes.windows(2) {
        assert_eq!(pair[0].all(number), pair[1].all(number));
    }
}
