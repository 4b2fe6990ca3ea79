//! OpenPGP signatures of component descriptors.
//!
//! A signature is a detached one of the digest's bytes, in ASCII armour, under the algorithm
//! [`ALGORITHM`] and the media type [`MEDIA_TYPE`]: what the Go tools make and verify, and what
//! `gpg --verify` checks against a file with these bytes.
//!
//! ```no_run
//! use jiff::Timestamp;
//! use ocm_digest::Digest;
//! use ocm_openpgp::{KeyRing, OpenPgpSigner, OpenPgpVerifier};
//! use ocm_signing::{Signer as _, Verifier as _};
//!
//! # async fn example(now: Timestamp) -> Result<(), Box<dyn std::error::Error>> {
//! let digest = Digest::sha256("what is signed");
//! let private = KeyRing::parse(&std::fs::read("release.asc")?)?;
//! let signer = OpenPgpSigner::new(&private, None, Some(b"passphrase"), None, now)?;
//! let signature = signer.sign(&digest).await?;
//!
//! let public = KeyRing::parse(&std::fs::read("release.pub.asc")?)?;
//! let signatory = OpenPgpVerifier::new(public, None).verify(&digest, &signature, now)?;
//! println!("{signatory}");
//! # Ok(())
//! # }
//! ```
//!
//! Where to go on:
//!
//! - [`ring`] reads keys as `gpg --export` writes them.
//! - [`validity`] has the rules for expiry, revocation and usage.
//! - [`detached`] reads signatures, strictly.
//! - [`sign`] and [`mod@verify`] are the two roles of `ocm-signing`.
//!
//! Left to others: where keys and passphrases come from, and what time it is.

mod armor;
mod packet;
mod selector;

pub mod detached;
pub mod ring;
pub mod sign;
pub mod validity;
pub mod verify;

pub use armor::Error as ArmorError;
pub use detached::Detached;
pub use ring::{Certificate, KeyRing};
pub use selector::{KeySelector, ParseKeySelectorError};
pub use sign::OpenPgpSigner;
pub use verify::OpenPgpVerifier;

/// The algorithm of a signature in a descriptor.
pub const ALGORITHM: &str = "GPG";

/// The media type of a signature in a descriptor.
pub const MEDIA_TYPE: &str = "application/vnd.ocm.signature.gpg";
