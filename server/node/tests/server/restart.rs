//! Kills and restarts: which role an instance takes by itself.

use super::support::{Client, Site, bulk, pair, primary_with_replica, until};
use std::process::{Child, Command, Stdio};
use tandem_node::config::Config;
use tandem_node::start::Running;
use tandem_proto::status::Role;

/// Arguments of a server in a process of its own, one a line.
const ARGUMENTS: &str = "TANDEM_TEST_SERVER";

/// A server in a process of its own, killed when dropped.
struct Process(Child);

impl Process {
    fn start(site: &Site) -> Self {
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .args(["--exact", "restart::a_process_of_its_own"])
            .env(ARGUMENTS, site.arguments().join("\n"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let port = site.port;
        until("it answers", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Does nothing unless [`Process::start`] runs it as a server.
#[test]
fn a_process_of_its_own() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    let arguments: Vec<String> = arguments.lines().map(ToOwned::to_owned).collect();
    let config = Config::load(&arguments).expect("a configuration");
    let running = Running::start(config).expect("the server starts");
    running.wait().expect("waits");
}

#[test]
fn a_killed_master_resumes_its_role_under_a_new_incarnation() {
    let mut site = Site::prepare(&["--server-id", "1", "--appendfsync", "always"]);
    let mut acknowledged = 0;
    let mut incarnations = Vec::new();
    for _ in 0..3 {
        let process = Process::start(&site);
        let mut client = Client::connect(site.port);
        for _ in 0..50 {
            acknowledged += 1;
            assert_eq!(client.integer(&["INCR", "n"]), acknowledged);
        }
        let status = super::support::status(&mut client);
        assert!(status.writable && status.role == Role::Primary);
        assert_eq!(status.epoch, 1);
        incarnations.extend(status.incarnation);
        drop(process);
    }
    incarnations.dedup();
    assert_eq!(incarnations.len(), 3, "each start is a life of its own");
    site.begin();
    assert_eq!(site.client().call(&["GET", "n"]), bulk("150"));
}

#[test]
fn a_killed_master_of_a_pair_resumes_and_is_linked_again() {
    let (one, mut two) = pair(&[]);
    one.client().ok(&["SET", "a", "1"]);
    two.end();
    let process = Process::start(&two);
    drop(process);
    one.client().ok(&["SET", "b", "2"]);
    two.begin();
    assert!(two.status().writable);
    two.client().ok(&["SET", "c", "3"]);
    super::support::converged(&one, &two);
}

#[test]
fn a_master_whose_role_was_claimed_meanwhile_waits() {
    let (mut primary, replica) = primary_with_replica(&["--hz", "50"]);
    primary.client().ok(&["SET", "k", "v"]);
    // Who the others are is written down once a second.
    until("the replica is written down", || {
        let path = primary.directory().join("instance.json");
        let text = std::fs::read_to_string(path).expect("an identity");
        text.contains(&replica.status().instance_id)
    });
    primary.end();
    replica.client().ok(&["REPLICAOF", "NO", "ONE"]);
    primary.begin();
    let status = primary.status();
    assert!(
        !status.writable && status.role == Role::Waiting,
        "{status:?}"
    );
    let refusal = primary.client().error(&["SET", "k", "w"]);
    assert!(refusal.starts_with("READONLY") && refusal.contains("waits for its role"));
    assert_eq!(
        primary.client().call(&["GET", "k"]),
        bulk("v"),
        "it shows what it has"
    );
    primary.restart();
    assert!(
        !primary.status().writable,
        "a second restart is no claim either"
    );
    primary
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &replica.port_text()]);
    super::support::wait_for_link(&primary);
}

/// A file that is written beside the identity meets a full disk where its name leads to one.
#[cfg(target_os = "linux")]
#[test]
fn a_master_without_space_for_its_role_reads_and_resumes_when_there_is_some() {
    let mut site = Site::start(&[]);
    site.client().ok(&["SET", "k", "v"]);
    site.end();
    let new = site.directory().join("instance.new");
    drop(std::fs::remove_file(&new));
    std::os::unix::fs::symlink("/dev/full", &new).expect("a full disk");
    site.begin();
    let status = site.status();
    assert!(!status.writable, "{status:?}");
    let mut client = site.client();
    assert!(client.error(&["SET", "k", "w"]).starts_with("READONLY"));
    assert_eq!(client.call(&["GET", "k"]), bulk("v"));
    std::fs::remove_file(&new).expect("space");
    until("it writes again", || site.status().writable);
    client.ok(&["SET", "k", "w"]);
}

#[test]
fn a_master_resumes_while_nobody_can_be_asked() {
    let (mut primary, mut replica) = primary_with_replica(&["--hz", "50"]);
    primary.client().ok(&["SET", "k", "v"]);
    replica.end();
    primary.restart();
    assert!(primary.status().writable);
    primary.client().ok(&["SET", "k", "w"]);
}

#[test]
fn a_promotion_collects_from_who_lives_and_gives_up_who_has_ended() {
    let (primary, replica) = primary_with_replica(&[]);
    primary.client().ok(&["SET", "k", "v"]);
    until("the replica has it", || {
        replica.client().call(&["GET", "k"]) == bulk("v")
    });
    let mut ended = Site::start(&["--boot-role", "waiting", "--server-id", "1"]);
    ended.end();
    let address = |site: &Site| format!("127.0.0.1:{}", site.port);
    let begun = std::time::Instant::now();
    let patience = "60000";
    let answer = replica.client().text(&[
        "TANDEM",
        "PROMOTE",
        "9",
        "FROM",
        &address(&ended),
        "FROM",
        &address(&primary),
        "TIMEOUT",
        patience,
    ]);
    assert!(answer.contains("\"epoch\":9"), "{answer}");
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    replica.client().ok(&["SET", "k", "w"]);
}

#[test]
fn an_instance_started_by_an_operator_waits() {
    let mut site = Site::start(&["--boot-role", "waiting", "--server-id", "1"]);
    assert_eq!(site.status().role, Role::Waiting);
    let mut client = site.client();
    assert!(
        client
            .text(&["TANDEM", "PROMOTE", "5"])
            .contains("\"epoch\":5")
    );
    client.ok(&["SET", "k", "v"]);
    site.restart();
    assert!(!site.status().writable);
    assert_eq!(site.client().call(&["GET", "k"]), bulk("v"));
}
