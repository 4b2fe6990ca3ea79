//! Servers that fail.

use ocm_oci::{Fetch as _, Push as _};
use ocm_testkit::Fault;

use crate::support::{Fixture, by_tag, memory, noise, push_image, read, read_back, repository};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_server_that_is_slowed_down_is_asked_again() {
    let fixture = Fixture::fake();
    let web = &fixture.fake_server().web;
    for method in ["PUT", "GET", "HEAD", "POST", "DELETE"] {
        web.fail(2, method, "", Fault::Status(503));
        web.fail(1, method, "", Fault::RetryAfter(429, 0));
    }
    let store = fixture.open().await;
    let name = repository("acme/a");
    let layer = noise(6 * MIB, 1);
    let manifest = push_image(&store, &name, "v1", layer.clone()).await;
    let found = store.resolve(&name, &by_tag("v1")).await.unwrap();
    assert_eq!(found.digest, manifest.digest());
    read_back(&store, &name, &layer).await;
}

#[tokio::test]
async fn a_server_that_stays_broken_is_given_up() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let web = &fixture.fake_server().web;
    web.fail(usize::MAX, "PUT", "", Fault::Status(500));
    web.take_requests();
    let error = store.push_blob(&repository("acme/a"), &memory("x")).await;
    let error = error.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(
        error.to_string().contains("the server answered 500"),
        "{error}"
    );
    let requests = web.take_requests();
    let puts = requests.iter().filter(|request| request.starts_with("PUT"));
    assert_eq!(puts.count(), 4);
    web.heal();
    web.fail(1, "PUT", "", Fault::Status(403));
    let error = store.push_blob(&repository("acme/a"), &memory("x")).await;
    assert!(!error.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_where_it_was() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let content = noise(6 * MIB, 1);
    store
        .push_blob(&name, &memory(content.clone()))
        .await
        .unwrap();
    let web = &fixture.fake_server().web;
    for fault in [Fault::Cut, Fault::FewerBytes] {
        web.fail(2, "GET", "/data/", fault);
        web.take_requests();
        read_back(&store, &name, &content).await;
        let requests = web.take_requests();
        let reads = requests.iter().filter(|request| request.contains("/data/"));
        assert_eq!(reads.count(), 3, "{requests:?}");
    }
}

#[tokio::test]
async fn other_bytes_than_were_stored_are_noticed() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let content = noise(1000, 1);
    store
        .push_blob(&name, &memory(content.clone()))
        .await
        .unwrap();
    let manifest = push_image(&store, &name, "v1", content.clone()).await;
    let server = fixture.fake_server();
    for fault in [Fault::OtherBytes, Fault::MoreBytes] {
        server.web.fail(1, "GET", "/data/", fault);
        let descriptor = ocm_oci::Descriptor::of("", &content);
        let error = read(&store, &name, &descriptor).await.unwrap_err();
        assert!(error.is_mismatch(), "{error:?}");
    }
    server.web.fail(1, "GET", "/_manifests/", Fault::OtherBytes);
    let error = store.manifest(&name, &by_tag("v1")).await.unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    let found = store.manifest(&name, &by_tag("v1")).await.unwrap();
    assert_eq!(found.digest(), manifest.digest());
}

#[tokio::test]
async fn a_blob_whose_bytes_are_gone_is_not_found() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    let content = noise(1000, 1);
    store
        .push_blob(&name, &memory(content.clone()))
        .await
        .unwrap();
    let bucket = &fixture.fake_server().bucket;
    let keys = bucket.keys();
    let data = keys.iter().find(|key| key.contains("/data/")).unwrap();
    assert!(bucket.remove(data));
    let descriptor = ocm_oci::Descriptor::of("", &content);
    let error = read(&store, &name, &descriptor).await.unwrap_err();
    assert!(error.is_not_found(), "{error:?}");
    // Another repository does not take over what is not there.
    let other = repository("acme/b");
    store
        .push_blob(&other, &memory(content.clone()))
        .await
        .unwrap();
    read_back(&store, &other, &content).await;
}

#[tokio::test]
async fn documents_that_are_broken_are_said_to_be() {
    let fixture = Fixture::fake();
    let store = fixture.open().await;
    let name = repository("acme/a");
    push_image(&store, &name, "v1", "layer").await;
    let bucket = &fixture.fake_server().bucket;
    bucket.put("some/prefix/repositories/acme/a/_tags/v1", "{");
    let error = store.resolve(&name, &by_tag("v1")).await.unwrap_err();
    assert!(
        error.to_string().contains("_tags/v1 is malformed"),
        "{error}"
    );
    let large = vec![b' '; 9 * MIB];
    bucket.put("some/prefix/repositories/acme/a/_tags/v1", large);
    let error = store.resolve(&name, &by_tag("v1")).await.unwrap_err();
    assert!(
        error.to_string().contains("larger than the limit"),
        "{error}"
    );
}
