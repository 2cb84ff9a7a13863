//! The merge model: dots, version vectors, cells, records, and how they join. DESIGN.md sections 2
//! and 3 as code. Pure: no runtime, no clock, no files; time and randomness are arguments.

pub mod codec;
pub mod effect;
pub mod origin;
pub mod record;
pub mod stamp;
pub mod vv;

pub use effect::{CellId, Effect, EffectReader, EffectWriter, Kind, Mark, Marks, Number};
pub use origin::{Dot, Origin, OriginIndex, Origins};
pub use record::RecordHeader;
pub use stamp::{Clock, NEVER, Stamp};
pub use vv::{Row, VersionVector};
