//! Objects copied out of memory: keys and encoded states one after the other in an arena.

use tandem_merge::Object;

/// Where one object's copy stands in its arena. A void one hides what the tree has.
pub(crate) struct Span {
    pub(crate) hash: u64,
    key: usize,
    state: usize,
    end: usize,
    is_void: bool,
}

impl Span {
    /// Copies an object behind the arena's end.
    pub(crate) fn copy(hash: u64, object: &Object, arena: &mut Vec<u8>) -> Self {
        let key = arena.len();
        arena.extend_from_slice(object.key());
        let state = arena.len();
        let is_void = object.is_void();
        if !is_void {
            object.encode(arena);
        }
        Self {
            hash,
            key,
            state,
            end: arena.len(),
            is_void,
        }
    }

    /// The key.
    pub(crate) fn key<'a>(&self, arena: &'a [u8]) -> &'a [u8] {
        &arena[self.key..self.state]
    }

    /// The encoded state; `None` for a void object.
    pub(crate) fn state<'a>(&self, arena: &'a [u8]) -> Option<&'a [u8]> {
        (!self.is_void).then(|| &arena[self.state..self.end])
    }
}
