//! Signing and verifying component descriptors.
//!
//! - [`key`]: RSA keys and certificates, read and written in every usual form.
//! - [`rsa`]: signatures of digests, and how a descriptor holds them.

mod der;
mod pem;

pub mod key;
pub mod role;
pub mod rsa;
