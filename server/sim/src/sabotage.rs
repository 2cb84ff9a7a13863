//! Faults put into the simulated shell on purpose, to show that a run finds them.

/// What is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// A client is answered before the log is whole up to its record.
    AnswerBeforeWritten,
    /// A client that asked for durability is answered before the fsync.
    AnswerBeforeDurable,
    /// The disk says that it has synced, and has not.
    SyncThatLies,
    /// A restarted writer goes on under the life it had.
    SameLife,
    /// A source goes on to believe what a receiver held before its restart.
    ViewOutlivesRun,
    /// A source does not look at what the receiver wrote itself.
    BlindView,
    /// A source sends what its log still has, whatever the handshake decides.
    AlwaysPartial,
    /// A record of each batch is lost on its way, now and then.
    LostRecords,
}

impl Sabotage {
    /// All but none.
    pub const ALL: [Self; 8] = [
        Self::AnswerBeforeWritten,
        Self::AnswerBeforeDurable,
        Self::SyncThatLies,
        Self::SameLife,
        Self::ViewOutlivesRun,
        Self::BlindView,
        Self::AlwaysPartial,
        Self::LostRecords,
    ];
}
