//! Manifests, lists and removal at registries of all kinds.

use http::Method;
use ocm_blob::Bytes;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{
    Delete as _, Descriptor, Document, EMPTY_CONFIG, Error, Fetch as _, ImageManifest, List as _,
    Push as _, RawManifest, Reference, Referrers as _, Tag, media_type,
};

use crate::fake::{Answer, Fake, Seen, reply, reply_with, repository};

fn manifest(subject: Option<&RawManifest>) -> RawManifest {
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    let mut image = ImageManifest::new(config, Vec::new());
    image.artifact_type = Some("test/x".to_owned());
    image.subject = subject.map(RawManifest::descriptor);
    RawManifest::image(&image)
}

fn tag() -> Tag {
    "v1".parse().unwrap()
}

#[tokio::test]
async fn a_manifest_comes_back_as_it_went() {
    let fake = Fake::start().await;
    let client = fake.client();
    let manifest = manifest(None);
    client
        .push_manifest(&repository(), &manifest, Some(&tag()))
        .await
        .unwrap();
    for reference in [Reference::Tag(tag()), Reference::Digest(manifest.digest())] {
        let found = client.manifest(&repository(), &reference).await.unwrap();
        assert_eq!(found, manifest);
        let resolved = client.resolve(&repository(), &reference).await.unwrap();
        assert_eq!(resolved, manifest.descriptor());
    }
    let get = &fake.seen(&Method::GET)[0];
    for media_type in media_type::MANIFESTS {
        assert!(get.header("accept").unwrap().contains(media_type));
    }
    assert_eq!(
        fake.seen(&Method::GET).len(),
        2,
        "resolving reads no manifest"
    );
}

#[tokio::test]
async fn a_registry_whose_head_has_no_digest_is_read() {
    let fake = Fake::start().await;
    fake.state().no_digest_header = true;
    let client = fake.client();
    let manifest = manifest(None);
    client
        .push_manifest(&repository(), &manifest, Some(&tag()))
        .await
        .unwrap();
    let resolved = client.resolve(&repository(), &tag().into()).await.unwrap();
    assert_eq!(resolved, manifest.descriptor());
    fake.rule(1, Method::HEAD, "/manifests/", |_| {
        Answer::Reply(reply(405))
    });
    let resolved = client.resolve(&repository(), &tag().into()).await.unwrap();
    assert_eq!(resolved, manifest.descriptor());
}

#[tokio::test]
async fn a_manifest_that_is_not_what_it_should_be_is_refused() {
    let fake = Fake::start().await;
    let client = fake.client();
    let manifest = manifest(None);
    let other = Digest::sha256(b"other");
    fake.rule(1, Method::GET, "/manifests/", {
        let bytes = manifest.bytes().clone();
        move |_| Answer::Reply(reply_with(200, &[], bytes.clone()))
    });
    let error = client
        .manifest(&repository(), &other.into())
        .await
        .unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    assert!(error.to_string().contains(&fake.host), "{error}");

    for method in [Method::GET, Method::HEAD] {
        fake.rule(1, method, "/manifests/", {
            let bytes = manifest.bytes().clone();
            let headers = [("docker-content-digest", other.to_string())];
            move |_| {
                let headers = headers
                    .each_ref()
                    .map(|(name, value)| (*name, value.as_str()));
                Answer::Reply(reply_with(200, &headers, bytes.clone()))
            }
        });
    }
    let error = client
        .manifest(&repository(), &tag().into())
        .await
        .unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    let error = client
        .resolve(&repository(), &manifest.digest().into())
        .await
        .unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
}

#[tokio::test]
async fn a_manifest_without_end_is_not_read() {
    let fake = Fake::start().await;
    for declares in [true, false] {
        fake.rule(1, Method::GET, "/manifests/", move |_| {
            if declares {
                let reply = reply_with(200, &[("content-length", "5368709120")], "{");
                return Answer::Cut(reply);
            }
            let much = Bytes::from(vec![b' '; 5 << 20]);
            Answer::Unsized(reply_with(200, &[], much))
        });
        let error = fake
            .client()
            .manifest(&repository(), &tag().into())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn manifests_are_named_by_other_algorithms_too() {
    let fake = Fake::start().await;
    let manifest = manifest(None);
    let digest = HashAlgorithm::Sha512.digest(manifest.bytes());
    let stored = (
        media_type::IMAGE_MANIFEST.to_owned(),
        manifest.bytes().clone(),
    );
    fake.state().manifests.insert(digest.to_string(), stored);
    let found = fake
        .client()
        .manifest(&repository(), &digest.into())
        .await
        .unwrap();
    assert_eq!(found.digest(), digest);
}

#[tokio::test]
async fn a_manifest_that_dangles_names_what_is_missing() {
    let fake = Fake::start().await;
    let missing = Digest::sha256(EMPTY_CONFIG);
    fake.rule(1, Method::PUT, "/manifests/", move |_| {
        let said = format!(
            r#"{{"errors":[{{"code":"MANIFEST_BLOB_UNKNOWN","message":"x","detail":{{"digest":"{missing}"}}}}]}}"#
        );
        Answer::Reply(reply_with(404, &[], said))
    });
    let error = fake
        .client()
        .push_manifest(&repository(), &manifest(None), None)
        .await;
    assert!(matches!(error, Err(Error::Dangling { digest, .. }) if digest == missing));
}

#[tokio::test]
async fn referrers_are_kept_under_a_tag_where_the_registry_keeps_none() {
    let fake = Fake::start().await;
    let client = fake.client();
    let subject = manifest(None);
    client
        .push_manifest(&repository(), &subject, None)
        .await
        .unwrap();
    assert!(
        client
            .referrers(&repository(), &subject.digest())
            .await
            .unwrap()
            .is_empty()
    );

    // An entry by another program, with a field that is not known here.
    let fallback = Tag::for_referrers(&subject.digest());
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{{"mediaType":"x/y","digest":"{}","size":1,"new":true}}]}}"#,
        media_type::IMAGE_INDEX,
        Digest::sha256(b"theirs")
    );
    let stored = (media_type::IMAGE_INDEX.to_owned(), Bytes::from(index));
    fake.state().manifests.insert(fallback.to_string(), stored);

    let referrer = manifest(Some(&subject));
    for _ in 0..2 {
        client
            .push_manifest(&repository(), &referrer, None)
            .await
            .unwrap();
    }
    let found = client
        .referrers(&repository(), &subject.digest())
        .await
        .unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].extra["new"], true);
    assert_eq!(found[1].digest, referrer.digest());
    assert_eq!(found[1].artifact_type.as_deref(), Some("test/x"));

    client
        .delete_manifest(&repository(), &referrer.digest().into())
        .await
        .unwrap();
    let found = client
        .referrers(&repository(), &subject.digest())
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    let raw = client
        .manifest(&repository(), &fallback.into())
        .await
        .unwrap();
    assert!(matches!(raw.parse().unwrap(), Document::Index(_)));
}

#[tokio::test]
async fn a_registry_that_keeps_referrers_is_left_to_do_so() {
    let fake = Fake::start().await;
    fake.state().has_referrers = true;
    let client = fake.client();
    let subject = manifest(None);
    client
        .push_manifest(&repository(), &manifest(Some(&subject)), None)
        .await
        .unwrap();
    assert_eq!(fake.seen(&Method::PUT).len(), 1);
    assert!(fake.seen(&Method::GET).is_empty());
}

/// Answers pages of referrers, then names.
fn page(seen: &Seen, pages: &[(&str, &str)]) -> Answer {
    let query = seen.uri.query().unwrap_or_default();
    let number = query
        .rsplit_once("page=")
        .map_or(0, |(_, page)| page.parse().unwrap());
    let (body, link) = pages[number];
    let headers = if link.is_empty() {
        vec![]
    } else {
        vec![("link", link)]
    };
    Answer::Reply(reply_with(200, &headers, body.to_owned()))
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let fake = Fake::start().await;
    fake.rule(9, Method::GET, "/referrers/", |seen| {
        let entry = r#"{"manifests":[{"digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}],"schemaVersion":2}"#;
        let empty = r#"{"schemaVersion":2,"manifests":null}"#;
        page(seen, &[(empty, r#"<?page=1>; rel="next""#), (entry, "")])
    });
    fake.rule(9, Method::GET, "/tags/list", |seen| {
        let first = r#"{"name":"acme/shop","tags":["b","no tag!","a"]}"#;
        let link = r#"</v2/acme/shop/tags/list?n=2&page=1>; rel="next""#;
        let loops = r#"</v2/acme/shop/tags/list?n=2&page=1>; rel="next""#;
        page(seen, &[(first, link), (r#"{"tags":["c","a"]}"#, loops)])
    });
    fake.rule(9, Method::GET, "/_catalog", |seen| {
        page(
            seen,
            &[(r#"{"repositories":["z","a/b","Not A Name"]}"#, "")],
        )
    });
    let client = fake.client();
    let referrers = client
        .referrers(&repository(), &Digest::sha256(b"x"))
        .await
        .unwrap();
    assert_eq!(referrers.len(), 1);
    let tags = client.tags(&repository()).await.unwrap();
    assert_eq!(
        tags.iter().map(Tag::as_str).collect::<Vec<_>>(),
        ["a", "b", "c"]
    );
    let repositories = client.repositories().await.unwrap();
    assert_eq!(repositories, ["a/b".parse().unwrap(), "z".parse().unwrap()]);
}

#[tokio::test]
async fn a_full_page_without_a_link_is_followed_by_another() {
    let fake = Fake::start().await;
    fake.rule(9, Method::GET, "/tags/list", |seen| {
        let names = match seen.uri.query().unwrap() {
            "n=1000" => (0..1000).map(|n| format!(r#""{n:04}""#)).collect(),
            "n=1000&last=0999" => vec![r#""last""#.to_owned()],
            other => panic!("{other}"),
        };
        let body = format!(r#"{{"tags":[{}]}}"#, names.join(","));
        Answer::Reply(reply_with(200, &[], body))
    });
    assert_eq!(fake.client().tags(&repository()).await.unwrap().len(), 1001);
}

#[tokio::test]
async fn what_a_registry_cannot_do_is_said() {
    let fake = Fake::start().await;
    let client = fake.client();
    let error = client.repositories().await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    assert!(client.tags(&repository()).await.unwrap_err().is_not_found());
    fake.rule(9, Method::DELETE, "/v2/", |_| Answer::Reply(reply(405)));
    let deletions = [
        client.delete_manifest(&repository(), &tag().into()).await,
        client
            .delete_blob(&repository(), &Digest::sha256(b""))
            .await,
    ];
    for deletion in deletions {
        assert!(matches!(deletion, Err(Error::Unsupported { .. })));
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_done() {
    let fake = Fake::start().await;
    let digest = fake.put_blob(&Bytes::from_static(b"x"));
    let client = fake.client();
    fake.rule(1, Method::DELETE, "/blobs/", |_| Answer::DoAndHangUp);
    client.delete_blob(&repository(), &digest).await.unwrap();
    let again = client.delete_blob(&repository(), &digest).await;
    assert!(again.unwrap_err().is_not_found());
}

#[tokio::test]
async fn attempts_are_counted_and_the_last_answer_is_told() {
    let fake = Fake::start().await;
    fake.rule(9, Method::GET, "/manifests/", |_| {
        let said = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}"#;
        Answer::Reply(reply_with(429, &[("retry-after", "0")], said))
    });
    let error = fake
        .client()
        .manifest(&repository(), &tag().into())
        .await
        .unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("slow down"), "{error}");
    assert_eq!(fake.seen(&Method::GET).len(), 4);
}

#[tokio::test]
async fn a_registry_that_asks_for_too_long_a_wait_is_not_waited_for() {
    let fake = Fake::start().await;
    fake.rule(9, Method::GET, "/manifests/", |_| {
        let headers = [
            ("date", "Sun, 06 Nov 1994 08:00:00 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 09:00:00 GMT"),
        ];
        Answer::Reply(reply_with(503, &headers, ""))
    });
    let error = fake
        .client()
        .manifest(&repository(), &tag().into())
        .await
        .unwrap_err();
    assert!(error.is_transient());
    assert_eq!(fake.seen(&Method::GET).len(), 1);
}

#[tokio::test]
async fn no_more_requests_than_allowed_are_under_way() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    let fake = Fake::start().await;
    let most = Arc::new(AtomicUsize::new(0));
    let waiting = Arc::clone(&most);
    fake.rule(2, Method::GET, "/manifests/", move |_| {
        waiting.fetch_add(1, Ordering::SeqCst);
        Answer::Silence
    });
    let mut options = fake.options();
    options.parallel = 2;
    let client = ocm_oci::RegistryClient::new(options).unwrap();
    let (name, reference) = (repository(), Reference::Tag(tag()));
    let mut all: Vec<_> = (0..5)
        .map(|_| Box::pin(client.manifest(&name, &reference)))
        .collect();
    while most.load(Ordering::SeqCst) < 2 {
        for request in &mut all {
            assert!(futures::poll!(request).is_pending());
        }
        tokio::task::yield_now().await;
    }
    for _ in 0..100 {
        for request in &mut all {
            assert!(futures::poll!(request).is_pending());
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.seen(&Method::GET).len(), 2);
}
