//! How much memory there is, and who gets what of it.

/// Memory of the machine in bytes.
pub fn machine_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(4 << 30, |kib| kib << 10)
}

/// Resident set of this process in bytes; 0 where /proc does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// What `maxmemory` allows in all; half of the machine when it is not stated.
pub fn total_bytes(maxmemory: u64) -> u64 {
    if maxmemory == 0 {
        machine_bytes() / 2
    } else {
        maxmemory
    }
}

/// Part of the total that the block cache takes.
pub fn cache_bytes(total: u64) -> u64 {
    (total / 8).clamp(8 << 20, 1 << 30)
}

/// Part of the total that objects in memory may take.
pub fn object_bytes(total: u64) -> u64 {
    total.saturating_sub(cache_bytes(total))
}
