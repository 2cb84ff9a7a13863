//! The Kubernetes runtime: instances are pods, claims are Leases, services select by labels that the
//! operator moves.

pub mod arrange;
pub mod cache;
pub mod claims;
pub mod keeper;
mod life;
pub mod machine;
pub mod names;
pub mod objects;
mod password;
pub mod reports;
pub mod seen;
mod specification;
pub mod wanted;
pub mod world;

pub use cache::Key;
pub use keeper::Keeper;
pub use machine::KubernetesRuntime;
pub use objects::PASSWORD_VARIABLE;
pub use reports::ReportMap;
pub use wanted::Wanted;
pub use world::{Listener, Scope, Watching, World};
