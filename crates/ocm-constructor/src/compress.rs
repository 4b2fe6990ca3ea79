//! Compressing what an input gives.

use std::sync::Arc;

use ocm_blob::{BlobRef, GzipBlob};

/// Compresses a blob with gzip, if asked to. Its media type gets the suffix `+gzip`.
pub(crate) fn compressed(blob: BlobRef, compress: bool) -> BlobRef {
    if !compress {
        return blob;
    }
    let media_type = match blob.media_type() {
        Some(media_type) => format!("{media_type}+gzip"),
        None => "application/gzip".to_owned(),
    };
    Arc::new(GzipBlob::new(blob).with_media_type(media_type))
}

#[cfg(test)]
mod tests {
    use ocm_blob::MemoryBlob;

    use super::*;

    #[test]
    fn the_media_type_says_that_content_is_compressed() {
        let plain: BlobRef = Arc::new(MemoryBlob::new("x"));
        assert_eq!(compressed(Arc::clone(&plain), false).media_type(), None);
        assert_eq!(
            compressed(plain, true).media_type(),
            Some("application/gzip")
        );
        let typed: BlobRef = Arc::new(MemoryBlob::new("x").with_media_type("a/b"));
        assert_eq!(compressed(typed, true).media_type(), Some("a/b+gzip"));
    }
}
