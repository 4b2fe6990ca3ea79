//! The behaviour of `ocm-kube`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod apply;
mod applyset;
mod cluster;
mod lease;
mod manifest;
mod mapping;
mod process;
mod watches;
