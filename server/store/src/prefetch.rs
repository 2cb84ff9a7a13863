//! Tells the processor what memory is needed soon. Commands of one batch are looked at ahead of
//! their turn, so that their keys' cache misses overlap instead of following each other.

/// Bytes of a cache line on all that this runs on.
const LINE_BYTES: usize = 64;
/// Lines of one object that are asked for; the processor goes on by itself in long runs.
const LINES_MAX: usize = 4;

/// Asks for the cache lines of `bytes` bytes at an address, the first few of them.
#[inline]
pub fn prefetch<T>(at: *const T, bytes: usize) {
    let at = at.cast::<u8>();
    let end = bytes.min(LINES_MAX * LINE_BYTES);
    let mut offset = 0;
    while offset < end {
        line(at.wrapping_add(offset));
        offset += LINE_BYTES;
    }
}

#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the instruction is offered as an unsafe function"
)]
#[inline]
fn line(at: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: SSE is part of x86_64; the instruction reads and writes nothing that a program can
    // see, and never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
}

#[cfg(not(target_arch = "x86_64"))]
#[inline]
fn line(_: *const u8) {}
