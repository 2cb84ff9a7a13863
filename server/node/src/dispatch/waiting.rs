//! WAIT and WAITAOF: until replicas hold, or have on disk, what this connection wrote.

use super::flow::Flow;
use crate::server::Server;
use crate::session::Session;
use std::sync::Arc;
use std::time::Duration;
use tandem_merge::Dot;
use tandem_proto::command::CommandId;
use tandem_proto::number::parse_i64;
use tandem_proto::reply::Reply;
use tandem_proto::status::LinkKind;
use tokio::time::{Instant, timeout};

/// How often the local log and the client are looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// What is waited for.
#[derive(Debug, Clone, Copy)]
struct Wish {
    /// The connection's last write; `None` when it never wrote.
    write: Option<(u32, Dot, u64)>,
    /// Whether it has to be on the disk here.
    local: bool,
    /// How many replicas must have it.
    replicas: usize,
    /// On their disks, or in their memory.
    durable: bool,
}

impl Wish {
    /// Counts: on the disk here, and replicas.
    fn count(&self, server: &Server) -> (usize, usize) {
        let Some(links) = server.links() else {
            return (0, 0);
        };
        let Some((number, dot, lsn)) = self.write else {
            let replicas = links.status().1;
            let attached = replicas.iter().filter(|one| one.kind != LinkKind::Handover);
            return (1, attached.count());
        };
        let database = server.instance.store.get(number);
        let local = database.is_some_and(|database| database.log.durable() >= lsn);
        let replicas = if self.durable {
            links.count_durable(number, lsn)
        } else {
            links.count_applied(number, dot)
        };
        (usize::from(local), replicas)
    }

    fn is_met(&self, (local, replicas): (usize, usize)) -> bool {
        local >= usize::from(self.local) && replicas >= self.replicas
    }
}

pub(super) fn run(
    server: &Arc<Server>,
    session: &Session,
    id: CommandId,
    args: &[&[u8]],
    reply: &mut Reply<'_>,
) -> Flow {
    let is_aof = id == CommandId::WaitAof;
    let counts = args.len() - 1;
    let local = if is_aof { parse_i64(args[1]) } else { Some(0) };
    let replicas = parse_i64(args[counts - 1]).and_then(|n| usize::try_from(n).ok());
    let (Some(local), Some(replicas)) = (local, replicas) else {
        reply.error("ERR value is not an integer or out of range");
        return Flow::Next;
    };
    if !(0..=1).contains(&local) {
        reply.error("ERR value is out of range, must be between 0 and 1");
        return Flow::Next;
    }
    let patience = match parse_i64(args[counts]) {
        None => {
            reply.error("ERR timeout is not an integer or out of range");
            return Flow::Next;
        }
        Some(ms) if ms < 0 => {
            reply.error("ERR timeout is negative");
            return Flow::Next;
        }
        Some(0) => None,
        Some(ms) => Some(Duration::from_millis(ms as u64)),
    };
    if !server.instance.is_writable() {
        let name = if is_aof { "WAITAOF" } else { "WAIT" };
        reply.error_display(format_args!(
            "ERR {name} cannot be used with replica instances."
        ));
        return Flow::Next;
    }
    let wish = Wish {
        write: session.last_write,
        local: local == 1,
        replicas,
        durable: is_aof,
    };
    let (server, client) = (Arc::clone(server), session.id);
    Flow::Elsewhere(Box::pin(async move {
        let (local, replicas) = wait(&server, client, &wish, patience).await;
        if is_aof {
            format!("*2\r\n:{local}\r\n:{replicas}\r\n").into_bytes()
        } else {
            format!(":{replicas}\r\n").into_bytes()
        }
    }))
}

/// Waits until the wish is met, the time is over, or the client is gone.
async fn wait(
    server: &Server,
    client: u64,
    wish: &Wish,
    patience: Option<Duration>,
) -> (usize, usize) {
    let deadline = patience.map(|patience| Instant::now() + patience);
    let Some(mut acks) = server.links().map(|links| links.acks()) else {
        return (0, 0);
    };
    if wish.local {
        server.syncer.request();
    }
    loop {
        let counts = wish.count(server);
        let left = deadline.map_or(LOOK_PERIOD, |deadline| {
            deadline.saturating_duration_since(Instant::now())
        });
        if wish.is_met(counts) || left.is_zero() || !server.clients.is_here(client) {
            return counts;
        }
        // Acks wake at once; the local log and the client are asked in between.
        drop(timeout(left.min(LOOK_PERIOD), acks.changed()).await);
    }
}
