//! What an operator can set.

use std::time::Duration;

use ocm_oci::RawManifest;

/// How clients get the bytes of a blob.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Delivery {
    /// From the registry.
    #[default]
    Pass,
    /// From where the store has them, if the store can send clients there, which they then have to
    /// reach.
    Redirect,
}

/// How a [`Registry`](crate::Registry) behaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RegistryOptions {
    /// Refuse everything that writes. Default: no.
    pub read_only: bool,
    /// Check the digest of a blob while it is sent, and break off before its last chunk if the
    /// store has other bytes. Default: no, since clients check what they get, and hashing is
    /// slower than sending. Parts of a blob are never checked.
    pub verify_reads: bool,
    /// How clients get the bytes of a blob.
    pub delivery: Delivery,
    /// The size beyond which a manifest is refused, in bytes. Default: [`RawManifest::LIMIT`].
    pub max_manifest: u64,
    /// The size beyond which a blob is refused, in bytes. Default: none.
    pub max_blob: Option<u64>,
    /// Answer `/metrics`. Default: no.
    pub metrics: bool,
    /// How many uploads may be open at a time. Default: 1024.
    pub max_uploads: usize,
    /// How long an upload stays open without a request. Default: one hour.
    pub upload_idle: Duration,
    /// How long to wait for the next 1024 bytes of a request, or its end, before it counts as cut
    /// off. Default: one minute.
    pub body_idle: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            verify_reads: false,
            delivery: Delivery::Pass,
            max_manifest: RawManifest::LIMIT,
            max_blob: None,
            metrics: false,
            max_uploads: 1024,
            upload_idle: Duration::from_hours(1),
            body_idle: Duration::from_mins(1),
        }
    }
}
