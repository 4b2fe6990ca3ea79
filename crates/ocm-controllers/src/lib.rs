//! Delivers component versions to Kubernetes: the custom resources of group
//! `delivery.ocm.software`, and what reconciles them.
//!
//! - [`api`] has the five kinds. Manifests written for the Go controllers are accepted as they are;
//!   what is accepted beyond that says so at its field.
//! - [`config`]: the configuration and credentials of objects, and who may use which.
//! - [`versions`] and [`keys`]: which version of a component is taken, and what verifies it.
//! - [`resolution`]: the one service that asks repositories.
//! - [`operator`]: what is watched, and who works on it. The reconcilers themselves are a module
//!   for each kind.
//! - [`install`]: what has to be in a cluster for them, with the permissions that they need.
//! - [`deployer`]: what objects that are applied say of where they come from.

pub mod api;
mod component;
pub mod config;
pub mod deployer;
pub mod install;
pub mod keys;
mod object;
pub mod operator;
mod reconcile;
mod relations;
mod replication;
mod repository;
pub mod resolution;
mod resource;
pub mod versions;
mod watch;
