use super::super::request::Operation;
use super::*;
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers each request with `reply`; requests are told apart by their first byte.
fn responder(connections: usize, reply: &'static [u8]) -> (SocketAddr, JoinHandle<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move |mut stream: std::net::TcpStream| {
        let mut requests = 0;
        let mut buffer = [0; 4096];
        loop {
            let count = stream.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return requests;
            }
            let seen = buffer[..count].split(|&byte| byte == b'*').count() - 1;
            requests += seen as u64;
            stream.write_all(&reply.repeat(seen)).ok();
        }
    };
    let all = std::thread::spawn(move || {
        let accept = |_| listener.accept().unwrap().0;
        let streams: Vec<_> = (0..connections).map(accept).collect();
        let threads: Vec<_> = streams
            .into_iter()
            .map(|stream| std::thread::spawn(move || serve(stream)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    (address, all)
}

#[test]
fn each_request_is_sent_and_answered_once() {
    let (address, server) = responder(3, b"$-1\r\n");
    let requests = Requests::new(Operation::Get, 0);
    let load = Load {
        connections: 3,
        pipeline: 16,
        ..Load::new(address, &requests, Order::each(1000))
    };
    let report = load.run().unwrap();
    assert_eq!((report.requests, report.nulls), (1000, 1000));
    assert_eq!(server.join().unwrap(), 1000);
}

#[test]
fn load_with_a_rate_takes_its_time_and_measures_each_request() {
    let (address, server) = responder(4, b":1\r\n");
    let requests = Requests::new(Operation::Incr, 0);
    let load = Load {
        connections: 4,
        count_max: 200,
        rate: Some(2000.0),
        ..Load::new(address, &requests, Order::random(10, 1))
    };
    let report = load.run().unwrap();
    assert_eq!((report.requests, report.latencies_us.len()), (200, 200));
    assert!(
        report.elapsed >= Duration::from_millis(95),
        "{:?}",
        report.elapsed
    );
    assert_eq!(server.join().unwrap(), 200);
}

#[test]
fn error_reply_ends_the_load_with_its_text() {
    let (address, server) = responder(1, b"-ERR no such thing\r\n");
    let requests = Requests::new(Operation::Get, 0);
    let load = Load {
        connections: 1,
        ..Load::new(address, &requests, Order::each(1))
    };
    let error = format!("{:#}", load.run().unwrap_err());
    assert!(error.contains("ERR no such thing"), "{error}");
    server.join().unwrap();
}
