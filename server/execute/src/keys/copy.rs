//! COPY, inside a database and from one to another.
//!
//! A draft is one database's. When COPY names a database, the node asks [`CopyRequest::parse`] which
//! one, and if it is not the client's own, runs [`copy_across`] with the drafts of both.

use crate::argument::{integer_between, is};
use crate::refusal::{Done, Refusal};
use std::borrow::Cow;
use tandem_merge::{Draft, Kind, NEVER};
use tandem_proto::Reply;

/// What a COPY asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopyRequest<'a> {
    /// The key to copy.
    pub source: &'a [u8],
    /// The key it becomes.
    pub target: &'a [u8],
    /// The target's database as the client gave it, in range or not; `None`: the client's own.
    pub database: Option<i32>,
    /// Whether what the target holds goes.
    pub replaces: bool,
}

impl<'a> CopyRequest<'a> {
    /// Reads `COPY source target [DB n] [REPLACE]`. `None` for what [`execute`](crate::execute)
    /// will refuse.
    pub fn parse(args: &[&'a [u8]]) -> Option<Self> {
        Self::read(args).ok()
    }

    pub(super) fn read(args: &[&'a [u8]]) -> Result<Self, Refusal> {
        let [_, source, target, options @ ..] = args else {
            return Err(Refusal::Arity("copy"));
        };
        let mut request = Self {
            source,
            target,
            database: None,
            replaces: false,
        };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            if is(option, "replace") {
                request.replaces = true;
            } else if is(option, "db") {
                let number = options.next().ok_or(Refusal::Syntax)?;
                let (least, most) = (i32::MIN.into(), i32::MAX.into());
                request.database = Some(integer_between(number, least, most)? as i32);
            } else {
                return Err(Refusal::Syntax);
            }
        }
        Ok(request)
    }
}

/// `COPY source target [DB n] [REPLACE]` where `n` is the draft's own database.
pub(crate) fn copy(args: &[&[u8]], draft: &mut Draft<'_>, reply: &mut Reply<'_>) -> Done {
    let request = CopyRequest::read(args)?;
    if request.source == request.target {
        return Err(Refusal::SameKey);
    }
    let may = request.replaces || draft.kind(request.target).is_none();
    reply.integer((may && draft.copy(request.source, request.target)).into());
    Ok(())
}

/// Copies a key from one database to another and writes the reply. That `request.database` exists
/// and is not the source's own is the caller's to know; the keys may be equal.
pub fn copy_across(
    request: &CopyRequest<'_>,
    source: &Draft<'_>,
    target: &mut Draft<'_>,
    reply: &mut Reply<'_>,
) {
    let kind = source.kind(request.source);
    let may = request.replaces || target.kind(request.target).is_none();
    if let Some(kind) = kind.filter(|_| may) {
        transfer(request, kind, source, target);
    }
    reply.integer((kind.is_some() && may).into());
}

fn transfer(request: &CopyRequest<'_>, kind: Kind, source: &Draft<'_>, target: &mut Draft<'_>) {
    let deadline = source.deadline(request.source);
    if kind == Kind::String {
        let value: Cow<'_, [u8]> = source.string(request.source).unwrap_or_default();
        target.set(request.target, &value, deadline.unwrap_or(NEVER));
        return;
    }
    target.delete(request.target);
    for (element, value) in source.elements(request.source, kind) {
        target.put(request.target, kind, element, &value);
    }
    if let Some(deadline) = deadline {
        target.expire(request.target, deadline);
    }
}
