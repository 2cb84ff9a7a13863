//! Plans for a `DoubleMaster`: two groups, each with its failover, wired to each other.

mod plan;
mod services;
mod state;
mod status;
mod steps;
mod validate;

pub use plan::{DoubleMasterPlan, plan};
pub use validate::{InvalidSpec, OPERATOR_KEYS, Slot, Validated, validate};
