//! Many resources at once, without their servers: the API server and the operator are real, the
//! instances and their kubelet are played by this program.
//!
//! ```text
//! operator ─▶ API server ◀─ kubelet: places pods on a node that is none, gives each an address
//!     └─────▶ door ─▶ instances: one state machine per address answers TANDEM STATUS and its like
//! ```

mod door;
mod instances;
mod kubelet;
mod operator;

pub use door::Door;
pub use instances::Instances;
pub use kubelet::{Kubelet, STORAGE_CLASS};
pub use operator::{Operator, Use};
