//! One pulled link from connect to end.
//!
//! ```text
//! socket ─ reader ─▶ queue (bounded in bytes) ─▶ applier thread ─▶ acks ─▶ writer ─ socket
//! ```

use super::acks::AckBook;
use super::apply::{Applier, ApplyError};
use super::dial::Dial;
use super::hello::{Adoption, Agreed, hello, own_life_beyond};
use super::queue::Received;
use super::shared::{PING_PERIOD, Settings, Shared};
use super::wire::{WireError, read_frame, write_bytes, write_message};
use crate::config::LINK_PORT_OFFSET;
use crate::instance::wall_ms;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tandem_merge::history::Refused;
use tandem_proto::status::LinkState;
use tandem_replicate::handshake::check_welcome;
use tandem_replicate::message::FRAME_BYTES_MAX;
use tandem_replicate::{FullMode, Message, Refusal, RefuseCode, Throttle, Verdict, Welcome};
use tandem_store::StoreError;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

/// How long a connection attempt may take.
const CONNECT_SILENCE: Duration = Duration::from_secs(3);
/// Received and not yet applied, in KiB.
const QUEUE_KIB: usize = 64 << 10;
/// The same in frames.
const QUEUE_FRAMES: usize = 256;
/// How often durable positions are looked at.
const DURABLE_PERIOD: Duration = Duration::from_millis(50);
/// Age at which received records are made durable by the link itself.
const SYNC_AGE: Duration = Duration::from_secs(1);

/// How a link ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) state: LinkState,
    pub(super) reason: String,
    /// Whether the handshake had succeeded.
    pub(super) worked: bool,
    /// Whether the host is there and nobody listens: the process has ended.
    pub(super) is_gone: bool,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Wire(#[from] WireError),
    #[error("failed to connect to {target}: {reason}")]
    Connect {
        target: String,
        reason: String,
        is_gone: bool,
    },
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Apply(#[from] ApplyError),
    #[error("the source ended the link: {0}")]
    Bye(String),
    #[error("failed to persist what the link learned: {0}")]
    Persist(std::io::Error),
}

/// Runs one connection.
pub(super) async fn run(shared: &Arc<Shared>, dial: &Arc<Dial>) -> Ended {
    let mut worked = false;
    match session(shared, dial, &mut worked).await {
        Ok(()) => Ended {
            state: LinkState::Streaming,
            reason: String::new(),
            worked,
            is_gone: false,
        },
        Err(failure) => {
            let state = match &failure {
                Failure::Refused(refusal) | Failure::Apply(ApplyError::Refused(refusal))
                    if refusal.code == RefuseCode::LostPlace =>
                {
                    LinkState::LostPlace
                }
                Failure::Refused(_)
                | Failure::Apply(
                    ApplyError::Refused(_) | ApplyError::Store(StoreError::Refused(_)),
                ) => LinkState::Refused,
                _ => LinkState::Connecting,
            };
            if let Failure::Apply(ApplyError::Store(StoreError::Refused(refused))) = &failure
                && matches!(refused, Refused::Cloned { .. })
            {
                shared.stop_cloned(&refused.to_string());
            }
            Ended {
                state,
                reason: failure.to_string(),
                worked,
                is_gone: matches!(failure, Failure::Connect { is_gone: true, .. }),
            }
        }
    }
}

async fn session(shared: &Arc<Shared>, dial: &Arc<Dial>, worked: &mut bool) -> Result<(), Failure> {
    let settings = shared.settings();
    let mut socket = connect(dial).await?;
    let agreed = shake_hands(shared, &settings, dial, &mut socket).await?;
    *worked = true;
    dial.heard();
    dial.met(agreed.welcome.server_id, &agreed.welcome.instance_id);
    let refused = first_refusal(&agreed.welcome);
    let (outgoing, to_send) = mpsc::unbounded_channel();
    let (incoming, queue) = mpsc::channel(QUEUE_FRAMES);
    let books = Arc::new(AckBook::default());
    let applier = tokio::task::block_in_place(|| {
        Applier::new(shared, dial, &settings, agreed, &outgoing, &books)
    })?;
    let mut applying = shared.runtime.spawn_blocking(move || applier.run(queue));
    let (mut reading, mut writing) = socket.into_split();
    let ended = tokio::select! {
        ended = read(shared, dial, &settings, &mut reading, incoming, &outgoing) => ended,
        ended = write(&settings, &mut writing, to_send) => ended,
        ended = keep_time(shared, &books, &outgoing) => ended,
        ended = try_refused_again(refused) => ended,
        applied = &mut applying => {
            let message = Message::Bye { reason: "done".to_owned() };
            drop(write_message(&mut writing, &message, settings.silence).await);
            return Ok(applied.map_err(|_| ApplyError::Gone)??);
        }
    };
    // What has arrived is applied before anybody dials again; why it cannot be is told first.
    applying.await.map_err(|_| ApplyError::Gone)??;
    ended
}

/// How long a link goes on of which some databases were refused, before they are asked for again.
const REFUSED_AGAIN: Duration = Duration::from_secs(5);

fn first_refusal(welcome: &Welcome) -> Option<Refusal> {
    let mut answers = welcome.databases.iter();
    answers.find_map(|answer| match &answer.verdict {
        Verdict::Refused(refusal) => Some(refusal.clone()),
        Verdict::Partial | Verdict::Full(_) => None,
    })
}

async fn try_refused_again(refused: Option<Refusal>) -> Result<(), Failure> {
    let Some(refusal) = refused else {
        return std::future::pending().await;
    };
    sleep(REFUSED_AGAIN).await;
    Err(refusal.into())
}

async fn connect(dial: &Dial) -> Result<TcpStream, Failure> {
    let target = &dial.wanted.target;
    let failed = |reason: String| Failure::Connect {
        target: target.to_string(),
        reason,
        is_gone: false,
    };
    let port = target
        .port
        .checked_add(LINK_PORT_OFFSET)
        .ok_or_else(|| failed("its link port would be beyond 65535".to_owned()))?;
    let socket = timeout(
        CONNECT_SILENCE,
        TcpStream::connect((target.host.as_str(), port)),
    )
    .await
    .map_err(|_| failed(format!("no answer for {} ms", CONNECT_SILENCE.as_millis())))?
    .map_err(|error| Failure::Connect {
        target: target.to_string(),
        is_gone: error.kind() == std::io::ErrorKind::ConnectionRefused,
        reason: error.to_string(),
    })?;
    socket.set_nodelay(true).map_err(WireError::from)?;
    Ok(socket)
}

async fn shake_hands(
    shared: &Arc<Shared>,
    settings: &Settings,
    dial: &Dial,
    socket: &mut TcpStream,
) -> Result<Agreed, Failure> {
    // What was begun and cut off by a crash goes on: the own state is given up in part already.
    let unfinished = shared.instance.meta().unfinished_resync;
    let wish = dial
        .wish
        .lock()
        .or(unfinished.then_some(FullMode::Overwrite));
    let by_hand = dial.by_hand.load(Ordering::Relaxed);
    let hello = hello(shared, settings, dial.wanted.kind, by_hand, wish);
    write_message(
        socket,
        &Message::Hello(Box::new(hello.clone())),
        settings.silence,
    )
    .await?;
    let mut buffer = Vec::new();
    read_frame(socket, &mut buffer, FRAME_BYTES_MAX, settings.silence).await?;
    let welcome = match Message::decode(&buffer).map_err(WireError::from)? {
        Message::Welcome(welcome) => *welcome,
        Message::Refuse(refusal) => return Err(refusal.into()),
        _ => return Err(WireError::Unexpected("neither welcome nor refusal").into()),
    };
    let decision = check_welcome(&hello, &welcome, dial.wanted.expected)?;
    let own = shared.own();
    for answer in &welcome.databases {
        let beyond = own_life_beyond(
            &shared.instance,
            own,
            answer.number,
            &answer.origins,
            &answer.vv,
        );
        if let Some(refusal) = beyond {
            shared.stop_cloned(&refusal.reason);
            return Err(refusal.into());
        }
    }
    let adoption = Adoption::new(dial.wanted.kind, &welcome, decision);
    if !adoption.waits() {
        adoption
            .remember(&shared.instance)
            .map_err(Failure::Persist)?;
    }
    Ok(Agreed {
        hello,
        welcome,
        adoption,
    })
}

async fn read(
    shared: &Shared,
    dial: &Dial,
    settings: &Settings,
    socket: &mut OwnedReadHalf,
    queue: mpsc::Sender<Received>,
    outgoing: &mpsc::UnboundedSender<Vec<u8>>,
) -> Result<(), Failure> {
    let room = Arc::new(Semaphore::new(QUEUE_KIB));
    let mut throttle = Throttle::default();
    loop {
        let mut payload = Vec::new();
        read_frame(socket, &mut payload, FRAME_BYTES_MAX, settings.silence).await?;
        dial.heard();
        match Message::decode(&payload).map_err(WireError::from)? {
            Message::Ping { clock_ms } => {
                let mut bytes = Vec::new();
                Message::Pong {
                    clock_ms: wall_ms(),
                    asked_ms: clock_ms,
                }
                .encode(&mut bytes);
                drop(outgoing.send(bytes));
                continue;
            }
            Message::Pong { .. } => continue,
            Message::Bye { reason } => return Err(Failure::Bye(reason)),
            Message::FullSlice { .. } | Message::FullPart { .. } => {
                let rate = shared.settings().throttle;
                let wait = throttle.take(payload.len() as u64, rate, wall_ms());
                if wait > 0 {
                    sleep(Duration::from_millis(wait)).await;
                }
            }
            _ => {}
        }
        let kib = payload.len().div_ceil(1 << 10).clamp(1, QUEUE_KIB / 2) as u32;
        let Ok(permit) = Arc::clone(&room).acquire_many_owned(kib).await else {
            return Ok(());
        };
        if queue.send(Received::new(payload, permit)).await.is_err() {
            // The applier has ended and says why.
            return Ok(());
        }
    }
}

async fn write(
    settings: &Settings,
    socket: &mut OwnedWriteHalf,
    mut to_send: mpsc::UnboundedReceiver<Vec<u8>>,
) -> Result<(), Failure> {
    loop {
        let Some(mut bytes) = to_send.recv().await else {
            return Ok(());
        };
        while let Ok(more) = to_send.try_recv() {
            bytes.extend_from_slice(&more);
        }
        write_bytes(socket, &bytes, settings.silence).await?;
    }
}

/// Tells durable positions as they move, makes old records durable, and pings.
async fn keep_time(
    shared: &Arc<Shared>,
    books: &Arc<AckBook>,
    outgoing: &mpsc::UnboundedSender<Vec<u8>>,
) -> Result<(), Failure> {
    let mut pinged = tokio::time::Instant::now();
    loop {
        sleep(DURABLE_PERIOD).await;
        let mut bytes = Vec::new();
        books.durable(&mut bytes);
        if pinged.elapsed() >= PING_PERIOD {
            pinged = tokio::time::Instant::now();
            Message::Ping {
                clock_ms: wall_ms(),
            }
            .encode(&mut bytes);
        }
        if !bytes.is_empty() && outgoing.send(bytes).is_err() {
            return Ok(());
        }
        if books.oldest_age() >= SYNC_AGE {
            let books = Arc::clone(books);
            drop(shared.runtime.spawn_blocking(move || books.sync()).await);
        }
    }
}
