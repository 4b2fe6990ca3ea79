//! Blobs that come in piece by piece.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ocm_bucket::BucketStore;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{BlobUpload, Error, Fetch as _, Ingest as _, Outcome, Push as _, RepositoryName};

use crate::support::{Fixture, memory, noise, read_back, repository};

const MIB: usize = 1024 * 1024;

/// Lengths around which an upload changes what it does; a part has 5 MiB.
const LENGTHS: [usize; 6] = [0, 1, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, 12 * MIB + 7];

#[tokio::test]
async fn blobs_of_any_length_come_back() {
    let fixture = Fixture::new();
    let (store, other) = (fixture.open().await, fixture.open().await);
    let name = repository("acme/a");
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let content = noise(len, seed as u64);
        let pushed = store
            .push_blob(&name, &memory(content.clone()))
            .await
            .unwrap();
        assert_eq!((pushed.size, pushed.outcome), (len as u64, Outcome::Copied));
        read_back(&other, &name, &content).await;
    }
}

#[tokio::test]
async fn other_algorithms_are_checked_too() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let name = repository("acme/a");
    for (algorithm, len) in [
        (HashAlgorithm::Sha512, 10),
        (HashAlgorithm::Sha512, 6 * MIB),
    ] {
        let content = noise(len, 9);
        let digest = algorithm.digest(&content);
        for (expected, fits) in [(algorithm.digest(b"other"), false), (digest, true)] {
            let mut upload = store.begin(&name, "id").await.unwrap();
            upload.write(content.clone()).await.unwrap();
            let result = upload.finish(expected).await;
            match result {
                Ok(pushed) => assert!(fits && pushed.digest == digest),
                Err(error) => assert!(!fits && error.is_mismatch(), "{error}"),
            }
        }
        let size = store.stat_blob(&name, &digest).await.unwrap();
        assert_eq!(size, Some(len as u64));
    }
}

#[tokio::test]
async fn bytes_with_another_digest_are_never_seen_and_leave_nothing() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    for len in [10, 6 * MIB] {
        let mut upload = store.begin(&name, "id").await.unwrap();
        upload.write(noise(len, 1)).await.unwrap();
        let expected = Digest::sha256(b"other");
        let error = upload.finish(expected).await.unwrap_err();
        assert!(matches!(error, Error::DigestMismatch { .. }), "{error}");
        assert_eq!(store.stat_blob(&name, &expected).await.unwrap(), None);
    }
    let bucket = &fixture.fake_server().bucket;
    assert_eq!(bucket.keys(), Vec::<String>::new());
    assert_eq!(bucket.unfinished(), 0);
}

#[tokio::test]
async fn an_upload_that_is_dropped_leaves_nothing() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let mut upload = store.begin(&name, "id").await.unwrap();
    upload.write(noise(6 * MIB, 1)).await.unwrap();
    drop(upload);
    let server = fixture.fake_server();
    let gone = tokio::task::spawn_blocking({
        let bucket = server.bucket.clone();
        move || {
            while bucket.unfinished() > 0 {
                std::thread::yield_now();
            }
        }
    });
    let patience = Duration::from_secs(30);
    tokio::time::timeout(patience, gone).await.unwrap().unwrap();
    assert_eq!(server.bucket.keys(), Vec::<String>::new());
}

/// A time after everything that a test does.
fn later() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 1000)
}

/// Saves an upload of some bytes, and opens it twice, as two registries do.
async fn opened_twice(
    store: &BucketStore,
    name: &RepositoryName,
    content: &[u8],
) -> [Box<dyn BlobUpload>; 2] {
    let mut upload = store.begin(name, "id").await.unwrap();
    upload.write(Bytes::copy_from_slice(content)).await.unwrap();
    upload.save().await.unwrap();
    drop(upload);
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(store.resume(name, "id").await.unwrap().unwrap());
    }
    open.try_into().unwrap()
}

#[tokio::test]
async fn a_blob_keeps_its_bytes_whoever_else_gives_its_upload_up() {
    let name = repository("acme/a");
    for len in [5, 6 * MIB] {
        let fixture = Fixture::fake();
        let store = fixture.open().await;
        let content = noise(len, 1);
        let [one, other] = opened_twice(&store, &name, &content).await;
        one.finish(Digest::sha256(&content)).await.unwrap();
        other.cancel().await.unwrap();
        read_back(&store, &name, &content).await;
        // As a registry does that was killed before it could forget the upload.
        store.expire(later()).await.unwrap();
        read_back(&store, &name, &content).await;
    }
}

#[tokio::test]
async fn an_upload_that_another_registry_has_gone_on_with_is_not_given_up() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let content = noise(6 * MIB, 1);
    let [mut one, other] = opened_twice(&store, &name, &content).await;
    one.write(Bytes::from_static(b"more")).await.unwrap();
    one.save().await.unwrap();
    other.cancel().await.unwrap();
    let whole = [&content[..], b"more"].concat();
    one.finish(Digest::sha256(&whole)).await.unwrap();
    read_back(&store, &name, &whole).await;
}

#[tokio::test]
async fn uploads_expire_by_when_they_were_written_to() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let [one, other] = opened_twice(&store, &name, b"hello").await;
    drop((one, other));
    store.expire(SystemTime::UNIX_EPOCH).await.unwrap();
    assert!(store.resume(&name, "id").await.unwrap().is_some());
    store.expire(later()).await.unwrap();
    assert!(store.resume(&name, "id").await.unwrap().is_none());
    assert_eq!(fixture.fake_server().bucket.keys(), Vec::<String>::new());
}
