//! Component versions in OCI stores, and access to content elsewhere.

pub mod access;
pub mod oci;

pub use oci::{OciComponentRepository, Registry, decode_descriptor, open_layout};
