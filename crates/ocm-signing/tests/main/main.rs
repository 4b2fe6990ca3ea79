//! Behaviour of `ocm-signing`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod data;
mod go_tools;
mod handlers;
mod keys;
mod malformed;
mod openssl;
mod sign_verify;
mod values;
