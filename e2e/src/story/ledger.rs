//! Writers that note each acknowledged write, and the check that nothing of it is missing.
//!
//! ```text
//! Writers (threads) ─ one step at a time ─▶ server        Writers::finish ─▶ Ledger ─ check ─▶ instances
//!     acknowledged: what the key must be
//!     no answer:    what the key may be as well; the key is never written again
//! ```
//!
//! A writer that loses its connection goes on with new keys: a write without an answer may still be
//! carried out at any later time, and another master may not have seen the keys' earlier writes.

mod check;
mod record;
mod step;
mod writer;

pub use check::Checked;
pub use record::Ledger;
pub use writer::{Pace, Writers};
