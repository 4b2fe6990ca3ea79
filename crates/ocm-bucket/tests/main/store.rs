//! Names, manifests, and what refers to what.

use std::sync::{Arc, Mutex};

use futures::future::join_all;
use ocm_backends::OciComponentRepository;
use ocm_bucket::BucketStore;
use ocm_digest::Digest;
use ocm_oci::{
    Delete as _, Descriptor, Error, Fetch as _, ImageIndex, List as _, Outcome, Push as _,
    RawManifest, Reference, Referrers as _, Store as _, StoreRef,
};
use ocm_repository::{RepositoryRef, conformance};

use crate::support::{
    Fixture, REAL, by_tag, image, memory, noise, push_image, push_referrer, read, read_back,
    repository, tag, variable,
};

#[test]
fn the_server_is_named() {
    match variable(REAL) {
        Some(place) => println!("the tests ran at the real server of {place}"),
        None => println!("no real server: {REAL} is not set, so that none has been asked"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn component_versions_are_kept_as_in_any_store() {
    let fixtures = Mutex::new(Vec::new());
    conformance::all(|| async {
        let fixture = Fixture::new();
        let store: StoreRef = Arc::new(fixture.open().await);
        fixtures.lock().unwrap().push(fixture);
        Arc::new(OciComponentRepository::new(store, None)) as RepositoryRef
    })
    .await;
}

#[tokio::test]
async fn an_image_is_found_by_another_process() {
    let fixture = Fixture::new();
    let (one, other) = (fixture.open().await, fixture.open().await);
    let name = repository("acme/a");
    let manifest = push_image(&one, &name, "v1", noise(1000, 1)).await;
    for reference in [by_tag("v1"), Reference::Digest(manifest.digest())] {
        let found = other.manifest(&name, &reference).await.unwrap();
        assert_eq!(found.bytes(), manifest.bytes());
        assert_eq!(found.media_type(), manifest.media_type());
        let resolved = other.resolve(&name, &reference).await.unwrap();
        assert_eq!(resolved, manifest.descriptor());
    }
    read_back(&other, &name, &noise(1000, 1)).await;
    assert_eq!(
        other.repositories().await.unwrap(),
        std::slice::from_ref(&name)
    );
    assert_eq!(other.tags(&name).await.unwrap(), [tag("v1")]);
    assert!(other.location().starts_with("s3://"));
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let digest = Digest::sha256(b"x");
    let by_digest = Reference::Digest(digest);
    assert!(
        store
            .manifest(&name, &by_tag("v1"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        store
            .resolve(&name, &by_digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(store.tags(&name).await.unwrap_err().is_not_found());
    assert_eq!(store.stat_blob(&name, &digest).await.unwrap(), None);
    let missing = Descriptor::new("", digest, 1);
    assert!(
        read(&store, &name, &missing)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        store
            .delete_manifest(&name, &by_digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        store
            .delete_manifest(&name, &by_tag("v1"))
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(
        store
            .delete_blob(&name, &digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    assert!(store.referrers(&name, &digest).await.unwrap().is_empty());
    assert!(store.repositories().await.unwrap().is_empty());
    let other = repository("acme/b");
    assert!(!store.mount_blob(&name, &other, &digest).await.unwrap());
}

#[tokio::test]
async fn a_manifest_whose_content_is_missing_is_refused() {
    let fixture = Fixture::new();
    let store = fixture.open().await;
    let (name, other) = (repository("acme/a"), repository("acme/b"));
    let manifest = image(&store, &other, "layer").await;
    let error = store
        .push_manifest(&name, &manifest, Some(&tag("v1")))
        .await;
    assert!(matches!(error, Err(Error::Dangling { .. })), "{error:?}");
    assert!(store.resolve(&name, &by_tag("v1")).await.is_err());
    let index = RawManifest::index(&ImageIndex::new(vec![manifest.descriptor()]));
    let error = store.push_manifest(&other, &index, None).await;
    assert!(matches!(error, Err(Error::Dangling { .. })), "{error:?}");
    store.push_manifest(&other, &manifest, None).await.unwrap();
    store.push_manifest(&other, &index, None).await.unwrap();
}

#[tokio::test]
async fn the_same_bytes_are_stored_once_and_belong_to_each_repository_that_has_them() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let names = ["acme/a", "acme/b", "acme/c"].map(repository);
    let content = noise(10_000, 1);
    let pushed = store
        .push_blob(&names[0], &memory(content.clone()))
        .await
        .unwrap();
    assert_eq!((pushed.outcome, pushed.size), (Outcome::Copied, 10_000));
    let again = store
        .push_blob(&names[0], &memory(content.clone()))
        .await
        .unwrap();
    assert_eq!(again.outcome, Outcome::Existed);
    assert_eq!(
        store.stat_blob(&names[1], &pushed.digest).await.unwrap(),
        None
    );
    store
        .push_blob(&names[1], &memory(content.clone()))
        .await
        .unwrap();
    let mounted = store.mount_blob(&names[2], &names[0], &pushed.digest).await;
    assert!(mounted.unwrap());
    for name in &names {
        read_back(&store, name, &content).await;
    }
    let keys = fixture.fake_server().bucket.keys();
    let data = keys.iter().filter(|key| key.contains("/data/"));
    assert_eq!(data.count(), 1, "{keys:?}");
    store.delete_blob(&names[0], &pushed.digest).await.unwrap();
    assert_eq!(
        store.stat_blob(&names[0], &pushed.digest).await.unwrap(),
        None
    );
    read_back(&store, &names[1], &content).await;
}

#[tokio::test]
async fn no_key_is_the_directory_of_another() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    for name in ["a", "a/b", "a/b/c", "tags", "a/blobs"] {
        let name = repository(name);
        let manifest = push_image(&store, &name, "v1", "layer").await;
        push_referrer(&store, &name, &manifest, "a/b").await;
    }
    let keys = fixture.fake_server().bucket.keys();
    for pair in keys.windows(2) {
        assert!(!pair[1].starts_with(&format!("{}/", pair[0])), "{pair:?}");
    }
}

#[tokio::test]
async fn a_deleted_manifest_takes_its_tags_and_its_place_among_the_referrers_along() {
    let fixture = Fixture::new();
    let (store, other) = (fixture.open().await, fixture.open().await);
    let name = repository("acme/a");
    let subject = push_image(&store, &name, "v1", "one").await;
    store
        .push_manifest(&name, &subject, Some(&tag("v2")))
        .await
        .unwrap();
    let next = push_image(&store, &name, "v3", "two").await;
    store
        .push_manifest(&name, &subject, Some(&tag("moved")))
        .await
        .unwrap();
    store
        .push_manifest(&name, &next, Some(&tag("moved")))
        .await
        .unwrap();
    let referrer = push_referrer(&store, &name, &subject, "acme/signature").await;

    let found = other.referrers(&name, &subject.digest()).await.unwrap();
    assert_eq!(found[0].digest, referrer.digest());
    assert_eq!(found[0].artifact_type.as_deref(), Some("acme/signature"));

    let by_digest = |manifest: &RawManifest| Reference::Digest(manifest.digest());
    store
        .delete_manifest(&name, &by_digest(&subject))
        .await
        .unwrap();
    assert_eq!(other.tags(&name).await.unwrap(), [tag("moved"), tag("v3")]);
    assert!(other.resolve(&name, &by_digest(&subject)).await.is_err());
    // What refers to it may be there before its subject, so it stays.
    assert_eq!(
        other
            .referrers(&name, &subject.digest())
            .await
            .unwrap()
            .len(),
        1
    );
    store
        .delete_manifest(&name, &by_digest(&referrer))
        .await
        .unwrap();
    assert!(
        other
            .referrers(&name, &subject.digest())
            .await
            .unwrap()
            .is_empty()
    );
    store.delete_manifest(&name, &by_tag("v3")).await.unwrap();
    assert_eq!(other.tags(&name).await.unwrap(), [tag("moved")]);
    assert!(other.resolve(&name, &by_digest(&next)).await.is_ok());
}

#[tokio::test]
async fn lists_have_any_number_of_pages() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let manifest = push_image(&store, &name, "v1", "layer").await;
    let bucket = &fixture.fake_server().bucket;
    let key = "some/prefix/repositories/acme/a/_tags/";
    let pointer = bucket.object(&format!("{key}v1")).unwrap();
    for number in 0..2500 {
        bucket.put(&format!("{key}n{number:04}"), pointer.clone());
    }
    let tags = store.tags(&name).await.unwrap();
    assert_eq!(tags.len(), 2501);
    assert!(tags.is_sorted());
    let resolved = store.resolve(&name, &by_tag("n2499")).await.unwrap();
    assert_eq!(resolved.digest, manifest.digest());
}

#[tokio::test]
async fn of_those_who_replace_a_tag_at_the_same_time_one_does() {
    let fixture = Fixture::new();
    let name = repository("acme/a");
    let stores = join_all((0..6).map(|_| fixture.open())).await;
    let first = push_image(&stores[0], &name, "v1", "first").await;
    let conditional = stores[0].has_conditional_writes().await.unwrap();
    println!("conditional writes: {conditional}");
    for expected in [Some(first.digest()), None] {
        let tag = tag(if expected.is_some() { "v1" } else { "new" });
        let race = stores.iter().enumerate().map(|(at, store)| {
            let (name, tag, expected) = (&name, &tag, expected.as_ref());
            async move {
                let manifest = image(store, name, format!("{at}")).await;
                let replaced = store.replace_manifest(name, &manifest, tag, expected).await;
                (manifest, replaced)
            }
        });
        let results = join_all(race).await;
        let won: Vec<_> = results
            .iter()
            .filter(|(_, result)| result.is_ok())
            .collect();
        for (_, result) in &results {
            assert!(
                matches!(result, Ok(()) | Err(Error::Changed { .. })),
                "{result:?}"
            );
        }
        if conditional {
            assert_eq!(won.len(), 1);
        }
        let now = stores[0].resolve(&name, &tag.into()).await.unwrap();
        assert!(
            won.iter()
                .any(|(manifest, _)| manifest.digest() == now.digest)
        );
    }
}

#[tokio::test]
async fn a_server_without_conditions_is_noticed() {
    let fixture = Fixture::without_conditions();
    let store = fixture.open().await;
    assert!(!store.has_conditional_writes().await.unwrap());
    let name = repository("acme/a");
    let one = push_image(&store, &name, "v1", "one").await;
    let two = image(&store, &name, "two").await;
    let stale = store.replace_manifest(&name, &two, &tag("v1"), None).await;
    assert!(matches!(stale, Err(Error::Changed { .. })));
    let expected = one.digest();
    let tag = tag("v1");
    let replaced = store.replace_manifest(&name, &two, &tag, Some(&expected));
    replaced.await.unwrap();
    assert!(
        Fixture::fake()
            .open()
            .await
            .has_conditional_writes()
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_said_to_be_missing() {
    let mut fixture = Fixture::new();
    fixture.place.bucket = "other-bucket-that-is-not-there".to_owned();
    let error = BucketStore::open(&fixture.place, fixture.options()).await;
    let error = error.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let fixture = Fixture::new();
    let mut options = fixture.options();
    let wrong = ocm_bucket::Keys::new("test-key", "wrong");
    options.keys = Arc::new(ocm_bucket::FixedKeys(Some(wrong)));
    let error = BucketStore::open(&fixture.place, options)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error:?}");
}
