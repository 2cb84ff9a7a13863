//! What an instance does first: which role it takes by itself.

use crate::config::BootRole;
use crate::instance::RoleError;
use crate::meta::{Peer, StoredRole, Target};
use crate::server::Server;
use std::sync::Arc;

/// Takes the role that configuration and identity give. A restart is never a claim: an instance
/// started by an operator waits to be told.
pub fn take_role(server: &Arc<Server>) -> anyhow::Result<()> {
    let instance = &server.instance;
    let (server_id, follow, peer, waiting, cluster) = {
        let config = instance.config.read();
        (
            config.server_id,
            config.replicaof.clone(),
            config.double_master(),
            config.boot_role == BootRole::Waiting,
            config.cluster_id.clone(),
        )
    };
    instance.update(|meta| {
        if server_id != 0 {
            meta.server_id = server_id;
        }
        if let Some(cluster) = cluster {
            meta.cluster_id = cluster;
            meta.cluster_agreed = true;
        }
        if let Some(peer) = &peer {
            meta.members = vec![meta.server_id, peer.server_id];
            meta.peer = Some(Peer::from(peer.clone()));
        }
        if let Some(primary) = &follow {
            meta.follow = Some(Target {
                host: primary.host.clone(),
                port: primary.port,
            });
            meta.role = StoredRole::Replica;
        }
    })?;
    if waiting {
        return Ok(instance.stop_writing(|meta| meta.role = StoredRole::Waiting)?);
    }
    let meta = instance.meta();
    if follow.is_some() || (meta.role == StoredRole::Replica && meta.follow.is_some()) {
        return Ok(());
    }
    let epoch = meta.epoch.max(1);
    match instance.resume_writer(epoch) {
        Ok(_) => Ok(()),
        Err(RoleError::NotEligible(reason)) => {
            tracing::error!(
                reason = reason.as_str(),
                "not writable: waits for a full resync"
            );
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
