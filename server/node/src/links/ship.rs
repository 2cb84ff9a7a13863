//! Sending: each database's log, less what the receiver holds, within its window.

use super::feed::{Feed, FeedError};
use super::receiver::Receiver;
use super::shared::{PING_PERIOD, Settings, Shared, count};
use super::wire::{WireError, write_bytes};
use crate::instance::wall_ms;
use std::collections::BTreeMap;
use std::sync::Arc;
use tandem_merge::Origins;
use tandem_proto::status::{LinkKind, LinkState};
use tandem_replicate::message::WelcomeDatabase;
use tandem_replicate::{Hello, Message, Verdict, Welcome, Window};
use tandem_store::Database;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::{Instant, sleep_until};

/// Why a link ends on the source's side.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShipError {
    /// The connection failed.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The log could not be read, or no longer holds what is missing.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// Sends until the link ends.
pub(super) struct Shipper {
    shared: Arc<Shared>,
    settings: Settings,
    receiver: Arc<Receiver>,
    feeds: BTreeMap<u32, Feed>,
    refused: Vec<u32>,
    out: Vec<u8>,
}

impl Shipper {
    /// Begins with what the welcome promised.
    pub(super) fn new(
        shared: &Arc<Shared>,
        settings: Settings,
        receiver: &Arc<Receiver>,
        hello: &Hello,
        welcome: &Welcome,
    ) -> Result<Self, FeedError> {
        let mut shipper = Self {
            shared: Arc::clone(shared),
            settings,
            receiver: Arc::clone(receiver),
            feeds: BTreeMap::new(),
            refused: Vec::new(),
            out: Vec::new(),
        };
        for answer in &welcome.databases {
            if state_of(&answer.verdict) == LinkState::LostPlace {
                count(&shared.lost_places);
            }
            if matches!(answer.verdict, Verdict::Refused(_)) {
                shipper.refused.push(answer.number);
            } else if let Some(database) = shared.instance.store.get(answer.number) {
                shipper.begin(database, answer, hello)?;
            }
        }
        Ok(shipper)
    }

    fn begin(
        &mut self,
        database: &Arc<Database>,
        answer: &WelcomeDatabase,
        hello: &Hello,
    ) -> Result<(), FeedError> {
        let nothing = Origins::default();
        let theirs = hello
            .databases
            .iter()
            .find(|held| held.number == database.number);
        let origins = theirs.map_or(&nothing, |held| &held.origins);
        let view = self.shared.view(&hello.instance_id, database.number);
        {
            let commit = database.commit();
            let table = &commit.history.origins;
            let mut view = view.lock();
            view.meet(hello.run);
            view.set_own(hello.own, table);
            for (index, row) in theirs.iter().flat_map(|held| held.vv.rows()) {
                if let Some(origin) = origins.origin(index) {
                    view.raise(origin, row.high, table);
                }
            }
        }
        let known = Arc::clone(&view);
        let feed = Feed::new(database, view, &answer.verdict, answer.origins.len())?;
        let numbering = origins.iter().map(|(_, origin)| origin).collect();
        let window = Window::new(self.settings.window_records, self.settings.window_bytes);
        let lsn = feed.lsn();
        self.receiver.enter(database, known, window, numbering, lsn);
        if self.receiver.kind != LinkKind::Handover {
            self.shared.horizon(database.number, |horizon| {
                horizon.begin(&self.receiver.instance_id, lsn, wall_ms());
            });
        }
        if answer.verdict == Verdict::Partial {
            count(&self.shared.served_partial);
        }
        self.feeds.insert(database.number, feed);
        Ok(())
    }

    /// Databases that were opened since.
    fn join_new(&mut self, hello: &Hello) -> Result<(), FeedError> {
        let shared = Arc::clone(&self.shared);
        for database in shared.instance.store.opened() {
            let number = database.number;
            if self.feeds.contains_key(&number) || self.refused.contains(&number) {
                continue;
            }
            let answer = WelcomeDatabase {
                number,
                origins: Origins::default(),
                vv: tandem_merge::VersionVector::new(),
                verdict: Verdict::Partial,
            };
            self.begin(database, &answer, hello)?;
        }
        Ok(())
    }

    /// Sends until the connection fails or the place is lost.
    pub(super) async fn run(
        &mut self,
        socket: &mut OwnedWriteHalf,
        hello: &Hello,
    ) -> Result<(), ShipError> {
        let shared = Arc::clone(&self.shared);
        let mut tick = Instant::now() + PING_PERIOD;
        loop {
            if self.turn(socket, hello).await? {
                if Instant::now() >= tick {
                    tick = self.tick(socket).await?;
                }
                continue;
            }
            let woken = shared.waker.notified();
            tokio::pin!(woken);
            woken.as_mut().enable();
            let sleeper = shared.waker.announce();
            if self
                .feeds
                .values()
                .any(|feed| feed.has_more(&self.receiver))
            {
                continue;
            }
            tokio::select! {
                () = &mut woken => {}
                () = self.receiver.wake.notified() => {}
                () = sleep_until(tick) => {}
            }
            drop(sleeper);
            if Instant::now() >= tick {
                tick = self.tick(socket).await?;
            }
        }
    }

    /// One batch of each database that has something to send. False: none has.
    async fn turn(
        &mut self,
        socket: &mut OwnedWriteHalf,
        hello: &Hello,
    ) -> Result<bool, ShipError> {
        self.join_new(hello)?;
        let mut sent = false;
        let (receiver, out) = (&self.receiver, &mut self.out);
        for feed in self.feeds.values_mut() {
            out.clear();
            sent |= feed.step(&self.shared, receiver, out)?;
            if !out.is_empty() {
                write_bytes(socket, out, self.settings.silence).await?;
            }
        }
        if out.capacity() > 8 << 20 {
            *out = Vec::new();
        }
        Ok(sent)
    }

    /// What is said once a second: heads and a ping.
    async fn tick(&mut self, socket: &mut OwnedWriteHalf) -> Result<Instant, ShipError> {
        self.receiver.mark();
        self.out.clear();
        for feed in self.feeds.values_mut() {
            feed.head(&self.receiver, &mut self.out)?;
        }
        Message::Ping {
            clock_ms: wall_ms(),
        }
        .encode(&mut self.out);
        write_bytes(socket, &self.out, self.settings.silence).await?;
        Ok(Instant::now() + PING_PERIOD)
    }
}

/// What a verdict means for the receiver's state.
pub(super) fn state_of(verdict: &Verdict) -> LinkState {
    match verdict {
        Verdict::Partial => LinkState::Streaming,
        Verdict::Full(_) => LinkState::FullResync,
        Verdict::Refused(refusal) if refusal.code == tandem_replicate::RefuseCode::LostPlace => {
            LinkState::LostPlace
        }
        Verdict::Refused(_) => LinkState::Refused,
    }
}
