//! Behaviour of `ocm-signing`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod data;
mod handlers;
mod keys;
mod malformed;
mod openssl;
mod values;
