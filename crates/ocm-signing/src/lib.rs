//! Signing and verifying component descriptors.
//!
//! A signature is made of the digest of a normalised descriptor. [`sign()`] makes one,
//! [`verify()`] checks one and hands out a [`Verified`] descriptor, which is what code asks for that
//! must not run on anything else.
//!
//! ```
//! use ocm_model::{Descriptor, Provider};
//! use ocm_signing::key::PrivateKey;
//! use ocm_signing::keyed::{KeySigner, KeyVerifier};
//! use ocm_signing::rsa::RsaAlgorithm;
//! use ocm_signing::{Clock, SignOptions, sign, verify};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = PrivateKey::generate_rsa(2048)?;
//! let trusted = KeyVerifier::with_key(key.public_key());
//!
//! let mut descriptor =
//!     Descriptor::new("acme.org/notes".parse()?, "1.0.0".parse()?, &Provider::new("acme.org"));
//! let signer = KeySigner::new(key, RsaAlgorithm::Pss);
//! let signature = sign(&descriptor, &SignOptions::default(), &signer, None).await?;
//! descriptor.add_signature(&signature)?;
//!
//! let verified = verify(descriptor, "default", &trusted, Clock::at(jiff::Timestamp::now()))?;
//! assert_eq!(verified.id().to_string(), "acme.org/notes:1.0.0");
//! assert_eq!(verified.report()[0].algorithm, "RSASSA-PSS");
//! # Ok(())
//! # }
//! ```
//!
//! Where to go on:
//!
//! - [`key`] reads keys and certificates in every usual form, makes new keys and writes them.
//! - [`keyed`] makes and checks signatures by keys: [`keyed::KeySigner`], [`keyed::KeyVerifier`],
//!   which trusts whom [`trust::Trust`] says.
//! - [`algorithm`] lists the algorithms, [`value`] knows how descriptors hold such signatures.
//! - [`rsa`] verifies RSA signatures of any salt length.
//! - [`x509`] follows chains of certificates to roots, [`dn`] reads and compares the names in them.
//! - [`role`] has the traits that another kind of signature implements, and timestamps.
//! - [`Signatory`] says who made a signature, and [`policy`] decides whether that is enough.
//! - [`references`] states the digests of references anew, for trees that are signed together,
//!   and [`nested`] knows digests that their root keeps for all of them.
//! - [`mod@verify`] tells apart why a signature does not verify.
//!
//! Left to others: where keys come from, where descriptors are, and whether content has the
//! digests that the descriptor states. Which roots the system trusts is for the caller to know.

mod der;
mod signatory;
mod verified;

pub mod algorithm;
pub mod dn;
pub mod issue;
pub mod key;
pub mod keyed;
pub mod nested;
pub mod pem;
pub mod policy;
pub mod references;
pub mod role;
pub mod rsa;
pub mod sign;
pub mod trust;
pub mod value;
pub mod verify;
pub mod x509;

pub use role::{Signer, TimestampVerifier, Timestamper, Verifier};
pub use sign::{SignOptions, sign};
pub use signatory::Signatory;
pub use verified::{Checked, Rules, SigningTime, Verified};
pub use verify::{Clock, check, verify};
