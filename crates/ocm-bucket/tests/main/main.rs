//! The store in a bucket, at a server of the test and, where one is named, at a real one.

#![expect(
    clippy::unwrap_used,
    reason = "tests may panic, also where they help each other"
)]

mod collect;
mod faults;
mod replicas;
mod store;
mod support;
mod uploads;
