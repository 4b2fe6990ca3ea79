//! What a writer that was killed or suspended has left is of use to the next one.
//!
//! A writer is killed by copying its files as they are at some point into another directory.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use futures::StreamExt as _;
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, CHUNK, Promise, once, verify};
use ocm_ctf::CtfArchiveWriter;
use ocm_digest::Digest;
use ocm_oci::{
    Arrange as _, Descriptor, ImageManifest, Outcome, Pace, Push as _, RawManifest, media_type,
};

use super::{NAME, Place};
use crate::support::{memory, noise, repository, tag};

/// A blob that counts what is read of it, and may break off.
#[derive(Debug)]
struct Source {
    content: Bytes,
    breaks_at: usize,
    read: Arc<AtomicU64>,
}

impl Source {
    fn from(&self, offset: usize, promise: Promise) -> ByteStream {
        let read = Arc::clone(&self.read);
        let end = self.breaks_at.clamp(offset, self.content.len());
        let stream = once(self.content.slice(offset..end)).inspect(move |chunk| {
            let len = chunk.as_ref().map_or(0, Bytes::len);
            read.fetch_add(len as u64, Ordering::Relaxed);
        });
        if end == self.content.len() {
            return verify(stream.boxed(), promise);
        }
        let broken = ocm_blob::Error::source("the network", std::io::Error::other("cut"));
        stream.chain(futures::stream::iter([Err(broken)])).boxed()
    }
}

#[async_trait]
impl Blob for Source {
    fn size(&self) -> Option<u64> {
        Some(self.content.len() as u64)
    }

    fn digest(&self) -> Option<Digest> {
        Some(Digest::sha256(&self.content))
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            size: self.size(),
            digest: self.digest(),
        };
        Ok(self.from(0, promise))
    }

    async fn open_at(&self, offset: u64) -> Result<ByteStream, ocm_blob::Error> {
        Ok(self.from(usize::try_from(offset).unwrap(), Promise::default()))
    }
}

pub(super) fn contents() -> Vec<Bytes> {
    let sizes = [CHUNK * 4 + 3, 100, 34 << 20, CHUNK * 5, 2000];
    let sizes = sizes.into_iter().enumerate();
    sizes
        .map(|(seed, size)| noise(size, 50 + seed as u64))
        .collect()
}

/// Pushes all contents, each of which breaks off where `breaks` says, and returns how many bytes
/// of each were read.
pub(super) async fn push_all(store: &CtfArchiveWriter, breaks: &[usize]) -> Vec<u64> {
    let name = repository(NAME);
    let contents = contents();
    let entries: Vec<_> = contents
        .iter()
        .map(|content| Descriptor::of("", content))
        .collect();
    let pace = store.arrange(&entries).await.unwrap();
    let mut counts = Vec::new();
    for (number, content) in contents.into_iter().enumerate() {
        let read = Arc::new(AtomicU64::new(0));
        let breaks_at = breaks.get(number).copied().unwrap_or(usize::MAX);
        let is_whole = breaks_at >= content.len();
        let source: BlobRef = Arc::new(Source {
            content,
            breaks_at,
            read: Arc::clone(&read),
        });
        let pushed = store.push_blob(&name, &source).await;
        assert_eq!(pushed.is_ok(), is_whole);
        let read = read.load(Ordering::Relaxed);
        if let Ok(pushed) = pushed {
            assert_eq!(pushed.outcome == Outcome::Existed, read == 0);
        }
        counts.push(read);
        if !is_whole && pace == Pace::OneByOne {
            break;
        }
    }
    counts
}

/// Lists all contents, and commits.
pub(super) async fn finish(store: &CtfArchiveWriter) {
    let name = repository(NAME);
    store.push_blob(&name, &memory("{}")).await.unwrap();
    let layers = contents();
    let layers = layers
        .iter()
        .map(|content| Descriptor::of("text/plain", content));
    let image = ImageManifest::new(Descriptor::of(media_type::EMPTY, b"{}"), layers.collect());
    let manifest = RawManifest::image(&image);
    let tag = tag("1.0");
    store
        .push_manifest(&name, &manifest, Some(&tag))
        .await
        .unwrap();
    store.commit().await.unwrap();
}

async fn undisturbed(file: &str) -> Vec<u8> {
    let place = Place::new(file);
    let store = place.writer().await;
    push_all(&store, &[]).await;
    finish(&store).await;
    place.bytes()
}

/// Copies what a writer has on disk.
pub(super) fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Where the contents break off, in chunks.
pub(super) const BREAKS: [[usize; 5]; 5] = [
    [0, 9, 9, 9, 9],
    [2, 9, 200, 9, 9],
    [9, 9, 1, 9, 9],
    [9, 9, 999, 3, 9],
    [9, 9, 999, 9, 0],
];

pub(super) fn in_bytes(breaks: [usize; 5]) -> [usize; 5] {
    breaks.map(|chunks| chunks * CHUNK)
}

#[tokio::test]
async fn the_next_writer_goes_on_where_a_killed_one_was() {
    for file in ["shop.tar", "shop.tgz"] {
        let whole = undisturbed(file).await;
        for breaks in BREAKS {
            let (killed, next) = (Place::new(file), Place::new(file));
            let store = killed.writer().await;
            let before = push_all(&store, &in_bytes(breaks)).await;
            copy_files(killed.directory.path(), next.directory.path());
            drop(store);

            let store = next.writer().await;
            let after = push_all(&store, &[]).await;
            finish(&store).await;
            assert!(next.bytes() == whole, "{file} {breaks:?}");
            drop(store);
            next.check_nothing_else_is_there();
            let contents = contents();
            for (number, read) in before.into_iter().enumerate() {
                let size = contents[number].len() as u64;
                let expected = match read == size {
                    true => 0,
                    false if next.is_compressed() => size,
                    false => size - read,
                };
                // Zeros at the end of what was written cannot be told from nothing.
                let again = after[number].abs_diff(expected);
                assert!(again <= 8, "{file} {breaks:?} {number}: {again}");
            }
        }
    }
}

#[tokio::test]
async fn nothing_that_is_there_is_believed() {
    for file in ["shop.tar", "shop.tgz"] {
        let whole = undisturbed(file).await;
        let killed = Place::new(file);
        let store = killed.writer().await;
        push_all(&store, &in_bytes([9, 9, 100, 9, 9])).await;
        let partial = format!(".{file}.partial");
        let size = fs::metadata(killed.directory.path().join(&partial))
            .unwrap()
            .len();
        // As after a power loss: blocks that never reached the disk, headers among them.
        for lost in 0..9 {
            let next = Place::new(file);
            copy_files(killed.directory.path(), next.directory.path());
            let at = usize::try_from(size * lost / 9).unwrap();
            let path = next.directory.path().join(&partial);
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.len().min(at + 5000);
            match lost % 3 {
                0 => bytes[at..end].fill(0),
                1 => bytes[at..end].fill(0xa5),
                _ => bytes.truncate(at),
            }
            fs::write(&path, bytes).unwrap();
            let loose = next.directory.path().join(format!(".{file}.loose"));
            let mut bytes = fs::read(&loose).unwrap();
            let at = usize::try_from(lost * 100).unwrap().min(bytes.len() - 1);
            bytes[at] ^= 1;
            fs::write(&loose, bytes).unwrap();

            let store = next.writer().await;
            push_all(&store, &[]).await;
            finish(&store).await;
            assert!(next.bytes() == whole, "{file} {lost}");
        }
    }
}

#[tokio::test]
async fn another_archive_than_the_killed_one_has_nothing_of_it() {
    for file in ["shop.tar", "shop.tgz"] {
        let (killed, next, fresh) = (Place::new(file), Place::new(file), Place::new(file));
        let store = killed.writer().await;
        push_all(&store, &in_bytes([9, 9, 50, 9, 9])).await;
        copy_files(killed.directory.path(), next.directory.path());
        for place in [&next, &fresh] {
            let store = place.writer().await;
            let other = crate::support::Stream::known(noise(35 << 20, 7)).shared();
            super::push(&store, "2.0", other).await;
            store.commit().await.unwrap();
        }
        assert!(next.bytes() == fresh.bytes(), "{file}");
        next.check_nothing_else_is_there();
    }
}

#[tokio::test]
async fn a_writer_that_writes_nothing_leaves_what_a_killed_one_has_left() {
    for file in ["shop.tar", "shop.tgz"] {
        let (killed, next) = (Place::new(file), Place::new(file));
        let store = killed.writer().await;
        push_all(&store, &[]).await;
        copy_files(killed.directory.path(), next.directory.path());
        drop(next.writer().await);
        let store = next.writer().await;
        let read = push_all(&store, &[]).await;
        assert_eq!(read.iter().sum::<u64>(), 0);
    }
}

#[tokio::test]
async fn a_suspended_archive_is_continued_to_the_same_bytes() {
    for file in ["shop.tar", "shop.tgz"] {
        let whole = undisturbed(file).await;
        for breaks in BREAKS {
            let place = Place::new(file);
            let store = place.writer().await;
            let before = push_all(&store, &in_bytes(breaks)).await;
            super::push_small(&store, "0.9").await;
            store.suspend().await.unwrap();
            drop(store);
            place.check_nothing_else_is_there();
            place.check_holds(1, 2).await;

            let store = place.writer().await;
            let name = repository(NAME);
            let reference = crate::support::by_tag("0.9");
            let manifest = ocm_oci::Fetch::resolve(&store, &name, &reference)
                .await
                .unwrap();
            let after = push_all(&store, &[]).await;
            ocm_oci::Delete::delete_manifest(&store, &name, &reference)
                .await
                .unwrap();
            let by_digest = ocm_oci::Reference::Digest(manifest.digest);
            ocm_oci::Delete::delete_manifest(&store, &name, &by_digest)
                .await
                .unwrap();
            let layer = Digest::sha256("0.9");
            ocm_oci::Delete::delete_blob(&store, &name, &layer)
                .await
                .unwrap();
            finish(&store).await;
            assert!(place.bytes() == whole, "{file} {breaks:?}");
            let moved: u64 = before.iter().chain(&after).sum();
            let all: u64 = contents().iter().map(|content| content.len() as u64).sum();
            assert!(
                place.is_compressed() || moved <= all + 40,
                "{file} {breaks:?}: {moved} {all}"
            );
        }
    }
}
