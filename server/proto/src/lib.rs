//! Redis protocol, command table and status types: bytes to values and back. Pure: no runtime, no clock, no files.

pub mod status;
