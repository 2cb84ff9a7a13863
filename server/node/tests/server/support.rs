//! Servers in this process, and clients that speak plain RESP to them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tandem_node::config::{Config, LINK_PORT_OFFSET};
use tandem_node::start::Running;
use tandem_proto::status::InstanceStatus;
use tandem_proto::value::{Value, decode, encode_command};
use tandem_store::Database;
use tempfile::TempDir;

/// Longest wait for anything that has to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `holds`; fails with `what` after [`PATIENCE`].
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client port whose link port is free, too.
pub(crate) fn free_port() -> u16 {
    for _ in 0..1000 {
        let probe = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = probe.local_addr().expect("its address").port();
        if port <= LINK_PORT_OFFSET + 1024 {
            continue;
        }
        let client = port - LINK_PORT_OFFSET;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, client)).is_ok() {
            return client;
        }
    }
    panic!("no free pair of ports");
}

/// A server with a directory and a port of its own, which it keeps across restarts.
pub(crate) struct Site {
    pub(crate) port: u16,
    directory: TempDir,
    words: Vec<String>,
    running: Option<Running>,
}

impl Site {
    /// Starts one with these configuration words (`--key value` each).
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut site = Self::prepare(words);
        site.begin();
        site
    }

    /// Makes one that does not run yet.
    pub(crate) fn prepare(words: &[&str]) -> Self {
        Self {
            port: free_port(),
            directory: TempDir::new().expect("a directory"),
            words: words.iter().map(ToString::to_string).collect(),
            running: None,
        }
    }

    /// Adds configuration words for the next start.
    pub(crate) fn configure(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(ToString::to_string));
    }

    pub(crate) fn directory(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The arguments it is started with.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let fixed = [
            "--port".to_owned(),
            self.port.to_string(),
            "--bind".to_owned(),
            "127.0.0.1".to_owned(),
            "--io-threads".to_owned(),
            "2".to_owned(),
            "--dir".to_owned(),
            self.directory().display().to_string(),
        ];
        fixed.into_iter().chain(self.words.clone()).collect()
    }

    pub(crate) fn begin(&mut self) {
        let config = Config::load(&self.arguments()).expect("a configuration");
        let running = Running::start(config).expect("the server starts");
        self.running = Some(running);
    }

    /// Stops it in order.
    pub(crate) fn end(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
    }

    pub(crate) fn restart(&mut self) {
        self.end();
        self.begin();
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.port)
    }

    pub(crate) fn status(&self) -> InstanceStatus {
        status(&mut self.client())
    }

    pub(crate) fn port_text(&self) -> String {
        self.port.to_string()
    }

    /// One of its databases, past its sockets.
    pub(crate) fn database(&self, number: u32) -> Arc<Database> {
        let running = self.running.as_ref().expect("it runs");
        let store = &running.server().instance.store;
        let database = store.database(number).expect("opens").expect("exists");
        Arc::clone(database)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end();
    }
}

/// `TANDEM STATUS`, parsed.
pub(crate) fn status(client: &mut Client) -> InstanceStatus {
    let text = client.text(&["TANDEM", "STATUS"]);
    serde_json::from_str(&text).expect("a status")
}

/// A client connection.
pub(crate) struct Client {
    pub(crate) socket: TcpStream,
    input: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> Self {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connects");
        socket.set_nodelay(true).expect("nodelay");
        socket
            .set_read_timeout(Some(PATIENCE))
            .expect("a read timeout");
        Self {
            socket,
            input: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("sends");
    }

    /// Sends a command without waiting.
    pub(crate) fn ask<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        self.send(&encode_command(args));
    }

    /// The next reply.
    pub(crate) fn reply(&mut self) -> Value {
        self.next_reply().expect("a reply before the end")
    }

    /// The next reply; `None` when the server has closed.
    pub(crate) fn next_reply(&mut self) -> Option<Value> {
        let mut chunk = vec![0; 64 << 10];
        loop {
            if let Some((value, used)) = decode(&self.input).expect("a well-formed reply") {
                self.input.drain(..used);
                return Some(value);
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return None,
                Ok(count) => self.input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// A command's reply.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Value {
        self.ask(args);
        self.reply()
    }

    /// A command's reply as text; an error fails.
    #[track_caller]
    pub(crate) fn text<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let value = self.call(args);
        match value.as_str() {
            Some(text) => text.to_owned(),
            None => panic!("not a text: {value:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn integer<A: AsRef<[u8]>>(&mut self, args: &[A]) -> i64 {
        let value = self.call(args);
        value
            .as_integer()
            .unwrap_or_else(|| panic!("not an integer: {value:?}"))
    }

    #[track_caller]
    pub(crate) fn error<A: AsRef<[u8]>>(&mut self, args: &[A]) -> String {
        let value = self.call(args);
        match value {
            Value::Error(text) => text,
            other => panic!("not an error: {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn ok<A: AsRef<[u8]>>(&mut self, args: &[A]) {
        assert_eq!(self.call(args), Value::Simple("OK".to_owned()));
    }

    /// One field of INFO.
    pub(crate) fn info(&mut self, section: &str, field: &str) -> Option<String> {
        let text = self.text(&["INFO", section]);
        let wanted = format!("{field}:");
        text.lines()
            .find_map(|line| line.strip_prefix(&wanted).map(ToOwned::to_owned))
    }
}

/// A byte string as a reply.
pub(crate) fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// Waits until a replica's link is up.
pub(crate) fn wait_for_link(replica: &Site) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = replica.client().text(&["INFO", "replication"]);
        if shown.contains("master_link_status:up") {
            return;
        }
        assert!(Instant::now() < deadline, "the link never came up: {shown}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a replica's link is up on both sides: the primary learns last that a full resync is done.
pub(crate) fn wait_for_replica(primary: &Site, replica: &Site) {
    wait_for_link(replica);
    let online = format!("port={},state=online", replica.port);
    until("the primary counts its replica", || {
        let shown = primary.client().text(&["INFO", "replication"]);
        shown.contains(&online)
    });
}

/// A primary with a replica that follows it.
pub(crate) fn primary_with_replica(words: &[&str]) -> (Site, Site) {
    let primary = Site::start(&[&["--server-id", "1"], words].concat());
    let replica = Site::start(words);
    replica
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &primary.port_text()]);
    wait_for_replica(&primary, &replica);
    (primary, replica)
}

/// Two masters of a pair, linked.
pub(crate) fn pair(words: &[&str]) -> (Site, Site) {
    let mut one = Site::prepare(&[&["--server-id", "1"], words].concat());
    let mut two = Site::prepare(&[&["--server-id", "2"], words].concat());
    let introduce = |site: &mut Site, other: &Site, id: &str| {
        site.configure(&["--double-master-ip", "127.0.0.1"]);
        site.configure(&["--double-master-port", &other.port_text()]);
        site.configure(&["--double-master-server-id", id]);
    };
    introduce(&mut one, &two, "2");
    introduce(&mut two, &one, "1");
    one.begin();
    two.begin();
    for site in [&one, &two] {
        until("the pair is linked", || {
            site.client().info("doublemaster", "repl_state").as_deref() == Some("3")
        });
    }
    (one, two)
}

/// Waits until two instances show the same.
pub(crate) fn converged(one: &Site, two: &Site) {
    until("equal digests", || {
        let digest = |site: &Site| site.client().text(&["DEBUG", "DIGEST"]);
        digest(one) == digest(two)
    });
}
