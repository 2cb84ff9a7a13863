//! A Redis of the test's own: started on a free loopback port, ended with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use tandem_proto::Protocol;
use tandem_proto::value::decode;

const PROGRAM: &str = "/usr/bin/redis-server";

/// A running Redis and a connection to it.
#[derive(Debug)]
pub struct Redis {
    child: Child,
    stream: TcpStream,
    received: Vec<u8>,
}

impl Redis {
    /// Starts one; `None`, with a notice, where there is none to start.
    pub fn start() -> Option<Self> {
        if !std::path::Path::new(PROGRAM).exists() {
            eprintln!("skipped: {PROGRAM} is not there");
            return None;
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        drop(listener);
        let mut child = Command::new(PROGRAM)
            .args([
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                "/tmp",
            ])
            .args(["--port", &port.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server starts");
        let mut log = BufReader::new(child.stdout.take().expect("its log")).lines();
        let is_ready = log.any(|line| line.is_ok_and(|line| line.contains("Ready to accept")));
        assert!(is_ready, "redis-server ended before it was ready");
        // What it logs later is read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || log.for_each(drop));
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Some(Self {
            child,
            stream,
            received: Vec::new(),
        })
    }

    /// Empties it and picks a protocol.
    pub fn begin(&mut self, protocol: Protocol) {
        let version = if protocol == Protocol::Resp3 {
            "3"
        } else {
            "2"
        };
        self.run(&[b"HELLO".to_vec(), version.into()]);
        self.run(&[b"FLUSHALL".to_vec()]);
    }

    /// Its clock, in Unix milliseconds.
    pub fn time_ms(&mut self) -> u64 {
        let reply = self.run(&[b"TIME".to_vec()]);
        let (value, _) = decode(&reply).expect("a reply").expect("a whole reply");
        let parts = value.as_elements().expect("seconds and microseconds");
        let [seconds, micros] = [0, 1].map(|at| parts[at].as_integer().expect("a number") as u64);
        seconds * 1000 + micros / 1000
    }

    /// Runs a command and gives the bytes of its reply.
    pub fn run(&mut self, args: &[Vec<u8>]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream
            .write_all(&request)
            .expect("Redis takes a request");
        loop {
            if let Some((_, length)) = decode(&self.received).expect("a reply in RESP") {
                let rest = self.received.split_off(length);
                return std::mem::replace(&mut self.received, rest);
            }
            let mut chunk = [0; 16 * 1024];
            let length = self.stream.read(&mut chunk).expect("Redis answers");
            assert!(length > 0, "Redis has closed the connection");
            self.received.extend_from_slice(&chunk[..length]);
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // Its own child, by its own process id; that it has ended already is no failure here.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
