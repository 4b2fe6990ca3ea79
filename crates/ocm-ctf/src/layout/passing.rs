//! Checking a layout while it passes by, without keeping it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use ocm_blob::{ByteStream, Error, StreamReader, TarKind, TarScan, gunzip, is_gzip};
use ocm_digest::{Digest, Digester};
use ocm_oci::{Document, ImageIndex, RawManifest};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::INDEX_FILES;
use super::main_artifact::MAIN;
use crate::content::digest_of_path;
use crate::sink::Panicked;

/// How many links there may be between the manifests of a layout and their content. Each is
/// remembered until the end; real layouts have some thousands.
const MAX_LINKS: usize = 100_000;

/// How many chunks wait for the one who checks them.
const WAITING: usize = 4;

/// Passes a layout on, a tar or a compressed one, and checks it at the same time: that it is about
/// the artifact `root`, that the artifact is in it whole, and that every blob in it is what its
/// name says. The stream ends in an error instead of its last chunk if one of that is not so.
///
/// What is kept in memory are digests, and one manifest.
///
/// # Panics
///
/// Outside of a tokio runtime.
pub fn check_passing(stream: ByteStream, root: Digest) -> ByteStream {
    let state = Passing {
        inner: stream,
        root,
        checker: None,
        held: None,
        ended: false,
    };
    stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(Some(chunk)) => Some((Ok(chunk), Some(state))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .fuse()
    .boxed()
}

struct Passing {
    inner: ByteStream,
    root: Digest,
    checker: Option<Checker>,
    /// The chunk that is handed on when the next has been read, or everything is right.
    held: Option<Bytes>,
    ended: bool,
}

impl Passing {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        while let Some(chunk) = self.inner.next().await.transpose()? {
            let root = self.root;
            let checker = self
                .checker
                .get_or_insert_with(|| Checker::start(&chunk, root));
            checker.feed(chunk.clone()).await?;
            if let Some(ready) = self.held.replace(chunk) {
                return Ok(Some(ready));
            }
        }
        self.ended = true;
        match self.checker.take() {
            Some(checker) => checker.finish().await?,
            None => return Err(malformed("it is empty".to_owned())),
        }
        Ok(self.held.take())
    }
}

/// Somebody on a thread of its own who reads what passes.
enum Checker {
    Reading {
        chunks: mpsc::Sender<Bytes>,
        verdict: JoinHandle<Result<(), Error>>,
    },
    /// What comes behind the end of an archive is of no interest.
    Satisfied,
}

impl Checker {
    fn start(first: &Bytes, root: Digest) -> Self {
        let (chunks, waiting) = mpsc::channel(WAITING);
        let copy = stream::unfold(waiting, |mut waiting| async {
            let chunk = waiting.recv().await?;
            Some((Ok(chunk), waiting))
        });
        let tar = if is_gzip(first) {
            gunzip(copy.boxed(), u64::MAX)
        } else {
            copy.boxed()
        };
        let reader = StreamReader::new(tar);
        let verdict = tokio::task::spawn_blocking(move || check(reader, root));
        Self::Reading { chunks, verdict }
    }

    async fn feed(&mut self, chunk: Bytes) -> Result<(), Error> {
        if let Self::Reading { chunks, .. } = self
            && chunks.send(chunk).await.is_err()
        {
            std::mem::replace(self, Self::Satisfied).finish().await?;
        }
        Ok(())
    }

    async fn finish(self) -> Result<(), Error> {
        let Self::Reading { chunks, verdict } = self else {
            return Ok(());
        };
        drop(chunks);
        verdict
            .await
            .unwrap_or_else(|error| Err(Panicked::from(error).into()))
    }
}

/// Reads a layout from its start to its end.
fn check(tar: impl Read, root: Digest) -> Result<(), Error> {
    let mut found = Found::default();
    let mut scan = TarScan::stream(tar);
    while let Some(entry) = scan.next_entry()? {
        if entry.kind != TarKind::File {
            continue;
        }
        if let Some(digest) = digest_of_path(&entry.path) {
            let keeps = entry.size <= RawManifest::LIMIT;
            let bytes = read_blob(&mut scan.content(), digest, keeps)?;
            found.add(digest, bytes)?;
        } else if let Some(rank) = INDEX_FILES.iter().position(|file| *file == entry.path) {
            if entry.size > RawManifest::LIMIT {
                let limit = RawManifest::LIMIT;
                return Err(Error::TooLarge { limit });
            }
            let mut bytes = Vec::new();
            scan.content()
                .read_to_end(&mut bytes)
                .map_err(|source| unreadable(&source))?;
            let index: ImageIndex = serde_json::from_slice(&bytes)
                .map_err(|error| malformed(format!("{}: {error}", entry.path)))?;
            if found.index.as_ref().is_none_or(|(known, _)| rank < *known) {
                found.index = Some((rank, index));
            }
        }
    }
    found.check(root)
}

/// Reads a blob to its end, and returns it if it is kept and may be a manifest.
fn read_blob(
    content: &mut impl Read,
    expected: Digest,
    keeps: bool,
) -> Result<Option<Vec<u8>>, Error> {
    let mut hasher = Digester::new(expected.algorithm());
    let mut kept = Vec::new();
    let mut may_be_manifest = keeps;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = content
            .read(&mut buffer)
            .map_err(|source| unreadable(&source))?;
        let part = &buffer[..count];
        if part.is_empty() {
            break;
        }
        hasher.update(part);
        if kept.is_empty() && !part.trim_ascii_start().starts_with(b"{") {
            may_be_manifest = false;
        }
        if may_be_manifest {
            kept.extend_from_slice(part);
        }
    }
    let actual = hasher.finish();
    if actual != expected {
        return Err(Error::DigestMismatch { expected, actual });
    }
    Ok(Some(kept).filter(|_| may_be_manifest))
}

/// What is in a layout.
#[derive(Default)]
struct Found {
    /// The index, and how usual its name is.
    index: Option<(usize, ImageIndex)>,
    blobs: BTreeSet<Digest>,
    /// What manifests point to, and whether those are manifests.
    manifests: BTreeMap<Digest, Vec<(Digest, bool)>>,
    links: usize,
}

impl Found {
    fn add(&mut self, digest: Digest, bytes: Option<Vec<u8>>) -> Result<(), Error> {
        self.blobs.insert(digest);
        let document = bytes.and_then(|bytes| RawManifest::new(bytes, "").parse().ok());
        let Some(document) = document else {
            return Ok(());
        };
        let holds_manifests = matches!(document, Document::Index(_));
        // Layers that are kept elsewhere need not be here.
        let links: Vec<(Digest, bool)> = document
            .children()
            .into_iter()
            .filter(|child| child.urls.is_empty())
            .map(|child| (child.digest, holds_manifests && child.is_manifest()))
            .collect();
        self.links += links.len();
        if self.links > MAX_LINKS {
            return Err(malformed(format!(
                "more than {MAX_LINKS} links in manifests"
            )));
        }
        self.manifests.insert(digest, links);
        Ok(())
    }

    /// Checks that this is about an artifact, which is here whole.
    fn check(&self, root: Digest) -> Result<(), Error> {
        let Some((_, index)) = &self.index else {
            return Err(malformed("no index.json".to_owned()));
        };
        let main = match index.annotations.get(MAIN) {
            Some(text) => text
                .parse()
                .map_err(|_| malformed(format!("its main artifact `{text}` is no digest")))?,
            None => root,
        };
        let entries: Vec<Digest> = index.manifests.iter().map(|entry| entry.digest).collect();
        let actual = if entries.contains(&main) {
            Some(main)
        } else {
            entries.first().copied()
        };
        let actual = actual.ok_or_else(|| malformed("its index is empty".to_owned()))?;
        if actual != root {
            return Err(Error::DigestMismatch {
                expected: root,
                actual,
            });
        }
        let mut open = vec![(root, true)];
        let mut seen = BTreeSet::new();
        while let Some((digest, is_manifest)) = open.pop() {
            if !seen.insert((digest, is_manifest)) {
                continue;
            }
            let here = match self.manifests.get(&digest).filter(|_| is_manifest) {
                Some(links) => {
                    open.extend(links);
                    true
                }
                None => !is_manifest && self.blobs.contains(&digest),
            };
            if !here {
                let kind = if is_manifest { "manifest" } else { "blob" };
                let what = format!("{kind} {digest}");
                return Err(Error::source(
                    format!("artifact {root} in an OCI layout"),
                    ocm_oci::Error::not_found(what),
                ));
            }
        }
        Ok(())
    }
}

fn malformed(reason: String) -> Error {
    Error::malformed("OCI layout", reason)
}

/// Takes the error of the stream out of that of its reader.
fn unreadable(error: &std::io::Error) -> Error {
    match StreamReader::cause(error) {
        Some(cause) => cause.clone(),
        None => malformed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ocm_blob::{Blob as _, MemoryBlob, TarBlob, collect, gzip};
    use ocm_oci::{Descriptor, ImageManifest};

    use super::*;

    /// Files by path.
    type Files = Vec<(String, Vec<u8>)>;

    fn blob_path(digest: &Digest) -> String {
        format!("blobs/sha256.{}", digest.to_hex())
    }

    /// An artifact set of an image with one layer, as the first Go tool packs it.
    fn set() -> (Digest, Files) {
        let (config, layer) = (b"{}".to_vec(), vec![7; 300_000]);
        let descriptor = |bytes: &[u8]| Descriptor::of("application/octet-stream", bytes);
        let manifest = ImageManifest::new(descriptor(&config), vec![descriptor(&layer)]);
        let manifest = RawManifest::image(&manifest);
        let root = manifest.digest();
        let mut index = ImageIndex::new(vec![manifest.descriptor()]);
        index.annotations.insert(MAIN.to_owned(), root.to_string());
        let index = RawManifest::index(&index);
        let mut files = vec![(
            "artifact-descriptor.json".to_owned(),
            index.bytes().to_vec(),
        )];
        for bytes in [config, layer, manifest.bytes().to_vec()] {
            files.push((blob_path(&Digest::sha256(&bytes)), bytes));
        }
        (root, files)
    }

    async fn tar(files: &Files) -> Bytes {
        let mut tar = TarBlob::new();
        for (path, bytes) in files {
            tar.add_file(path, 0o644, Arc::new(MemoryBlob::new(bytes.clone())))
                .unwrap();
        }
        collect(tar.open().await.unwrap(), u64::MAX).await.unwrap()
    }

    /// Returns what came out, and the error at its end.
    async fn pass(stream: ByteStream, root: Digest) -> (Vec<u8>, Option<Error>) {
        let mut passed = Vec::new();
        let mut checked = check_passing(stream, root);
        while let Some(chunk) = checked.next().await {
            match chunk {
                Ok(chunk) => passed.extend_from_slice(&chunk),
                Err(error) => return (passed, Some(error)),
            }
        }
        assert!(checked.next().await.is_none());
        (passed, None)
    }

    async fn fault(files: &Files, root: Digest) -> Error {
        let bytes = tar(files).await;
        let (passed, error) = pass(ocm_blob::once(bytes.clone()), root).await;
        assert!(passed.len() < bytes.len(), "the last chunk was handed out");
        error.unwrap()
    }

    #[tokio::test]
    async fn a_whole_layout_passes_as_it_is() {
        let (root, files) = set();
        let bytes = tar(&files).await;
        let (passed, error) = pass(ocm_blob::once(bytes.clone()), root).await;
        assert!(error.is_none() && passed == bytes, "{error:?}");
        let packed = collect(gzip(ocm_blob::once(bytes)), u64::MAX)
            .await
            .unwrap();
        let (passed, error) = pass(ocm_blob::once(packed.clone()), root).await;
        assert!(error.is_none() && passed == packed, "{error:?}");
    }

    #[tokio::test]
    async fn a_blob_that_is_not_what_its_name_says_is_found() {
        let (root, files) = set();
        for index in 1..files.len() {
            let mut files = files.clone();
            files[index].1[0] ^= 1;
            assert!(fault(&files, root).await.is_mismatch(), "{index}");
        }
    }

    #[tokio::test]
    async fn a_missing_blob_is_found() {
        let (root, files) = set();
        for index in 1..files.len() {
            let mut files = files.clone();
            let (path, _) = files.remove(index);
            let error = fault(&files, root).await;
            let cause = std::error::Error::source(&error).unwrap().to_string();
            let hex = path.rsplit('.').next().unwrap();
            assert!(cause.contains(hex), "{cause}");
        }
    }

    #[tokio::test]
    async fn a_layout_of_another_artifact_is_found() {
        let (root, files) = set();
        let other = Digest::sha256("other");
        let error = fault(&files, other).await;
        assert_eq!(
            error.to_string(),
            format!("content has digest {root}, expected {other}")
        );
    }

    #[tokio::test]
    async fn what_is_no_layout_is_found() {
        let (root, files) = set();
        assert!(
            fault(&files[1..].to_vec(), root)
                .await
                .to_string()
                .contains("no index.json")
        );
        for bytes in [&b"no tar at all"[..], b"", b"\x1f\x8b\x08"] {
            let stream = ocm_blob::once(Bytes::from_static(bytes));
            assert!(pass(stream, root).await.1.is_some());
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_says_why() {
        let (root, files) = set();
        let bytes = tar(&files).await;
        let broken = stream::iter([Ok(bytes.slice(..1000)), Err(Error::TooLarge { limit: 7 })]);
        let (_, error) = pass(broken.boxed(), root).await;
        assert!(
            matches!(error, Some(Error::TooLarge { limit: 7 })),
            "{error:?}"
        );
    }
}
