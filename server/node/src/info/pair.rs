//! `# DoubleMaster`, with the names that Pika 3.0 gave the fields.

use super::text::{field, line};
use crate::server::Server;
use tandem_proto::status::{LinkKind, LinkState};

/// Whether there is another master.
pub(super) fn is_declared(server: &Server) -> bool {
    server.instance.meta().peer.is_some()
}

/// Pika's numbers: 0 no link, 1 connecting, 3 connected, 4 a full sync.
fn repl_state(state: Option<LinkState>) -> u8 {
    match state {
        Some(LinkState::Streaming) => 3,
        Some(LinkState::FullResync) => 4,
        Some(LinkState::Connecting) => 1,
        Some(LinkState::LostPlace | LinkState::Refused) | None => 0,
    }
}

pub(super) fn about(server: &Server, out: &mut String) {
    let meta = server.instance.meta();
    let links = server.links();
    let dialled = links.map(|links| links.status().0).unwrap_or_default();
    let link = dialled.iter().find(|one| one.kind == LinkKind::Peer);
    let state = repl_state(link.map(|link| link.state));
    let in_pair = meta.peer.is_some() && state != 0;
    let header = if in_pair { "DOUBLEMASTER" } else { "MASTER" };
    line(out, &format!("# DoubleMaster({header})"));
    field(
        out,
        "role",
        if in_pair { "double_master" } else { "master" },
    );
    if let Some(peer) = &meta.peer {
        field(out, "the peer-master host", &peer.target.host);
        field(out, "the peer-master port", peer.target.port);
        field(out, "the peer-master server_id", peer.server_id);
    }
    field(
        out,
        "double_master_mode",
        if in_pair { "True" } else { "False" },
    );
    field(out, "repl_state", state);
    if let Some(peer) = &meta.peer {
        field(out, "double_master_server_id", peer.server_id);
    }
    // The peer's log in bytes, counted in files of the configured size.
    let received = links.map_or(0, |links| links.received_lsn(0));
    let size = server.instance.config.read().binlog_file_size.max(1);
    let text = format!("filenum {} offset {}", received / size, received % size);
    line(out, &format!("double_master_recv_info: {text}"));
    if let Some(link) = link {
        field(out, "double_master_lag_records", link.lag_records);
        if !link.reason.is_empty() {
            field(out, "double_master_link_error", &link.reason);
        }
    }
}
