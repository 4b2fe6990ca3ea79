//! What the tests share: buckets, and small artifacts.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use ocm_blob::{BlobRef, Bytes, MemoryBlob};
use ocm_bucket::{BucketOptions, BucketStore, FixedKeys, Keys, Place};
use ocm_oci::{
    Descriptor, EMPTY_CONFIG, Error, ImageManifest, RawManifest, Reference, RepositoryName,
    RetryPolicy, Store, Tag, media_type,
};
use ocm_testkit::web::{Bucket, Web};

const KEY: (&str, &str) = ("test-key", "test-secret");

/// The variable with the address of a bucket at a real server; its keys are in the usual ones.
pub(crate) const REAL: &str = "OCM_TEST_S3";

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// A bucket of its own for a test.
pub(crate) struct Fixture {
    pub(crate) place: Place,
    keys: Keys,
    /// The server, unless it is a real one.
    pub(crate) fake: Option<Fake>,
}

/// A server that can be disturbed.
pub(crate) struct Fake {
    pub(crate) bucket: Bucket,
    pub(crate) web: Web,
}

impl Fixture {
    /// Takes the real server if one is named, else one of the test.
    pub(crate) fn new() -> Self {
        match variable(REAL) {
            None => Self::fake(),
            Some(text) => {
                let mut place: Place = text.parse().unwrap();
                let mut random = [0; 8];
                getrandom::fill(&mut random).unwrap();
                place.prefix = format!("{}{}", place.prefix, hex::encode(random));
                let id = variable("AWS_ACCESS_KEY_ID").unwrap();
                let keys = Keys::new(id, variable("AWS_SECRET_ACCESS_KEY").unwrap());
                Self {
                    place,
                    keys,
                    fake: None,
                }
            }
        }
    }

    /// Takes a server of the test.
    pub(crate) fn fake() -> Self {
        Self::over(Bucket::new("acme", KEY.0, KEY.1))
    }

    pub(crate) fn without_conditions() -> Self {
        Self::over(Bucket::new("acme", KEY.0, KEY.1).without_conditions())
    }

    fn over(bucket: Bucket) -> Self {
        let web = Web::start(bucket.clone().answer());
        let text = format!(
            "s3://acme/some/prefix?endpoint=http://{}&region={}",
            web.host(),
            Bucket::REGION
        );
        Self {
            place: text.parse().unwrap(),
            keys: Keys::new(KEY.0, KEY.1),
            fake: Some(Fake { bucket, web }),
        }
    }

    pub(crate) fn fake_server(&self) -> &Fake {
        self.fake.as_ref().unwrap()
    }

    /// Opens the store as another process does.
    pub(crate) async fn open(&self) -> BucketStore {
        self.open_with(|_| ()).await
    }

    pub(crate) async fn open_with(&self, change: impl FnOnce(&mut BucketOptions)) -> BucketStore {
        let mut options = self.options();
        change(&mut options);
        BucketStore::open(&self.place, options).await.unwrap()
    }

    pub(crate) fn options(&self) -> BucketOptions {
        let mut options = BucketOptions::new(Arc::new(Timestamp::now));
        options.keys = Arc::new(FixedKeys(Some(self.keys.clone())));
        options.part_size = BucketOptions::MIN_PART;
        options.http.retry = RetryPolicy {
            attempts: 4,
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(1),
            max_elapsed: Duration::from_mins(1),
            patience: Duration::ZERO,
        };
        options
    }
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

/// Bytes of any length, different for each seed.
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

/// Makes the manifest of an image of one layer, whose blobs are pushed.
pub(crate) async fn image(
    store: &dyn Store,
    repository: &RepositoryName,
    layer: impl Into<Bytes>,
) -> RawManifest {
    RawManifest::image(&image_of(store, repository, layer).await)
}

async fn image_of(
    store: &dyn Store,
    repository: &RepositoryName,
    layer: impl Into<Bytes>,
) -> ImageManifest {
    let config = memory(EMPTY_CONFIG);
    store.push_blob(repository, &config).await.unwrap();
    let pushed = store.push_blob(repository, &memory(layer)).await.unwrap();
    let layer = Descriptor::new("application/octet-stream", pushed.digest, pushed.size);
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    ImageManifest::new(config, vec![layer])
}

/// Pushes an image of one layer under a tag.
pub(crate) async fn push_image(
    store: &dyn Store,
    repository: &RepositoryName,
    version: &str,
    layer: impl Into<Bytes>,
) -> RawManifest {
    let manifest = image(store, repository, layer).await;
    let tag = tag(version);
    let pushed = store.push_manifest(repository, &manifest, Some(&tag));
    pushed.await.unwrap();
    manifest
}

/// Pushes a manifest that refers to another.
pub(crate) async fn push_referrer(
    store: &dyn Store,
    repository: &RepositoryName,
    subject: &RawManifest,
    artifact_type: &str,
) -> RawManifest {
    let mut manifest = image_of(store, repository, EMPTY_CONFIG).await;
    manifest.subject = Some(subject.descriptor());
    manifest.artifact_type = Some(artifact_type.to_owned());
    let manifest = RawManifest::image(&manifest);
    let pushed = store.push_manifest(repository, &manifest, None);
    pushed.await.unwrap();
    manifest
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
