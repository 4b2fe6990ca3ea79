//! The behaviour of `ocm-kube`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod manifest;
mod mapping;
