//! The instance: identity, role and databases, shared by sessions, links and upkeep.
//!
//! Roles change here and nowhere else. Every change is on disk before it has an effect.

use crate::config::Config;
use crate::meta::{Meta, MetaFile, Peer, Sibling, StoredRole, Target};
use parking_lot::{Mutex, RwLock};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tandem_merge::stamp::stamp_of_ms;
use tandem_merge::{Origin, Stamp};
use tandem_store::Store;
use tandem_store::disk::Disk;
use tandem_store::log::LogError;

/// Why a role was refused.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// The epoch is not above all seen.
    #[error(
        "STALE epoch {asked} is not above {seen}, the highest this group has seen; claim a higher one"
    )]
    Stale {
        /// Epoch asked for.
        asked: u64,
        /// Highest seen.
        seen: u64,
    },
    /// The data are not whole.
    #[error("NOTELIGIBLE {0}")]
    NotEligible(String),
    /// The identity could not be made durable.
    #[error("ERR failed to persist the role")]
    Persist(#[source] io::Error),
}

/// How far ahead of the clock stamps are reserved on disk, in milliseconds.
const STAMP_RESERVE_MS: u64 = 10_000;

/// One server process's identity and data.
pub struct Instance {
    /// The databases.
    pub store: Store,
    /// The configuration in force.
    pub config: RwLock<Config>,
    /// When the process began to serve.
    pub started: Instant,
    meta: Mutex<Meta>,
    file: MetaFile,
    writable: AtomicBool,
    /// Bumped at every change of role, peer or target: link tasks compare it.
    generation: AtomicU64,
    changed: tokio::sync::Notify,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

/// Unix milliseconds of the system clock.
pub fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_millis() as u64)
}

/// 64 random bits.
pub fn random_u64() -> u64 {
    let mut bytes = [0; 8];
    // The operating system's generator fails only before it was seeded at boot.
    if getrandom::fill(&mut bytes).is_err() {
        return wall_ms().rotate_left(32) ^ u64::from(std::process::id());
    }
    u64::from_le_bytes(bytes)
}

fn random_hex(digits: usize) -> String {
    let mut text = String::new();
    while text.len() < digits {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:016x}", random_u64());
    }
    text.truncate(digits);
    text
}

impl Instance {
    /// Loads or makes the identity in `directory`.
    pub fn new(
        store: Store,
        config: Config,
        disk: Arc<dyn Disk>,
        directory: &Path,
    ) -> io::Result<Arc<Self>> {
        let file = MetaFile::new(disk, directory);
        let meta = if let Some(meta) = file.load()? {
            meta
        } else {
            let meta = Meta {
                format: 1,
                instance_id: random_hex(16),
                cluster_id: random_hex(40),
                cluster_agreed: false,
                server_id: 0,
                epoch: 0,
                writer_epoch: 0,
                incarnation: 0,
                role: StoredRole::Waiting,
                follow: None,
                peer: None,
                members: Vec::new(),
                siblings: Vec::new(),
                stamp_ceiling: 0,
                unfinished_resync: false,
            };
            file.store(&meta)?;
            meta
        };
        Ok(Arc::new(Self {
            store,
            config: RwLock::new(config),
            started: Instant::now(),
            meta: Mutex::new(meta),
            file,
            writable: AtomicBool::new(false),
            generation: AtomicU64::new(0),
            changed: tokio::sync::Notify::new(),
        }))
    }

    /// A copy of the identity.
    pub fn meta(&self) -> Meta {
        self.meta.lock().clone()
    }

    /// Whether client writes are accepted.
    #[inline]
    pub fn is_writable(&self) -> bool {
        self.writable.load(Ordering::Acquire)
    }

    /// Number of the last change of role, target or peer.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Waits for the next change after `seen`.
    pub async fn changed(&self, seen: u64) {
        loop {
            let notified = self.changed.notified();
            if self.generation() != seen {
                return;
            }
            notified.await;
        }
    }

    /// Changes the identity; on disk before anybody sees it.
    pub fn update(&self, change: impl FnOnce(&mut Meta)) -> io::Result<()> {
        let mut meta = self.meta.lock();
        let mut next = meta.clone();
        change(&mut next);
        if next != *meta {
            self.file.store(&next)?;
            *meta = next;
            drop(meta);
            self.bump();
        }
        Ok(())
    }

    fn bump(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Why this instance must not be promoted; `None` when it may.
    pub fn not_eligible(&self) -> Option<String> {
        if self.meta.lock().unfinished_resync {
            return Some("a full resync was begun and not finished".to_owned());
        }
        for database in self.store.opened() {
            if database.has_holes() {
                return Some(format!("database {} has holes", database.number));
            }
            if let Some(error) = database.log.check().err().filter(LogError::is_final) {
                return Some(format!("database {}: {error}", database.number));
            }
        }
        None
    }

    /// Takes the writer role under `epoch`, with a new incarnation. Idempotent for the epoch it
    /// already writes under.
    pub fn become_writer(&self, epoch: u64) -> Result<Origin, RoleError> {
        if let Some(reason) = self.not_eligible() {
            return Err(RoleError::NotEligible(reason));
        }
        let mut meta = self.meta.lock();
        if self.is_writable() && meta.writer_epoch == epoch {
            return Ok(origin_of(&meta));
        }
        if epoch < meta.epoch || (epoch == meta.epoch && meta.writer_epoch != epoch) {
            return Err(RoleError::Stale {
                asked: epoch,
                seen: meta.epoch,
            });
        }
        let mut next = meta.clone();
        next.epoch = epoch;
        next.writer_epoch = epoch;
        next.incarnation = random_u64();
        next.role = StoredRole::Writer;
        next.follow = None;
        let wall = stamp_of_ms(wall_ms());
        let reserve = stamp_of_ms(STAMP_RESERVE_MS);
        // The reserve matters only when the wall clock went back since it was made.
        let floor = if wall + reserve >= next.stamp_ceiling {
            0
        } else {
            next.stamp_ceiling
        };
        next.stamp_ceiling = next.stamp_ceiling.max(wall + reserve);
        self.file.store(&next).map_err(RoleError::Persist)?;
        let origin = origin_of(&next);
        *meta = next;
        self.store.begin_life(origin, floor);
        self.writable.store(true, Ordering::Release);
        drop(meta);
        self.bump();
        Ok(origin)
    }

    /// Goes on writing after a restart, under the epoch it had and a new incarnation.
    pub fn resume_writer(&self, epoch: u64) -> Result<Origin, RoleError> {
        {
            let mut meta = self.meta.lock();
            if meta.epoch <= epoch {
                meta.epoch = epoch;
                meta.writer_epoch = epoch;
            }
        }
        self.become_writer(epoch)
    }

    /// Stops writing at once, then records the change.
    pub fn stop_writing(&self, change: impl FnOnce(&mut Meta)) -> io::Result<()> {
        self.writable.store(false, Ordering::Release);
        self.store.end_life();
        self.update(change)
    }

    /// Follows a primary of the same group.
    pub fn follow(&self, epoch: u64, target: Target) -> Result<(), RoleError> {
        let seen = self.meta.lock().epoch;
        if epoch < seen {
            return Err(RoleError::Stale { asked: epoch, seen });
        }
        self.stop_writing(|meta| {
            meta.epoch = meta.epoch.max(epoch);
            meta.role = StoredRole::Replica;
            meta.follow = Some(target);
            meta.peer = None;
        })
        .map_err(RoleError::Persist)
    }

    /// Stops writing without giving the role up, for a handover: goes on by
    /// [`resume_writer`](Self::resume_writer).
    pub fn suspend(&self) {
        self.writable.store(false, Ordering::Release);
        self.store.end_life();
    }

    /// Becomes an instance of another group: a writer begins a new life there, above all epochs of
    /// that group that are known here.
    pub fn join_group(&self, server_id: u32) -> Result<(), RoleError> {
        if self.meta.lock().server_id == server_id {
            return Ok(());
        }
        let known = self.store.opened().map(|database| {
            let commit = database.commit();
            let origins = commit.history.origins.iter();
            let epochs = origins.filter(|(_, origin)| origin.server_id == server_id);
            epochs.map(|(_, origin)| origin.epoch).max().unwrap_or(0)
        });
        let epoch = known.max().unwrap_or(0);
        let was_writer = self.is_writable();
        self.stop_writing(|meta| {
            meta.server_id = server_id;
            meta.epoch = epoch;
            meta.writer_epoch = 0;
            meta.siblings.clear();
        })
        .map_err(RoleError::Persist)?;
        if was_writer {
            self.become_writer(epoch + 1)?;
        }
        Ok(())
    }

    /// Names the other instances of the own group; those not named are gone for good.
    pub fn set_siblings(&self, ids: &[String]) -> io::Result<()> {
        self.update(|meta| {
            let own = meta.instance_id.clone();
            let known = std::mem::take(&mut meta.siblings);
            let others = ids.iter().filter(|id| **id != own);
            meta.siblings = others
                .map(|id| Sibling {
                    instance_id: id.clone(),
                    target: known
                        .iter()
                        .find(|sibling| sibling.instance_id == *id)
                        .and_then(|sibling| sibling.target.clone()),
                })
                .collect();
        })
    }

    /// Takes note of another instance of the own group, and where it is.
    pub fn meet(&self, instance_id: &str, target: Target) -> io::Result<()> {
        let sibling = Sibling {
            instance_id: instance_id.to_owned(),
            target: Some(target),
        };
        let known = self.meta.lock().siblings.contains(&sibling);
        if known {
            return Ok(());
        }
        self.update(|meta| {
            meta.siblings
                .retain(|known| known.instance_id != sibling.instance_id);
            meta.siblings.push(sibling);
        })
    }

    /// Sets or removes the other master, and the members with it: for a pair set up by hand.
    pub fn pair(&self, peer: Option<Peer>) -> io::Result<()> {
        self.update(|meta| {
            meta.members = match &peer {
                Some(peer) => vec![meta.server_id, peer.server_id],
                None => vec![meta.server_id],
            };
            meta.peer = peer;
        })
    }

    /// Sets or removes the other master of the pair.
    pub fn set_peer(&self, peer: Option<Peer>) -> io::Result<()> {
        self.update(|meta| meta.peer = peer)
    }

    /// Keeps the reserved stamps ahead of those given; called once a second.
    pub fn reserve_stamps(&self, highest: Stamp) -> io::Result<()> {
        let wanted = highest.max(stamp_of_ms(wall_ms())) + stamp_of_ms(STAMP_RESERVE_MS);
        let mut meta = self.meta.lock();
        if meta.stamp_ceiling >= wanted - stamp_of_ms(STAMP_RESERVE_MS / 2) {
            return Ok(());
        }
        let mut next = meta.clone();
        next.stamp_ceiling = wanted;
        self.file.store(&next)?;
        *meta = next;
        Ok(())
    }
}

fn origin_of(meta: &Meta) -> Origin {
    Origin {
        server_id: meta.server_id,
        epoch: meta.writer_epoch,
        incarnation: meta.incarnation,
    }
}
