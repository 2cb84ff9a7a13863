//! Per database: whether the log goes on, a state is sent, or neither may be.

use crate::message::{FullMode, Refusal, RefuseCode, Verdict};
use tandem_merge::{History, Origins, Row, VersionVector};
use tandem_proto::status::LinkKind;

/// What a receiver holds, by the source's numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Rows of origins that the source knows.
    pub vv: VersionVector,
    /// Whether it holds anything of origins that the source does not know.
    pub unknown: bool,
}

impl Held {
    /// Carries a receiver's vector over to the source's table.
    pub fn new(origins: &Origins, vv: &VersionVector, source: &Origins) -> Self {
        let mut held = Self::default();
        for (index, row) in vv.rows() {
            match origins.origin(index).and_then(|origin| source.get(&origin)) {
                Some(here) => held.vv.set_row(here, row.clone()),
                None => held.unknown |= holds_anything(row),
            }
        }
        held
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        !self.unknown && !self.vv.rows().any(|(_, row)| holds_anything(row))
    }

    /// Whether it holds something that the source lacks.
    pub fn is_ahead_of(&self, source: &VersionVector) -> bool {
        self.unknown || !self.vv.within(source)
    }
}

fn holds_anything(row: &Row) -> bool {
    let missing: u64 = row.holes.iter().map(|(first, last)| last - first + 1).sum();
    row.high > missing
}

/// Decides about one database. `wish` is a full resync that was asked for; `same_cluster` whether
/// both sides named the same data set before this contact.
pub fn judge(
    kind: LinkKind,
    held: &Held,
    wish: Option<FullMode>,
    source: &History,
    same_cluster: bool,
) -> Verdict {
    let given_up = wish == Some(FullMode::Overwrite);
    if kind == LinkKind::Replica && held.unknown && !same_cluster && !given_up {
        return refused(
            RefuseCode::Foreign,
            "this instance holds data that the new primary does not know; `SLAVEOF host port force` \
             gives them up"
                .to_owned(),
        );
    }
    if let Some(mode) = wish {
        return full(mode, held, source);
    }
    if let Some((first, last)) = hole_needed(held, source) {
        return refused(
            RefuseCode::Hole,
            format!(
                "refused: hole; the source lacks records {first} to {last} of an origin itself: merge \
                 the state of an instance that holds them into it"
            ),
        );
    }
    // The log never brings what lies in a hole: a replica takes the state anew.
    let is_damaged = kind == LinkKind::Replica && held.vv.has_holes();
    if is_damaged && !source.vv.has_holes() && !held.is_ahead_of(&source.vv) {
        return full(FullMode::Replace, held, source);
    }
    if source.can_serve(&held.vv) {
        return Verdict::Partial;
    }
    match kind {
        LinkKind::Replica => full(FullMode::Replace, held, source),
        LinkKind::Handover => full(FullMode::Merge, held, source),
        LinkKind::Peer if held.is_empty() => full(FullMode::Merge, held, source),
        LinkKind::Peer => refused(
            RefuseCode::LostPlace,
            "lost place: the source's log no longer holds what is missing here; ask for a full \
             resync with `SLAVEOF host port`"
                .to_owned(),
        ),
    }
}

/// Log bytes up to which an empty receiver is given the log: a state takes less work than as many
/// bytes of records, but has some of its own.
const LOG_BYTES_MAX: u64 = 32 << 20;

/// Gives a receiver that holds nothing the state where the log would do, too, but is long:
/// `log_bytes` is its length.
pub fn shorten(
    verdict: Verdict,
    kind: LinkKind,
    held: &Held,
    source: &History,
    log_bytes: u64,
) -> Verdict {
    let may = verdict == Verdict::Partial && held.is_empty() && !source.vv.has_holes();
    match kind {
        LinkKind::Replica if may && log_bytes > LOG_BYTES_MAX => Verdict::Full(FullMode::Replace),
        LinkKind::Peer if may && log_bytes > LOG_BYTES_MAX => Verdict::Full(FullMode::Merge),
        _ => verdict,
    }
}

fn full(mode: FullMode, held: &Held, source: &History) -> Verdict {
    if source.vv.has_holes() {
        let text = "refused: hole; a source with holes gives no state: merge the state of an \
                    instance that fills them into it first";
        return refused(RefuseCode::Hole, text.to_owned());
    }
    if mode == FullMode::Replace && held.is_ahead_of(&source.vv) {
        let text = "handover first: this instance holds what the source lacks; the source pulls it \
                    (or give it up with `SLAVEOF host port force`)";
        return refused(RefuseCode::HandoverFirst, text.to_owned());
    }
    let fills = held
        .vv
        .holes()
        .all(|(origin, _, last)| source.vv.high(origin) >= last);
    if mode == FullMode::Merge && held.vv.has_holes() && (!fills || held.is_ahead_of(&source.vv)) {
        let text = "handover first: an instance with holes merges only from a source that fills \
                    them and holds all it holds; let the source pull its log";
        return refused(RefuseCode::HandoverFirst, text.to_owned());
    }
    Verdict::Full(mode)
}

fn refused(code: RefuseCode, reason: String) -> Verdict {
    Verdict::Refused(Refusal { code, reason })
}

/// A hole of the source that the receiver has not passed: records behind it could never be applied.
fn hole_needed(held: &Held, source: &History) -> Option<(u64, u64)> {
    source
        .vv
        .holes()
        .find(|(origin, _, last)| held.vv.high(*origin) < *last)
        .map(|(_, first, last)| (first, last))
}
