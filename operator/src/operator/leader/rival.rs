//! What a standby knows of the operator that leads: when its Lease was renewed last, by the standby's
//! own clock, and whether its door (`/livez`) answers. A node that is lost takes the leader along in
//! silence; that its door is dumb as well says so sooner than the end of its Lease.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pace::{DURATION, RENEW};

/// Silence of a Lease that counts when the door is dumb, too: a renewal is half a second late.
const LATE: Duration = RENEW.saturating_add(Duration::from_millis(500));
/// Unanswered questions in a row for which a door is dumb.
const MISSES_MIN: u32 = 2;
/// Time that a door has to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(700);

/// The leader as another operator sees it.
#[derive(Debug)]
pub(super) struct Rival {
    who: String,
    /// The record that it wrote last.
    version: String,
    /// Since when that is known here.
    since: Instant,
    door: Option<SocketAddr>,
    /// Whether its door ever answered here: one that cannot be reached from here says nothing.
    has_answered: bool,
    misses: u32,
}

impl Rival {
    /// One that was not seen before.
    pub(super) fn new(
        who: String,
        version: String,
        door: Option<SocketAddr>,
        now: Instant,
    ) -> Self {
        Self {
            who,
            version,
            since: now,
            door,
            has_answered: false,
            misses: 0,
        }
    }

    /// Whether it is this one, in this life.
    pub(super) fn is(&self, who: &str, door: Option<SocketAddr>) -> bool {
        self.who == who && self.door == door
    }

    /// It holds the Lease, whose record is of this version.
    pub(super) fn holds(&mut self, version: String, now: Instant) {
        if self.version != version {
            self.version = version;
            self.since = now;
        }
    }

    /// Whether it is to be replaced, when `version` is still its last record.
    pub(super) fn is_silent(&self, version: &str, now: Instant) -> bool {
        let silent = now.saturating_duration_since(self.since);
        let is_dumb = self.has_answered && self.misses >= MISSES_MIN;
        self.version == version && (silent > DURATION || (is_dumb && silent > LATE))
    }

    /// Asks at its door, and remembers the outcome.
    pub(super) async fn ask(&mut self) {
        let Some(door) = self.door else { return };
        let answers = matches!(timeout(ANSWER_TIMEOUT, is_alive(door)).await, Ok(Ok(true)));
        self.note(answers);
    }

    fn note(&mut self, answers: bool) {
        self.has_answered |= answers;
        self.misses = if answers {
            0
        } else {
            self.misses.saturating_add(1)
        };
    }
}

/// One question with a connection of its own, which ends with it.
async fn is_alive(door: SocketAddr) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(door).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let request = Request::get("/livez")
        .header(HOST, door.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?.status() == StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::net::TcpListener;

    use super::super::super::http::{Health, serve};
    use super::super::super::metrics::Metrics;
    use super::*;

    fn rival(now: Instant) -> Rival {
        Rival::new("other".into(), "1".into(), None, now)
    }

    #[test]
    fn a_leader_is_silent_when_its_lease_has_run_out() {
        let begun = Instant::now();
        let mut rival = rival(begun);
        assert!(!rival.is_silent("1", begun + DURATION));
        let past = begun + DURATION + Duration::from_millis(1);
        assert!(rival.is_silent("1", past));
        assert!(!rival.is_silent("2", past), "it was renewed meanwhile");
        rival.holds("2".into(), past);
        assert!(!rival.is_silent("2", past));
    }

    #[test]
    fn a_door_that_became_dumb_makes_a_late_renewal_count() {
        let begun = Instant::now();
        let late = begun + LATE + Duration::from_millis(1);
        let mut rival = rival(begun);
        rival.note(false);
        rival.note(false);
        assert!(
            !rival.is_silent("1", late),
            "it was never reached from here"
        );
        rival.note(true);
        rival.note(false);
        assert!(!rival.is_silent("1", late), "one miss is none");
        rival.note(false);
        assert!(!rival.is_silent("1", begun + LATE), "it may renew in time");
        assert!(rival.is_silent("1", late));
        rival.note(true);
        assert!(!rival.is_silent("1", late));
    }

    #[tokio::test]
    async fn a_door_answers_or_is_dumb() {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address).await.unwrap();
        // Connections are taken by the kernel, and nobody answers: a process that was stopped.
        let door = listener.local_addr().unwrap();
        let mut rival = Rival::new("other".into(), "1".into(), Some(door), Instant::now());
        rival.ask().await;
        assert_eq!((rival.has_answered, rival.misses), (false, 1));
        drop(listener);
        rival.ask().await;
        assert_eq!((rival.has_answered, rival.misses), (false, 2));
        let serving = serve(door, Arc::new(Metrics::new()), Health::default());
        let serving = serving.await.unwrap();
        rival.ask().await;
        assert_eq!((rival.has_answered, rival.misses), (true, 0));
        serving.abort();
    }
}
