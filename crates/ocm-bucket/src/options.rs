//! How a bucket is used.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use ocm_oci::RegistryOptions;

use crate::keys::{FixedKeys, KeySource};

/// Tells the time, for signatures.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// How a bucket is reached and used.
#[derive(Clone)]
pub struct BucketOptions {
    /// Who signs requests. Default: nobody.
    pub keys: Arc<dyn KeySource>,
    /// What the time is.
    pub clock: Clock,
    /// How the server is reached: trust, proxies, time-outs, attempts. Its host and scheme are those
    /// of the bucket.
    pub http: RegistryOptions,
    /// The size of the parts of large blobs, in bytes: what an upload holds in memory, twice at
    /// most. The last parts of very large blobs are larger. Default: 8 MiB; at least 5 MiB, which S3
    /// asks for.
    pub part_size: usize,
    /// How many small requests are under way at a time for one operation. Default: 16.
    pub parallel: usize,
}

impl BucketOptions {
    /// The smallest part that S3 takes, in bytes, unless it is the last.
    pub const MIN_PART: usize = 5 * 1024 * 1024;

    /// Returns the defaults, with a clock.
    pub fn new(clock: Clock) -> Self {
        Self {
            keys: Arc::new(FixedKeys(None)),
            clock,
            http: RegistryOptions::new(""),
            part_size: 8 * 1024 * 1024,
            parallel: 16,
        }
    }
}

impl fmt::Debug for BucketOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketOptions")
            .field("keys", &self.keys)
            .field("part_size", &self.part_size)
            .field("parallel", &self.parallel)
            .finish_non_exhaustive()
    }
}
