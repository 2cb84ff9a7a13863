//! The signals that end a program in order.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for the first of them and says which it was, for people.
pub(crate) async fn end_signal() -> &'static str {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(error) => {
                tracing::error!(%error, "signal cannot be awaited");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => "interrupted",
        () = wait(SignalKind::terminate()) => "asked to end",
        () = wait(SignalKind::hangup()) => "the terminal went away",
    }
}
