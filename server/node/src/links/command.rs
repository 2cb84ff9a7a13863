//! What commands ask of links: whom to follow, whom to exchange with, full resyncs.

use super::Links;
use super::dialling;
use crate::instance::RoleError;
use crate::meta::{Peer, StoredRole, Target};
use std::sync::atomic::Ordering;
use tandem_replicate::FullMode;

/// Why a command about links was refused. The text is the whole RESP error.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It names this instance itself.
    #[error("ERR The master ip:port and the slave ip:port are the same")]
    Itself,
    /// A pair exchanges with one other master only.
    #[error("ERR In double master mode, can not set other server as the peer-master")]
    OtherPeer,
    /// There is no such link.
    #[error("ERR no link to {0}; it is neither followed nor the other master")]
    NoLink(Target),
    /// The role was refused.
    #[error(transparent)]
    Role(#[from] RoleError),
    /// The change could not be made durable.
    #[error("ERR failed to persist the change: {0}")]
    Persist(#[from] std::io::Error),
}

impl Links {
    /// `SLAVEOF host port [force]`. In a double master a full resync from the other master (`force`
    /// gives up the own state); else this instance follows the other one.
    pub fn slaveof(&self, host: &str, port: u16, force: bool) -> Result<(), CommandError> {
        let instance = &self.shared.instance;
        let target = Target {
            host: host.to_owned(),
            port,
        };
        if self.is_self(&target) {
            return Err(CommandError::Itself);
        }
        let meta = instance.meta();
        if let (StoredRole::Writer, Some(peer)) = (meta.role, &meta.peer) {
            if !is_same(&peer.target, &target) {
                return Err(CommandError::OtherPeer);
            }
            let mode = if force {
                FullMode::Overwrite
            } else {
                FullMode::Merge
            };
            return self.request_full(&peer.target.clone(), mode);
        }
        let same = meta.role == StoredRole::Replica && meta.follow.as_ref() == Some(&target);
        if !same {
            instance.follow(meta.epoch, target.clone())?;
        }
        for dial in dialling::adjust(&self.shared) {
            if dial.wanted.target == target {
                dial.by_hand.store(true, Ordering::Relaxed);
                if force {
                    *dial.wish.lock() = Some(FullMode::Overwrite);
                }
                if !same || force {
                    dialling::begin(&dial, &self.shared);
                }
            }
        }
        Ok(())
    }

    /// `SLAVEOF NO ONE`: breaks a pair, or makes a replica the writer of the next epoch.
    pub fn slaveof_no_one(&self) -> Result<(), CommandError> {
        let instance = &self.shared.instance;
        let meta = instance.meta();
        match meta.role {
            StoredRole::Writer if meta.peer.is_some() => instance.pair(None)?,
            StoredRole::Writer => {}
            StoredRole::Replica | StoredRole::Waiting => {
                instance.become_writer(meta.epoch + 1)?;
            }
        }
        dialling::adjust(&self.shared);
        Ok(())
    }

    /// `TANDEM FOLLOW`: follows a primary of the own group.
    pub fn follow(&self, epoch: u64, target: Target) -> Result<(), CommandError> {
        if self.is_self(&target) {
            return Err(CommandError::Itself);
        }
        self.shared.instance.follow(epoch, target)?;
        dialling::adjust(&self.shared);
        Ok(())
    }

    /// Sets or removes the other master.
    pub fn set_peer(&self, peer: Option<Peer>) -> Result<(), CommandError> {
        if let Some(peer) = &peer
            && self.is_self(&peer.target)
        {
            return Err(CommandError::Itself);
        }
        self.shared.instance.set_peer(peer)?;
        dialling::adjust(&self.shared);
        Ok(())
    }

    /// Asks for a full resync over the link to `target`, which is followed or the other master.
    pub fn request_full(&self, target: &Target, mode: FullMode) -> Result<(), CommandError> {
        let dials = dialling::adjust(&self.shared);
        let dial = dials
            .iter()
            .find(|dial| is_same(&dial.wanted.target, target));
        let Some(dial) = dial else {
            return Err(CommandError::NoLink(target.clone()));
        };
        *dial.wish.lock() = Some(mode);
        dialling::begin(dial, &self.shared);
        Ok(())
    }

    fn is_self(&self, target: &Target) -> bool {
        let config = self.shared.instance.config.read();
        let announced = config.replica_announce_ip.as_deref();
        let loopback = |host: &str| {
            host.eq_ignore_ascii_case("localhost")
                || host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        };
        let bound = config.bind.iter().any(|bind| {
            target.host.parse() == Ok(bind.ip)
                || (loopback(&target.host) && (bind.ip.is_loopback() || bind.ip.is_unspecified()))
        });
        target.port == config.port && (bound || announced == Some(target.host.as_str()))
    }
}

/// Whether two addresses name the same place.
fn is_same(a: &Target, b: &Target) -> bool {
    let plain = |host: &str| {
        if host.eq_ignore_ascii_case("localhost") {
            "127.0.0.1".to_owned()
        } else {
            host.to_lowercase()
        }
    };
    a.port == b.port && plain(&a.host) == plain(&b.host)
}
