//! Redis protocol, command table and status types: bytes to values and back.
