//! FAILOVER: the role of primary goes to a replica that holds everything, while writes wait.
//!
//! ```text
//! waiting-for-sync       writes wait, reads go on; until the replica holds all
//! failover-in-progress   the life here ends; until the replica holds its last record; it is promoted
//! ```
//!
//! Given up at any moment before the promotion, this instance writes on under a new life. Nothing is
//! lost either way: what the replica lacks after FORCE is pulled from here by its handover link.

use crate::caller::{CallError, call};
use crate::meta::{Meta, Target};
use crate::server::Server;
use std::sync::Arc;
use std::time::Duration;
use tandem_proto::status::{InstanceStatus, LinkKind, LinkState};
use tokio::time::{Instant, sleep};

/// How often a replica is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(2);
/// How long the last records and the promotion may take.
const PROMOTION_PATIENCE: Duration = Duration::from_secs(5);

/// What FAILOVER asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The replica to promote; the one that lacks least when none is named.
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
    let chosen = server.failover.begin(|| choose(server, request))?;
    let (task, request) = (Arc::clone(server), request.clone());
    server.spawn(async move {
        hand_over(&task, &chosen, &request).await;
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

fn choose(server: &Server, request: &Request) -> Result<Chosen, &'static str> {
    let receivers = server.links().map(|links| links.status().1);
    let replicas: Vec<_> = receivers
        .unwrap_or_default()
        .into_iter()
        .filter(|one| one.kind == LinkKind::Replica)
        .collect();
    if replicas.is_empty() {
        return Err("ERR FAILOVER requires connected replicas.");
    }
    let is_online = |state: LinkState| state == LinkState::Streaming;
    let found = match &request.target {
        Some(target) => {
            let found = replicas
                .iter()
                .find(|one| one.port == target.port && is_same_host(&one.host, &target.host));
            found.ok_or("ERR FAILOVER target HOST and PORT is not a replica.")?
        }
        None => replicas
            .iter()
            .filter(|one| is_online(one.state))
            .min_by_key(|one| one.lag_records)
            .ok_or("ERR FAILOVER requires connected replicas.")?,
    };
    if !is_online(found.state) {
        return Err("ERR FAILOVER target replica is not online.");
    }
    Ok(Chosen {
        target: Target {
            host: found.host.clone(),
            port: found.port,
        },
        instance_id: found.instance_id.clone(),
    })
}

fn is_same_host(one: &str, other: &str) -> bool {
    let plain = |host: &str| match host {
        "localhost" => "127.0.0.1".to_owned(),
        host => host.to_lowercase(),
    };
    plain(one) == plain(other)
}

async fn hand_over(server: &Arc<Server>, chosen: &Chosen, request: &Request) {
    let target = &chosen.target;
    let begun = Instant::now();
    let deadline = request.patience.map(|patience| begun + patience);
    tracing::info!(%target, "handing the role of primary over, writes wait");
    let synced = wait_for_sync(server, &chosen.instance_id, deadline).await;
    if server.failover.is_aborted() || !(synced || request.force) {
        tracing::warn!(%target, synced, "handover given up, writes go on here");
        return;
    }
    server.failover.promote();
    let before = server.instance.meta();
    server.instance.suspend();
    let last_records = Instant::now() + PROMOTION_PATIENCE;
    let complete = synced && wait_for_sync(server, &chosen.instance_id, Some(last_records)).await;
    let aborted = server.failover.is_aborted();
    let outcome = if aborted || !(complete || request.force) {
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
        let words = ["TANDEM", "STATUS"];
        let answer = call(target, password.as_deref(), &words, LOOK_PERIOD * 100).await;
        let status = answer.ok().and_then(|value| {
            let bytes = value.as_bytes()?;
            serde_json::from_slice::<InstanceStatus>(bytes).ok()
        });
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
