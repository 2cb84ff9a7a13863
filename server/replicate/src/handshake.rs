//! Who may pull from whom, and how: the source's answer to a hello, and the receiver's check of it.

mod databases;

#[cfg(test)]
mod tests;

pub use crate::message::Verdict;
pub use databases::{Held, judge, shorten};

use crate::message::{FORMAT, Hello, Refusal, RefuseCode, Welcome};
use tandem_proto::status::LinkKind;

/// What the source knows of itself.
#[derive(Debug, Clone, Copy)]
pub struct Local<'a> {
    /// Its data set.
    pub cluster_id: &'a str,
    /// Whether that id was confirmed by a contact.
    pub cluster_agreed: bool,
    /// Its group; 0 while none was given.
    pub server_id: u32,
    /// Its data directory.
    pub instance_id: &'a str,
    /// Highest epoch of its group that it has seen.
    pub epoch: u64,
    /// The other master's server id, when there is one.
    pub peer: Option<u32>,
    /// The writing groups it was told of.
    pub members: &'a [u32],
    /// What a receiver has to give: any of these; empty: none is asked for.
    pub passwords: &'a [Vec<u8>],
}

/// A hello that is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The data set that both belong to from now on.
    pub cluster_id: String,
    /// Whether the side that decides has to write that down as agreed.
    pub agree: bool,
    /// Whether both named the same data set already.
    pub same_cluster: bool,
}

/// Decides about a hello.
pub fn decide(hello: &Hello, local: &Local<'_>) -> Result<Decision, Refusal> {
    if hello.format != FORMAT {
        let text = format!(
            "link protocol {} is not spoken here, {FORMAT} is; run releases that are at most one apart",
            hello.format
        );
        return Err(Refusal::new(RefuseCode::Format, text));
    }
    if !local.passwords.is_empty() && !is_any(local.passwords, &hello.password) {
        let text = "wrong password; set `masterauth` of the receiver to the source's `requirepass`";
        return Err(Refusal::new(RefuseCode::Auth, text));
    }
    if hello.instance_id == local.instance_id {
        let text = "The master ip:port and the slave ip:port are the same";
        return Err(Refusal::new(RefuseCode::Same, text));
    }
    check_server_ids(hello, local)?;
    check_epoch(hello, local)?;
    let same_cluster = hello.cluster_id == local.cluster_id;
    let mine = (local.cluster_id, local.cluster_agreed);
    let theirs = (hello.cluster_id.as_str(), hello.cluster_agreed);
    let cluster_id = agree(hello.kind, mine, theirs)?;
    let agree =
        hello.kind == LinkKind::Peer && (!local.cluster_agreed || cluster_id != local.cluster_id);
    Ok(Decision {
        cluster_id: cluster_id.to_owned(),
        agree,
        same_cluster,
    })
}

/// The receiver's check of the answer. `expected` is the server id that it was told to find.
pub fn check_welcome(
    hello: &Hello,
    welcome: &Welcome,
    expected: Option<u32>,
) -> Result<Decision, Refusal> {
    if hello.instance_id == welcome.instance_id {
        let text = "The master ip:port and the slave ip:port are the same";
        return Err(Refusal::new(RefuseCode::Same, text));
    }
    if let Some(expected) = expected
        && welcome.server_id != expected
    {
        let text = format!(
            "it has server id {}, not {expected}; correct its `server-id` or `double-master-server-id` here",
            welcome.server_id
        );
        return Err(Refusal::new(RefuseCode::ServerId, text));
    }
    if hello.kind == LinkKind::Replica
        && hello.server_id == welcome.server_id
        && welcome.epoch < hello.epoch
    {
        return Err(superseded(welcome.epoch, hello.epoch));
    }
    let same_cluster = hello.cluster_id == welcome.cluster_id;
    if hello.kind != LinkKind::Replica && hello.cluster_agreed && !same_cluster {
        return Err(other_cluster(&hello.cluster_id, &welcome.cluster_id));
    }
    let agree = !same_cluster || !hello.cluster_agreed;
    Ok(Decision {
        cluster_id: welcome.cluster_id.clone(),
        agree,
        same_cluster,
    })
}

fn check_server_ids(hello: &Hello, local: &Local<'_>) -> Result<(), Refusal> {
    let (theirs, mine) = (hello.server_id, local.server_id);
    let text = match hello.kind {
        LinkKind::Peer if theirs == 0 || mine == 0 => {
            "a double master needs a server id on both sides; set `server-id`".to_owned()
        }
        LinkKind::Peer if theirs == mine => {
            format!("both masters have server id {mine}; give each group its own `server-id`")
        }
        LinkKind::Peer if local.peer != Some(theirs) && !local.members.contains(&theirs) => {
            let known = local.peer.map_or_else(
                || "has no other master".to_owned(),
                |peer| format!("expects server id {peer}"),
            );
            format!(
                "server id {theirs} is not the other master here: this server {known}; set \
                 `double-master-server-id` (and `-ip`, `-port`) on both sides"
            )
        }
        LinkKind::Replica if theirs != 0 && theirs != mine && is_other_group(theirs, local) => {
            format!(
                "server id {theirs} is another master's; a replica has the id of its primary ({mine}): \
                 correct its `server-id`"
            )
        }
        LinkKind::Handover if theirs != 0 && mine != 0 && theirs != mine => format!(
            "server id {theirs} is another group than {mine}; only instances of one group hand over"
        ),
        _ => return Ok(()),
    };
    Err(Refusal::new(RefuseCode::ServerId, text))
}

fn is_other_group(server_id: u32, local: &Local<'_>) -> bool {
    local.peer == Some(server_id) || local.members.contains(&server_id)
}

fn check_epoch(hello: &Hello, local: &Local<'_>) -> Result<(), Refusal> {
    // A replica that was told by a human whom to follow brings the higher epoch along; see `by_hand`.
    if hello.kind == LinkKind::Replica
        && hello.server_id == local.server_id
        && hello.epoch > local.epoch
        && !hello.by_hand
    {
        return Err(superseded(local.epoch, hello.epoch));
    }
    Ok(())
}

fn superseded(claimed: u64, seen: u64) -> Refusal {
    let text = format!(
        "its claim to be primary (epoch {claimed}) is older than epoch {seen}, which the replica has \
         seen; follow the newer primary, or promote this one with a higher epoch"
    );
    Refusal::new(RefuseCode::Superseded, text)
}

fn other_cluster(mine: &str, theirs: &str) -> Refusal {
    let text = format!(
        "it belongs to another data set ({theirs}, here {mine}); to join, start one of them with an \
         empty data directory"
    );
    Refusal::new(RefuseCode::Cluster, text)
}

/// The data set that both belong to. A pair that was set up by hand takes the smaller id while
/// neither is agreed, and the agreed one when one is. A replica takes its primary's. Who collects
/// keeps an agreed one and takes the source's otherwise; the source's own does not change by that.
fn agree<'c>(
    kind: LinkKind,
    (mine, mine_agreed): (&'c str, bool),
    (theirs, theirs_agreed): (&'c str, bool),
) -> Result<&'c str, Refusal> {
    match (kind, mine_agreed, theirs_agreed) {
        _ if mine == theirs => Ok(mine),
        (LinkKind::Replica, _, _) | (LinkKind::Handover, false, false) | (_, true, false) => {
            Ok(mine)
        }
        (_, true, true) => Err(other_cluster(mine, theirs)),
        (_, false, true) => Ok(theirs),
        (_, false, false) => Ok(mine.min(theirs)),
    }
}

/// Whether it is one of them; all are compared, so that the time does not tell which.
fn is_any(passwords: &[Vec<u8>], given: &[u8]) -> bool {
    passwords
        .iter()
        .fold(false, |found, password| found | is_equal(password, given))
}

/// Compares in a time that depends on the lengths alone.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    let mut difference = a.len() ^ b.len();
    for (at, byte) in a.iter().enumerate() {
        difference |= usize::from(byte ^ b.get(at).copied().unwrap_or(!byte));
    }
    difference == 0
}
