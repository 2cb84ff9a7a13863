//! Claims about hash.
