//! Commands about roles, links and acknowledgements.

use super::Flow;
use crate::io::Turn;
use crate::server::Server;
use crate::session::Session;
use std::sync::Arc;
use tandem_proto::command::CommandId;
use tandem_proto::reply::Reply;
use tandem_store::StoreError;

pub(super) fn run(
    server: &Arc<Server>,
    _session: &mut Session,
    id: CommandId,
    _args: &[&[u8]],
    reply: &mut Reply<'_>,
    _turn: &mut Turn,
) -> Result<Flow, StoreError> {
    match id {
        CommandId::Role => {
            reply.array(3);
            reply.bulk(if server.instance.is_writable() { b"master" } else { b"slave" });
            reply.integer(0);
            reply.array(0);
        }
        _ => reply.error("ERR links are not up yet"),
    }
    Ok(Flow::Next)
}
