//! Whether the disk has room for a second tree.

use crate::disk::Disk;
use crate::error::StoreError;
use std::path::Path;

/// Room that is left for the log and everything else, in bytes.
const SPARE_BYTES: u64 = 64 << 20;

/// Refuses when `needed` bytes and some spare do not fit.
pub(super) fn check(disk: &dyn Disk, directory: &Path, needed: u64) -> Result<(), StoreError> {
    let space = disk
        .space(directory)
        .map_err(StoreError::io("ask for the disk's free space"))?;
    compare(space.free_bytes, needed)
}

fn compare(free: u64, needed: u64) -> Result<(), StoreError> {
    if free >= needed.saturating_add(SPARE_BYTES) {
        return Ok(());
    }
    Err(StoreError::Resync(format!(
        "no room for a full resync: the new state needs about {needed} bytes beside the old one and \
         {SPARE_BYTES} to spare, {free} are free; make room and ask again"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_refusal_says_the_numbers() {
        assert!(compare((10 << 20) + SPARE_BYTES, 10 << 20).is_ok());
        let error = compare(5_000, 1_000_000).expect_err("refused").to_string();
        assert!(
            error.contains("1000000") && error.contains("5000"),
            "{error}"
        );
    }

    #[test]
    fn a_disk_with_room_is_accepted() {
        let directory = std::env::temp_dir();
        check(&RealDisk, &directory, 1).expect("a byte fits");
        check(&RealDisk, &directory, u64::MAX / 2).expect_err("this never fits");
    }
}
