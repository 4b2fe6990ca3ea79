//! Sigstore: signatures by an identity instead of a key, which anybody can verify without network.
//!
//! [`SigstoreSigner`] and [`SigstoreVerifier`] are the roles of [`ocm_signing`].
//!
//! # Where to start
//!
//! | module or type | owns |
//! | --- | --- |
//! | [`SigningConfiguration`], [`VerificationConfiguration`] | what configuration files say |
//! | [`TrustedRoot`] | whom a verifier believes |
//! | [`IdentityRules`] | who must have signed |
//! | [`SignatureValue`] | the formats of signatures; the entry for fuzzing |
//! | [`SigstoreVerifier`] | verifying |
//! | [`Services`] | which services a signature is made with |
//! | [`IdentityToken`], [`AmbientToken`], [`Login`] | who signs |
//! | [`SigstoreSigner`] | signing |
//!
//! # What it leaves to others
//!
//! Where configuration, tokens and roots come from, the HTTP client, the terminal and the time.
//! Verifying asks nobody for anything: what is needed for it is in the signature and in the root.

mod config;
mod http;
mod identity;
mod key;
mod login;
mod services;
mod signer;
mod token;
mod trust;
mod value;
mod verifier;

pub use config::{ConfigError, Log, SigningConfiguration, VerificationConfiguration};
pub use http::{HttpClient, Message, Network, ServiceError};
pub use identity::{Found, IdentityRules, Pattern, PatternError, Rule, Stranger};
pub use key::{KeyError, PrivateKey, PublicKey};
pub use login::{Login, PUBLIC_ISSUER, Terminal};
pub use services::{LogVersion, MAX_SIGNING_CONFIG_SIZE, Services, TransparencyLog};
pub use signer::{Error as SignError, SigstoreSigner};
pub use token::{AUDIENCE, AmbientToken, IdentityToken, TokenError};
pub use trust::{MAX_ROOT_SIZE, TrustedRoot};
pub use value::{ENTRY_ALGORITHM, ENTRY_MEDIA_TYPE, MAX_VALUE_SIZE, ReadError, SignatureValue};
pub use verifier::{Error as VerifyError, Reason, SigstoreVerifier};

/// The algorithm that signatures are made under.
pub const ALGORITHM: &str = "Sigstore/v1alpha1";
/// What the algorithm was called before, in both Go tools, for different things.
pub const LEGACY_ALGORITHM: &str = "sigstore";
/// The media type of a bundle.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
