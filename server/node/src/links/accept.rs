//! The source's side: listening, the handshake, and one task per receiver.

use super::collect;
use super::hello::{local, own_life_beyond, remember_as_source, welcome};
use super::receiver::Receiver;
use super::shared::{Settings, Shared};
use super::ship::{Shipper, state_of};
use super::wire::{WireError, read_frame, write_message};
use crate::instance::wall_ms;
use crate::meta::Target;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::status::LinkKind;
use tandem_replicate::handshake::{Held, decide};
use tandem_replicate::message::FRAME_BYTES_MAX;
use tandem_replicate::{FullMode, Hello, Message, Refusal, RefuseCode, Verdict, Welcome};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Longest first word of a stranger, in bytes.
const HELLO_BYTES_MAX: usize = 16 << 20;
/// How long a stranger may take for it.
const HELLO_SILENCE: Duration = Duration::from_secs(10);
/// Strangers that are listened to at the same time.
const STRANGERS_MAX: usize = 64;
/// Receivers served at the same time.
const RECEIVERS_MAX: usize = 256;

/// Listens until the task is dropped.
pub(super) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        match listener.accept().await {
            Ok((socket, address)) => {
                let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else {
                    continue;
                };
                let shared = Arc::clone(&shared);
                tokio::spawn(async move {
                    if let Err(error) = serve(&shared, socket, address, permit).await {
                        tracing::debug!(%address, error = &error as &dyn std::error::Error, "receiver left");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "link not accepted"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(
    shared: &Arc<Shared>,
    mut socket: TcpStream,
    address: SocketAddr,
    stranger: tokio::sync::OwnedSemaphorePermit,
) -> Result<(), WireError> {
    socket.set_nodelay(true)?;
    let settings = shared.settings();
    let mut buffer = Vec::new();
    read_frame(&mut socket, &mut buffer, HELLO_BYTES_MAX, HELLO_SILENCE).await?;
    let Message::Hello(hello) = Message::decode(&buffer)? else {
        return Err(WireError::Unexpected("something else than a hello"));
    };
    let answer = tokio::task::block_in_place(|| answer(shared, &settings, &hello));
    drop(stranger);
    let answer = match answer {
        Ok(answer) => answer,
        Err(refusal) => {
            tracing::info!(
                kind = ?hello.kind,
                %address,
                instance = hello.instance_id.as_str(),
                reason = refusal.reason.as_str(),
                "receiver refused"
            );
            return write_message(&mut socket, &Message::Refuse(refusal), HELLO_SILENCE).await;
        }
    };
    let host = if hello.host.is_empty() {
        address.ip().to_string()
    } else {
        hello.host.clone()
    };
    pull_what_it_alone_holds(shared, &hello, &answer.welcome, &host);
    let message = Message::Welcome(Box::new(answer.welcome.clone()));
    write_message(&mut socket, &message, settings.silence).await?;
    attend(shared, settings, socket, &hello, &answer, host).await
}

/// What a receiver is told, and the data set that this instance has with it: who collects may be told
/// another one than the source's.
struct Answer {
    welcome: Welcome,
    cluster_id: String,
}

/// The decision, written down where it has to be.
fn answer(shared: &Shared, settings: &Settings, hello: &Hello) -> Result<Answer, Refusal> {
    let instance = &shared.instance;
    let meta = instance.meta();
    let decision = decide(hello, &local(&meta, settings));
    if let Err(refusal) = &decision
        && refusal.code == RefuseCode::Superseded
        && let Err(error) = instance.update(|meta| meta.epoch = meta.epoch.max(hello.epoch))
    {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "epoch not persisted"
        );
    }
    let decision = decision?;
    let own = shared.own();
    for held in &hello.databases {
        if let Some(refusal) = own_life_beyond(instance, own, held.number, &held.origins, &held.vv)
        {
            shared.stop_cloned(&refusal.reason);
            return Err(refusal);
        }
    }
    let failed = |error: std::io::Error| Refusal::new(RefuseCode::Failed, error.to_string());
    remember_as_source(instance, hello, &decision).map_err(failed)?;
    if shared.receivers.lock().len() >= RECEIVERS_MAX {
        let text = format!("{RECEIVERS_MAX} receivers are served already; chain some of them");
        return Err(Refusal::new(RefuseCode::Busy, text));
    }
    let welcome = welcome(shared, settings, hello, &decision).map_err(failed)?;
    let cluster_id = if decision.agree {
        decision.cluster_id
    } else {
        meta.cluster_id
    };
    Ok(Answer {
        welcome,
        cluster_id,
    })
}

/// Whoever is seen to hold more is pulled from: a writer dials a replica that is ahead of it.
fn pull_what_it_alone_holds(shared: &Arc<Shared>, hello: &Hello, welcome: &Welcome, host: &str) {
    let ahead = |number: u32| {
        let held = hello.databases.iter().find(|held| held.number == number)?;
        let answer = welcome
            .databases
            .iter()
            .find(|answer| answer.number == number)?;
        let foreign = match &answer.verdict {
            Verdict::Refused(refusal) => refusal.code == RefuseCode::Foreign,
            _ => false,
        };
        let given_up = held.wish == Some(FullMode::Overwrite);
        let held = Held::new(&held.origins, &held.vv, &answer.origins);
        (!foreign && !given_up && held.is_ahead_of(&answer.vv)).then_some(())
    };
    let same_group = hello.server_id == welcome.server_id;
    let wanted = hello
        .databases
        .iter()
        .any(|held| ahead(held.number).is_some());
    if hello.kind == LinkKind::Replica && same_group && wanted && shared.instance.is_writable() {
        let target = Target {
            host: host.to_owned(),
            port: hello.port,
        };
        collect::in_background(shared, target);
    }
}

async fn attend(
    shared: &Arc<Shared>,
    settings: Settings,
    socket: TcpStream,
    hello: &Hello,
    answer: &Answer,
    host: String,
) -> Result<(), WireError> {
    let welcome = &answer.welcome;
    let receiver = Arc::new(Receiver::new(hello, host));
    let shipper = Shipper::new(shared, settings.clone(), &receiver, hello, welcome);
    let (mut reading, mut writing) = socket.into_split();
    let mut shipper = match shipper {
        Ok(shipper) => shipper,
        Err(error) => {
            let message = Message::Bye {
                reason: error.to_string(),
            };
            return write_message(&mut writing, &message, HELLO_SILENCE).await;
        }
    };
    for answer in &welcome.databases {
        let state = state_of(&answer.verdict);
        receiver.progress(answer.number, |progress| progress.state = state);
    }
    let entered = enter(shared, &receiver);
    tracing::info!(
        kind = ?receiver.kind,
        host = receiver.host.as_str(),
        port = receiver.port,
        instance = receiver.instance_id.as_str(),
        "receiver attached"
    );
    let reason = tokio::select! {
        ended = shipper.run(&mut writing, hello) => ended.err().map(|error| error.to_string()),
        ended = listen_to(shared, &settings, &receiver, &mut reading) => {
            ended.err().map(|error| error.to_string())
        }
        reason = receiver.closed() => Some(reason),
        reason = no_longer_welcome(shared, hello, &answer.cluster_id) => Some(reason),
    };
    drop(entered);
    let reason = reason.unwrap_or_default();
    tracing::info!(
        kind = ?receiver.kind,
        instance = receiver.instance_id.as_str(),
        reason = reason.as_str(),
        "receiver detached"
    );
    let message = Message::Bye { reason };
    write_message(&mut writing, &message, Duration::from_millis(500)).await
}

/// Takes the receiver off the list when the link ends.
struct Entered<'s>(&'s Shared, Arc<Receiver>);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0
            .receivers
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &self.1));
    }
}

/// Puts the receiver on the list; an older link of the same instance and kind ends.
fn enter<'s>(shared: &'s Shared, receiver: &Arc<Receiver>) -> Entered<'s> {
    let mut list = shared.receivers.lock();
    for older in list.iter() {
        if older.instance_id == receiver.instance_id && older.kind == receiver.kind {
            older.close("a newer link of this instance took over");
        }
    }
    list.push(Arc::clone(receiver));
    Entered(shared, Arc::clone(receiver))
}

/// Reads what the receiver says until the link ends.
async fn listen_to(
    shared: &Shared,
    settings: &Settings,
    receiver: &Receiver,
    socket: &mut OwnedReadHalf,
) -> Result<(), WireError> {
    let mut buffer = Vec::new();
    let confused = |_| WireError::Unexpected("an ack of what was never announced");
    loop {
        read_frame(socket, &mut buffer, FRAME_BYTES_MAX, settings.silence).await?;
        match Message::decode(&buffer)? {
            Message::Ack(ack) => {
                let durable_lsn = receiver.acked(&ack).map_err(confused)?;
                shared.horizon(ack.database, |horizon| {
                    horizon.raise(&receiver.instance_id, durable_lsn, wall_ms());
                });
                shared.acknowledged();
            }
            Message::Origins {
                database,
                first,
                origins,
            } => {
                receiver
                    .announced(database, first, &origins)
                    .map_err(confused)?;
            }
            Message::FullDone { database, vv } => {
                receiver.replaced(database, &vv).map_err(confused)?;
            }
            Message::Ping { .. } | Message::Pong { .. } => receiver.heard(),
            Message::Bye { .. } => return Ok(()),
            _ => {
                return Err(WireError::Unexpected(
                    "a message that a receiver does not send",
                ));
            }
        }
    }
}

/// Resolves when the instance has changed so that this link would be refused, or belongs to another
/// data set.
async fn no_longer_welcome(shared: &Shared, hello: &Hello, cluster_id: &str) -> String {
    loop {
        let generation = shared.instance.generation();
        let meta = shared.instance.meta();
        if meta.cluster_id != cluster_id {
            return "the data set was agreed on anew".to_owned();
        }
        let settings = Settings {
            passwords: Vec::new(),
            ..shared.settings()
        };
        // NOTE: the hello is old; what a contact has settled since must not be held against it.
        let now = Hello {
            cluster_id: meta.cluster_id.clone(),
            epoch: 0,
            ..hello.clone()
        };
        if let Err(refusal) = decide(&now, &local(&meta, &settings)) {
            return refusal.reason;
        }
        shared.instance.changed(generation).await;
    }
}
