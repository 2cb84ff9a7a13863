//! Keys, whatever they hold: removing, finding, moving. Ends are in `keys/expire.rs`, COPY in
//! `keys/copy.rs`, OBJECT in `keys/object.rs`.

#![expect(
    clippy::unnecessary_wraps,
    reason = "commands have one shape, whether they can refuse or not"
)]

pub(crate) mod copy;
pub(crate) mod expire;
pub(crate) mod object;

use crate::refusal::{Done, Refusal};
use tandem_merge::Draft;
use tandem_proto::Reply;

/// `DEL key [key ...]`, `UNLINK key [key ...]`
pub(crate) fn del(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let gone = args[1..].iter().filter(|key| draft.delete(key)).count();
    reply.integer(gone as i64);
    Ok(())
}

/// `EXISTS key [key ...]`, `TOUCH key [key ...]`: a key named twice counts twice.
pub(crate) fn exists(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let there = args[1..]
        .iter()
        .filter(|key| draft.kind(key).is_some())
        .count();
    reply.integer(there as i64);
    Ok(())
}

/// `TYPE key`
pub(crate) fn type_of(args: &[&[u8]], draft: &Draft<'_>, reply: &mut Reply<'_>) -> Done {
    reply.simple(draft.kind(args[1]).map_or("none", tandem_merge::Kind::name));
    Ok(())
}

/// `RENAME key newkey`
pub(crate) fn rename(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    if !draft.rename(args[1], args[2]) {
        return Err(Refusal::NoSuchKey);
    }
    reply.ok();
    Ok(())
}

/// `RENAMENX key newkey`
pub(crate) fn renamenx(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    if draft.kind(args[1]).is_none() {
        return Err(Refusal::NoSuchKey);
    }
    let is_free = draft.kind(args[2]).is_none();
    if is_free {
        draft.rename(args[1], args[2]);
    }
    reply.integer(is_free.into());
    Ok(())
}

#[cfg(test)]
mod tests;
