//! The tandem binary: server, operator, local runtime.
