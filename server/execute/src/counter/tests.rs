//! Claims about counter.
