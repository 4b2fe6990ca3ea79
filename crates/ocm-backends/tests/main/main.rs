//! What the crate does, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

#[cfg(feature = "docker")]
mod docker;
mod eras;
#[cfg(all(unix, feature = "git"))]
mod git;
mod helm;
mod image;
mod input;
mod oci;
mod ownership;
mod product;
mod web;
mod wget;
