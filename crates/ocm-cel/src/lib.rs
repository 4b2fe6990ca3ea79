//! Expressions in CEL over a resource of a component version.
//!
//! An [`Expression`] is compiled once and evaluated over a [`Subject`]: the variable `resource` is
//! the resource as its descriptor has it (version 2, as JSON). Beside the standard library there
//! are the extensions that the Go controllers offer: lists, sets, strings, math, encoders,
//! bindings, optional values; and `toOCI`, which takes an image reference, or an access that leads
//! to an artifact in a registry, apart.
//!
//! Expressions come from people who may write custom resources, and nothing else. So they have
//! limits: in length, in steps, in the size of what they make on the way, and in time. An
//! expression that exceeds one fails; see [`Error::Limit`].

mod convert;
mod environment;
mod error;
mod meter;
mod oci;
mod sets;

pub use environment::{Expression, Subject, evaluate_fields};
pub use error::Error;
pub use oci::OciReference;
