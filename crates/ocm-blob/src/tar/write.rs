//! Writing tar archives: the same entries give the same bytes.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use futures::{StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;

use super::header::{OCTAL_LIMIT, ustar};
use super::path::sanitise;
use super::{BLOCK, FORMAT};
use crate::blob::{Blob, BlobRef};
use crate::error::Error;
use crate::stream::{ByteStream, end_after_error, once};
use crate::verify::{Promise, verify};

/// The mark at the end of an archive.
pub const TAR_END: [u8; BLOCK * 2] = [0; BLOCK * 2];

/// Returns the header of a file. Owner and time are zero.
///
/// It is one block in USTAR format; a path or a size that does not fit there is given by PAX
/// blocks before it. The content is followed by [`tar_padding`].
///
/// # Errors
///
/// [`Error::Malformed`] if the path is empty, absolute, or leads out of the archive.
pub fn tar_header(path: &str, size: u64, mode: u32) -> Result<Vec<u8>, Error> {
    let clean = clean(path)?;
    Ok(header(&clean, b'0', size, mode))
}

/// Returns the header of a directory, which has no content.
///
/// # Errors
///
/// As [`tar_header`].
pub fn tar_directory(path: &str, mode: u32) -> Result<Vec<u8>, Error> {
    let clean = clean(path)?;
    Ok(header(&format!("{clean}/"), b'5', 0, mode))
}

/// Returns the number of zeros that follow content of this size.
pub fn tar_padding(size: u64) -> usize {
    usize::try_from(size.wrapping_neg() % BLOCK as u64).expect("less than a block")
}

fn clean(path: &str) -> Result<String, Error> {
    let clean = sanitise(path.into()).map_err(|reason| Error::malformed(FORMAT, reason))?;
    if clean.is_empty() {
        return Err(Error::malformed(FORMAT, "an entry has no name"));
    }
    Ok(clean)
}

fn header(path: &str, kind: u8, size: u64, mode: u32) -> Vec<u8> {
    if let Some(block) = ustar(path, kind, size, mode) {
        return block.to_vec();
    }
    let mut records = record("path", path);
    if size > OCTAL_LIMIT {
        records.push_str(&record("size", &size.to_string()));
    }
    // Who does not understand PAX sees a shortened name, and no size rather than a wrong one.
    let short: String = path
        .chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .take(99)
        .collect();
    let size = if size > OCTAL_LIMIT { 0 } else { size };
    let blocks = [
        ustar("PaxHeaders/entry", b'x', records.len() as u64, 0o644),
        ustar(&short, kind, size, mode),
    ];
    let [Some(extension), Some(main)] = blocks else {
        unreachable!("short names and small sizes fit")
    };
    let mut bytes = extension.to_vec();
    bytes.extend_from_slice(records.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes.extend_from_slice(&main);
    bytes
}

/// Writes a PAX record, whose length counts its own digits.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + rest.to_string().len();
    if len.to_string().len() > rest.to_string().len() {
        len += 1;
    }
    format!("{len} {key}={value}\n")
}

/// An archive of blobs, itself a blob: written when it is read, with a size known before.
///
/// Entries stand in the order in which they were added.
#[derive(Clone, Debug)]
pub struct TarBlob {
    parts: Vec<Part>,
    size: u64,
    digest: Option<Digest>,
    media_type: Option<String>,
}

#[derive(Clone, Debug)]
enum Part {
    Bytes(Bytes),
    Content(BlobRef, u64),
}

impl Default for TarBlob {
    fn default() -> Self {
        Self {
            parts: Vec::new(),
            size: TAR_END.len() as u64,
            digest: None,
            media_type: None,
        }
    }
}

impl TarBlob {
    /// Returns an empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives the archive a media type.
    #[must_use]
    pub fn with_media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = Some(media_type.into());
        self
    }

    /// Adds a directory.
    ///
    /// # Errors
    ///
    /// As [`tar_header`].
    pub fn add_directory(&mut self, path: &str, mode: u32) -> Result<(), Error> {
        self.add_bytes(tar_directory(path, mode)?.into());
        Ok(())
    }

    /// Adds a file with the content of a blob, which is opened when the archive is read.
    ///
    /// # Errors
    ///
    /// As [`tar_header`], or the size of the blob is not known.
    pub fn add_file(&mut self, path: &str, mode: u32, blob: BlobRef) -> Result<(), Error> {
        let Some(size) = blob.size() else {
            let reason = format!("the size of entry `{path}` is not known before it is read");
            return Err(Error::malformed(FORMAT, reason));
        };
        self.add_bytes(tar_header(path, size, mode)?.into());
        self.size += size;
        self.parts.push(Part::Content(blob, size));
        self.add_bytes(Bytes::from_static(&TAR_END[..tar_padding(size)]));
        Ok(())
    }

    fn add_bytes(&mut self, bytes: Bytes) {
        self.size += bytes.len() as u64;
        match self.parts.last_mut() {
            Some(Part::Bytes(last)) => *last = [&last[..], &bytes[..]].concat().into(),
            _ if bytes.is_empty() => {}
            _ => self.parts.push(Part::Bytes(bytes)),
        }
    }
}

#[async_trait]
impl Blob for TarBlob {
    fn size(&self) -> Option<u64> {
        Some(self.size)
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn media_type(&self) -> Option<&str> {
        self.media_type.as_deref()
    }

    async fn open(&self) -> Result<ByteStream, Error> {
        let mut parts = self.parts.clone();
        parts.push(Part::Bytes(Bytes::from_static(&TAR_END)));
        let opened = stream::iter(parts).then(|part| async move {
            match part {
                Part::Bytes(bytes) => Ok(once(bytes)),
                Part::Content(blob, size) => {
                    let promise = Promise {
                        size: Some(size),
                        digest: None,
                    };
                    Ok(verify(blob.open().await?, promise))
                }
            }
        });
        Ok(end_after_error(opened.try_flatten().boxed()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::sync::Arc;

    use super::*;
    use crate::memory::MemoryBlob;
    use crate::stream::read_to_end;

    fn blob(content: &'static [u8]) -> BlobRef {
        Arc::new(MemoryBlob::new(content))
    }

    #[tokio::test]
    async fn other_readers_find_what_was_written() {
        let long = format!("{}end", "long/".repeat(60));
        let mut archive = TarBlob::new();
        archive.add_directory("blobs", 0o755).unwrap();
        archive.add_file("blobs/a", 0o644, blob(b"hello")).unwrap();
        archive.add_file(&long, 0o600, blob(b"far")).unwrap();
        archive.add_file("ünï", 0o644, blob(b"")).unwrap();
        let bytes = read_to_end(&archive, u64::MAX).await.unwrap();
        assert_eq!(bytes.len() as u64, archive.size().unwrap());
        assert_eq!(bytes, read_to_end(&archive, u64::MAX).await.unwrap());

        let mut found = Vec::new();
        for entry in tar::Archive::new(&bytes[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let path = entry.path().unwrap().to_str().unwrap().to_owned();
            let header = entry.header();
            assert_eq!((header.mtime().unwrap(), header.uid().unwrap()), (0, 0));
            found.push((path, header.mode().unwrap(), text));
        }
        let expected = [
            ("blobs/", 0o755, ""),
            ("blobs/a", 0o644, "hello"),
            (&long, 0o600, "far"),
            ("ünï", 0o644, ""),
        ];
        let expected = expected.map(|(path, mode, text)| (path.to_owned(), mode, text.to_owned()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_path_that_fits_needs_one_block() {
        let prefix = "p".repeat(155);
        for path in ["a".repeat(100), format!("{prefix}/{}", "n".repeat(100))] {
            assert_eq!(tar_header(&path, 1, 0o644).unwrap().len(), BLOCK);
        }
        for path in ["a".repeat(101), format!("{prefix}x/{}", "n".repeat(100))] {
            assert_eq!(tar_header(&path, 1, 0o644).unwrap().len(), BLOCK * 3);
        }
        assert_eq!(tar_header("a", OCTAL_LIMIT, 0).unwrap().len(), BLOCK);
        assert_eq!(
            tar_header("a", OCTAL_LIMIT + 1, 0).unwrap().len(),
            BLOCK * 3
        );
    }

    #[test]
    fn records_count_their_own_length() {
        for len in [1, 85, 86, 87, 88, 89, 90, 985, 986, 987, 988, 989, 990] {
            let record = record("path", &"v".repeat(len));
            let said: usize = record.split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, record.len());
        }
    }

    #[test]
    fn paths_that_lead_out_are_not_written() {
        for path in ["", ".", "../a", "/a"] {
            assert!(tar_header(path, 0, 0).is_err(), "{path}");
        }
    }

    #[derive(Debug)]
    struct Short;

    #[async_trait]
    impl Blob for Short {
        fn size(&self) -> Option<u64> {
            Some(10)
        }

        fn digest(&self) -> Option<Digest> {
            None
        }

        async fn open(&self) -> Result<ByteStream, Error> {
            Ok(once(Bytes::from_static(b"short")))
        }
    }

    #[tokio::test]
    async fn a_blob_of_another_size_breaks_the_archive_off() {
        let mut archive = TarBlob::new();
        archive.add_file("a", 0o644, Arc::new(Short)).unwrap();
        archive.add_file("b", 0o644, blob(b"x")).unwrap();
        let mut stream = archive.open().await.unwrap();
        let mut last = None;
        while let Some(chunk) = stream.next().await {
            assert!(!matches!(last, Some(Err(_))), "nothing follows an error");
            last = Some(chunk);
        }
        assert!(last.unwrap().unwrap_err().is_mismatch());
    }
}
