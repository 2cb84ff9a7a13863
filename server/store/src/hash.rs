//! Where a key lives: the fixed hash that picks shard and slice, orders the tree and the resync
//! stream, and is SCAN's cursor.
//!
//! SipHash-1-3 with a fixed key: equal on every instance and for ever, so that a full resync arrives
//! in the receiver's own order. That the key is public lets somebody choose keys of one slice, which
//! costs them work and gains a slower SCAN of that slice; inside a slice all 64 bits tell keys apart.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Shards of a database; each a lock.
pub const SHARDS: usize = 64;
/// Slices of a shard; each a hash table.
pub const SLICES: usize = 64;
/// Longest key in bytes: the tree's limit less the hash in front.
pub const KEY_BYTES_MAX: usize = 65_000;

const SEED: (u64, u64) = (0x7461_6e64_656d_0001, 0x6b65_792d_6f72_6472);

/// The hash of a key.
#[inline]
pub fn hash_key(key: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(SEED.0, SEED.1);
    hasher.write(key);
    hasher.finish()
}

/// The shard of a hash: its top six bits.
#[inline]
pub fn shard_of(hash: u64) -> usize {
    (hash >> 58) as usize
}

/// The slice inside the shard: the next six bits.
#[inline]
pub fn slice_of(hash: u64) -> usize {
    (hash >> 52) as usize & (SLICES - 1)
}

/// The hash as the table of a slice uses it. All keys of a slice have the high bits in common, of
/// which a table makes the tags that spare it looks at other keys: they go to the middle.
#[inline]
pub fn table_hash(hash: u64) -> u64 {
    hash.rotate_left(32)
}

/// First and last hash of a slice.
pub fn slice_range(shard: usize, slice: usize) -> (u64, u64) {
    let first = ((shard * SLICES + slice) as u64) << 52;
    (first, first | ((1 << 52) - 1))
}
