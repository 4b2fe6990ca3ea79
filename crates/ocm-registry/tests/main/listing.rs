//! Lists of repositories, tags and referrers.

use ocm_oci::{Descriptor, ImageIndex, RawManifest, media_type};
use serde_json::{Value, json};

use crate::support::{self, Fixture, check_header, expect, expect_error, header, unknown_digest};

/// Follows the links of pages from `path` and returns the lists that `key` holds.
async fn pages(registry: &Fixture, path: &str, key: &str) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut next = Some(path.to_owned());
    while let Some(path) = next {
        let response = registry.get(&path).await;
        next = response.headers().get("link").map(|link| {
            let link = link.to_str().unwrap();
            let (path, relation) = link.split_once(">; ").unwrap();
            assert_eq!(relation, "rel=\"next\"");
            path.strip_prefix('<').unwrap().to_owned()
        });
        pages.push(support::json(response).await[key].clone());
    }
    pages
}

#[tokio::test]
async fn tags_come_sorted_and_in_pages() {
    let registry = Fixture::start().await;
    let manifest = registry.push_image("team/shop", "v3", b"layer").await;
    for tag in ["v1", "v2", "V0"] {
        expect(registry.put("team/shop", tag, &manifest).await, 201).await;
    }
    let path = "/v2/team/shop/tags/list";
    let response = registry.get(path).await;
    check_header(&response, "content-type", "application/json");
    assert!(!response.headers().contains_key("link"));
    let all = support::json(response).await;
    assert_eq!(
        all,
        json!({"name": "team/shop", "tags": ["V0", "v1", "v2", "v3"]})
    );
    let by_three = pages(&registry, &format!("{path}?n=3"), "tags").await;
    assert_eq!(by_three, [json!(["V0", "v1", "v2"]), json!(["v3"])]);
    let by_two = pages(&registry, &format!("{path}?n=2"), "tags").await;
    assert_eq!(by_two, [json!(["V0", "v1"]), json!(["v2", "v3"])]);
    for (query, expected) in [
        ("n=0", json!([])),
        ("last=v2", json!(["v3"])),
        ("last=v1&n=1", json!(["v2"])),
        ("last=v11", json!(["v2", "v3"])),
        ("last=zzz", json!([])),
        ("n=100", json!(["V0", "v1", "v2", "v3"])),
    ] {
        let response = registry.get(&format!("{path}?{query}")).await;
        assert_eq!(support::json(response).await["tags"], expected, "{query}");
    }
}

#[tokio::test]
async fn a_number_of_results_must_be_one() {
    let registry = Fixture::start().await;
    registry.push("a", b"blob").await;
    for path in [
        "/v2/a/tags/list?n=-1",
        "/v2/a/tags/list?n=x",
        "/v2/_catalog?n=",
    ] {
        expect_error(registry.get(path).await, 400, "PAGINATION_NUMBER_INVALID").await;
    }
}

#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list() {
    let registry = Fixture::start().await;
    registry.push("a", b"blob").await;
    let response = registry.get("/v2/a/tags/list").await;
    assert_eq!(
        support::json(response).await,
        json!({"name": "a", "tags": []})
    );
    let response = registry.get("/v2/nobody/tags/list").await;
    expect_error(response, 404, "NAME_UNKNOWN").await;
}

#[tokio::test]
async fn the_catalog_comes_in_pages() {
    let registry = Fixture::start().await;
    let empty = support::json(registry.get("/v2/_catalog").await).await;
    assert_eq!(empty, json!({"repositories": []}));
    for repository in ["b", "a/x", "a/y"] {
        registry.push(repository, b"blob").await;
    }
    let by_two = pages(&registry, "/v2/_catalog?n=2", "repositories").await;
    assert_eq!(by_two, [json!(["a/x", "a/y"]), json!(["b"])]);
    let body = expect(registry.get("/v2/_catalog").await, 200).await;
    let head = registry.head("/v2/_catalog").await;
    check_header(&head, "content-length", &body.len().to_string());
}

/// Pushes a manifest that refers to `subject`.
async fn attach(registry: &Fixture, subject: &Descriptor, kind: &str, note: &str) -> RawManifest {
    let mut image = registry.image("a", note.as_bytes()).await;
    image.subject = Some(subject.clone());
    image.artifact_type = Some(kind.to_owned());
    image.annotations.insert("note".to_owned(), note.to_owned());
    let manifest = RawManifest::image(&image);
    let response = registry
        .put("a", &manifest.digest().to_string(), &manifest)
        .await;
    check_header(&response, "oci-subject", &subject.digest.to_string());
    expect(response, 201).await;
    manifest
}

#[tokio::test]
async fn referrers_are_listed_with_type_and_annotations() {
    let registry = Fixture::start().await;
    let subject = registry.push_image("a", "v1", b"layer").await.descriptor();
    let path = format!("/v2/a/referrers/{}", subject.digest);
    let bill = attach(&registry, &subject, "application/sbom+json", "bill").await;
    attach(&registry, &subject, "application/signature", "signed").await;
    let response = registry.get(&path).await;
    check_header(&response, "content-type", media_type::IMAGE_INDEX);
    assert!(!response.headers().contains_key("oci-filters-applied"));
    let index: ImageIndex = serde_json::from_value(support::json(response).await).unwrap();
    assert_eq!(index.manifests.len(), 2);

    for query in ["application%2Fsbom%2Bjson", "application/sbom+json"] {
        let response = registry.get(&format!("{path}?artifactType={query}")).await;
        check_header(&response, "oci-filters-applied", "artifactType");
        let index: ImageIndex = serde_json::from_value(support::json(response).await).unwrap();
        let [found] = &index.manifests[..] else {
            panic!("{index:?}");
        };
        assert_eq!(found.digest, bill.digest());
        assert_eq!(found.size, bill.bytes().len() as u64);
        assert_eq!(
            found.artifact_type.as_deref(),
            Some("application/sbom+json")
        );
        assert_eq!(found.annotations["note"], "bill");
    }
}

#[tokio::test]
async fn nothing_refers_to_what_is_not_there() {
    let registry = Fixture::start().await;
    for path in [
        format!("/v2/nobody/referrers/{}", unknown_digest()),
        format!("/v2/nobody/referrers/{}?artifactType=x", unknown_digest()),
    ] {
        let index = support::json(registry.get(&path).await).await;
        assert_eq!(index["schemaVersion"], 2);
        assert_eq!(index["mediaType"], media_type::IMAGE_INDEX);
        assert_eq!(index["manifests"], json!([]));
    }
    let response = registry.get("/v2/a/referrers/sha256:0").await;
    expect_error(response, 400, "DIGEST_INVALID").await;
}

#[tokio::test]
async fn a_subject_may_come_after_its_referrers() {
    let registry = Fixture::start().await;
    let image = RawManifest::image(&registry.image("a", b"layer").await);
    attach(&registry, &image.descriptor(), "x/y", "early").await;
    expect(registry.put("a", "v1", &image).await, 201).await;
    let path = format!("/v2/a/referrers/{}", image.digest());
    let index = support::json(registry.get(&path).await).await;
    assert_eq!(index["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn many_referrers_come_in_pages_of_the_size_of_a_manifest() {
    let registry = Fixture::start().await;
    let subject = registry.push_image("a", "v1", b"layer").await.descriptor();
    let mut expected = Vec::new();
    for number in 0..5 {
        let note = format!("{number}{}", "x".repeat(1024 * 1024));
        let referrer = attach(&registry, &subject, "a/b+c", &note).await;
        expected.push(referrer.digest().to_string());
    }
    expected.sort();
    let path = format!("/v2/a/referrers/{}?artifactType=a/b%2Bc", subject.digest);
    let first = registry.get(&path).await;
    assert!(header(&first, "link").contains("artifactType=a%2Fb%2Bc&"));
    let pages = pages(&registry, &path, "manifests").await;
    let sizes: Vec<_> = pages
        .iter()
        .map(|page| page.as_array().unwrap().len())
        .collect();
    assert_eq!(sizes, [3, 2]);
    let found: Vec<_> = pages
        .iter()
        .flat_map(|page| page.as_array().unwrap())
        .map(|descriptor| descriptor["digest"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, expected);
}
