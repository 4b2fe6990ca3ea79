//! What operators share, whatever their custom resources are.
//!
//! A pass of a reconciler that deploys something goes through these in order:
//!
//! - [`manifest`]: from content to objects.
//! - [`mapping`]: which resource of the API server a kind is.
//! - [`applyset`]: the objects are applied, in stages ([`apply`]), and what is no longer among them
//!   goes.
//! - [`watches`]: who has applied an object is told when somebody else changes it.
//! - [`health`]: whether what was applied is ready.
//! - [`status`]: what came of it, written where it differs; [`events`] for what people should see.
//!
//! What may hang has its place in [`turns`]. A process has its turn by a [`lease`], says how it is over HTTP ([`serve`], [`metrics`]), and
//! ends when it is asked to ([`shutdown`]).
//!
//! Nothing here knows custom resources of ours, or that OCM exists.

pub mod api_error;
pub mod apply;
pub mod applyset;
pub mod events;
pub mod health;
pub mod lease;
pub mod manifest;
pub mod mapping;
pub mod metrics;
pub mod object_key;
mod resource_version;
pub mod serve;
pub mod shutdown;
pub mod status;
pub mod turns;
pub mod watches;

pub use api_error::ApiError;
pub use object_key::ObjectKey;
