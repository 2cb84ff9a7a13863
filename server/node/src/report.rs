//! `TANDEM STATUS`: the instance as the operator sees it.

use crate::instance::wall_ms;
use crate::links::Links;
use crate::server::Server;
use std::sync::atomic::Ordering;
use tandem_proto::status::{DatabaseStatus, InstanceStatus, VvRow};
use tandem_store::Database;
use tandem_store::log::LogError;

/// Everything an instance says of itself.
pub fn status(server: &Server, links: &Links) -> InstanceStatus {
    let instance = &server.instance;
    let meta = instance.meta();
    let is_writer = instance.is_writable();
    let is_full = instance
        .store
        .opened()
        .any(|database| database.log.is_full());
    let refusal = || is_full.then(|| LogError::Full.to_string());
    let role = meta.role();
    let reason = instance.not_eligible();
    let (pulled, receivers) = links.status();
    InstanceStatus {
        format: 1,
        instance_id: meta.instance_id,
        cluster_id: meta.cluster_id,
        server_id: meta.server_id,
        epoch: meta.epoch,
        incarnation: is_writer.then(|| format!("{:016x}", meta.incarnation)),
        role,
        writable: is_writer && !is_full,
        not_writable_reason: server.accepts_writes().err().or_else(refusal),
        eligible: reason.is_none(),
        not_eligible_reason: reason,
        priority: instance.config.read().replica_priority,
        now_ms: wall_ms(),
        uptime_ms: instance.started.elapsed().as_millis() as u64,
        pid: std::process::id(),
        databases: instance
            .store
            .opened()
            .map(|database| describe(database))
            .collect(),
        links: pulled,
        receivers,
        members: meta.members,
        last_sync_age_ms: server.syncer.age_ms(),
        poisoned: instance
            .store
            .opened()
            .any(|database| database.log.is_poisoned()),
        volume_full: is_full,
        clock_skew_ms: server.upkeep.skew_ms.load(Ordering::Relaxed),
    }
}

fn describe(database: &Database) -> DatabaseStatus {
    let keys = database.cells.keys().max(0) as u64;
    let commit = database.commit();
    let position = commit.position();
    let history = &commit.history;
    let rows = history.vv.rows().filter_map(|(index, row)| {
        let origin = history.origins.origin(index)?;
        Some(VvRow {
            server_id: origin.server_id,
            epoch: origin.epoch,
            incarnation: format!("{:016x}", origin.incarnation),
            high: row.high,
            holes: row.holes.clone(),
        })
    });
    DatabaseStatus {
        database: database.number,
        version_vector: rows.collect(),
        segment: position.segment,
        offset: position.offset,
        keys,
    }
}
