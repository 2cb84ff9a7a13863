//! What should be done: pure planning for every kind.
