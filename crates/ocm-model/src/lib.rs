//! The Open Component Model as data: descriptors, names, versions, identities, access,
//! normalisation.
//!
//! Everything is checked once, at the edge, and nothing that was read is lost. There is no IO:
//! no files, no network, no clock, no environment.
//!
//! ```
//! use ocm_digest::{Digest, HashAlgorithm};
//! use ocm_model::access::LocalBlob;
//! use ocm_model::{
//!     Access, Descriptor, DigestSpec, NormalisationAlgorithm, Provider, Relation, Resource,
//! };
//!
//! // What a component version is made of …
//! let version: ocm_model::Version = "1.0.0".parse()?;
//! let mut descriptor =
//!     Descriptor::new("acme.org/notes".parse()?, version.clone(), &Provider::new("acme.org"));
//! let content = Digest::sha256(b"some text");
//! let access = Access::local_blob(&LocalBlob::new(&content, "text/plain"));
//! let mut text = Resource::new("text", version, "plainText", Relation::Local, access);
//! text.digest = Some(DigestSpec::generic_blob(&content));
//! descriptor.push_resource(&text);
//!
//! // … what of it is signed …
//! let normalised = descriptor.normalise(NormalisationAlgorithm::default());
//! let signed = normalised.digest_spec(HashAlgorithm::Sha256);
//!
//! // … and that moving the content elsewhere does not change that.
//! descriptor.set_resource_access(0, Access::oci_artifact("ghcr.io/acme/notes:1.0.0"))?;
//! let read = Descriptor::read_json(&descriptor.write_json())?;
//! let moved = read.normalise(NormalisationAlgorithm::default());
//! assert_eq!(moved.digest_spec(HashAlgorithm::Sha256), signed);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to start:
//!
//! - [`Descriptor`]: the document, with views of [`Resource`], [`Source`], [`Reference`], [`Label`]
//!   and [`Signature`]. [`Descriptor::read_json`] takes any bytes.
//! - [`Access`]: how to get at content, read by [`Access::kind`], kept whole if unknown.
//! - [`normalisation`]: the bytes that signatures cover, in the four algorithms there are.
//! - [`ComponentRef`] and [`RepositorySpec`]: what users write to say which component, and where.
//! - [`Version`] and [`Constraint`]: relaxed semantic versions and sets of them.
//! - [`schema`]: what documents must look like, as tables that check and become JSON schemas.
//! - [`json`] and [`yaml`]: the one place where foreign text is parsed.
//!
//! Blobs, registries, keys and configuration are left to the crates below.

pub mod access;
pub mod constraint;
pub mod descriptor;
pub mod digest_spec;
pub mod element;
pub mod identity;
pub mod json;
pub mod label;
pub mod name;
pub mod normalisation;
pub mod reference;
pub mod repository;
pub mod schema;
pub mod signature;
pub mod type_name;
pub mod typed;
pub mod version;
pub mod yaml;

pub use self::access::Access;
pub use self::constraint::Constraint;
pub use self::descriptor::Descriptor;
pub use self::digest_spec::DigestSpec;
pub use self::element::{Element, ElementKind, Reference, Relation, Resource, Source, SourceRef};
pub use self::identity::Identity;
pub use self::label::{Label, Merge, Provider};
pub use self::name::{ComponentName, ElementName};
pub use self::normalisation::{NormalisationAlgorithm, NormalisedDescriptor};
pub use self::reference::ComponentRef;
pub use self::repository::RepositorySpec;
pub use self::signature::{NestedDigest, Signature, SignatureInfo, TimestampSpec};
pub use self::type_name::TypeName;
pub use self::typed::TypedSpec;
pub use self::version::{ComponentVersionId, Version};
