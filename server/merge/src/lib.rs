//! The merge model: dots, version vectors, cells, records, and how they join. DESIGN.md sections 2
//! and 3 as code. Pure: no runtime, no clock, no files; time and randomness are arguments.

pub mod codec;
pub mod context;
pub mod draft;
pub mod effect;
pub mod history;
pub mod object;
pub mod origin;
pub mod record;
pub mod rules;
pub mod site;
pub mod stamp;
pub mod vv;

pub use codec::DecodeError;
pub use context::Context;
pub use draft::{AddError, Draft, Objects, direct};
pub use effect::{CellId, Effect, EffectReader, EffectWriter, Kind, Mark, Marks, Number};
pub use history::{Admission, History, Last, Refused};
pub use object::{Object, Observed, merge_objects};
pub use origin::{Dot, Origin, OriginIndex, Origins};
pub use record::RecordHeader;
pub use stamp::{Clock, NEVER, Stamp};
pub use vv::{Row, VersionVector};
