//! The blobs of an archive that is being written.

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use ocm_blob::BlobRef;
use ocm_digest::Digest;

use crate::content::Content;

/// Where blobs may be: first what is written now, then what was there.
#[derive(Debug, Default)]
pub(super) struct Shelves(RwLock<Vec<Arc<dyn Content>>>);

impl Shelves {
    pub(super) fn set(&self, contents: Vec<Arc<dyn Content>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = contents;
    }

    /// Leaves only what is written now, to which everything else has been copied.
    pub(super) fn forget_base(&self) {
        let mut contents = self.0.write().unwrap_or_else(PoisonError::into_inner);
        contents.truncate(1);
    }

    fn first<T>(
        &self,
        look: impl Fn(&dyn Content) -> Result<Option<T>, ocm_blob::Error>,
    ) -> Result<Option<T>, ocm_blob::Error> {
        let contents = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for content in contents.iter() {
            if let Some(found) = look(content.as_ref())? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Content for Shelves {
    fn size(&self, digest: &Digest) -> Result<Option<u64>, ocm_blob::Error> {
        self.first(|content| content.size(digest))
    }

    fn open(&self, digest: &Digest) -> Result<Option<BlobRef>, ocm_blob::Error> {
        self.first(|content| content.open(digest))
    }

    fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Bytes>, ocm_blob::Error> {
        self.first(|content| content.read(digest, limit))
    }
}
