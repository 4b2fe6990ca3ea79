//! Uploads: whole, in chunks, cut off, mounted, given up.

use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::{poll, stream};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_registry::{Registry, RegistryOptions};
use reqwest::{Method, Response};
use tokio::io::AsyncWriteExt as _;
use tower_service::Service as _;

use crate::store::{Gate, TestStore};
use crate::support::{
    Fixture, PATIENCE, check_header, content, expect, expect_error, header, read_all,
    unknown_digest,
};

impl Fixture {
    async fn chunk(&self, location: &str, range: &str, chunk: &[u8]) -> Response {
        let request = self.request(Method::PATCH, location);
        let request = request.header("content-range", range).body(chunk.to_vec());
        request.send().await.unwrap()
    }

    async fn finish(&self, location: &str, digest: &Digest, rest: &[u8]) -> Response {
        let request = self.request(Method::PUT, &format!("{location}?digest={digest}"));
        request.body(rest.to_vec()).send().await.unwrap()
    }

    /// Waits until so many bytes of an upload have arrived.
    async fn arrived(&self, location: &str, count: u64) {
        let range = format!("0-{}", count - 1);
        let waiting = async {
            while header(&self.get(location).await, "range") != range {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Checks that a blob is stored, whole.
    async fn check_blob(&self, repository: &str, digest: &Digest, content: &[u8]) {
        let response = self.get(&format!("/v2/{repository}/blobs/{digest}")).await;
        assert!(expect(response, 200).await == content);
    }
}

#[tokio::test]
async fn a_whole_blob_comes_in_one_request() {
    let registry = Fixture::start().await;
    let content = content(1_000_000);
    for digest in [
        Digest::sha256(&content),
        HashAlgorithm::Sha512.digest(&content),
    ] {
        let path = format!("/v2/team/shop/blobs/uploads/?digest={digest}");
        let request = registry.request(Method::POST, &path).body(content.clone());
        let response = request.send().await.unwrap();
        check_header(&response, "docker-content-digest", &digest.to_string());
        check_header(
            &response,
            "location",
            &format!("/v2/team/shop/blobs/{digest}"),
        );
        expect(response, 201).await;
        registry.check_blob("team/shop", &digest, &content).await;
    }
}

#[tokio::test]
async fn a_whole_blob_comes_after_the_upload_was_started() {
    let registry = Fixture::start().await;
    let content = content(300_000);
    let digest = Digest::sha256(&content);
    let location = registry.begin("a").await;
    let response = registry.finish(&location, &digest, &content).await;
    check_header(&response, "location", &format!("/v2/a/blobs/{digest}"));
    expect(response, 201).await;
    registry.check_blob("a", &digest, &content).await;
    let again = registry.finish(&location, &digest, &content).await;
    expect_error(again, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let registry = Fixture::start().await;
    let location = registry.begin("a").await;
    let digest = Digest::sha256(b"");
    expect(registry.finish(&location, &digest, b"").await, 201).await;
    registry.check_blob("a", &digest, b"").await;
}

#[tokio::test]
async fn a_blob_with_another_digest_is_refused() {
    let registry = Fixture::start().await;
    let digest = unknown_digest();
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let request = registry.request(Method::POST, &path).body("hello");
    expect_error(request.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    let location = registry.begin("a").await;
    let response = registry.finish(&location, &digest, b"hello").await;
    expect_error(response, 400, "DIGEST_INVALID").await;
    expect(registry.get(&location).await, 404).await;
    let blob = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    expect_error(blob, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn digests_that_are_none_are_refused() {
    let registry = Fixture::start().await;
    for query in [
        "digest=x",
        "digest=md5:d41d8cd98f00b204e9800998ecf8427e",
        "mount=sha256:0&from=b",
        "digest-algorithm=md5",
    ] {
        let path = format!("/v2/a/blobs/uploads/?{query}");
        let request = registry.request(Method::POST, &path).body("hello");
        expect_error(request.send().await.unwrap(), 400, "DIGEST_INVALID").await;
    }
    let location = registry.begin("a").await;
    for path in [location.clone(), format!("{location}?digest=sha256:0")] {
        let response = registry.send(Method::PUT, &path).await;
        expect_error(response, 400, "DIGEST_INVALID").await;
    }
    expect(registry.get(&location).await, 204).await;
}

#[tokio::test]
async fn chunks_make_a_blob() {
    let registry = Fixture::start().await;
    let content = content(1_000);
    let digest = Digest::sha256(&content);
    for last_in_put in [false, true] {
        let location = registry.begin("a/b").await;
        let response = registry.chunk(&location, "0-399", &content[..400]).await;
        check_header(&response, "range", "0-399");
        check_header(&response, "location", &location);
        expect(response, 202).await;
        let status = registry.get(&location).await;
        check_header(&status, "range", "0-399");
        check_header(&status, "location", &location);
        assert!(location.ends_with(&header(&status, "docker-upload-uuid")));
        expect(status, 204).await;
        let rest = if last_in_put {
            &content[400..]
        } else {
            let response = registry.chunk(&location, "400-999", &content[400..]).await;
            check_header(&response, "range", "0-999");
            expect(response, 202).await;
            &[]
        };
        expect(registry.finish(&location, &digest, rest).await, 201).await;
        registry.check_blob("a/b", &digest, &content).await;
    }
}

#[tokio::test]
async fn a_stream_without_ranges_is_appended() {
    let registry = Fixture::start().await;
    let content = content(600_000);
    let location = registry.begin("a").await;
    for part in content.chunks(250_000) {
        let pieces: Vec<_> = part
            .chunks(1000)
            .map(|piece| Ok::<_, std::io::Error>(piece.to_vec()))
            .collect();
        let body = reqwest::Body::wrap_stream(stream::iter(pieces));
        let request = registry.request(Method::PATCH, &location).body(body);
        expect(request.send().await.unwrap(), 202).await;
    }
    let digest = Digest::sha256(&content);
    expect(registry.finish(&location, &digest, &[]).await, 201).await;
    registry.check_blob("a", &digest, &content).await;
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_changes_nothing() {
    let registry = Fixture::start().await;
    let content = content(300);
    let location = registry.begin("a").await;
    for range in ["100-199", "1-100"] {
        let response = registry.chunk(&location, range, &content[..100]).await;
        check_header(&response, "range", "0-0");
        check_header(&response, "location", &location);
        expect_error(response, 416, "BLOB_UPLOAD_INVALID").await;
    }
    expect(
        registry.chunk(&location, "0-99", &content[..100]).await,
        202,
    )
    .await;
    for range in ["0-99", "200-299", "99-198"] {
        let response = registry.chunk(&location, range, &content[..100]).await;
        check_header(&response, "range", "0-99");
        expect_error(response, 416, "BLOB_UPLOAD_INVALID").await;
    }
    let digest = Digest::sha256(&content);
    let path = format!("{location}?digest={digest}");
    let last = registry
        .request(Method::PUT, &path)
        .header("content-range", "101-300");
    let response = last.body(content[100..].to_vec()).send().await.unwrap();
    expect_error(response, 416, "BLOB_UPLOAD_INVALID").await;
    let last = registry
        .request(Method::PUT, &path)
        .header("content-range", "100-299");
    let response = last.body(content[100..].to_vec()).send().await.unwrap();
    expect(response, 201).await;
    registry.check_blob("a", &digest, &content).await;
}

#[tokio::test]
async fn a_chunk_must_be_what_its_range_says() {
    let registry = Fixture::start().await;
    let location = registry.begin("a").await;
    for range in ["", "x", "5-", "-5", "9-0", "0-18446744073709551615"] {
        let response = registry.chunk(&location, range, b"hello").await;
        expect_error(response, 400, "BLOB_UPLOAD_INVALID").await;
    }
    for range in ["0-3", "0-5"] {
        let response = registry.chunk(&location, range, b"hello").await;
        expect_error(response, 400, "SIZE_INVALID").await;
    }
    let body = reqwest::Body::wrap_stream(stream::iter([Ok::<_, std::io::Error>("hello")]));
    let request = registry.request(Method::PATCH, &location);
    let request = request.header("content-range", "0-3").body(body);
    expect_error(request.send().await.unwrap(), 400, "SIZE_INVALID").await;
}

#[tokio::test]
async fn a_cut_upload_goes_on_where_it_stopped() {
    let registry = Fixture::start().await;
    let content = content(700_000);
    let (arrived, rest) = content.split_at(250_000);
    let location = registry.begin("a").await;
    let mut connection = registry.connect().await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-range: 0-699999\r\n\
         content-length: 700000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(arrived).await.unwrap();
    registry.arrived(&location, 250_000).await;
    drop(connection);

    let response = registry.chunk(&location, "250000-699999", rest).await;
    check_header(&response, "range", "0-699999");
    expect(response, 202).await;
    let digest = Digest::sha256(&content);
    expect(registry.finish(&location, &digest, &[]).await, 201).await;
    registry.check_blob("a", &digest, &content).await;
}

#[tokio::test]
async fn a_connection_that_is_half_dead_does_not_hold_an_upload() {
    let registry = Fixture::start().await;
    let content = content(500);
    let location = registry.begin("a").await;
    let mut stalled = registry.connect().await;
    let head = format!("PATCH {location} HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n");
    stalled.write_all(head.as_bytes()).await.unwrap();
    stalled.write_all(&content[..200]).await.unwrap();
    registry.arrived(&location, 200).await;

    let digest = Digest::sha256(&content);
    let response = registry.finish(&location, &digest, &content[200..]).await;
    expect(response, 201).await;
    registry.check_blob("a", &digest, &content).await;
    let answer = read_all(&mut stalled).await;
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
}

#[tokio::test]
async fn a_cut_final_request_keeps_the_upload() {
    let registry = Fixture::start().await;
    let content = content(500);
    let digest = Digest::sha256(&content);
    let location = registry.begin("a").await;
    let mut connection = registry.connect().await;
    let head = format!(
        "PUT {location}?digest={digest} HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&content[..200]).await.unwrap();
    registry.arrived(&location, 200).await;
    drop(connection);
    let response = registry.finish(&location, &digest, &content[200..]).await;
    expect(response, 201).await;
    registry.check_blob("a", &digest, &content).await;
}

#[tokio::test]
async fn nothing_is_kept_of_a_cut_single_request() {
    let registry = Fixture::start().await;
    let digest = Digest::sha256(b"hello");
    let mut connection = registry.connect().await;
    let head = format!(
        "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: x\r\n\
         content-length: 6\r\n\r\nhello"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.shutdown().await.unwrap();
    let answer = read_all(&mut connection).await;
    assert!(!answer.contains(" 201 "), "{answer}");
    let blob = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    expect_error(blob, 404, "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn a_blob_is_mounted_from_another_repository() {
    let registry = Fixture::start().await;
    let digest = registry.push("team/a", b"hello").await.digest;
    for (to, query) in [
        ("b", format!("mount={digest}&from=team/a")),
        ("c", format!("mount={digest}&from=team%2Fa")),
        ("d", format!("mount={digest}")),
        ("team/a", format!("mount={digest}&from=nobody")),
    ] {
        let path = format!("/v2/{to}/blobs/uploads/?{query}");
        let response = registry.send(Method::POST, &path).await;
        check_header(&response, "location", &format!("/v2/{to}/blobs/{digest}"));
        check_header(&response, "docker-content-digest", &digest.to_string());
        expect(response, 201).await;
        registry.check_blob(to, &digest, b"hello").await;
    }
}

#[tokio::test]
async fn what_cannot_be_mounted_is_uploaded() {
    let registry = Fixture::start().await;
    registry.push("a", b"something").await;
    let digest = Digest::sha256(b"hello");
    for query in [
        format!("mount={digest}&from=a"),
        format!("mount={digest}&from=nobody"),
        format!("mount={digest}&from=NO-NAME"),
        format!("mount={digest}"),
    ] {
        let response = registry
            .send(Method::POST, &format!("/v2/b/blobs/uploads/?{query}"))
            .await;
        let location = header(&response, "location");
        expect(response, 202).await;
        expect(registry.finish(&location, &digest, b"hello").await, 201).await;
        let path = format!("/v2/b/blobs/{digest}");
        expect(registry.send(Method::DELETE, &path).await, 202).await;
    }
}

#[tokio::test]
async fn a_cancelled_upload_is_gone() {
    let registry = Fixture::start().await;
    let location = registry.begin("a").await;
    expect(registry.chunk(&location, "0-4", b"hello").await, 202).await;
    expect(registry.send(Method::DELETE, &location).await, 204).await;
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let response = registry.send(method, &location).await;
        expect_error(response, 404, "BLOB_UPLOAD_UNKNOWN").await;
    }
}

#[tokio::test]
async fn an_upload_of_another_repository_is_unknown() {
    let registry = Fixture::start().await;
    let location = registry.begin("a").await.replace("/v2/a/", "/v2/b/");
    expect_error(registry.get(&location).await, 404, "BLOB_UPLOAD_UNKNOWN").await;
    let response = registry.get("/v2/a/blobs/uploads/guess").await;
    expect_error(response, 404, "BLOB_UPLOAD_UNKNOWN").await;
}

#[tokio::test]
async fn the_number_of_open_uploads_is_bounded() {
    let options = RegistryOptions {
        max_uploads: 2,
        ..RegistryOptions::default()
    };
    let registry = Fixture::with(options).await;
    let first = registry.begin("a").await;
    registry.begin("a").await;
    let refused = registry.send(Method::POST, "/v2/a/blobs/uploads/").await;
    check_header(&refused, "retry-after", "10");
    expect_error(refused, 429, "TOOMANYREQUESTS").await;
    registry.push("a", b"whole blobs need no session").await;
    expect(registry.send(Method::DELETE, &first).await, 204).await;
    registry.begin("a").await;
}

#[tokio::test]
async fn the_same_blob_is_uploaded_twice_at_once() {
    let registry = Fixture::start().await;
    let content = content(500_000);
    let digest = Digest::sha256(&content);
    let (one, two) = (registry.begin("a").await, registry.begin("a").await);
    assert_ne!(one, two);
    for range in [0..200_000, 200_000..500_000] {
        let text = format!("{}-{}", range.start, range.end - 1);
        let chunk = &content[range];
        let (left, right) = tokio::join!(
            registry.chunk(&one, &text, chunk),
            registry.chunk(&two, &text, chunk)
        );
        expect(left, 202).await;
        expect(right, 202).await;
    }
    let (left, right) = tokio::join!(
        registry.finish(&one, &digest, &[]),
        registry.finish(&two, &digest, &[])
    );
    expect(left, 201).await;
    expect(right, 201).await;
    registry.check_blob("a", &digest, &content).await;
}

/// Asks for how far an upload is that another process has begun, while a request is about to find
/// that out, or has.
#[tokio::test]
async fn how_far_an_upload_is_is_told_once_it_is_known() {
    let gate = Gate::closed();
    let store = TestStore {
        elsewhere: Some(Arc::clone(&gate)),
        ..TestStore::default()
    };
    let router = Registry::new(Arc::new(store), RegistryOptions::default()).router();
    let call = |method: Method, path: &str, body: Body| {
        let request = http::Request::builder().method(method).uri(path);
        router.clone().call(request.body(body).unwrap())
    };
    let begun = call(Method::POST, "/v2/a/blobs/uploads/", Body::empty());
    let begun = begun.await.unwrap();
    let location = begun.headers()["location"].to_str().unwrap();

    let never = stream::pending::<Result<Bytes, std::io::Error>>();
    let mut append = pin!(call(Method::PATCH, location, Body::from_stream(never)));
    assert!(poll!(&mut append).is_pending());
    gate.reached().await;
    let mut status = pin!(call(Method::GET, location, Body::empty()));
    assert!(poll!(&mut status).is_pending());
    // The request that writes finds out, and goes on.
    gate.let_one_pass();
    for status in [
        status.await,
        call(Method::GET, location, Body::empty()).await,
    ] {
        let status = status.unwrap();
        assert_eq!(status.status(), 204);
        assert_eq!(status.headers()["range"], "0-2");
    }
    assert!(poll!(&mut append).is_pending());
}
