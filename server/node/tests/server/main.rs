//! The server, started in this process and asked over its sockets.

mod basics;
mod support;
