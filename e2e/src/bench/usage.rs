//! What a process has used, as the kernel tells it under `/proc`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Ticks a second of the times in `/proc/PID/stat` (`USER_HZ`, 100 on all that runs here; proc(5)).
const TICKS_PER_SECOND: f64 = 100.0;
/// Time between two looks at a process' children: the look itself takes the process' memory lock.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Gives the processor seconds a process has used, ended threads included.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {path}"))?;
    // The name in parentheses may hold anything; user and system time are fields 14 and 15.
    let after_name = text.rsplit_once(')').map_or("", |parts| parts.1);
    let ticks: Vec<f64> = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|word| word.parse().ok())
        .collect();
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// Gives the bytes a process has resident.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    kib_field(&format!("/proc/{pid}/status"), "VmRSS")
}

/// The most memory a process and its children have had resident since the watch began.
#[derive(Debug)]
pub struct PeakMemory {
    pid: u32,
    with_children_bytes: u64,
    looked: Option<Instant>,
}

impl PeakMemory {
    /// Begins at the present use: `5` resets the kernel's own mark (proc(5)).
    pub fn watch(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/clear_refs");
        std::fs::write(&path, "5").with_context(|| format!("failed to write {path}"))?;
        Ok(Self {
            pid,
            with_children_bytes: 0,
            looked: None,
        })
    }

    /// Looks at children, who share pages with the process (Redis forks for a full resync); to be
    /// called often, it looks ten times a second.
    pub fn look(&mut self) {
        if self
            .looked
            .is_some_and(|looked| looked.elapsed() < LOOK_INTERVAL)
        {
            return;
        }
        self.looked = Some(Instant::now());
        let path = format!("/proc/{pid}/task/{pid}/children", pid = self.pid);
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let children: Vec<u32> = children
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        if children.is_empty() {
            return;
        }
        let all = children.into_iter().chain([self.pid]);
        // A child may have ended since.
        let shares =
            all.filter_map(|pid| kib_field(&format!("/proc/{pid}/smaps_rollup"), "Pss").ok());
        self.with_children_bytes = self.with_children_bytes.max(shares.sum());
    }

    /// Gives the peak.
    pub fn bytes(&self) -> Result<u64> {
        let own = kib_field(&format!("/proc/{}/status", self.pid), "VmHWM")?;
        Ok(own.max(self.with_children_bytes))
    }
}

fn kib_field(path: &str, field: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib << 10)
        .with_context(|| format!("no `{field}` in {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peak_stays_when_memory_is_given_back() {
        let pid = std::process::id();
        let peak = PeakMemory::watch(pid).unwrap();
        let before = resident_bytes(pid).unwrap();
        let pages = vec![1_u8; 64 << 20];
        assert!(pages.iter().all(|&byte| byte == 1));
        drop(pages);
        assert!(peak.bytes().unwrap() >= before + (32 << 20));
    }

    #[test]
    fn cpu_time_is_that_of_the_process() {
        let start = Instant::now();
        let mut sum = 0_u64;
        while start.elapsed() < Duration::from_millis(100) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_seconds(std::process::id()).unwrap() > 0.0);
    }
}
