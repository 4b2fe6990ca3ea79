//! What the crate does, seen from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up has failed")]

#[cfg(feature = "docker")]
mod docker;
mod eras;
#[cfg(all(unix, feature = "git"))]
mod git;
#[cfg(feature = "helm")]
mod helm;
mod image;
mod input;
mod oci;
mod ownership;
#[cfg(feature = "helm")]
mod product;
mod removal;
#[cfg(feature = "wget")]
mod tls;
#[cfg(feature = "http")]
mod web;
#[cfg(feature = "wget")]
mod wget;
