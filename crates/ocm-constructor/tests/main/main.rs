//! What the crate does, seen from outside.

#![expect(
    clippy::unwrap_used,
    reason = "helpers are tests, too, and a failure there fails the test"
)]

#[path = "../../../ocm-model/tests/main/broken.rs"]
mod broken;
mod build;
mod documents;
mod fake;
mod inputs;
mod properties;
mod rejects;
mod schema;
