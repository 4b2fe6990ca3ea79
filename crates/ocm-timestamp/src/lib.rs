//! Timestamps of RFC 3161 for signatures of component descriptors.
//!
//! An authority testifies that a digest existed at a time. With that, a signature is judged as of
//! that time: it holds although the certificate of the signer has expired since.
//!
//! What is stamped is the digest of the normalised descriptor, not the signature of it, since the
//! first Go tool does so and reads nothing else. So a timestamp says that the *content* existed,
//! and that whoever has signed it had it in hand then or later.
//!
//! - [`TimestampClient`] asks an authority. How a request gets there is up to a [`Post`].
//! - [`TimestampAuthorities`] checks timestamps against roots.
//! - [`Token`] is what a timestamp says, before anybody vouches for it.
//!
//! A descriptor holds a timestamp as PEM: a block `TIMESTAMP INFO` with the `SignedData` of RFC 5652
//! in it. Of authorities it comes wrapped in a `ContentInfo`, which is read, too.

mod asn1;
mod authorities;
mod client;
mod oid;
mod request;
mod token;

pub use authorities::{Error, TimestampAuthorities};
pub use client::{Error as ClientError, Post, TimestampClient};
pub use token::{Error as TokenError, MAX_SIZE, Token};
