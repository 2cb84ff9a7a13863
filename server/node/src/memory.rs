//! How much memory there is, and who gets what of it.

/// Memory of the machine in bytes.
pub(crate) fn machine_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map_or(4 << 30, |kib| kib << 10)
}

/// Resident set of this process in bytes; 0 where /proc does not tell.
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// What `maxmemory` allows in all; half of the machine when it is not stated.
pub(crate) fn total_bytes(maxmemory: u64) -> u64 {
    if maxmemory == 0 {
        machine_bytes() / 2
    } else {
        maxmemory
    }
}

/// Part of the total that the block cache takes.
pub(crate) fn cache_bytes(total: u64) -> u64 {
    (total / 8).clamp(8 << 20, 1 << 30)
}

/// Part of the total that objects in memory may take: what is left beside the block cache, less an
/// eighth for what the allocator rounds up and what compactions hold for a moment.
pub(crate) fn object_bytes(total: u64) -> u64 {
    total.saturating_sub(cache_bytes(total) + total / 8)
}

/// Seconds of processor time taken in the kernel and in user code; 0 where /proc does not tell.
pub(crate) fn cpu_seconds() -> (f64, f64) {
    /// Clock ticks a second in /proc, fixed on Linux.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The process' name, in brackets, may have blanks.
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let mut ticks = fields
        .split_whitespace()
        .skip(11)
        .map(|field| field.parse::<f64>().unwrap_or(0.0));
    let user = ticks.next().unwrap_or(0.0);
    (ticks.next().unwrap_or(0.0) / TICKS, user / TICKS)
}
