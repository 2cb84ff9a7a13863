//! Claims about fast.
