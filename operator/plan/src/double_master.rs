//! Plans for a `DoubleMaster`: two groups, each with its failover, wired to each other.

mod bounds;
mod conditions;
mod health;
mod invalid;
mod moves;
mod plan;
mod resync;
mod roll;
mod services;
mod state;
mod status;
mod steps;
mod validate;
mod view;

pub use invalid::InvalidSpec;
pub use plan::{DoubleMasterPlan, plan};
pub use validate::{Slot, Validated, validate};
