//! Behaviour of `ocm-timestamp`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod authority;
mod client;
mod go_tools;
mod malformed;
mod openssl;
mod signatures;
mod trust;
