//! The behaviour of `ocm-controllers`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accepted;
mod config;
mod definitions;
mod keys;
mod resolution;
mod world;
