//! What can be told of a command before its turn: its row in the command table, and the hash of its
//! key, so that the memory of several commands' keys is fetched at once.

use tandem_proto::command::{CommandSpec, lookup};
use tandem_proto::resp::ArgsView;
use tandem_store::hash::hash_key;

/// A command looked at ahead of its turn.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ahead {
    /// Its row; `None`: no such command.
    pub spec: Option<&'static CommandSpec>,
    /// The hash of its key, when it has exactly one.
    pub hash: Option<u64>,
}

impl Ahead {
    /// Looks at a command with at least a name.
    #[inline]
    pub fn look(args: ArgsView<'_>) -> Self {
        let spec = lookup(args.get(0));
        let hash = spec
            .filter(|spec| spec.first_key > 0 && spec.first_key == spec.last_key)
            .filter(|spec| args.len() > spec.first_key as usize)
            .map(|spec| hash_key(args.get(spec.first_key as usize)));
        Self { spec, hash }
    }
}
