//! What the façade adds to the crates underneath, on archives of other implementations.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod archive;
mod download;
mod sign;
