//! Transfers between repositories in memory and in archives.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod deltas;
mod existing;
mod faults;
mod graphs;
mod limits;
mod ordered;
mod ownership;
mod packed;
mod paths;
mod properties;
mod references;
mod replay;
mod watched;
mod world;
