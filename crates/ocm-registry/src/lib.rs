//! An OCI registry over any store.
//!
//! [`Registry`] answers the OCI distribution API 1.1 for whatever is a [`Store`]: memory, an
//! archive directory, a tar. [`Registry::router`] is an axum router, so that a program can add
//! its own routes or layers; [`Server`] serves a router over TCP and shuts down gracefully.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use ocm_oci::MemoryStore;
//! use ocm_registry::{Registry, RegistryOptions, Server};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let registry = Registry::new(Arc::new(MemoryStore::new()), RegistryOptions::default());
//! let server = Server::bind("127.0.0.1:0").await?;
//! let address = server.address();
//! server.serve(registry.router(), std::future::pending()).await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })
//! # ?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Bytes stream in both directions: no blob is held in memory. An upload that was cut off keeps
//! what arrived, and the client goes on from there.
//!
//! Who may do what [`Authentication`] decides, what is stored the store behind it; nothing here
//! knows of components.
//!
//! [`Store`]: ocm_oci::Store

mod access;
mod access_log;
mod blobs;
mod failure;
mod guarded;
mod incoming;
mod listing;
mod manifests;
mod metrics;
mod options;
mod query;
mod quota;
pub mod range;
mod registry;
pub mod route;
mod server;
mod sessions;
mod streams;
mod tls;
mod upload_id;
mod uploads;
mod watched;

pub use access::{Authentication, AuthenticationOptions, Clock, Scheme};
pub use access_log::{AccessEntry, AccessLog};
pub use metrics::Metrics;
pub use options::{Delivery, RegistryOptions};
pub use quota::Quota;
pub use registry::{Policy, Registry};
pub use server::{BindError, Server, ServerOptions};
pub use tls::Tls;
pub use watched::FileError;
