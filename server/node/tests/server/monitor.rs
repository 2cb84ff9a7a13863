//! Metrics and probes over HTTP.

use super::support::{PATIENCE, Site, bulk, converged, free_port, until, wait_for_link};
use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use tandem_node::config::Config;
use tandem_node::start::Running;

/// Status and body of a request; `None` when nobody listens.
fn ask(port: u16, request: &str) -> Option<(u16, String)> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    socket.write_all(request.as_bytes()).expect("asks");
    let mut text = String::new();
    socket.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).expect("a status");
    assert!(
        head.contains(&format!("Content-Length: {}", body.len())) || request.starts_with("HEAD"),
        "{head}"
    );
    Some((status.parse().expect("a number"), body.to_owned()))
}

fn get(port: u16, path: &str) -> (u16, String) {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n")).expect("it listens")
}

/// A server that does not run yet, and the port of its metrics.
fn watched(words: &[&str]) -> (Site, u16) {
    let port = free_port();
    let mut site = Site::prepare(words);
    site.configure(&["--metrics-port", &port.to_string()]);
    (site, port)
}

/// The value of a sample.
fn sample(page: &str, name: &str) -> Option<f64> {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

#[test]
fn probes_tell_alive_and_ready_by_role() {
    let (mut primary, port) = watched(&["--server-id", "1", "--boot-role", "waiting"]);
    primary.begin();
    assert_eq!(get(port, "/livez"), (200, "alive\n".to_owned()));
    let (status, reason) = get(port, "/readyz");
    assert_eq!((status, reason.as_str()), (503, "it waits for its role\n"));
    primary.client().ok(&["SLAVEOF", "NO", "ONE"]);
    assert_eq!(get(port, "/readyz"), (200, "primary\n".to_owned()));
    primary
        .client()
        .ok(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    until("it takes no writes", || {
        sample(&get(port, "/metrics").1, "tandem_writable") == Some(0.0)
    });
    let refused = primary.client().error(&["SET", "k", "v"]);
    assert!(refused.starts_with("NOREPLICAS"), "{refused}");
    let still = get(port, "/readyz");
    assert_eq!(still, (200, "primary\n".to_owned()), "reads go on");
    primary
        .client()
        .ok(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    let (mut replica, replica_port) = watched(&[]);
    let nowhere = free_port().to_string();
    replica.configure(&["--replicaof", "127.0.0.1", &nowhere]);
    replica.begin();
    let (status, reason) = get(replica_port, "/readyz");
    assert_eq!(status, 503, "{reason}");
    replica
        .client()
        .ok(&["REPLICAOF", "127.0.0.1", &primary.port_text()]);
    wait_for_link(&replica);
    until("the replica is ready", || {
        get(replica_port, "/readyz") == (200, "replica\n".to_owned())
    });
    primary.client().ok(&["SET", "k", "v"]);
    until("it has the key", || {
        replica.client().call(&["GET", "k"]) == bulk("v")
    });
    primary.end();
    until("nobody listens", || {
        ask(port, "GET / HTTP/1.1\r\n\r\n").is_none()
    });
    assert_eq!(get(replica_port, "/readyz").0, 200, "it serves what it has");
}

#[test]
fn what_is_no_request_for_a_page_is_refused() {
    let (mut site, port) = watched(&[]);
    site.begin();
    assert_eq!(get(port, "/").0, 404);
    assert_eq!(
        ask(port, "POST /metrics HTTP/1.1\r\n\r\n")
            .expect("listens")
            .0,
        405
    );
    assert_eq!(
        ask(port, "*1\r\n$4\r\nPING\r\n\r\n").expect("listens").0,
        400
    );
    let head = ask(port, "HEAD /metrics HTTP/1.1\r\n\r\n").expect("listens");
    assert_eq!(head, (200, String::new()));
    // Connections that say nothing keep nobody else out.
    let silent: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("connects"))
        .collect();
    assert_eq!(get(port, "/livez").0, 200);
    drop(silent);
    let port_text = port.to_string();
    let taken = Site::prepare(&["--metrics-port", &port_text]).arguments();
    let refused = Running::start(Config::load(&taken).expect("a configuration"));
    let text = format!("{:#}", refused.expect_err("the port is taken"));
    assert!(text.contains("metrics-port"), "{text}");
}

/// The names that docs/metrics.md lists.
fn documented() -> BTreeSet<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    let text = std::fs::read_to_string(path).expect("the list of metrics");
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `tandem_"));
    let names = rows.filter_map(|row| row.split(" | ").next());
    names
        .flat_map(|names| {
            names
                .split("`, `")
                .map(|one| one.trim_end_matches('`').to_owned())
        })
        .map(|name| format!("tandem_{}", name.trim_start_matches("tandem_")))
        .collect()
}

#[test]
fn the_page_shows_what_the_documentation_lists() {
    let (mut primary, port) = watched(&["--server-id", "1", "--requirepass", "hidden-word"]);
    primary.begin();
    let mut client = primary.client();
    client.ok(&["AUTH", "hidden-word"]);
    for n in 0..10 {
        client.ok(&["SET", &format!("k{n}"), "v"]);
    }
    client.call(&["GET", "k1"]);
    client.call(&["GET", "absent"]);
    client.call(&["PEXPIRE", "k1", "100000"]);
    let (mut replica, replica_port) = watched(&["--masterauth", "hidden-word"]);
    replica.configure(&["--replicaof", "127.0.0.1", &primary.port_text()]);
    replica.begin();
    wait_for_link(&replica);
    let labels = format!("{{kind=\"replica\",peer=\"127.0.0.1:{}\"", primary.port);
    let streaming = format!("tandem_link_state{labels},state=\"streaming\"}}");
    until("the link is shown as streaming", || {
        sample(&get(replica_port, "/metrics").1, &streaming) == Some(1.0)
    });
    until("the receiver has no lag", || {
        let page = get(port, "/metrics").1;
        let labels = format!("{{kind=\"replica\",peer=\"127.0.0.1:{}\"}}", replica.port);
        sample(&page, &format!("tandem_receiver_lag_records{labels}")) == Some(0.0)
    });
    let page = get(port, "/metrics").1;
    let value = |name: &str| sample(&page, name);
    assert_eq!(value("tandem_keys{database=\"0\"}"), Some(10.0));
    assert_eq!(value("tandem_keys_with_expiry{database=\"0\"}"), Some(1.0));
    assert_eq!(value("tandem_commands_total{family=\"read\"}"), Some(2.0));
    assert_eq!(value("tandem_commands_total{family=\"write\"}"), Some(11.0));
    assert_eq!(value("tandem_keyspace_hits_total"), Some(1.0));
    assert_eq!(value("tandem_role{role=\"primary\"}"), Some(1.0));
    assert_eq!(value("tandem_role{role=\"replica\"}"), Some(0.0));
    assert_eq!(value("tandem_writable"), Some(1.0));
    assert_eq!(value("tandem_recovering"), Some(0.0));
    assert!(value("tandem_disk_total_bytes").is_some_and(|bytes| bytes > 0.0));
    assert!(value("tandem_log_bytes{database=\"0\"}").is_some_and(|bytes| bytes > 0.0));
    until("an fsync is counted", || {
        let count = sample(
            &get(port, "/metrics").1,
            "tandem_fsync_duration_seconds_count",
        );
        count.is_some_and(|count| count > 0.0)
    });
    let mut shown = BTreeSet::new();
    for page in [page, get(replica_port, "/metrics").1] {
        assert!(!page.contains("hidden-word"));
        for line in page.lines() {
            let mut words = line.split(' ');
            if (words.next(), words.next()) == (Some("#"), Some("TYPE")) {
                shown.insert(words.next().expect("a name").to_owned());
            }
        }
    }
    assert_eq!(shown, documented());
}

#[test]
fn a_merge_of_concurrent_writes_is_counted() {
    let ports = [free_port(), free_port()];
    let mut sites = [
        Site::prepare(&["--server-id", "1", "--metrics-port", &ports[0].to_string()]),
        Site::prepare(&["--server-id", "2", "--metrics-port", &ports[1].to_string()]),
    ];
    for (at, other) in [(0, 1), (1, 0)] {
        let port = sites[other].port_text();
        sites[at].begin();
        let id = if other == 0 { "1" } else { "2" };
        sites[at].client().ok(&["SET", "k", &format!("of {at}")]);
        sites[at].configure(&["--double-master-ip", "127.0.0.1"]);
        sites[at].configure(&["--double-master-port", &port]);
        sites[at].configure(&["--double-master-server-id", id]);
    }
    for site in &mut sites {
        site.restart();
    }
    for site in &sites {
        until("the pair is linked", || {
            site.client().info("doublemaster", "repl_state").as_deref() == Some("3")
        });
    }
    converged(&sites[0], &sites[1]);
    until("a merge is counted", || {
        ports.iter().any(|port| {
            let page = get(*port, "/metrics").1;
            sample(&page, "tandem_conflicts_merged_total{database=\"0\"}").is_some_and(|n| n > 0.0)
        })
    });
}

#[test]
fn a_server_that_recovers_its_log_is_alive_and_not_ready() {
    let (mut site, port) = watched(&[]);
    site.begin();
    site.client().ok(&["SET", "k", "v"]);
    site.client().call(&["SAVE"]);
    site.end();
    // A file that cannot be read to its end before somebody writes into it holds the recovery up.
    let manifest = site.directory().join("db0/MANIFEST");
    let kept = std::fs::read(&manifest).expect("a manifest");
    std::fs::remove_file(&manifest).expect("removes");
    let made = std::process::Command::new("mkfifo").arg(&manifest).status();
    assert!(made.expect("mkfifo runs").success());
    let arguments = site.arguments();
    let starting = std::thread::spawn(move || {
        Running::start(Config::load(&arguments).expect("a configuration"))
    });
    until("it answers", || {
        ask(port, "GET /livez HTTP/1.1\r\n\r\n").is_some_and(|answer| answer.0 == 200)
    });
    assert_eq!(get(port, "/livez").1, "recovering\n");
    assert_eq!(
        get(port, "/readyz"),
        (503, "the log is being recovered\n".to_owned())
    );
    assert_eq!(
        sample(&get(port, "/metrics").1, "tandem_recovering"),
        Some(1.0)
    );
    std::fs::write(&manifest, kept).expect("feeds it");
    let running = starting.join().expect("ends").expect("starts");
    assert_eq!(get(port, "/readyz"), (200, "primary\n".to_owned()));
    assert_eq!(site.client().call(&["GET", "k"]), bulk("v"));
    running.stop();
}
