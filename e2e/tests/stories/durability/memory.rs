//! More data than memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tandem_e2e::story::load::Load;
use tandem_e2e::story::{Server, Story, full_size};

const MEGABYTE: u64 = 1 << 20;
const VALUE_BYTES: usize = 1000;
const CLIENTS: usize = 8;

/// Data, `maxmemory` and the bound of resident memory, in megabytes. A small server's is as
/// generous to what every server needs, whatever its `maxmemory`.
fn sizes() -> (u64, u64, u64) {
    if full_size() {
        (4096, 512, 800)
    } else {
        (200, 32, 400)
    }
}

#[test]
fn more_data_than_memory_stays_within_its_bound_and_survives_restarts() -> Result<()> {
    let story = Story::begin("memory");
    let (data, maxmemory, bound) = sizes();
    let mut server = Server::start(&[("maxmemory", &format!("{maxmemory}mb"))])?;
    let instance = server.instance();
    let keys = (data * MEGABYTE) as usize / VALUE_BYTES;
    let load = Load::new("m", 0..keys).with_value_bytes(VALUE_BYTES);
    let is_over = AtomicBool::new(false);
    let peak = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let bytes = server.resident_bytes().unwrap_or_default();
                peak.fetch_max(bytes, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let loaded = load.write(instance, CLIENTS).and_then(|took| {
            load.check(instance, &[])?;
            Ok(took)
        });
        is_over.store(true, Ordering::Relaxed);
        let took = loaded?;
        story.says(format_args!(
            "{data} MB in {} ms under maxmemory {maxmemory}mb",
            took.as_millis()
        ));
        Ok::<(), anyhow::Error>(())
    })?;
    let begun = Instant::now();
    let digest = instance.digest(0)?;
    let after = server.resident_bytes()? / MEGABYTE;
    let peak = peak.into_inner() / MEGABYTE;
    story.says(format_args!(
        "resident: peak {peak} MB while loading and reading, {after} MB after a digest ({} ms)",
        begun.elapsed().as_millis()
    ));
    for end in ["stopped", "killed"] {
        if end == "killed" {
            server.kill();
        } else {
            server.stop()?;
        }
        let begun = Instant::now();
        server.start_again()?;
        let took = begun.elapsed();
        ensure!(
            instance.digest(0)? == digest,
            "other data after it was {end}"
        );
        ensure!(
            instance.keys()? == keys as u64,
            "other keys after it was {end}"
        );
        story.says(format_args!(
            "{end}: back with equal digest after {} ms",
            took.as_millis()
        ));
    }
    let most = peak.max(after).max(server.resident_bytes()? / MEGABYTE);
    ensure!(most < bound, "{most} MB resident, the bound is {bound} MB");
    load.check(instance, &[])
        .map_err(|error| anyhow!("after restarts: {error:#}"))
}
