//! The registry over real connections.

#![expect(
    clippy::unwrap_used,
    reason = "tests may panic, also where they help each other"
)]

mod access;
mod blobs;
mod edges;
mod garbage;
mod http2;
mod limits;
mod listing;
mod lookups;
mod manifests;
mod server;
mod store;
mod streaming;
mod support;
mod tls;
mod uploads;
