//! The intervals of the election that both sides go by.

use std::time::Duration;

/// Silence of a holder after which another one takes over, whatever its door says.
pub(super) const DURATION: Duration = Duration::from_secs(8);
/// Distance of renewals.
pub(super) const RENEW: Duration = Duration::from_secs(2);
