//! The client against a registry that misbehaves, and copies between stores.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod auth;
mod copying;
mod downloads;
mod fake;
mod lookups;
mod manifests;
mod uploads;
