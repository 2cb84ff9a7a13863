//! The custom resources, as types: what a user writes and what status says back.
//!
//! Used by the operator, by the local runtime and by the end-to-end stories; knows no client and no
//! clock. The generated schemas live in `crds/` and a test fails when they drift.

pub mod condition;
pub mod crds;
pub mod double_master;
pub mod labels;
pub mod names;

pub use condition::{Condition, ConditionStatus};
pub use double_master::{DoubleMaster, DoubleMasterSpec, DoubleMasterStatus};
pub use names::{GroupName, InstanceName, NameError, ResourceName, ServiceName};
