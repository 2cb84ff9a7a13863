//! SAVE and its kin. Everything is in the log already: a save is a checkpoint, after which a restart
//! needs no more of it.

use super::flow::Flow;
use crate::server::Server;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tandem_proto::command::CommandId;
use tandem_proto::reply::Reply;
use tandem_store::StoreError;

pub(super) fn run(
    server: &Arc<Server>,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) -> Flow {
    match id {
        CommandId::LastSave => reply.integer(server.stats.last_save.load(Ordering::Relaxed) as i64),
        CommandId::Save => return save(server, reply),
        CommandId::BgSave => {
            let known = match args {
                [_] => true,
                [_, word] => word.eq_ignore_ascii_case(b"schedule"),
                _ => false,
            };
            if !known {
                reply.error("ERR syntax error");
            } else if begin(server) {
                in_background(server);
                reply.simple("Background saving started");
            } else {
                reply.error("ERR Background save already in progress");
            }
        }
        _ if begin(server) => {
            in_background(server);
            reply.simple("Background append only file rewriting started");
        }
        _ => reply.error("ERR Background append only file rewriting already in progress"),
    }
    Flow::Next
}

/// False when one is under way already.
fn begin(server: &Server) -> bool {
    !server.stats.saving.swap(true, Ordering::AcqRel)
}

fn save(server: &Arc<Server>, reply: &mut Reply<'_>) -> Flow {
    if !begin(server) {
        reply.error("ERR Background save already in progress");
        return Flow::Next;
    }
    let server = Arc::clone(server);
    Flow::Elsewhere(Box::pin(async move {
        let saved = tokio::task::spawn_blocking(move || checkpoint(&server)).await;
        match saved {
            Ok(Ok(())) => b"+OK\r\n".to_vec(),
            Ok(Err(error)) => format!("-ERR {error}\r\n").into_bytes(),
            Err(_) => b"-ERR the save failed\r\n".to_vec(),
        }
    }))
}

fn in_background(server: &Arc<Server>) {
    let saving = Arc::clone(server);
    server.spawn(async move {
        let saved = tokio::task::spawn_blocking(move || checkpoint(&saving)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(error = &error as &dyn std::error::Error, "save failed");
        }
    });
}

/// Checkpoints every database. A flush may overtake one; then it is done again.
fn checkpoint(server: &Server) -> Result<(), StoreError> {
    let tried = server.instance.store.opened().try_for_each(|database| {
        while !database.checkpoint()? {}
        Ok(())
    });
    if tried.is_ok() {
        let now = server.wall_ms() / 1000;
        server.stats.last_save.store(now, Ordering::Relaxed);
    }
    server.stats.saving.store(false, Ordering::Release);
    tried
}
