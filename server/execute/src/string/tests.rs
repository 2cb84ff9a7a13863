//! Claims about string.
