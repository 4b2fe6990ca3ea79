//! What operators share, whatever their custom resources are.
//!
//! A pass of a reconciler that deploys something goes through these in order:
//!
//! - [`manifest`]: from content to objects.
//! - [`mapping`]: which resource of the API server a kind is.
//! - [`health`]: whether what was applied is ready.
//!
//! Nothing here knows custom resources of ours, or that OCM exists.

pub mod api_error;
pub mod health;
pub mod manifest;
pub mod mapping;

pub use api_error::ApiError;
