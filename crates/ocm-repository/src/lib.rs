//! Where component versions live.
//!
//! - [`ComponentRepository`]: a place with component versions, whatever its technology.
//! - [`Content`]: what a resource or source consists of: a blob, or an OCI artifact that stands in
//!   a store and is copied as such.
//! - [`AccessMethod`]: how content is reached that lives outside of the component repository.
//! - [`record_ownership`]: who has an artifact finds the component version that it is part of.
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
mod ownership;
mod removal;
mod repository;

pub use access::{AccessMethod, AccessMethods};
pub use content::{Artifact, Content, platforms_of, selection_of};
pub use error::Error;
pub use ownership::{OWNER_NAME, OWNER_VERSION, OWNERSHIP, ownership, record_ownership};
pub use removal::Removal;
pub use repository::{
    AddedContent, ComponentRepository, CopyOptions, Expected, ForeseenBlob, LocalAccess,
    RepositoryRef, StoredVersion,
};
