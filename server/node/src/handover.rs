//! FAILOVER: the role of primary goes to a replica that holds everything, while writes wait.
//!
//! ```text
//! waiting-for-sync       writes wait, reads go on; until a replica is chosen and holds all
//! failover-in-progress   the life here ends; until the replica holds its last record; it is promoted
//! ```
//!
//! Given up at any moment before the promotion, this instance writes on under a new life. Nothing is
//! lost either way: what the replica lacks after FORCE is pulled from here by its handover link.

use crate::caller::{CallError, call};
use crate::meta::{Meta, Target};
use crate::server::Server;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState, ReceiverStatus};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How often a replica is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(2);
/// How long the last records and the promotion may take.
const PROMOTION_PATIENCE: Duration = Duration::from_secs(5);
/// How long the choice of a replica may take, and a candidate to say its priority.
const CHOICE_PATIENCE: Duration = Duration::from_secs(5);
const ASK_PATIENCE: Duration = Duration::from_secs(1);

/// What FAILOVER asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The replica to promote. When none is named: the one that lacks least, of several such ones
    /// the one with the lowest `replica-priority`; never one with priority 0.
    pub target: Option<Target>,
    /// Promote at the timeout although the replica lacks something.
    pub force: bool,
    /// How long writes may wait; `None`: as long as it takes.
    pub patience: Option<Duration>,
}

/// Begins a handover; writes wait from now on.
pub fn begin(server: &Arc<Server>, request: &Request) -> Result<(), &'static str> {
    if !server.instance.is_writable() {
        return Err("ERR FAILOVER is not valid when server is a replica.");
    }
    let named = server
        .failover
        .begin(|| choose_named(server, request.target.as_ref()))?;
    let (task, request) = (Arc::clone(server), request.clone());
    server.spawn(async move {
        let deadline = request.patience.map(|patience| Instant::now() + patience);
        let chosen = match named {
            Some(named) => Ok(named),
            None => choose_best(&task, deadline).await,
        };
        match chosen {
            Ok(chosen) => hand_over(&task, &chosen, request.force, deadline).await,
            Err(reason) => tracing::warn!(reason, "handover given up, writes go on here"),
        }
        task.failover.end();
        task.wake_workers();
    });
    Ok(())
}

/// A replica that may take over.
struct Chosen {
    target: Target,
    instance_id: String,
}

impl From<&ReceiverStatus> for Chosen {
    fn from(replica: &ReceiverStatus) -> Self {
        Self {
            target: Target {
                host: replica.host.clone(),
                port: replica.port,
            },
            instance_id: replica.instance_id.clone(),
        }
    }
}

/// The replicas that are linked.
fn replicas(server: &Server) -> Vec<ReceiverStatus> {
    let receivers = server.links().map(|links| links.status().1);
    let mut replicas = receivers.unwrap_or_default();
    replicas.retain(|one| one.kind == LinkKind::Replica);
    replicas
}

fn is_online(replica: &ReceiverStatus) -> bool {
    replica.state == LinkState::Streaming
}

/// The replica that was named; `None` when none was, and there is one to choose.
fn choose_named(server: &Server, target: Option<&Target>) -> Result<Option<Chosen>, &'static str> {
    let replicas = replicas(server);
    let Some(target) = target else {
        let any = replicas.iter().any(is_online);
        return any
            .then_some(None)
            .ok_or("ERR FAILOVER requires connected replicas.");
    };
    if replicas.is_empty() {
        return Err("ERR FAILOVER requires connected replicas.");
    }
    let found = replicas
        .iter()
        .find(|one| one.port == target.port && is_same_host(&one.host, &target.host))
        .ok_or("ERR FAILOVER target HOST and PORT is not a replica.")?;
    if !is_online(found) {
        return Err("ERR FAILOVER target replica is not online.");
    }
    Ok(Some(found.into()))
}

/// The replica that lacks least now that writes wait; then the lowest priority decides.
async fn choose_best(server: &Server, deadline: Option<Instant>) -> Result<Chosen, &'static str> {
    let bound = Instant::now() + CHOICE_PATIENCE;
    let deadline = deadline.map_or(bound, |deadline| deadline.min(bound));
    loop {
        let mut asked = JoinSet::new();
        for replica in replicas(server).into_iter().filter(is_online) {
            let password = server.password_for_others();
            asked.spawn(async move {
                let target = Chosen::from(&replica).target;
                let status = ask_status(&target, password.as_deref(), ASK_PATIENCE).await;
                (replica.instance_id, status)
            });
        }
        let answers: BTreeMap<String, Option<InstanceStatus>> =
            asked.join_all().await.into_iter().collect();
        // Those that lag have caught up somewhat while they were asked.
        let best = replicas(server)
            .into_iter()
            .filter(is_online)
            .filter_map(|one| {
                let status = answers.get(&one.instance_id)?.as_ref()?;
                (status.priority > 0 && status.eligible).then_some((status.priority, one))
            })
            .min_by_key(|(priority, one)| (one.lag_records, *priority));
        if let Some((_, best)) = best {
            return Ok((&best).into());
        }
        if !answers.is_empty() && answers.values().all(Option::is_some) {
            return Err("every replica has priority 0 or is not whole");
        }
        if Instant::now() >= deadline || server.failover.is_aborted() {
            return Err("no replica that may take over answered in time");
        }
        sleep(LOOK_PERIOD * 50).await;
    }
}

/// What an instance says of itself.
async fn ask_status(
    target: &Target,
    password: Option<&str>,
    patience: Duration,
) -> Option<InstanceStatus> {
    let answer = call(target, password, &["TANDEM", "STATUS"], patience)
        .await
        .ok()?;
    serde_json::from_slice(answer.as_bytes()?).ok()
}

fn is_same_host(one: &str, other: &str) -> bool {
    let plain = |host: &str| match host {
        "localhost" => "127.0.0.1".to_owned(),
        host => host.to_lowercase(),
    };
    plain(one) == plain(other)
}

async fn hand_over(
    server: &Arc<Server>,
    chosen: &Chosen,
    is_forced: bool,
    deadline: Option<Instant>,
) {
    let target = &chosen.target;
    let begun = Instant::now();
    tracing::info!(%target, "handing the role of primary over, writes wait");
    let synced = wait_for_sync(server, &chosen.instance_id, deadline).await;
    if server.failover.is_aborted() || !(synced || is_forced) {
        tracing::warn!(%target, synced, "handover given up, writes go on here");
        return;
    }
    server.failover.promote();
    let before = server.instance.meta();
    server.instance.suspend();
    let last_records = Instant::now() + PROMOTION_PATIENCE;
    let complete = synced && wait_for_sync(server, &chosen.instance_id, Some(last_records)).await;
    let aborted = server.failover.is_aborted();
    let outcome = if aborted || !(complete || is_forced) {
        Err("it was given up, or the replica did not take the last records".to_owned())
    } else {
        promote(server, target, before.epoch + 1).await
    };
    match outcome {
        Ok(epoch) => settle(server, target, &before, epoch, begun).await,
        Err(reason) => resume(server, target, &before, &reason),
    }
}

/// True when the replica holds all; false at the deadline, or when it was given up.
async fn wait_for_sync(server: &Server, instance_id: &str, deadline: Option<Instant>) -> bool {
    loop {
        let holds = |links: &crate::links::Links| links.replica_holds_all(instance_id);
        if server.links().is_some_and(|links| holds(links)) {
            return true;
        }
        let over = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        if over || server.failover.is_aborted() {
            return false;
        }
        sleep(LOOK_PERIOD).await;
    }
}

/// Promotes the replica. When its answer is lost, it is asked what it is.
async fn promote(server: &Server, target: &Target, epoch: u64) -> Result<u64, String> {
    let password = server.password_for_others();
    let number = epoch.to_string();
    let deadline = Instant::now() + PROMOTION_PATIENCE;
    let mut reason = String::new();
    while Instant::now() < deadline {
        let words = ["TANDEM", "PROMOTE", &number];
        match call(target, password.as_deref(), &words, PROMOTION_PATIENCE).await {
            Ok(_) => return Ok(epoch),
            Err(CallError::Refused { text, .. }) => return Err(text),
            Err(error) => reason = error.to_string(),
        }
        let status = ask_status(target, password.as_deref(), LOOK_PERIOD * 100).await;
        if status.is_some_and(|status| status.writable && status.epoch == epoch) {
            return Ok(epoch);
        }
        sleep(LOOK_PERIOD * 50).await;
    }
    Err(reason)
}

/// The replica writes now: this instance follows it, and a pair goes on with it.
async fn settle(server: &Arc<Server>, target: &Target, before: &Meta, epoch: u64, begun: Instant) {
    let followed = match server.links() {
        Some(links) => links
            .follow(epoch, target.clone())
            .map_err(|e| e.to_string()),
        None => Err("links are down".to_owned()),
    };
    if let Err(error) = followed {
        tracing::error!(%target, error, "the promoted replica could not be followed");
    }
    tracing::info!(
        %target,
        epoch,
        elapsed_ms = begun.elapsed().as_millis() as u64,
        "role of primary handed over"
    );
    if let Some(peer) = &before.peer {
        introduce(server, target, before, peer).await;
    }
}

/// Tells both masters of a pair where the other one is now.
async fn introduce(server: &Server, target: &Target, before: &Meta, peer: &crate::meta::Peer) {
    let password = server.password_for_others();
    let members: Vec<String> = before.members.iter().map(ToString::to_string).collect();
    let mut told: Vec<&str> = vec!["TANDEM", "MEMBERS"];
    told.extend(members.iter().map(String::as_str));
    let (peer_port, peer_id) = (peer.target.port.to_string(), peer.server_id.to_string());
    let (own_port, own_id) = (target.port.to_string(), before.server_id.to_string());
    let to_peer = ["TANDEM", "PEER", &peer.target.host, &peer_port, &peer_id];
    let to_target = ["TANDEM", "PEER", &target.host, &own_port, &own_id];
    for (whom, words) in [
        (target, told.as_slice()),
        (target, to_peer.as_slice()),
        (&peer.target, to_target.as_slice()),
    ] {
        if let Err(error) = call(whom, password.as_deref(), words, PROMOTION_PATIENCE).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the pair must be linked anew by hand"
            );
        }
    }
}

fn resume(server: &Server, target: &Target, before: &Meta, reason: &str) {
    match server.instance.resume_writer(before.epoch) {
        Ok(_) => tracing::warn!(%target, reason, "handover failed, writes go on here"),
        Err(error) => tracing::error!(
            %target,
            reason,
            error = &error as &dyn std::error::Error,
            "handover failed, and this instance may not write again"
        ),
    }
}
