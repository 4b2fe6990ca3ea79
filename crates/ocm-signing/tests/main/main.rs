//! Behaviour of `ocm-signing`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chains;
mod data;
mod go_certificates;
mod go_tools;
mod handlers;
mod issued;
mod keys;
mod malformed;
mod names;
mod openssl;
mod pki;
mod sign_verify;
mod values;
