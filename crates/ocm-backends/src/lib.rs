//! Component versions in OCI stores, and access to content elsewhere.

pub mod access;
pub mod helm;
mod http;
pub mod oci;
pub mod wget;

pub use http::HttpSource;
pub use oci::{OciComponentRepository, Registry, decode_descriptor, open_layout};
