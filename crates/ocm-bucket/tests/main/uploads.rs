//! Blobs that come in piece by piece.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Error, Fetch as _, Ingest as _, Outcome, Push as _};

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
    let patience = std::time::Duration::from_secs(30);
    tokio::time::timeout(patience, gone).await.unwrap().unwrap();
    assert_eq!(server.bucket.keys(), Vec::<String>::new());
}
