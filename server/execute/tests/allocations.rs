//! The hot path takes no memory from the heap: GET and INCR, on a warm connection.

#![expect(
    unreachable_pub,
    reason = "its modules are the crate's own, and shared"
)]

#[path = "../src/testing.rs"]
#[expect(dead_code, reason = "shared with the unit tests, which use all of it")]
mod testing;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use tandem_execute::{Env, fast};
use tandem_merge::{EffectWriter, Objects};
use tandem_proto::{Protocol, Reply, command};
use testing::Site;

thread_local! {
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator, which counts for each thread how often it is asked.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread's own
// cell, which needs no memory.
#[expect(unsafe_code, reason = "the trait of an allocator is unsafe")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get() + 1));
        // SAFETY: the caller's promise, passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise, passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often the hot path asks for memory when a command runs for the second time.
fn taken(site: &Site, line: &str) -> usize {
    let args = testing::split(line);
    let args: Vec<&[u8]> = args.iter().map(Vec::as_slice).collect();
    let spec = command::lookup(args[0]).expect("a command of the table");
    let object = site.table.object(args[1]);
    let mut random = || 0;
    let mut env = Env {
        now: site.clock.last,
        wall_ms: site.wall_ms,
        random: &mut random,
    };
    let (mut out, mut effects) = (Vec::with_capacity(1024), EffectWriter::default());
    let mut run = || {
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let own = Some(site.own);
        let origins = &site.origins;
        assert!(
            fast(
                spec,
                &args,
                object,
                own,
                origins,
                &mut env,
                &mut effects,
                &mut reply
            ),
            "{line} took the hot path"
        );
        effects.clear();
    };
    run();
    let before = TAKEN.with(Cell::get);
    run();
    TAKEN.with(Cell::get) - before
}

#[test]
fn simple_commands_take_no_memory() {
    let mut site = Site::new();
    for line in [
        "SET s value",
        "SET t value EX 100",
        "INCR n",
        "INCR n",
        "SET i 5",
        "INCR i",
    ] {
        site.run(line);
    }
    for line in ["HSET h f value", "HSET h g other", "HINCRBY h n 2"] {
        site.run(line);
    }
    for line in [
        "GET s",
        "GET t",
        "GET nothing",
        "STRLEN s",
        "EXISTS s",
        "TTL t",
        "PTTL s",
        "INCR n",
        "INCR i",
        "DECRBY n 2",
        "INCR new",
        "SET s other",
        "SET s other EX 10",
        "SET new value",
        "SETEX s 10 other",
        "DEL s",
        "EXPIRE s 10",
        "HGET h f",
        "HGET h x",
        "HEXISTS h f",
        "HLEN h",
        "HSET h f changed",
        "HSET h new value",
        "HSET new f v",
    ] {
        assert_eq!(taken(&site, line), 0, "{line}");
    }
}
