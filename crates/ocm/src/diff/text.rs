//! Short texts, compared line by line.

use ocm_blob::{BlobRef, Error, read_to_end};
use similar::TextDiff;

/// How large a text may be that is compared, in bytes.
const MAX_SIZE: u64 = 64 * 1024;

/// How many lines a text may have that is compared: the work may grow with their square.
const MAX_LINES: usize = 4096;

/// Compares two blobs, if both are texts that people can read.
///
/// # Errors
///
/// One of them cannot be read.
pub(super) async fn compare(from: &BlobRef, to: &BlobRef) -> Result<Option<String>, Error> {
    let Some(from) = text(from).await? else {
        return Ok(None);
    };
    let Some(to) = text(to).await? else {
        return Ok(None);
    };
    let diff = TextDiff::from_lines(&from, &to);
    Ok(Some(diff.unified_diff().context_radius(3).to_string()))
}

/// Reads a text; `None` if it is too large, or none.
async fn text(blob: &BlobRef) -> Result<Option<String>, Error> {
    // Where the size is not known, it may be large, and is not read to find out.
    if blob.size().is_none_or(|size| size > MAX_SIZE) {
        return Ok(None);
    }
    let bytes = read_to_end(blob.as_ref(), MAX_SIZE).await?;
    let text = String::from_utf8(bytes.into()).ok();
    let is_odd =
        |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    Ok(text.filter(|text| !text.contains(is_odd) && text.lines().count() <= MAX_LINES))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_blob::MemoryBlob;

    use super::*;

    async fn compared(from: Vec<u8>, to: Vec<u8>) -> Option<String> {
        let blob = |bytes| Arc::new(MemoryBlob::new(bytes)) as BlobRef;
        compare(&blob(from), &blob(to)).await.unwrap()
    }

    #[tokio::test]
    async fn only_short_texts_are_compared() {
        let old = || b"one\ntwo\n".to_vec();
        assert_eq!(
            compared(old(), b"one\n2\n".to_vec()).await.as_deref(),
            Some("@@ -1,2 +1,2 @@\n one\n-two\n+2\n")
        );
        for other in [
            b"\xff".to_vec(),
            b"a\0b".to_vec(),
            b"\x1b[2J".to_vec(),
            vec![b'a'; 64 * 1024 + 1],
            vec![b'\n'; MAX_LINES + 1],
        ] {
            assert_eq!(compared(old(), other).await, None);
        }
    }
}
