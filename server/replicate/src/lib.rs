//! Link decisions: handshake, window, horizon; events in, actions out.
