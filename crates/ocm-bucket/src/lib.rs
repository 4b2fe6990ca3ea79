//! An OCI store in an S3-compatible bucket.
//!
//! [`BucketStore`] keeps repositories in a bucket, or in the part of one below a prefix, such that
//! any number of processes use it at the same time without knowing of each other: registries behind
//! a load balancer, for instance. All that they share is in the bucket, uploads under way included.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use ocm_bucket::{BucketOptions, BucketStore, FixedKeys, Keys, Place};
//!
//! # async fn open() -> Result<(), ocm_oci::Error> {
//! let place: Place = "s3://acme/registry?endpoint=http://127.0.0.1:7070".parse()?;
//! let mut options = BucketOptions::new(Arc::new(jiff::Timestamp::now));
//! options.keys = Arc::new(FixedKeys(Some(Keys::new("key", "secret"))));
//! let store = BucketStore::open(&place, options).await?;
//! # drop(store);
//! # Ok(())
//! # }
//! ```
//!
//! What is asked of the server: that what has been written is read and listed at once, as S3 does
//! since 2020; parts of at least 5 MiB; and where tags are to be compared and swapped, conditional
//! writes. `layout` says what is where, `upload` how blobs come in, `collect` how they
//! go. Who may
//! do what is not known here, nor is HTTP as registries speak it.

mod blob;
mod client;
mod collect;
mod hash;
mod keys;
mod layout;
mod manifests;
mod options;
mod place;
mod store;
mod tags;
mod upload;
mod web_identity;
pub mod xml;

pub use keys::{FixedKeys, KeySource, Keys};
pub use options::{BucketOptions, Clock};
pub use place::{Place, Style};
pub use store::BucketStore;
pub use web_identity::{WebIdentity, WebIdentityOptions};
