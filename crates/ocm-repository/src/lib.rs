//! Where component versions live.
//!
//! - [`ComponentRepository`]: a place with component versions, whatever its technology.
//! - [`Content`]: what a resource or source consists of: a blob, or an OCI artifact that stands in
//!   a store and is copied as such.
//! - [`AccessMethod`]: how content is reached that lives outside of the component repository.
//!
//! OCI artifacts are part of these traits, since the model digests them as artifacts, however they
//! are packed (OCM specification, artifact digests). Which technology keeps a component version is
//! not known here.
//!
//! The feature `conformance` has the tests that every implementation must pass.

mod access;
#[cfg(feature = "conformance")]
pub mod conformance;
mod content;
mod error;
mod repository;

pub use access::{AccessMethod, AccessMethods};
pub use content::{Artifact, Content};
pub use error::Error;
pub use repository::{
    AddedContent, ComponentRepository, CopyOptions, Expected, RepositoryRef, StoredVersion,
};
