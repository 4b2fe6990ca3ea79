//! Component versions in OCI stores and component archives, and access to content elsewhere.
//!
//! Each technology is a module behind a feature of its name; all of them are on by default.

pub mod access;
#[cfg_attr(
    not(feature = "docker"),
    expect(dead_code, reason = "images of Docker need more of it than others")
)]
mod assembled;
#[cfg(any(feature = "docker", feature = "git"))]
mod body;
#[cfg(feature = "http")]
#[cfg_attr(
    not(any(feature = "maven", feature = "npm")),
    expect(dead_code, reason = "what packages are compared with")
)]
mod checksum;
mod component_archive;
#[cfg(feature = "docker")]
pub mod docker;
#[cfg(feature = "git")]
pub mod git;
#[cfg(feature = "github")]
pub mod github;
#[cfg(feature = "helm")]
pub mod helm;
#[cfg(feature = "http")]
#[cfg_attr(
    not(all(
        feature = "helm",
        feature = "maven",
        any(feature = "npm", feature = "wget")
    )),
    expect(dead_code, reason = "each technology needs some of it")
)]
mod http;
pub mod image;
#[cfg(feature = "maven")]
pub mod maven;
#[cfg(feature = "npm")]
pub mod npm;
pub mod oci;
pub mod ocm;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "wget")]
pub mod wget;

pub use component_archive::ComponentArchive;
#[cfg(feature = "http")]
pub use http::{HttpSource, WebConfig};
pub use oci::{
    OciComponentRepository, Registry, component_index, decode_descriptor, is_component_version,
    open_layout,
};
