//! Content that has to be a file for a while.

use std::io::Write as _;

use futures::StreamExt as _;
use ocm_blob::{Blob, Error, OpenFile};

/// Reads content into a temporary file, which vanishes when nobody uses it any more.
pub(crate) async fn spool(blob: &impl Blob, name: &str, limit: u64) -> Result<OpenFile, Error> {
    let failed = |source| Error::file("write a temporary file for", name, source);
    let mut file = tempfile::tempfile().map_err(failed)?;
    let mut size = 0;
    let mut chunks = blob.open().await?;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(Error::TooLarge { limit });
        }
        file.write_all(&chunk).map_err(failed)?;
    }
    Ok(OpenFile::new(file, name))
}
