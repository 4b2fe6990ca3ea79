//! The behaviour of `ocm-controllers`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accepted;
mod component;
mod config;
mod definitions;
mod keys;
mod process;
mod replication;
mod repository;
mod resolution;
mod running;
mod world;
