//! Manifests: storing, reading, removing.

use ocm_digest::HashAlgorithm;
use ocm_oci::{Descriptor, ImageIndex, RawManifest, media_type};
use ocm_registry::RegistryOptions;
use reqwest::Method;

use crate::support::{Fixture, check_header, expect, expect_error, header, unknown_digest};

#[tokio::test]
async fn a_manifest_is_read_by_tag_and_by_digest() {
    let registry = Fixture::start().await;
    let manifest = registry.push_image("team/shop", "1.0", b"layer").await;
    let digest = manifest.digest().to_string();
    for reference in ["1.0", &digest] {
        let path = format!("/v2/team/shop/manifests/{reference}");
        for method in [Method::GET, Method::HEAD] {
            let response = registry.send(method.clone(), &path).await;
            check_header(&response, "content-type", media_type::IMAGE_MANIFEST);
            check_header(&response, "docker-content-digest", &digest);
            check_header(&response, "etag", &format!("\"{digest}\""));
            let size = manifest.bytes().len().to_string();
            check_header(&response, "content-length", &size);
            let body = expect(response, 200).await;
            assert!(method == Method::HEAD || body == *manifest.bytes());
        }
    }
}

#[tokio::test]
async fn storing_says_where_the_manifest_is() {
    let registry = Fixture::start().await;
    let manifest = RawManifest::image(&registry.image("a/b", b"layer").await);
    for reference in ["v1".to_owned(), manifest.digest().to_string()] {
        let response = registry.put("a/b", &reference, &manifest).await;
        check_header(
            &response,
            "docker-content-digest",
            &manifest.digest().to_string(),
        );
        assert!(!response.headers().contains_key("oci-subject"));
        let location = header(&response, "location");
        expect(response, 201).await;
        assert_eq!(
            expect(registry.get(&location).await, 200).await,
            *manifest.bytes()
        );
    }
}

#[tokio::test]
async fn bytes_are_kept_as_they_were_sent() {
    let registry = Fixture::start().await;
    let image = registry.image("a", b"layer").await;
    let pretty = serde_json::to_vec_pretty(&image).unwrap();
    let manifest = RawManifest::new(pretty, media_type::IMAGE_MANIFEST);
    expect(registry.put("a", "pretty", &manifest).await, 201).await;
    let body = expect(registry.get("/v2/a/manifests/pretty").await, 200).await;
    assert_eq!(body, *manifest.bytes());
}

#[tokio::test]
async fn a_tag_moves() {
    let registry = Fixture::start().await;
    registry.push_image("a", "latest", b"one").await;
    let second = registry.push_image("a", "latest", b"two").await;
    let head = registry.head("/v2/a/manifests/latest").await;
    check_header(&head, "docker-content-digest", &second.digest().to_string());
}

#[tokio::test]
async fn a_client_that_has_the_manifest_is_told_so() {
    let registry = Fixture::start().await;
    let manifest = registry.push_image("a", "v1", b"layer").await;
    let digest = manifest.digest();
    for (tag, status) in [
        (format!("\"{digest}\""), 304),
        (format!("\"other\", W/\"{digest}\""), 304),
        ("*".to_owned(), 304),
        (format!("\"{}\"", unknown_digest()), 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let request = registry.request(method, "/v2/a/manifests/v1");
            let response = request.header("if-none-match", &tag).send().await.unwrap();
            check_header(&response, "docker-content-digest", &digest.to_string());
            expect(response, status).await;
        }
    }
}

#[tokio::test]
async fn a_manifest_that_is_missing_is_unknown() {
    let registry = Fixture::start().await;
    registry.push("a", b"blob").await;
    for path in [
        "/v2/a/manifests/v1".to_owned(),
        "/v2/a/manifests/.no-tag".to_owned(),
        "/v2/nobody/manifests/v1".to_owned(),
        format!("/v2/a/manifests/{}", unknown_digest()),
    ] {
        expect_error(registry.get(&path).await, 404, "MANIFEST_UNKNOWN").await;
        assert_eq!(registry.head(&path).await.status(), 404);
        let deleted = registry.send(Method::DELETE, &path).await;
        expect_error(deleted, 404, "MANIFEST_UNKNOWN").await;
    }
}

#[tokio::test]
async fn a_manifest_under_another_digest_is_refused() {
    let registry = Fixture::start().await;
    let manifest = RawManifest::image(&registry.image("a", b"layer").await);
    for digest in [
        unknown_digest(),
        HashAlgorithm::Sha512.digest(b"something else"),
    ] {
        let response = registry.put("a", &digest.to_string(), &manifest).await;
        expect_error(response, 400, "DIGEST_INVALID").await;
    }
    let response = registry.put("a", "sha256:0", &manifest).await;
    expect_error(response, 400, "DIGEST_INVALID").await;
    let response = registry.put("a", ".x", &manifest).await;
    expect_error(response, 400, "MANIFEST_INVALID").await;
}

#[tokio::test]
async fn a_manifest_is_stored_under_sha512() {
    let registry = Fixture::start().await;
    let manifest = RawManifest::image(&registry.image("a", b"layer").await);
    let digest = HashAlgorithm::Sha512.digest(manifest.bytes());
    let response = registry.put("a", &digest.to_string(), &manifest).await;
    check_header(&response, "docker-content-digest", &digest.to_string());
    expect(response, 201).await;
    let path = format!("/v2/a/manifests/{digest}");
    assert_eq!(
        expect(registry.get(&path).await, 200).await,
        *manifest.bytes()
    );

    let tagged = format!("by-tag?digest={digest}");
    expect(registry.put("a", &tagged, &manifest).await, 201).await;
    let head = registry.head("/v2/a/manifests/by-tag").await;
    check_header(&head, "docker-content-digest", &digest.to_string());
}

#[tokio::test]
async fn a_manifest_gets_several_tags_at_once() {
    let registry = Fixture::start().await;
    let manifest = RawManifest::image(&registry.image("a", b"layer").await);
    let reference = format!("{}?tag=1&tag=1.2&tag=1.2.3", manifest.digest());
    let response = registry.put("a", &reference, &manifest).await;
    check_header(&response, "oci-tag", "1, 1.2, 1.2.3");
    expect(response, 201).await;
    expect(registry.get("/v2/a/manifests/1.2").await, 200).await;
    let many = "tag=x&".repeat(65);
    let reference = format!("{}?{many}", manifest.digest());
    let response = registry.put("a", &reference, &manifest).await;
    expect_error(response, 414, "MANIFEST_INVALID").await;
}

#[tokio::test]
async fn missing_children_are_named() {
    let registry = Fixture::start().await;
    let mut image = registry.image("a", b"layer").await;
    let missing = Descriptor::new("x/y", unknown_digest(), 3);
    image.layers.push(missing.clone());
    let response = registry.put("a", "v1", &RawManifest::image(&image)).await;
    expect_error(response, 404, "MANIFEST_BLOB_UNKNOWN").await;
    let index = RawManifest::index(&ImageIndex::new(vec![missing]));
    let response = registry.put("a", "v1", &index).await;
    expect_error(response, 404, "MANIFEST_BLOB_UNKNOWN").await;
    let response = registry.get("/v2/a/manifests/v1").await;
    expect_error(response, 404, "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn an_index_points_to_manifests() {
    let registry = Fixture::start().await;
    let image = registry.push_image("a", "v1", b"layer").await;
    let index = RawManifest::index(&ImageIndex::new(vec![image.descriptor()]));
    expect(registry.put("a", "all", &index).await, 201).await;
    let head = registry.head("/v2/a/manifests/all").await;
    check_header(&head, "content-type", media_type::IMAGE_INDEX);
}

#[tokio::test]
async fn malformed_manifests_are_invalid() {
    let registry = Fixture::start().await;
    let image = registry.image("a", b"layer").await;
    let valid = serde_json::to_value(&image).unwrap();
    let mut old = valid.clone();
    old["schemaVersion"] = 1.into();
    let mut other = valid.clone();
    other["mediaType"] = media_type::IMAGE_INDEX.into();
    for (body, kind) in [
        (String::new(), media_type::IMAGE_MANIFEST),
        ("{".to_owned(), media_type::IMAGE_MANIFEST),
        ("null".to_owned(), media_type::IMAGE_INDEX),
        ("[".repeat(100_000), media_type::IMAGE_MANIFEST),
        (old.to_string(), media_type::IMAGE_MANIFEST),
        (other.to_string(), media_type::IMAGE_MANIFEST),
        (valid.to_string(), media_type::IMAGE_INDEX),
        (valid.to_string(), "application/json"),
    ] {
        let manifest = RawManifest::new(body, kind);
        let response = registry.put("a", "v1", &manifest).await;
        expect_error(response, 400, "MANIFEST_INVALID").await;
    }
}

#[tokio::test]
async fn parameters_of_the_content_type_are_ignored() {
    let registry = Fixture::start().await;
    let manifest = RawManifest::image(&registry.image("a", b"layer").await);
    for kind in [
        Some("application/vnd.oci.image.manifest.v1+json; charset=utf-8"),
        None,
    ] {
        let mut request = registry.request(Method::PUT, "/v2/a/manifests/v1");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let request = request.body(manifest.bytes().clone());
        expect(request.send().await.unwrap(), 201).await;
        let head = registry.head("/v2/a/manifests/v1").await;
        check_header(&head, "content-type", media_type::IMAGE_MANIFEST);
    }
}

#[tokio::test]
async fn a_manifest_has_a_size_limit() {
    let options = RegistryOptions {
        max_manifest: 10_000,
        ..RegistryOptions::default()
    };
    let registry = Fixture::with(options).await;
    let mut image = registry.image("a", b"layer").await;
    expect(
        registry
            .put("a", "small", &RawManifest::image(&image))
            .await,
        201,
    )
    .await;
    image.annotations.insert("k".to_owned(), "x".repeat(10_000));
    let large = RawManifest::image(&image);
    let response = registry.put("a", "large", &large).await;
    expect_error(response, 413, "SIZE_INVALID").await;
    let streamed = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(
        large.bytes().clone(),
    )]));
    let request = registry
        .request(Method::PUT, "/v2/a/manifests/large")
        .body(streamed);
    expect_error(request.send().await.unwrap(), 413, "SIZE_INVALID").await;
}

#[tokio::test]
async fn manifests_of_four_mebibytes_are_taken() {
    let registry = Fixture::start().await;
    let mut image = registry.image("a", b"layer").await;
    let size = RawManifest::image(&image).bytes().len();
    let limit = usize::try_from(RawManifest::LIMIT).unwrap();
    let padding = "x".repeat(limit - size - r#","annotations":{"k":""}"#.len());
    image.annotations.insert("k".to_owned(), padding);
    let manifest = RawManifest::image(&image);
    assert_eq!(manifest.bytes().len(), limit);
    expect(registry.put("a", "large", &manifest).await, 201).await;
    let body = expect(registry.get("/v2/a/manifests/large").await, 200).await;
    assert!(body == *manifest.bytes());
}

#[tokio::test]
async fn deleting_a_tag_keeps_the_manifest() {
    let registry = Fixture::start().await;
    let manifest = registry.push_image("a", "v1", b"layer").await;
    let by_digest = format!("/v2/a/manifests/{}", manifest.digest());
    expect(registry.put("a", "v2", &manifest).await, 201).await;
    let deleted = registry.send(Method::DELETE, "/v2/a/manifests/v1").await;
    expect(deleted, 202).await;
    expect(registry.get("/v2/a/manifests/v1").await, 404).await;
    expect(registry.get(&by_digest).await, 200).await;
    expect(registry.send(Method::DELETE, &by_digest).await, 202).await;
    expect(registry.get("/v2/a/manifests/v2").await, 404).await;
    expect(registry.get(&by_digest).await, 404).await;
}
