//! Which processor cores the two sides have: the load the last one, servers all others. Both
//! servers are treated alike, and neither loses time to the load beside it.

use std::sync::LazyLock;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Who runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This program.
    Load,
    /// A server; threads and children inherit what the thread that starts them has.
    Server,
}

/// The cores that this program was given, in order.
static GIVEN: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let given = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU)
        .filter(|core| given.is_set(*core))
        .collect()
});

/// Keeps this thread, and what it starts from now on, to the cores of a side. With one core there
/// is nothing to choose.
pub fn keep_to(side: Side) -> Result<()> {
    let Some((last, others)) = GIVEN.split_last().filter(|(_, rest)| !rest.is_empty()) else {
        return Ok(());
    };
    let mut cores = CpuSet::new();
    match side {
        Side::Load => cores.set(*last),
        Side::Server => others.iter().for_each(|core| cores.set(*core)),
    }
    sched_setaffinity(None, &cores).context("failed to choose processor cores")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_share_no_core() {
        if GIVEN.len() < 2 {
            return;
        }
        let cores_of = |side| {
            keep_to(side).unwrap();
            let set = sched_getaffinity(None).unwrap();
            GIVEN.iter().filter(|core| set.is_set(**core)).count()
        };
        assert_eq!(cores_of(Side::Load), 1);
        assert_eq!(cores_of(Side::Server), GIVEN.len() - 1);
    }
}
