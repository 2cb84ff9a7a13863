//! Claims about keys.
