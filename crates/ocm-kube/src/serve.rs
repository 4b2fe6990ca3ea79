//! What the kubelet and Prometheus ask a process over HTTP.

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use http::{StatusCode, header};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Answers `/healthz` while the process runs, and `/readyz` as long as it is ready; what keeps it
/// from that is the answer otherwise.
pub fn probes(ready: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Router {
    let ready = Arc::new(ready);
    let readiness = move || {
        let ready = Arc::clone(&ready);
        async move {
            match ready() {
                Ok(()) => (StatusCode::OK, "ok".to_owned()),
                Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
            }
        }
    };
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readiness))
}

/// Answers `/metrics`.
pub fn metrics(metrics: Metrics) -> Router {
    let print = move || {
        let text = metrics.to_text();
        async move { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text) }
    };
    Router::new().route("/metrics", get(print))
}

/// Serves until it is stopped.
///
/// # Errors
///
/// The socket fails.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
) -> io::Result<()> {
    let serving = axum::serve(listener, router);
    serving.with_graceful_shutdown(stop.cancelled_owned()).await
}
