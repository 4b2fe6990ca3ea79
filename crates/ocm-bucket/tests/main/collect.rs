//! Garbage collection, and what goes on beside it.

use std::time::Duration;

use jiff::SignedDuration;
use ocm_bucket::BucketStore;
use ocm_oci::{
    Collect as _, Collected, Delete as _, Descriptor, Fetch as _, Ingest as _, List as _,
    Push as _, Reference, Referrers as _,
};

use crate::support::{
    Fixture, by_tag, image, memory, noise, push_image, push_referrer, read, read_back, repository,
    tag,
};

const MIB: usize = 1024 * 1024;
const GRACE: Duration = Duration::from_hours(1);

/// Lets twice the grace time pass, and collects.
async fn later(fixture: &Fixture, store: &BucketStore) -> Collected {
    let bucket = &fixture.fake_server().bucket;
    bucket.age(SignedDuration::from_hours(2));
    store.collect(GRACE).await.unwrap()
}

fn data(fixture: &Fixture) -> usize {
    let keys = fixture.fake_server().bucket.keys();
    keys.iter().filter(|key| key.contains("/data/")).count()
}

#[tokio::test]
async fn what_is_needed_stays_however_old() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let names = ["acme/a", "acme/a/b", "b"].map(repository);
    let mut manifests = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let manifest = push_image(&store, name, "v1", noise(1000, at as u64)).await;
        push_referrer(&store, name, &manifest, "acme/signature").await;
        manifests.push(manifest);
    }
    let before = fixture.fake_server().bucket.keys();
    for _ in 0..4 {
        assert_eq!(later(&fixture, &store).await, Collected::default());
    }
    assert_eq!(fixture.fake_server().bucket.keys(), before);
    for (at, name) in names.iter().enumerate() {
        read_back(&store, name, &noise(1000, at as u64)).await;
        let found = store
            .referrers(name, &manifests[at].digest())
            .await
            .unwrap();
        assert_eq!(found.len(), 1);
    }
}

#[tokio::test]
async fn what_nothing_needs_goes_link_first_and_bytes_last() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    push_image(&store, &name, "kept", noise(1000, 1)).await;
    let gone = push_image(&store, &name, "gone", noise(2000, 2)).await;
    let by_digest = Reference::Digest(gone.digest());
    store.delete_manifest(&name, &by_digest).await.unwrap();
    assert_eq!(data(&fixture), 3);

    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    let first = later(&fixture, &store).await;
    assert_eq!((first.links, first.condemned, first.blobs), (1, 0, 0));
    let second = later(&fixture, &store).await;
    assert_eq!((second.links, second.condemned, second.blobs), (0, 1, 0));
    // The mark is young, and so the bytes stay.
    let third = store.collect(GRACE).await.unwrap();
    assert_eq!(third, Collected::default());
    assert_eq!(data(&fixture), 3);
    let fourth = later(&fixture, &store).await;
    assert_eq!((fourth.blobs, fourth.bytes), (1, 2000));
    assert_eq!(data(&fixture), 2);
    assert_eq!(later(&fixture, &store).await, Collected::default());
    read_back(&store, &name, &noise(1000, 1)).await;
    let keys = fixture.fake_server().bucket.keys();
    assert!(
        !keys.iter().any(|key| key.contains("condemned")),
        "{keys:?}"
    );
}

#[tokio::test]
async fn bytes_that_are_wanted_again_before_they_go_stay() {
    let fixture = Fixture::fake();
    let (store, other) = (fixture.open().await, fixture.open().await);
    let name = repository("acme/a");
    let content = noise(1000, 1);
    store
        .push_blob(&name, &memory(content.clone()))
        .await
        .unwrap();
    later(&fixture, &store).await;
    assert_eq!(later(&fixture, &store).await.condemned, 1);
    let elsewhere = repository("acme/b");
    push_image(&other, &elsewhere, "v1", content.clone()).await;
    for _ in 0..3 {
        later(&fixture, &store).await;
    }
    read_back(&other, &elsewhere, &content).await;
}

/// A push looks for a blob, finds it, and sends the manifest only. Meanwhile the blob is collected.
#[tokio::test]
async fn a_manifest_whose_blob_has_just_been_collected_is_refused_and_can_be_pushed_again() {
    let fixture = Fixture::fake();
    let (store, other) = (fixture.open().await, fixture.open().await);
    let name = repository("acme/a");
    let manifest = image(&store, &name, noise(1000, 1)).await;
    later(&fixture, &other).await;
    let pushed = store
        .push_manifest(&name, &manifest, Some(&tag("v1")))
        .await;
    assert!(pushed.is_err());
    push_image(&store, &name, "v1", noise(1000, 1)).await;
    read_back(&other, &name, &noise(1000, 1)).await;
}

/// Everything is old and nothing is needed when a push begins that takes over what is about to go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_and_collections_at_the_same_time_lose_nothing() {
    let fixture = Fixture::fake();
    let name = repository("acme/a");
    let (pusher, collector) = (fixture.open().await, fixture.open().await);
    let bucket = fixture.fake_server().bucket.clone();
    let content = noise(1000, 1);
    for round in 0..40 {
        bucket.age(SignedDuration::from_hours(2));
        let push = async {
            let manifest = image(&pusher, &name, content.clone()).await;
            let tag = tag(&format!("v{round}"));
            let pushed = pusher.push_manifest(&name, &manifest, Some(&tag)).await;
            pushed.is_ok().then_some(tag)
        };
        let collect = async {
            for _ in 0..3 {
                collector.collect(GRACE).await.unwrap();
            }
        };
        let (pushed, ()) = tokio::join!(push, collect);
        if let Some(tag) = pushed {
            let manifest = collector
                .manifest(&name, &tag.clone().into())
                .await
                .unwrap();
            read_back(&collector, &name, &content).await;
            let by_digest = Reference::Digest(manifest.digest());
            collector.delete_manifest(&name, &by_digest).await.unwrap();
        }
    }
}

#[tokio::test]
async fn links_that_a_killed_collection_has_left_out_are_written_again() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    push_image(&store, &name, "v1", noise(1000, 1)).await;
    let bucket = &fixture.fake_server().bucket;
    let keys = bucket.keys();
    let link = keys.iter().find(|key| key.contains("/_blobs/")).unwrap();
    assert!(bucket.remove(link));
    store.collect(GRACE).await.unwrap();
    assert_eq!(bucket.keys(), keys);
}

/// Otherwise a manifest that names the content of others would bring it into a repository.
#[tokio::test]
async fn content_with_an_address_elsewhere_is_not_brought_in() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let (name, secret) = (repository("acme/a"), repository("acme/secret"));
    push_image(&store, &secret, "v1", noise(1000, 1)).await;
    let own = image(&store, &name, "layer").await;
    let ocm_oci::Document::Image(mut image) = own.parse().unwrap() else {
        panic!("no image")
    };
    let mut foreign = Descriptor::of("a/b", &noise(1000, 1));
    foreign.urls.push("https://example.com/layer".to_owned());
    image.layers.push(foreign.clone());
    let manifest = ocm_oci::RawManifest::image(&image);
    store.push_manifest(&name, &manifest, None).await.unwrap();
    later(&fixture, &store).await;
    assert_eq!(store.stat_blob(&name, &foreign.digest).await.unwrap(), None);
    assert!(
        read(&store, &name, &foreign)
            .await
            .unwrap_err()
            .is_not_found()
    );
}

#[tokio::test]
async fn what_leads_to_manifests_that_are_gone_goes() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let manifest = push_image(&store, &name, "v1", "one").await;
    let referrer = push_referrer(&store, &name, &manifest, "acme/signature").await;
    let bucket = &fixture.fake_server().bucket;
    for gone in [&manifest, &referrer] {
        let hex = gone.digest().to_hex();
        let key = format!("some/prefix/repositories/acme/a/_manifests/sha256/{hex}");
        assert!(bucket.remove(&key));
    }
    assert!(
        store
            .resolve(&name, &by_tag("v1"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    later(&fixture, &store).await;
    assert!(store.tags(&name).await.unwrap().is_empty());
    assert!(
        store
            .referrers(&name, &manifest.digest())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn a_repository_with_a_manifest_that_nobody_understands_is_left_alone() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    store.push_blob(&name, &memory("blob")).await.unwrap();
    let hex = ocm_digest::Digest::sha256(b"{").to_hex();
    let key = format!("some/prefix/repositories/acme/a/_manifests/sha256/{hex}");
    fixture.fake_server().bucket.put(&key, "{");
    for _ in 0..3 {
        assert_eq!(later(&fixture, &store).await, Collected::default());
    }
    read_back(&store, &name, b"blob").await;
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_go() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let mut upload = store.begin(&name, "id").await.unwrap();
    upload.write(noise(6 * MIB, 1)).await.unwrap();
    // As if the process had been killed.
    std::mem::forget(upload);
    let bucket = &fixture.fake_server().bucket;
    assert_eq!(bucket.unfinished(), 1);
    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    assert_eq!(bucket.unfinished(), 1);
    assert_eq!(later(&fixture, &store).await.uploads, 1);
    assert_eq!(bucket.unfinished(), 0);
}
