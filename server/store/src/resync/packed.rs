//! Objects of a chunk as bytes.

use tandem_merge::codec::{DecodeError, Reader, put_varint};

/// A key with its encoded state.
pub type KeyState<'a> = (&'a [u8], &'a [u8]);

/// Appends an object to a chunk's bytes.
pub fn pack_object(out: &mut Vec<u8>, key: &[u8], state: &[u8]) {
    put_varint(out, key.len() as u64);
    put_varint(out, state.len() as u64);
    out.extend_from_slice(key);
    out.extend_from_slice(state);
}

/// Objects one after the other, in order of (hash, key).
#[derive(Debug, Clone, Copy)]
pub struct PackedObjects<'a>(Reader<'a>);

impl<'a> PackedObjects<'a> {
    /// Reads what [`pack_object`] wrote.
    pub fn new(packed: &'a [u8]) -> Self {
        Self(Reader::new(packed))
    }

    /// The next key and state; `None` at the end.
    pub fn next_object(&mut self) -> Result<Option<KeyState<'a>>, DecodeError> {
        let reader = &mut self.0;
        if reader.is_empty() {
            return Ok(None);
        }
        let key = reader.varint("key length")? as usize;
        let state = reader.varint("state length")? as usize;
        Ok(Some((
            reader.bytes(key, "packed key")?,
            reader.bytes(state, "packed state")?,
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_objects_come_back_and_cut_ones_are_errors() {
        let mut out = Vec::new();
        pack_object(&mut out, b"key", b"state");
        pack_object(&mut out, b"", b"");
        let mut objects = PackedObjects::new(&out);
        assert_eq!(
            objects.next_object(),
            Ok(Some((&b"key"[..], &b"state"[..])))
        );
        assert_eq!(objects.next_object(), Ok(Some((&b""[..], &b""[..]))));
        assert_eq!(objects.next_object(), Ok(None));
        for cut in 1..10 {
            assert!(
                PackedObjects::new(&out[..cut]).next_object().is_err(),
                "cut at {cut}"
            );
        }
    }
}
