//! The paved path through the Open Component Model.
//!
//! [`Ocm`] wires the crates together with what a user has configured: it opens repositories by
//! the text that names them, finds referenced components, and finds credentials when they are
//! asked for. Nothing is read and nobody is asked before a call needs it.
//!
//! ```no_run
//! use ocm::{Environment, KeyMaterial, Ocm, Timestamp, VerifyOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let ocm = Ocm::new(Environment::default());
//! let product = ocm.reference("./product.tar//acme.org/shop:1.0.0")?;
//! let key = KeyMaterial::new("acme.pub", std::fs::read("acme.pub")?);
//! let options = VerifyOptions::with_key(key, Timestamp::now());
//! let report = ocm.verify(&product, &options).await?;
//! println!("{} signatures hold", report.signatures.len());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # ?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crates themselves are re-exported: [`model`] for descriptors, [`oci`] for stores,
//! [`constructor`] for packing, [`transfer`] for moving, and so on. The terminal is not known here.

mod address;
mod buckets;
mod check;
mod credentials;
mod delta;
#[cfg(feature = "diff")]
mod diff;
mod download;
mod elsewhere;
mod error;
mod handlers;
mod hash;
mod kind;
mod led_to;
mod parts;
mod prune;
mod remove;
mod replay;
mod resolver;
mod roots;
mod rules;
mod serialise;
mod session;
mod sign;
#[cfg(feature = "git")]
mod ssh;
mod stated;
mod technology;
mod timestamps;
mod tree;
mod trust;
mod unpack;
mod verify;

pub use jiff::Timestamp;

pub use ocm_backends as backends;
pub use ocm_blob as blob;
pub use ocm_bucket as bucket;
pub use ocm_config as config;
pub use ocm_config::Environment;
pub use ocm_constructor as constructor;
pub use ocm_ctf as ctf;
pub use ocm_digest as digest;
pub use ocm_model as model;
pub use ocm_oci as oci;
pub use ocm_openpgp as openpgp;
pub use ocm_registry as registry;
pub use ocm_repository as repository;
pub use ocm_signing as signing;
pub use ocm_sigstore as sigstore;
pub use ocm_timestamp as timestamp;
pub use ocm_transfer as transfer;

pub use address::{Error as AddressError, Located};
pub use check::{
    BrokenParts, CheckOptions, CheckReport, CheckedPart, Incomplete, Part, PartKind, PartOutcome,
    PartsReport,
};
pub use delta::DeltaOptions;
#[cfg(feature = "diff")]
pub use diff::{
    ArtifactChange, ArtifactPart, ContentDiff, DiffOptions, DiffReport, Difference, PathChange,
    PathState, Side,
};
pub use download::{DownloadRequest, Downloaded, Extraction};
pub use error::Error;
pub use handlers::{SigningMethod, key_fingerprint, signature_algorithms};
pub use hash::{ComponentHash, Digests, HashReport, HashRequest};
pub use kind::{Kind, causes};
pub use prune::{PruneOptions, PruneRoot};
pub use remove::{DeleteOptions, RemovalReport};
pub use resolver::Resolvers;
pub use rules::Rules;
pub use session::{Ocm, Use};
pub use sign::{DigestMode, SignReport, SignRequest, UnmarkedLabel};
pub use stated::as_stated;
pub use timestamps::DEFAULT_AUTHORITY;
pub use trust::{KeyMaterial, Occasion, Scoped, SigningKeys, Trust};
pub use unpack::write_file;
pub use verify::content::hash as hash_blob;
pub use verify::{
    ContentCheck, ContentOutcome, FailingSignature, ReferenceCheck, VerifyError, VerifyOptions,
    VerifyProgress, VerifyReport,
};
