//! Delivers component versions to Kubernetes: the custom resources of group
//! `delivery.ocm.software`, and what reconciles them.
//!
//! [`api`] has the five kinds. Manifests written for the Go controllers are accepted as they are;
//! what is accepted beyond that says so at its field.

pub mod api;
pub mod deployer;
