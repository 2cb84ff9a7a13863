//! Names of services behind that of their resource.

/// Suffix of the service that points at one writer.
pub const SUFFIX_RW: &str = "rw";
/// Suffix of the service that points at the replicas.
pub const SUFFIX_RO: &str = "ro";
