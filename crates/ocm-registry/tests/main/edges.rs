//! What is at the edge of the API: other paths, limits, refusals, failing stores.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ocm_digest::Digest;
use ocm_oci::{Error, RawManifest};
use ocm_registry::RegistryOptions;
use reqwest::Method;

use crate::store::{TestStore, disk_full};
use crate::support::{Fixture, check_header, expect, expect_error, header};

#[tokio::test]
async fn the_registry_says_what_it_is() {
    let registry = Fixture::start().await;
    let landing = expect(registry.get("/").await, 200).await;
    assert!(String::from_utf8(landing).unwrap().contains("/v2/"));
    assert_eq!(expect(registry.get("/healthz").await, 200).await, b"ok\n");
    for path in ["/v2/", "/v2"] {
        for method in [Method::GET, Method::HEAD] {
            let response = registry.send(method, path).await;
            check_header(&response, "docker-distribution-api-version", "registry/2.0");
            check_header(&response, "content-length", "2");
            expect(response, 200).await;
        }
    }
}

#[tokio::test]
async fn paths_that_are_none_are_not_found() {
    let registry = Fixture::start().await;
    for path in ["/v2/a", "/v2/a/b/c", "/v2/a/tags", "/v2/_catalog/x"] {
        expect_error(registry.get(path).await, 404, "UNSUPPORTED").await;
    }
    assert_eq!(registry.get("/v1/").await.status(), 404);
    for path in [
        "/v2/UPPER/tags/list",
        "/v2/a__%20/tags/list",
        "/v2/a//tags/list",
    ] {
        expect_error(registry.get(path).await, 400, "NAME_INVALID").await;
    }
    let long = format!("/v2/{}/tags/list", "a".repeat(256));
    expect_error(registry.get(&long).await, 400, "NAME_INVALID").await;
}

#[tokio::test]
async fn other_methods_are_not_allowed() {
    let registry = Fixture::start().await;
    for (method, path, allow) in [
        (Method::POST, "/v2/", "GET, HEAD"),
        (Method::POST, "/v2/a/manifests/v1", "GET, HEAD, PUT, DELETE"),
        (Method::GET, "/v2/a/blobs/uploads/", "POST"),
        (Method::PUT, "/v2/a/tags/list", "GET, HEAD"),
        (Method::OPTIONS, "/v2/_catalog", "GET, HEAD"),
    ] {
        let response = registry.send(method, path).await;
        check_header(&response, "allow", allow);
        expect_error(response, 405, "UNSUPPORTED").await;
    }
}

#[tokio::test]
async fn malformed_requests_are_refused_and_harm_nothing() {
    let registry = Fixture::start().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    for (request, status) in [
        (get("/v2/%ff/tags/list"), 400),
        (get("/v2/%/tags/list"), 400),
        (get("/v2/a%00/tags/list"), 400),
        (get("/v2/%2e%2e/%2e%2e/etc/tags/list"), 400),
        (get("/v2/a/manifests/%ff"), 400),
        (get("/v2/a/tags/list?n=%ff&last=%ff%fe"), 400),
        (get("/v2/a/tags/list?%"), 404),
        (get("//v2/"), 404),
        (get("/v2/../secret"), 404),
        (get("/v2/a/../../secret/tags/list"), 400),
        (get("/v2/a%2f..%2fsecret/tags/list"), 400),
        (get("/v2/a/blobs/sha256:..%2f..%2fsecret"), 404),
        (get("/v2/a/blobs/..%2f..%2fsecret"), 404),
        (get("/v2/a/blobs/uploads/..%2f..%2fsecret"), 404),
        (get("/v2/a/manifests/..%2f..%2fsecret"), 404),
        (get("/v2/a/manifests/v1%00"), 404),
        (get(&format!("/v2/a/manifests/{}", "x".repeat(129))), 404),
        (
            get("/v2/").replace("host: x", "host: x\r\na: b\r\n folded"),
            400,
        ),
        (get("/v2/").replace("host: x", "host : x"), 400),
        (get("/v2/").replace("HTTP/1.1", "HTTP/9.9"), 400),
        (get("http://elsewhere/v2/../secret"), 404),
        (get("http://user:secret@elsewhere/v2/"), 200),
        (
            get(&format!("/v2/a/tags/list?last={}", "x".repeat(9000))),
            414,
        ),
        (get(&format!("/v2/{}", "x".repeat(70_000))), 414),
        (
            get("/v2/").replace("host: x", &format!("host: x\r\na: {}", "x".repeat(300_000))),
            431,
        ),
        (get("/v2/").replace("host: x", &"a: b\r\n".repeat(200)), 431),
        ("nonsense\r\n\r\n".to_owned(), 400),
        (
            "PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n"
                .to_owned(),
            400,
        ),
    ] {
        let answer = registry.raw(&request).await;
        let start = format!("HTTP/1.1 {status} ");
        let shown: String = request.chars().take(60).collect();
        assert!(answer.starts_with(&start), "{shown}: {answer}");
    }
    expect(registry.get("/v2/").await, 200).await;
}

#[tokio::test]
async fn a_read_only_registry_is_only_read() {
    let store = Arc::new(TestStore::default());
    let writable = Fixture::over(store.clone(), RegistryOptions::default()).await;
    let manifest = writable.push_image("a", "v1", b"layer").await;
    let options = RegistryOptions {
        read_only: true,
        ..RegistryOptions::default()
    };
    let registry = Fixture::over(store, options).await;
    expect(registry.get("/v2/a/manifests/v1").await, 200).await;
    let digest = manifest.digest();
    for (method, path) in [
        (Method::PUT, "/v2/a/manifests/v2".to_owned()),
        (Method::DELETE, "/v2/a/manifests/v1".to_owned()),
        (Method::DELETE, format!("/v2/a/blobs/{digest}")),
        (Method::POST, "/v2/a/blobs/uploads/".to_owned()),
        (
            Method::POST,
            format!("/v2/a/blobs/uploads/?digest={digest}"),
        ),
        (
            Method::POST,
            format!("/v2/a/blobs/uploads/?mount={digest}&from=b"),
        ),
    ] {
        let response = registry.send(method, &path).await;
        check_header(&response, "allow", "GET, HEAD");
        expect_error(response, 405, "UNSUPPORTED").await;
    }
}

#[tokio::test]
async fn what_a_store_answers_has_its_status() {
    fn broken() -> Error {
        let broken = io::Error::other("/secret/path is broken");
        Error::blob("store", "blob", ocm_blob::Error::file("write", "x", broken))
    }
    let denied = || Error::Denied {
        what: "a".to_owned(),
    };
    let read_only = || Error::ReadOnly {
        store: "a.tgz".to_owned(),
    };
    let store = Arc::new(TestStore::default());
    let registry = Fixture::over(store.clone(), RegistryOptions::default()).await;
    let manifest = RawManifest::image(&registry.image("a", b"layer").await);
    for (fault, status, code) in [
        (disk_full as fn() -> Error, 507, "UNKNOWN"),
        (broken, 500, "UNKNOWN"),
        (denied, 403, "DENIED"),
        (read_only, 405, "UNSUPPORTED"),
    ] {
        store.fail(fault);
        let digest = Digest::sha256(b"hello");
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        let request = registry.request(Method::POST, &path).body("hello");
        expect_error(request.send().await.unwrap(), status, code).await;
        let put = registry.put("a", "v1", &manifest).await;
        expect_error(put, status, code).await;
        let get = registry.get(&format!("/v2/a/blobs/{digest}")).await;
        expect_error(get, status, code).await;
        for path in ["/v2/a/tags/list", "/v2/_catalog", "/v2/a/manifests/v1"] {
            let body = expect(registry.get(path).await, status).await;
            let body = String::from_utf8(body).unwrap();
            assert!(!body.contains("secret"), "{body}");
        }
    }
}

#[tokio::test]
async fn an_upload_that_cannot_be_written_is_given_up() {
    let store = TestStore {
        room: Some(7),
        ..TestStore::default()
    };
    let options = RegistryOptions {
        max_uploads: 1,
        ..RegistryOptions::default()
    };
    let registry = Fixture::over(Arc::new(store), options).await;
    let location = registry.begin("a").await;
    let chunk = |text| registry.request(Method::PATCH, &location).body(text);
    expect(chunk("hello").send().await.unwrap(), 202).await;
    expect_error(chunk("world").send().await.unwrap(), 507, "UNKNOWN").await;
    expect_error(registry.get(&location).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
    registry.begin("a").await;
}

#[tokio::test]
async fn changes_are_committed_before_they_are_acknowledged() {
    let store = Arc::new(TestStore::default());
    let registry = Fixture::over(store.clone(), RegistryOptions::default()).await;
    registry.push_image("a", "v1", b"layer").await;
    assert_eq!(store.commits.load(Ordering::SeqCst), 1);
    let deleted = registry.send(Method::DELETE, "/v2/a/manifests/v1").await;
    expect(deleted, 202).await;
    assert_eq!(store.commits.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_store_that_takes_blobs_whole_is_pushed_to() {
    let store = TestStore {
        whole_only: true,
        ..TestStore::default()
    };
    let registry = Fixture::over(Arc::new(store), RegistryOptions::default()).await;
    registry.push_image("a", "v1", b"layer").await;
    let digest = Digest::sha256(b"hello");
    let location = registry.begin("a").await;
    let chunk = registry.request(Method::PATCH, &location).body("hello");
    expect_error(chunk.send().await.unwrap(), 405, "UNSUPPORTED").await;
    let path = format!("{location}?digest={digest}");
    let whole = registry.request(Method::PUT, &path).body("hello");
    let response = whole.send().await.unwrap();
    let blob = header(&response, "location");
    expect(response, 201).await;
    assert_eq!(expect(registry.get(&blob).await, 200).await, b"hello");

    let other = Digest::sha256(b"other");
    let path = format!("/v2/a/blobs/uploads/?digest={other}");
    let request = registry.request(Method::POST, &path).body("hello");
    expect_error(request.send().await.unwrap(), 400, "DIGEST_INVALID").await;
}
