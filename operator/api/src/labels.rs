//! Labels and annotations, in one place: services select by them and the operator moves them.

/// Prefix of everything below.
pub const PREFIX: &str = "tandem.dev";
/// Name of the resource an object belongs to.
pub const RESOURCE: &str = "tandem.dev/resource";
/// Kind of that resource.
pub const KIND: &str = "tandem.dev/kind";
/// Slot (group) of an instance: `a` or `b`.
pub const SLOT: &str = "tandem.dev/slot";
/// Role that the operator gave; moved at a failover, taken away from a dead instance.
pub const ROLE: &str = "tandem.dev/role";
/// Present on the one instance that the `-rw` service points at.
pub const WRITER: &str = "tandem.dev/writer";
/// Annotation: server id of the group whose data a volume holds.
pub const SERVER_ID: &str = "tandem.dev/server-id";
/// Annotation: last epoch of that group.
pub const EPOCH: &str = "tandem.dev/epoch";
/// Who manages the object, as Kubernetes recommends it.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGER: &str = "tandem";
