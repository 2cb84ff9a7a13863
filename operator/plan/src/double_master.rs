//! Plans for a `DoubleMaster`: two groups, each with its failover, wired to each other.

mod bounds;
mod invalid;
mod plan;
mod services;
mod state;
mod status;
mod steps;
mod validate;

pub use bounds::OPERATOR_KEYS;
pub use invalid::InvalidSpec;
pub use plan::{DoubleMasterPlan, plan};
pub use validate::{Slot, Validated, validate};
