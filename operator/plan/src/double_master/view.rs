//! What status and conditions are made from.

use std::collections::BTreeMap;

use tandem_api::{InstanceName, ServiceName};

use super::roll::Roll;
use super::state::SlotState;
use super::steps::SlotSteps;
use super::validate::Validated;
use crate::observed::Observed;

/// One look at a resource, and what was planned from it.
pub(super) struct View<'a> {
    pub(super) valid: &'a Validated,
    pub(super) slots: &'a [SlotState<'a>; 2],
    pub(super) steps: &'a [SlotSteps; 2],
    pub(super) services: &'a BTreeMap<ServiceName, Vec<InstanceName>>,
    pub(super) roll: &'a Roll,
    pub(super) observed: &'a Observed,
    pub(super) now_ms: u64,
}
