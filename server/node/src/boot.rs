//! What an instance does first: which role it takes by itself.
//!
//! A restart is never a claim: an instance started by an operator waits to be told; one started by
//! hand resumes its last role, unless another one has claimed it since.

use crate::caller::call;
use crate::config::BootRole;
use crate::instance::RoleError;
use crate::meta::{Meta, Peer, StoredRole, Target};
use crate::server::Server;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tandem_proto::status::InstanceStatus;
use tandem_store::log::is_want_of_space;

/// How long others may take to say what they know.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a writer that is not whole looks whether it has been repaired.
const REPAIR_LOOK: Duration = Duration::from_millis(200);

/// Takes the role that configuration and identity give. `runtime` carries out the questions to
/// others.
pub fn take_role(server: &Arc<Server>, runtime: &tokio::runtime::Runtime) -> anyhow::Result<()> {
    let instance = &server.instance;
    let boot_role = instance.config.read().boot_role;
    let follows = take_configuration(server)?;
    let meta = instance.meta();
    let is_new = meta.epoch == 0 && meta.writer_epoch == 0;
    let must_wait = match boot_role {
        BootRole::Waiting => true,
        BootRole::Resume => is_new,
        BootRole::Auto => false,
    };
    if must_wait {
        return Ok(instance.stop_writing(|meta| meta.role = StoredRole::Waiting)?);
    }
    match meta.role {
        StoredRole::Replica if follows || meta.follow.is_some() => return Ok(()),
        StoredRole::Waiting if !is_new => {
            tracing::warn!(
                "it had no role when it ended: it waits for one, `SLAVEOF NO ONE` gives it"
            );
            return Ok(());
        }
        StoredRole::Writer | StoredRole::Replica | StoredRole::Waiting => {}
    }
    runtime.block_on(resume(server, is_new))?;
    if instance.meta().role == StoredRole::Writer && !instance.is_writable() {
        tracing::error!("not writable until the data are whole and there is space to say so");
        runtime.spawn(resume_when_whole(Arc::downgrade(server)));
    }
    Ok(())
}

/// Resumes the role of a writer, unless somebody has claimed it or the data are not whole.
async fn resume(server: &Server, is_new: bool) -> anyhow::Result<()> {
    let instance = &server.instance;
    let meta = instance.meta();
    if !is_new && let Some((claimed, by)) = higher_claim(server, &meta).await {
        tracing::warn!(
            claimed,
            epoch = meta.epoch,
            %by,
            "the role of primary was claimed by another instance since: this one waits for its role"
        );
        return Ok(instance.stop_writing(|meta| {
            meta.epoch = meta.epoch.max(claimed);
            meta.role = StoredRole::Waiting;
        })?);
    }
    match instance.resume_writer(meta.epoch.max(1)) {
        Ok(_) => Ok(()),
        Err(RoleError::NotEligible(reason)) => {
            tracing::error!(
                reason = reason.as_str(),
                "not writable: waits for a full resync"
            );
            Ok(())
        }
        // What it holds can be read meanwhile.
        Err(RoleError::Persist(error)) if is_want_of_space(&error) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A writer whose data were not whole when it started goes on once a full resync has repaired them; one
/// that had no space, once there is some.
async fn resume_when_whole(server: Weak<Server>) {
    loop {
        tokio::time::sleep(REPAIR_LOOK).await;
        let Some(server) = server.upgrade() else {
            return;
        };
        let instance = &server.instance;
        if instance.meta().role != StoredRole::Writer || instance.is_writable() {
            return;
        }
        if instance.not_eligible().is_some() {
            continue;
        }
        if let Err(error) = resume(&server, false).await {
            tracing::error!(%error, "the role of the writer is not resumed");
            return;
        }
        if instance.is_writable() {
            tracing::info!("the role of the writer is resumed");
        }
    }
}

/// Writes down what the configuration says of ids, primary and peer. Returns whether it names a
/// primary.
fn take_configuration(server: &Server) -> std::io::Result<bool> {
    let (server_id, follow, peer, cluster) = {
        let config = server.instance.config.read();
        (
            config.server_id,
            config.replicaof.clone(),
            config.double_master(),
            config.cluster_id.clone(),
        )
    };
    let follows = follow.is_some();
    server.instance.update(|meta| {
        if server_id != 0 {
            meta.server_id = server_id;
        }
        if let Some(cluster) = cluster {
            meta.cluster_id = cluster;
            meta.cluster_agreed = true;
        }
        if let Some(peer) = peer {
            meta.members = vec![meta.server_id, peer.server_id];
            meta.peer = Some(Peer::from(peer));
        }
        if let Some(primary) = follow {
            meta.follow = Some(Target {
                host: primary.host,
                port: primary.port,
            });
            meta.role = StoredRole::Replica;
        }
    })?;
    Ok(follows)
}

/// An epoch of the own group above the own one that somebody reachable knows of, and who.
async fn higher_claim(server: &Server, meta: &Meta) -> Option<(u64, Target)> {
    let password = server.password_for_others();
    let siblings = meta.siblings.iter().filter_map(|one| one.target.clone());
    let peer = meta.peer.iter().map(|peer| peer.target.clone());
    let questions: Vec<_> = siblings
        .chain(peer)
        .map(|target| {
            let password = password.clone();
            tokio::spawn(async move {
                let words = ["TANDEM", "STATUS"];
                let answer = call(&target, password.as_deref(), &words, PATIENCE).await;
                (target, answer)
            })
        })
        .collect();
    let mut highest = None;
    for question in questions {
        let Ok((target, answer)) = question.await else {
            continue;
        };
        let status = match answer {
            Ok(value) => value
                .as_bytes()
                .and_then(|bytes| serde_json::from_slice::<InstanceStatus>(bytes).ok()),
            Err(error) => {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "not asked for claims"
                );
                None
            }
        };
        let Some(epoch) = status.map(|status| known_epoch(&status, meta.server_id)) else {
            continue;
        };
        if epoch > meta.epoch && highest.as_ref().is_none_or(|(best, _)| epoch > *best) {
            highest = Some((epoch, target));
        }
    }
    highest
}

/// The highest epoch of a group that an instance knows of: by its role, or by records it holds.
fn known_epoch(status: &InstanceStatus, server_id: u32) -> u64 {
    let own = if status.server_id == server_id {
        status.epoch
    } else {
        0
    };
    let rows = status.databases.iter().flat_map(|one| &one.version_vector);
    let held = rows.filter(|row| row.server_id == server_id);
    held.map(|row| row.epoch).max().unwrap_or(0).max(own)
}
