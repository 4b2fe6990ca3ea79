//! Behaviour of `ocm-openpgp`, on data that `gpg` has made.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod data;
mod go_tools;
mod gpg;
mod malformed;
mod signing;
mod version_6;
