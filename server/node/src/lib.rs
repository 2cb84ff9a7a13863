//! The server process: listeners, sessions, links, INFO.
