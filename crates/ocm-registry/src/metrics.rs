//! What a server has done, as numbers.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};
use ocm_oci::Collected;
use tokio::time::Instant;

use crate::route::Kind;

/// The methods that have a label of their own; the rest shares one, as clients may invent methods.
const METHODS: [&str; 7] = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "other"];

/// Classes of statuses, by their first digit; "none" of requests that broke off before an answer.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

const KINDS: usize = Kind::ALL.len();

/// Counts requests, connections and bytes.
///
/// Labels are taken from fixed sets, so that no client can make up new ones.
#[derive(Debug)]
pub struct Metrics {
    requests: [[[AtomicU64; CLASSES.len()]; KINDS]; METHODS.len()],
    microseconds: [AtomicU64; KINDS],
    pub(crate) traffic: Arc<Traffic>,
    pub(crate) garbage: Garbage,
}

impl Default for Metrics {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        let array = std::array::from_fn;
        Self {
            requests: array(|_| std::array::from_fn(|_| std::array::from_fn(zero))),
            microseconds: std::array::from_fn(zero),
            traffic: Arc::default(),
            garbage: Garbage::default(),
        }
    }
}

impl Metrics {
    fn count(&self, method: &Method, kind: Kind, status: Option<StatusCode>, elapsed: Duration) {
        let method = METHODS.iter().position(|it| *it == method.as_str());
        let method = method.unwrap_or(METHODS.len() - 1);
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        let class = class.min(CLASSES.len() - 1);
        count(&self.requests[method][kind as usize][class], 1);
        let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        count(&self.microseconds[kind as usize], microseconds);
    }

    /// Prints all numbers in the text format of Prometheus, version 0.0.4.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let out = &mut text;
        let name = "ocm_registry_requests_total";
        describe(
            out,
            name,
            "counter",
            "Requests that have been answered, or broke off before.",
        );
        for (method, kinds) in METHODS.iter().zip(&self.requests) {
            for (kind, classes) in Kind::ALL.iter().zip(kinds) {
                for (class, number) in CLASSES.iter().zip(classes) {
                    let (kind, number) = (kind.as_str(), number.load(Ordering::Relaxed));
                    if number > 0 {
                        let _ = writeln!(
                            out,
                            r#"{name}{{method="{method}",route="{kind}",status="{class}"}} {number}"#
                        );
                    }
                }
            }
        }
        let name = "ocm_registry_request_seconds_total";
        let help = "Time between requests and the heads of their answers, or their breaking off.";
        describe(out, name, "counter", help);
        for (kind, microseconds) in Kind::ALL.iter().zip(&self.microseconds) {
            let seconds = Duration::from_micros(microseconds.load(Ordering::Relaxed));
            let (kind, seconds) = (kind.as_str(), seconds.as_secs_f64());
            let _ = writeln!(out, r#"{name}{{route="{kind}"}} {seconds}"#);
        }
        self.traffic.write(out);
        self.garbage.write(out);
        text
    }
}

/// A request that is counted when it is dropped: with its answer, or without one.
pub(crate) struct Counted {
    metrics: Arc<Metrics>,
    method: Method,
    kind: Kind,
    started: Instant,
    status: Option<StatusCode>,
}

impl Counted {
    pub(crate) const fn new(
        metrics: Arc<Metrics>,
        method: Method,
        kind: Kind,
        started: Instant,
    ) -> Self {
        Self {
            metrics,
            method,
            kind,
            started,
            status: None,
        }
    }

    pub(crate) const fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let elapsed = self.started.elapsed();
        self.metrics
            .count(&self.method, self.kind, self.status, elapsed);
    }
}

/// Counts connections, and the bytes that go over them, without those of TLS.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    opened: AtomicU64,
    closed: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    pub(crate) fn opened(&self) {
        count(&self.opened, 1);
    }

    pub(crate) fn closed(&self) {
        count(&self.closed, 1);
    }

    pub(crate) fn received(&self, bytes: usize) {
        count(&self.received, bytes as u64);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        count(&self.sent, bytes as u64);
    }

    fn write(&self, out: &mut String) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        // In this order, so that no connection is closed that was not opened.
        let closed = load(&self.closed);
        let opened = load(&self.opened);
        for (name, kind, help, number) in [
            (
                "ocm_registry_connections_total",
                "counter",
                "Connections that have been accepted.",
                opened,
            ),
            (
                "ocm_registry_connections_open",
                "gauge",
                "Connections that are open.",
                opened.saturating_sub(closed),
            ),
            (
                "ocm_registry_received_bytes_total",
                "counter",
                "Bytes that have come in.",
                load(&self.received),
            ),
            (
                "ocm_registry_sent_bytes_total",
                "counter",
                "Bytes that have gone out.",
                load(&self.sent),
            ),
        ] {
            describe(out, name, kind, help);
            let _ = writeln!(out, "{name} {number}");
        }
    }
}

/// Counts what has been collected of what nothing needs.
#[derive(Debug, Default)]
pub(crate) struct Garbage {
    done: AtomicU64,
    failed: AtomicU64,
    microseconds: AtomicU64,
    blobs: AtomicU64,
    bytes: AtomicU64,
    uploads: AtomicU64,
}

impl Garbage {
    /// Counts a collection; `None` is one that failed.
    pub(crate) fn count(&self, collected: Option<&Collected>, elapsed: Duration) {
        let microseconds = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        count(&self.microseconds, microseconds);
        let Some(collected) = collected else {
            count(&self.failed, 1);
            return;
        };
        count(&self.done, 1);
        count(&self.blobs, collected.blobs);
        count(&self.bytes, collected.bytes);
        count(&self.uploads, collected.uploads);
    }

    fn write(&self, out: &mut String) {
        let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let name = "ocm_registry_collections_total";
        describe(out, name, "counter", "Garbage collections that have ended.");
        for (outcome, number) in [("done", &self.done), ("failed", &self.failed)] {
            let _ = writeln!(out, r#"{name}{{outcome="{outcome}"}} {}"#, load(number));
        }
        let name = "ocm_registry_collection_seconds_total";
        describe(out, name, "counter", "Time that garbage collections took.");
        let seconds = Duration::from_micros(load(&self.microseconds)).as_secs_f64();
        let _ = writeln!(out, "{name} {seconds}");
        for (name, help, number) in [
            (
                "ocm_registry_collected_blobs_total",
                "Blobs that nothing needed and that have been removed.",
                &self.blobs,
            ),
            (
                "ocm_registry_collected_bytes_total",
                "Their bytes.",
                &self.bytes,
            ),
            (
                "ocm_registry_collected_uploads_total",
                "Uploads that nobody went on with and that have been removed.",
                &self.uploads,
            ),
        ] {
            describe(out, name, "counter", help);
            let _ = writeln!(out, "{name} {}", load(number));
        }
    }
}

fn count(number: &AtomicU64, by: u64) {
    number.fetch_add(by, Ordering::Relaxed);
}

fn describe(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_clients_make_up_has_one_label() {
        let metrics = Metrics::default();
        let elapsed = Duration::from_millis(1500);
        for method in ["GET", "BREW", "MAKE"] {
            let method = method.parse().unwrap();
            metrics.count(&method, Kind::Blob, Some(StatusCode::OK), elapsed);
        }
        let metrics = Arc::new(metrics);
        drop(Counted::new(
            Arc::clone(&metrics),
            Method::PUT,
            Kind::Blob,
            Instant::now(),
        ));
        metrics.traffic.opened();
        metrics.traffic.sent(7);
        let text = metrics.to_text();
        for line in [
            r#"ocm_registry_requests_total{method="GET",route="blob",status="2xx"} 1"#,
            r#"ocm_registry_requests_total{method="other",route="blob",status="2xx"} 2"#,
            r#"ocm_registry_requests_total{method="PUT",route="blob",status="none"} 1"#,
            r#"ocm_registry_request_seconds_total{route="blob"} 4.5"#,
            "ocm_registry_connections_open 1",
            "ocm_registry_sent_bytes_total 7",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }
}
