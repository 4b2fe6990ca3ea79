//! What the tests share: names, small artifacts, and the data of other implementations.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, CHUNK, MemoryBlob, once};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, Document, EMPTY_CONFIG, Error, ImageManifest, RawManifest, Reference,
    RepositoryName, Store, Tag, media_type,
};

pub(crate) fn conformance(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance")).join(path)
}

pub(crate) fn repository(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(crate) fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

pub(crate) fn memory(content: impl Into<Bytes>) -> BlobRef {
    Arc::new(MemoryBlob::new(content))
}

/// Bytes of any length that no compression makes small.
pub(crate) fn noise(len: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes.into()
}

/// A blob that says of itself only what it is told to say, and may break off.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) content: Bytes,
    pub(crate) digest: Option<Digest>,
    pub(crate) size: Option<u64>,
    pub(crate) breaks_after: Option<usize>,
}

impl Stream {
    /// Neither size nor digest is known.
    pub(crate) fn unknown(content: Bytes) -> Self {
        Self {
            content,
            digest: None,
            size: None,
            breaks_after: None,
        }
    }

    pub(crate) fn sized(content: Bytes) -> Self {
        Self {
            size: Some(content.len() as u64),
            ..Self::unknown(content)
        }
    }

    pub(crate) fn known(content: Bytes) -> Self {
        Self {
            digest: Some(Digest::sha256(&content)),
            ..Self::sized(content)
        }
    }

    pub(crate) fn breaking(self, after: usize) -> Self {
        Self {
            breaks_after: Some(after),
            ..self
        }
    }

    pub(crate) fn shared(self) -> BlobRef {
        Arc::new(self)
    }
}

#[async_trait]
impl Blob for Stream {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        use futures::StreamExt as _;
        let promise = ocm_blob::Promise {
            size: self.size,
            digest: self.digest,
        };
        let Some(after) = self.breaks_after else {
            return Ok(ocm_blob::verify(once(self.content.clone()), promise));
        };
        let broken = ocm_blob::Error::source("the network", std::io::Error::other("cut"));
        let start = once(self.content.slice(..after));
        Ok(start.chain(futures::stream::iter([Err(broken)])).boxed())
    }
}

/// Pushes an image with one layer and returns its manifest.
pub(crate) async fn push_image(
    store: &dyn Store,
    repository: &RepositoryName,
    version: &str,
    layer: BlobRef,
) -> Result<RawManifest, Error> {
    let manifest = image(store, repository, version, layer).await?;
    store
        .push_manifest(repository, &manifest, Some(&tag(version)))
        .await?;
    Ok(manifest)
}

/// Pushes what an image consists of and returns its manifest, which is not pushed.
pub(crate) async fn image(
    store: &dyn Store,
    repository: &RepositoryName,
    version: &str,
    layer: BlobRef,
) -> Result<RawManifest, Error> {
    store.push_blob(repository, &memory(EMPTY_CONFIG)).await?;
    let pushed = store.push_blob(repository, &layer).await?;
    let layer = Descriptor::new("application/octet-stream", pushed.digest, pushed.size);
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    let mut manifest = ImageManifest::new(config, vec![layer]);
    let annotations = &mut manifest.annotations;
    annotations.insert("version".to_owned(), version.to_owned());
    Ok(RawManifest::image(&manifest))
}

/// Reads everything that a store has, verified, and returns how many manifests and blobs.
pub(crate) async fn read_all(store: &dyn Store) -> Result<(usize, usize), Error> {
    let (mut manifests, mut blobs) = (0, 0);
    for repository in store.repositories().await? {
        let mut todo: Vec<Reference> = store
            .tags(&repository)
            .await?
            .into_iter()
            .map(Reference::Tag)
            .collect();
        while let Some(reference) = todo.pop() {
            let raw = store.manifest(&repository, &reference).await?;
            manifests += 1;
            match raw.parse()? {
                Document::Index(index) => {
                    let children = index.manifests.iter();
                    todo.extend(children.map(|child| Reference::Digest(child.digest)));
                }
                Document::Image(image) => {
                    for descriptor in image.layers.iter().chain([&image.config]) {
                        read(store, &repository, descriptor).await?;
                        blobs += 1;
                    }
                }
            }
        }
    }
    Ok((manifests, blobs))
}

/// Reads a blob, verified.
pub(crate) async fn read(
    store: &dyn Store,
    repository: &RepositoryName,
    descriptor: &Descriptor,
) -> Result<Bytes, Error> {
    let blob = store.blob(repository, descriptor);
    ocm_blob::read_to_end(blob.as_ref(), u64::MAX)
        .await
        .map_err(|source| Error::blob("read", "blob", source))
}

/// Reads a blob of which the content is known.
pub(crate) async fn read_back(store: &dyn Store, repository: &RepositoryName, content: &[u8]) {
    let descriptor = Descriptor::of("", content);
    let found = read(store, repository, &descriptor).await.unwrap();
    assert!(found == content, "{} bytes", content.len());
}

/// Lengths around which writers change what they do.
pub(crate) const LENGTHS: [usize; 7] = [0, 1, 511, 512, CHUNK, CHUNK + 1, CHUNK * 5 + 7];

/// The message of an error with those of its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
