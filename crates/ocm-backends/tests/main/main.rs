//! What the crate does, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

mod helm;
mod input;
mod oci;
mod ownership;
mod product;
mod web;
mod wget;
