//! What acceptance stories are made of: the real binary, started and hurt by the test.
//!
//! ```text
//! begin      one story after another; prints what was measured
//! binary     the `tandem` binary, built once
//! ports      free ports with free link ports
//! instance   a client's door to one instance
//! server     a plain `tandem server`
//! local      a `tandem local` with its instances
//! proxy      a link that is slow, thin, frozen or cut
//! load       many distinct keys, fast
//! ledger     writers that note each acknowledged write, and the check at the end
//! equal      instances that must end with the same data
//! ```

pub mod begin;
pub mod binary;
pub mod equal;
pub mod instance;
pub mod ledger;
pub mod load;
pub mod local;
pub mod ports;
pub mod proxy;
pub mod server;

pub use begin::{Story, full_size, scaled};
pub use equal::wait_until_equal;
pub use instance::Instance;
pub use ledger::{Ledger, Writers};
pub use local::Local;
pub use proxy::Proxy;
pub use server::Server;
