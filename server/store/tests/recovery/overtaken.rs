//! A flush of the whole database while a checkpoint runs: the tree that the checkpoint writes to is
//! gone, and what was written behind the flush must not be taken for checkpointed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tandem_sim::disk::Crash;

use crate::site::Site;

const ROUNDS: u32 = 12;
const KEYS: u32 = 3_000;

#[test]
fn keys_written_behind_a_flush_that_overtook_a_checkpoint_are_kept() {
    let mut site = Site::new(u64::MAX).write_as(1);
    let mut overtaken = 0;
    for round in 0..ROUNDS {
        let value = round.to_string();
        for number in 0..KEYS {
            site.set(&format!("old{number}"), &value);
        }
        let database = Arc::clone(&site.database);
        let begun = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let checkpoint = scope.spawn(|| {
                begun.store(true, Ordering::Release);
                database.checkpoint().unwrap()
            });
            while !begun.load(Ordering::Acquire) || !site.database.is_checkpointing() {
                if checkpoint.is_finished() {
                    break;
                }
                std::hint::spin_loop();
            }
            site.flush_database();
            for number in 0..KEYS {
                site.set(&format!("new{number}"), &value);
            }
            overtaken += u32::from(!checkpoint.join().unwrap());
        });
        while !site.database.checkpoint().unwrap() {}
        site.sync();
        site = site.crash(Crash::Power);
        for number in 0..KEYS {
            let key = format!("new{number}");
            assert_eq!(
                site.get(&key).as_deref(),
                Some(&*value),
                "{key}, round {round}"
            );
        }
        assert_eq!(site.database.cells.keys(), i64::from(KEYS), "round {round}");
        site = site.write_as(u64::from(round) + 2);
    }
    assert!(
        overtaken > 0,
        "no flush overtook a checkpoint in {ROUNDS} rounds"
    );
}
