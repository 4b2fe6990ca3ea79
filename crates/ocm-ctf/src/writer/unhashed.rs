//! Blobs whose digest is not known, where it stands before the content.

use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt as _;
use ocm_blob::{Blob, BlobRef, ByteStream, Counted, Error, Promise, verify};
use ocm_digest::Digest;
use ocm_oci::{Outcome, Pushed};

use super::packing::{EntryName, Hold, Packing};

/// Adds a blob that is read twice: for its digest, then for its content.
pub(super) async fn append_unhashed(
    packing: &impl Packing,
    blob: &BlobRef,
    size: u64,
    hold: &Hold,
) -> Result<Pushed, Error> {
    let mut counted = Counted::default();
    let mut stream = blob.open().await?;
    while let Some(chunk) = stream.next().await {
        counted.hash(&chunk?).await;
    }
    let (digest, actual) = counted.finish();
    if actual != size {
        return Err(Error::SizeMismatch {
            expected: size,
            actual,
        });
    }
    let mut outcome = Outcome::Existed;
    if packing.size(&digest)?.is_none() {
        let known: BlobRef = Arc::new(Known {
            inner: Arc::clone(blob),
            digest,
        });
        let name = EntryName::Blob(digest);
        outcome = packing.append(name, size, &known, hold).await?;
    }
    Ok(Pushed::new(digest, size, outcome))
}

/// A blob whose digest has been found out.
#[derive(Debug)]
struct Known {
    inner: BlobRef,
    digest: Digest,
}

#[async_trait]
impl Blob for Known {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let promise = Promise {
            size: self.inner.size(),
            digest: Some(self.digest),
        };
        Ok(verify(self.inner.open().await?, promise))
    }
}
