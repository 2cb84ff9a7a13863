//! Acceptance stories through the real binary, one after another. Sizes are a tenth of the
//! acceptance list's; `TANDEM_FULL=1` gives the full ones. Each prints what it measured.
//!
//! ```text
//! stage         pairs behind proxies, replicas
//! pair          two masters write: AT-01 to AT-06, AT-13
//! rebuild       a pair is broken, rebuilt, refused: AT-07 to AT-12
//! replica       replicas come, go and are promoted: AT-41 to AT-48
//! commands      what replicas do with commands: AT-60, AT-62, AT-63
//! merge         what concurrent writes give: AT-100
//! durability    kill -9, flipped bytes, full disks, fsync, memory: AT-66, AT-68, AT-70
//! full_resync   interrupted and killed full resyncs: AT-65
//! ```

mod commands;
mod durability;
mod full_resync;
mod merge;
mod pair;
mod rebuild;
mod replica;
mod stage;
