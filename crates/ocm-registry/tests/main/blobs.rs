//! Reading and removing blobs.

use ocm_blob::CHUNK;
use reqwest::Method;

use crate::support::{Fixture, check_header, content, expect, expect_error, unknown_digest};

#[tokio::test]
async fn a_blob_is_read_as_it_was_pushed() {
    let registry = Fixture::start().await;
    for size in [0, 1, CHUNK, CHUNK * 3 + 17] {
        let content = content(size);
        let digest = registry.push("team/shop", &content).await.digest;
        let path = format!("/v2/team/shop/blobs/{digest}");
        for method in [Method::GET, Method::HEAD] {
            let response = registry.send(method.clone(), &path).await;
            check_header(&response, "content-length", &size.to_string());
            check_header(&response, "docker-content-digest", &digest.to_string());
            check_header(&response, "content-type", "application/octet-stream");
            check_header(&response, "accept-ranges", "bytes");
            check_header(&response, "etag", &format!("\"{digest}\""));
            let body = expect(response, 200).await;
            if method == Method::GET {
                assert!(body == content, "{size}");
            } else {
                assert!(body.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_range_is_answered_with_that_part() {
    let registry = Fixture::start().await;
    let content = content(CHUNK * 2 + 100);
    let size = content.len();
    let digest = registry.push("a", &content).await.digest;
    let path = format!("/v2/a/blobs/{digest}");
    let last = size - 1;
    for (range, first, end) in [
        ("bytes=0-0".to_owned(), 0, 1),
        (format!("bytes={}-{CHUNK}", CHUNK - 1), CHUNK - 1, CHUNK + 1),
        ("bytes=500-".to_owned(), 500, size),
        ("bytes=-7".to_owned(), size - 7, size),
        (format!("bytes=0-{}", size * 2), 0, size),
    ] {
        let request = registry.request(Method::GET, &path);
        let response = request.header("range", &range).send().await.unwrap();
        check_header(&response, "content-length", &(end - first).to_string());
        let expected = format!("bytes {first}-{}/{size}", end - 1);
        check_header(&response, "content-range", &expected);
        assert!(
            expect(response, 206).await == content[first..end],
            "{range}"
        );
        let request = registry.request(Method::HEAD, &path);
        let response = request.header("range", &range).send().await.unwrap();
        check_header(&response, "content-length", &size.to_string());
        expect(response, 200).await;
    }
    let beyond = registry
        .request(Method::GET, &path)
        .header("range", format!("bytes={size}-"));
    let response = beyond.send().await.unwrap();
    check_header(&response, "content-range", &format!("bytes */{size}"));
    expect_error(response, 416, "SIZE_INVALID").await;
    for ignored in ["bytes=9-3", "bytes=0-1,5-6", "chapters=1-2"] {
        let request = registry
            .request(Method::GET, &path)
            .header("range", ignored);
        let response = request.send().await.unwrap();
        check_header(&response, "content-length", &(last + 1).to_string());
        expect(response, 200).await;
    }
}

#[tokio::test]
async fn a_range_of_other_content_is_ignored() {
    let registry = Fixture::start().await;
    let digest = registry.push("a", b"hello").await.digest;
    let path = format!("/v2/a/blobs/{digest}");
    for (tag, status) in [
        (format!("\"{digest}\""), 206),
        ("\"other\"".to_owned(), 200),
    ] {
        let request = registry.request(Method::GET, &path);
        let request = request.header("range", "bytes=1-2").header("if-range", tag);
        expect(request.send().await.unwrap(), status).await;
    }
}

#[tokio::test]
async fn a_client_that_has_a_blob_is_told_so() {
    let registry = Fixture::start().await;
    let digest = registry.push("a", b"hello").await.digest;
    let request = registry.request(Method::GET, &format!("/v2/a/blobs/{digest}"));
    let request = request.header("if-none-match", format!("\"{digest}\""));
    assert!(expect(request.send().await.unwrap(), 304).await.is_empty());
}

#[tokio::test]
async fn a_blob_that_is_missing_is_unknown() {
    let registry = Fixture::start().await;
    let path = format!("/v2/a/blobs/{}", unknown_digest());
    expect_error(registry.get(&path).await, 404, "BLOB_UNKNOWN").await;
    assert_eq!(registry.head(&path).await.status(), 404);
    let delete = registry.send(Method::DELETE, &path).await;
    expect_error(delete, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn a_blob_of_another_repository_is_unknown() {
    let registry = Fixture::start().await;
    let digest = registry.push("a", b"hello").await.digest;
    let response = registry.get(&format!("/v2/b/blobs/{digest}")).await;
    expect_error(response, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn a_deleted_blob_is_gone() {
    let registry = Fixture::start().await;
    let digest = registry.push("a", b"hello").await.digest;
    let path = format!("/v2/a/blobs/{digest}");
    expect(registry.send(Method::DELETE, &path).await, 202).await;
    expect_error(registry.get(&path).await, 404, "BLOB_UNKNOWN").await;
}
