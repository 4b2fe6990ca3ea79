//! OCI artifacts: what they look like, where they are stored, how they are copied.
//!
//! - [`Descriptor`], [`RawManifest`], [`ImageManifest`], [`ImageIndex`]: the documents of the OCI
//!   image specification. A manifest from outside keeps its bytes, since its digest names them.
//! - [`RepositoryName`], [`Tag`], [`Reference`], [`ImageReference`]: names, checked once.
//! - [`Store`]: repositories with tags, manifests and blobs. A registry, an archive directory, a
//!   tar and memory are all stores; the small traits it is made of ([`Fetch`], [`Push`], [`List`],
//!   [`Referrers`], [`Delete`]) say what a caller needs.
//! - [`MemoryStore`]: a store in memory.
//! - [`RegistryClient`]: a registry as a store, over HTTP; [`lookup`] is how it asks for much at once.
//! - [`copy_graph`], [`check_graph`], [`survey`](survey()): artifacts with everything they point to.
//!
//! This crate has never heard of a component.

mod check;
mod client;
mod copy;
mod document;
mod error;
mod graph;
pub mod lookup;
mod memory;
mod name;
mod referrers;
mod selection;
mod store;
mod survey;
mod task;
mod turn;

pub use check::{CheckReport, check_blob, check_graph, graph_size};
pub use client::{
    Anonymous, Backoff, Challenge, ClientIdentity, CredentialSource, Failure, Redirects,
    RegistryClient, RegistryCredentials, RegistryIdentity, RegistryOptions, RetryPolicy, Scheme,
    Timeouts, connection_error, http_client, is_transient, next_page, retry_after, silence,
};
pub use copy::{
    CopyOptions, CopyProgress, CopyReport, Meter, Moved, copy_artifact, copy_graph, push_blob,
};
pub use document::{
    Descriptor, Document, EMPTY_CONFIG, ImageIndex, ImageManifest, Link, Outline, Platform,
    RawManifest, media_type,
};
pub use error::Error;
pub use memory::MemoryStore;
pub use name::{ImageReference, ParseNameError, Reference, RepositoryName, Tag};
pub use referrers::{Referrer, copy_referrers, lacks_referrers, list_referrers, tag_referrers};
pub use selection::{ParsePlatformError, PlatformFilter, Selection};
pub use store::{
    Arrange, BlobUpload, Collect, Collected, Delete, Direct, Fetch, Ingest, List, Outcome, Pace,
    Push, Pushed, Referrers, Store, StoreRef,
};
pub use survey::{Depth, Survey, look_at, survey};
pub use task::on_own_task;
pub use turn::{Turn, Turns};
