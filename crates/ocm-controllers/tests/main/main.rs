//! The behaviour of `ocm-controllers`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod accepted;
mod attacks;
mod chart;
mod component;
mod config;
mod content;
mod definitions;
mod delivery;
mod deployer;
mod examples;
mod faults;
mod gate;
mod keys;
mod large;
mod messages;
mod process;
mod replication;
mod repository;
mod resolution;
mod resource;
mod rotation;
mod running;
mod world;
