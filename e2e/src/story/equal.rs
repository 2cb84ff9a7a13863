//! Instances that must end with the same data.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::instance::Instance;
use crate::client::wait_for;

/// Waits until all instances have the same digest and the same number of keys in database 0; gives
/// how long that took. On failure the error names each one's digest and count.
pub fn wait_until_equal(instances: &[Instance], timeout: Duration) -> Result<Duration> {
    let begun = Instant::now();
    wait_for("equal digests", timeout, || {
        let mut seen = Vec::new();
        for instance in instances {
            seen.push((instance.to_string(), instance.keys()?, instance.digest(0)?));
        }
        let is_equal = seen
            .windows(2)
            .all(|pair| (pair[0].1, &pair[0].2) == (pair[1].1, &pair[1].2));
        if is_equal {
            return Ok(Some(()));
        }
        // A digest costs a pass over the data: no hurry.
        std::thread::sleep(Duration::from_millis(50));
        bail!("address, keys, digest: {seen:?}")
    })?;
    Ok(begun.elapsed())
}
