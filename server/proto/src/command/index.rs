//! Finding a command by name: one probe of a table that the compiler has filled.
//!
//! A name is at most 16 bytes and so fits a `u128`; what the client sent, in lower case, is
//! compared as one number, and a multiplication gives its slot.

use super::CommandSpec;
use super::table::TABLE;

/// Longest name a command can have.
const NAME_BYTES_MAX: usize = 16;
const SLOT_BITS: u32 = 9;
const SLOT_COUNT: usize = 1 << SLOT_BITS;
/// A slot without a command.
const EMPTY: u8 = u8::MAX;
/// The bit that makes a lower-case letter, in each byte.
const CASE_BITS: u128 = u128::from_ne_bytes([0x20; NAME_BYTES_MAX]);

/// Row of the command in each slot, or [`EMPTY`]; a command whose slot is taken stands in the next
/// free one.
static SLOTS: [u8; SLOT_COUNT] = fill_slots();
/// Name of each row, packed.
static PACKED: [u128; TABLE.len()] = pack_names();

/// Finds a command by its name in any case.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    let packed = pack_lower(name)?;
    let mut slot = slot_of(packed);
    loop {
        let row = usize::from(SLOTS[slot]);
        // An empty slot's row is beyond the table.
        if *PACKED.get(row)? == packed {
            return Some(&TABLE[row]);
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
}

/// Packs what a client sent, in lower case if all of it is letters.
///
/// The bit that tells the cases apart is set in every byte. That makes a letter of a letter only,
/// and names in the table have nothing but letters; so no other bytes can be mistaken for one.
#[inline]
fn pack_lower(name: &[u8]) -> Option<u128> {
    let length = name.len();
    let packed = match length {
        // Two reads that overlap in the middle, where both have the same bytes.
        8..=NAME_BYTES_MAX => {
            let low = u64::from_le_bytes(*name.first_chunk()?);
            let high = u64::from_le_bytes(*name.last_chunk()?);
            u128::from(low) | u128::from(high) << (8 * (length - 8))
        }
        4..8 => {
            let low = u32::from_le_bytes(*name.first_chunk()?);
            let high = u32::from_le_bytes(*name.last_chunk()?);
            u128::from(u64::from(low) | u64::from(high) << (8 * (length - 4)))
        }
        1..4 => {
            let byte = |index: usize| u32::from(name[index]) << (8 * index);
            u128::from(byte(0) | byte(length / 2) | byte(length - 1))
        }
        _ => return None,
    };
    Some(packed | CASE_BITS >> (8 * (NAME_BYTES_MAX - length)))
}

const fn slot_of(packed: u128) -> usize {
    let folded = (packed as u64) ^ ((packed >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SLOT_BITS)) as usize
}

const fn pack(name: &str) -> u128 {
    let name = name.as_bytes();
    assert!(
        !name.is_empty() && name.len() <= NAME_BYTES_MAX,
        "a command's name is too long"
    );
    let mut packed = 0;
    let mut at = name.len();
    while at > 0 {
        at -= 1;
        assert!(
            name[at].is_ascii_lowercase(),
            "a command's name has lower-case letters only"
        );
        packed = packed << 8 | name[at] as u128;
    }
    packed
}

const fn pack_names() -> [u128; TABLE.len()] {
    let mut packed = [0; TABLE.len()];
    let mut row = 0;
    while row < TABLE.len() {
        packed[row] = pack(TABLE[row].name);
        row += 1;
    }
    packed
}

const fn fill_slots() -> [u8; SLOT_COUNT] {
    assert!(
        TABLE.len() <= SLOT_COUNT / 2 && TABLE.len() < EMPTY as usize,
        "too many commands"
    );
    let mut slots = [EMPTY; SLOT_COUNT];
    let mut row = 0;
    while row < TABLE.len() {
        let mut slot = slot_of(pack(TABLE[row].name));
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOT_COUNT;
        }
        slots[slot] = row as u8;
        row += 1;
    }
    slots
}
