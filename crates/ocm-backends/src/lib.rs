//! Component versions in OCI stores and component archives, and access to content elsewhere.

pub mod access;
mod assembled;
#[cfg(any(feature = "docker", feature = "git"))]
mod body;
mod component_archive;
#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "git")]
pub mod git;
pub mod helm;
mod http;
pub mod image;
pub mod oci;
pub mod ocm;
pub mod wget;

pub use component_archive::ComponentArchive;
pub use http::HttpSource;
pub use oci::{OciComponentRepository, Registry, component_index, decode_descriptor, open_layout};
