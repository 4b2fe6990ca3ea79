//! What the crate promises, against data of the Go implementation and against arbitrary data.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod broken;
mod covered;
mod edges;
mod everything;
mod faults;
mod generate;
mod kept;
mod malformed;
mod normalisation;
mod properties;
mod schemas;
