//! Blobs that fail, that are given up, and that come at the same time.

use futures::FutureExt as _;
use ocm_blob::CHUNK;
use ocm_digest::Digest;
use ocm_oci::Push as _;

use super::{NAME, places, push, push_small};
use crate::support::{Stream, memory, noise, read_all, read_back, repository};

#[tokio::test]
async fn nothing_is_kept_of_a_blob_that_failed() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let content = noise(CHUNK * 3, 1);
        let short = Stream {
            size: Some(CHUNK as u64 * 4),
            ..Stream::unknown(content.clone())
        };
        let wrong = Stream {
            digest: Some(Digest::sha256("other")),
            ..Stream::sized(content.clone())
        };
        for blob in [short, wrong] {
            let error = store.push_blob(&name, &blob.shared()).await.unwrap_err();
            assert!(error.is_mismatch(), "{error}");
        }
        for blob in [Stream::known, Stream::sized, Stream::unknown] {
            let blob = blob(content.clone()).breaking(CHUNK * 2).shared();
            assert!(store.push_blob(&name, &blob).await.is_err());
        }
        push_small(&store, "1.0").await;
        let broken = Stream::known(content.clone()).breaking(CHUNK).shared();
        assert!(store.push_blob(&name, &broken).await.is_err());
        push(&store, "2.0", Stream::known(content).shared()).await;
        store.commit().await.unwrap();
        let whole = place.size();
        assert!(whole < CHUNK as u64 * 4, "{whole}");
        place.check_holds(2, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_the_same_time_all_arrive_once() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let work = (0..40_u64).map(async |number| {
            let content = noise(CHUNK + 1000, number / 4);
            let blob = match number % 4 {
                0 => Stream::unknown(content),
                1 => Stream::sized(content),
                2 => Stream::known(content),
                _ => Stream::known(content).breaking(CHUNK / 2),
            };
            let pushed = store.push_blob(&name, &blob.shared()).await;
            assert!(number % 4 == 3 || pushed.is_ok());
            push(&store, &number.to_string(), memory("same")).await;
        });
        futures::future::join_all(work).await;
        store.commit().await.unwrap();
        let archive = place.reader().await;
        assert_eq!(read_all(&archive).await.unwrap(), (40, 80));
        for number in 0..10 {
            read_back(&archive, &name, &noise(CHUNK + 1000, number)).await;
        }
        let size = place.size();
        assert!(size < 10 * (CHUNK as u64 + 1000) + 200_000, "{size}");
    }
}

#[tokio::test]
async fn a_push_that_is_given_up_leaves_nothing() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        push_small(&store, "1.0").await;
        for seed in 0..8 {
            let blob = Stream::known(noise(CHUNK * 8, seed)).shared();
            let mut pushing = Box::pin(store.push_blob(&name, &blob));
            for _ in 0..seed {
                if pushing.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let kept = noise(CHUNK * 8, 100);
        push(&store, "2.0", Stream::known(kept).shared()).await;
        store.commit().await.unwrap();
        place.check_holds(2, 4).await;
    }
}
