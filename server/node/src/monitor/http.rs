//! HTTP 1.1 as far as probes and scrapers need it: GET and HEAD, one request a connection, bounded in
//! connections, bytes and time.

use super::answer::{Answer, answer};
use super::subject::Subject;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Connections served at a time; further ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 32;
/// Longest request head.
const HEAD_BYTES_MAX: usize = 8 << 10;
/// How long a client may take to ask, and to take the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Wait after a failure to accept: there are no free descriptors, most likely.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// Serves until the subject says stop.
pub(super) async fn serve(subject: &Arc<Subject>, listeners: Vec<TcpListener>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for listener in listeners {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                tokio::spawn(accept(Arc::clone(subject), listener, Arc::clone(&places)));
            }
            Err(error) => tracing::error!(%error, "metrics are not served on one address"),
        }
    }
    subject.stop.notified().await;
}

async fn accept(subject: Arc<Subject>, listener: tokio::net::TcpListener, places: Arc<Semaphore>) {
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((socket, _)) => {
                let subject = Arc::clone(&subject);
                tokio::spawn(async move {
                    // Whoever hangs up early gets no answer.
                    drop(attend(&subject, socket).await);
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_WAIT).await,
        }
    }
}

async fn attend(subject: &Arc<Subject>, mut socket: TcpStream) -> io::Result<()> {
    let head = tokio::time::timeout(PATIENCE, read_head(&mut socket)).await??;
    let (answer, with_body) = match request(&head) {
        Some((method @ ("GET" | "HEAD"), path)) => (answer(subject, path).await, method == "GET"),
        Some(_) => (Answer::plain(405, "only GET is served\n"), true),
        None => (Answer::plain(400, "this is no HTTP request\n"), true),
    };
    let mut bytes = format!(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n\r\n",
        answer.status,
        reason(answer.status),
        answer.kind,
        answer.body.len()
    )
    .into_bytes();
    if with_body {
        bytes.extend_from_slice(answer.body.as_bytes());
    }
    tokio::time::timeout(PATIENCE, async {
        socket.write_all(&bytes).await?;
        socket.shutdown().await
    })
    .await?
}

/// Reads up to the empty line.
async fn read_head(socket: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let count = socket.read(&mut chunk).await?;
        head.extend_from_slice(&chunk[..count]);
        let is_whole = head.windows(4).any(|end| end == b"\r\n\r\n");
        if is_whole || count == 0 || head.len() > HEAD_BYTES_MAX {
            return Ok(head);
        }
    }
}

/// Method and path of a request; `None` when it is none, or its head is too long.
fn request(head: &[u8]) -> Option<(&str, &str)> {
    if head.len() > HEAD_BYTES_MAX || !head.windows(4).any(|end| end == b"\r\n\r\n") {
        return None;
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if !version.starts_with("HTTP/1.") || words.next().is_some() {
        return None;
    }
    Some((method, target.split('?').next().unwrap_or(target)))
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_and_anything_else_is_none() {
        let get = b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(request(get), Some(("GET", "/metrics")));
        assert_eq!(request(b"GET /metrics HTTP/1.1\r\n"), None, "cut off");
        assert_eq!(request(b"PING\r\n\r\n"), None);
        assert_eq!(request(b"GET / a HTTP/1.1\r\n\r\n"), None);
        assert_eq!(request(&[b'x'; HEAD_BYTES_MAX + 10]), None);
    }
}
