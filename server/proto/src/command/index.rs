//! Finding a command by name: one probe of a table that the compiler has filled.
//!
//! A name is at most 16 bytes and so fits a `u128`; the upper-case form of what the client sent is
//! compared as one number, and a multiplication gives its slot.

use super::CommandSpec;
use super::table::TABLE;

/// Longest name a command can have.
const NAME_BYTES_MAX: usize = 16;
const SLOT_BITS: u32 = 9;
const SLOT_COUNT: usize = 1 << SLOT_BITS;
/// A slot without a command.
const EMPTY: u8 = u8::MAX;

/// Row of the command in each slot, or [`EMPTY`]; a command whose slot is taken stands in the next
/// free one.
static SLOTS: [u8; SLOT_COUNT] = fill_slots();
/// Name of each row, packed.
static PACKED: [u128; TABLE.len()] = pack_names();

/// Finds a command by its name in any case.
#[inline]
pub fn lookup(name: &[u8]) -> Option<&'static CommandSpec> {
    let mut bytes = [0u8; NAME_BYTES_MAX];
    bytes.get_mut(..name.len())?.copy_from_slice(name);
    bytes.make_ascii_lowercase();
    let packed = u128::from_le_bytes(bytes);
    let mut slot = slot_of(packed);
    loop {
        let row = SLOTS[slot];
        if row == EMPTY {
            return None;
        }
        let row = usize::from(row);
        // The length tells a name from one with NULs behind it.
        if PACKED[row] == packed && TABLE[row].name.len() == name.len() {
            return Some(&TABLE[row]);
        }
        slot = (slot + 1) % SLOT_COUNT;
    }
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
