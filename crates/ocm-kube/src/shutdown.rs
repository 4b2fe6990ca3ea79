//! The end of a process, asked for by a signal.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that is cancelled once the process is asked to terminate, as the kubelet does,
/// or to stop, as a terminal does.
///
/// # Errors
///
/// Signals cannot be listened to.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("asked to terminate"),
            _ = interrupt.recv() => tracing::info!("interrupted"),
        }
        cancelled.cancel();
    });
    Ok(token)
}
