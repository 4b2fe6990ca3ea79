//! Many references in one request, and what becomes of them where that fails.

use std::time::Duration;

use futures::future::join_all;
use futures::poll;
use http::Method;
use ocm_oci::lookup::{self, Answer as Answered, Found, Lookup};
use ocm_oci::{
    Descriptor, EMPTY_CONFIG, Error, Fetch as _, ImageManifest, RawManifest, Reference,
    RegistryClient, RepositoryName, Timeouts, media_type,
};

use crate::fake::{Answer, Fake, reply, reply_with, repository};

fn manifest(number: usize) -> RawManifest {
    let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    let mut image = ImageManifest::new(config, Vec::new());
    image.artifact_type = Some(format!("test/{number}"));
    RawManifest::image(&image)
}

fn tag(number: usize) -> Reference {
    format!("v{number}").parse().unwrap()
}

/// A registry that looks up so many references at a time and has a manifest under every even tag, and a
/// client that knows so.
async fn registry(looks_up: usize) -> (Fake, RegistryClient) {
    registry_of(looks_up, Timeouts::default()).await
}

async fn registry_of(looks_up: usize, timeouts: Timeouts) -> (Fake, RegistryClient) {
    let fake = Fake::start().await;
    {
        let mut state = fake.state();
        state.looks_up = Some(looks_up);
        for number in (0..100).step_by(2) {
            let manifest = manifest(number);
            let stored = (manifest.media_type().to_owned(), manifest.bytes().clone());
            state.manifests.insert(tag(number).to_string(), stored);
        }
    }
    let mut options = fake.options();
    options.timeouts = timeouts;
    let client = RegistryClient::new(options).unwrap();
    client.resolve(&repository(), &tag(0)).await.unwrap();
    fake.state().seen.clear();
    (fake, client)
}

/// Looks up the first tags, all at the same time, and checks what is found.
async fn look_up(client: &RegistryClient, count: usize) {
    let repository = repository();
    let tags: Vec<_> = (0..count).map(tag).collect();
    let found = join_all(tags.iter().map(|tag| client.resolve(&repository, tag))).await;
    for (number, found) in found.into_iter().enumerate() {
        match found {
            Ok(descriptor) => assert_eq!(descriptor, manifest(number).descriptor()),
            Err(error) => {
                assert!(error.is_not_found() && number % 2 == 1, "{number}: {error}");
                let name = format!("acme/shop:v{number}");
                assert!(error.to_string().contains(&name), "{error}");
            }
        }
    }
}

fn sizes(fake: &Fake) -> Vec<usize> {
    let lookups = fake.seen(&Method::POST);
    let sizes = lookups.iter().map(|seen| {
        assert_eq!(seen.uri.path(), lookup::PATH);
        Lookup::parse(&seen.body).unwrap().manifests.len()
    });
    sizes.collect()
}

fn heads(fake: &Fake) -> usize {
    fake.seen(&Method::HEAD).len()
}

#[tokio::test]
async fn what_is_wanted_at_the_same_time_is_asked_in_one_request() {
    let (fake, client) = registry(32).await;
    look_up(&client, 20).await;
    assert_eq!(sizes(&fake), [20]);
    assert_eq!(heads(&fake), 0);
}

#[tokio::test]
async fn what_is_wanted_alone_is_asked_as_at_any_registry() {
    let (fake, client) = registry(32).await;
    for number in 0..4 {
        let found = client.resolve(&repository(), &tag(number)).await;
        match found {
            Ok(descriptor) => assert_eq!(descriptor, manifest(number).descriptor()),
            Err(error) => assert!(error.is_not_found() && number % 2 == 1, "{error}"),
        }
    }
    assert!(fake.seen(&Method::POST).is_empty());
    assert_eq!(heads(&fake), 4);
}

#[tokio::test]
async fn what_is_refused_alone_is_asked_with_all_attempts() {
    for (times, status) in [(1, 503), (1, 429), (2, 503)] {
        let (fake, client) = registry(32).await;
        fake.rule(times, Method::HEAD, "/manifests/", move |_| {
            Answer::Reply(reply(status))
        });
        let found = client.resolve(&repository(), &tag(2)).await.unwrap();
        assert_eq!(found, manifest(2).descriptor());
        assert_eq!(heads(&fake), times + 1, "{status}");
    }
}

#[tokio::test]
async fn no_more_is_asked_at_a_time_than_the_registry_takes() {
    let (fake, client) = registry(8).await;
    look_up(&client, 20).await;
    assert_eq!(sizes(&fake).iter().sum::<usize>(), 20);
    assert_eq!(sizes(&fake).len(), 3);

    let (fake, client) = registry(1_000_000).await;
    look_up(&client, 100).await;
    assert_eq!(sizes(&fake).iter().sum::<usize>(), 100);
    assert_eq!(
        sizes(&fake).len(),
        100_usize.div_ceil(lookup::MAX_REFERENCES)
    );
}

#[tokio::test]
async fn a_registry_that_says_nothing_is_asked_one_by_one() {
    for says in ["", "0", "-1", "many"] {
        let (fake, _) = registry(8).await;
        fake.state().looks_up = None;
        let client = fake.client();
        if !says.is_empty() {
            fake.rule(1, Method::HEAD, "/manifests/", move |_| {
                Answer::Reply(reply_with(404, &[(lookup::HEADER.as_str(), says)], ""))
            });
            let nothing = client.resolve(&repository(), &tag(1)).await;
            assert!(nothing.unwrap_err().is_not_found());
            fake.state().seen.clear();
        }
        look_up(&client, 10).await;
        assert!(fake.seen(&Method::POST).is_empty(), "{says}");
        assert_eq!(heads(&fake), 10);
    }
}

#[tokio::test]
async fn a_digest_is_looked_up_as_a_tag_is() {
    let (fake, client) = registry(8).await;
    let manifest = manifest(2);
    let stored = (manifest.media_type().to_owned(), manifest.bytes().clone());
    let digest = manifest.digest();
    fake.state().manifests.insert(digest.to_string(), stored);
    let repository = repository();
    let references = [digest.into(), tag(2)];
    let found = references
        .each_ref()
        .map(|it| client.resolve(&repository, it));
    for found in join_all(found).await {
        assert_eq!(found.unwrap(), manifest.descriptor());
    }
    assert_eq!((sizes(&fake), heads(&fake)), (vec![2], 0));
}

/// An answer that is none, by its name, and whether that can pass.
type Broken = (&'static str, bool, fn() -> Answer);

fn broken() -> Vec<Broken> {
    vec![
        ("404", false, || Answer::Reply(reply(404))),
        ("405", false, || Answer::Reply(reply(405))),
        ("401", false, || Answer::Reply(reply(401))),
        ("403", false, || Answer::Reply(reply(403))),
        ("204", false, || Answer::Reply(reply(204))),
        ("no JSON", false, || {
            Answer::Reply(reply_with(200, &[], "<html>"))
        }),
        ("too few", false, || {
            Answer::Reply(reply_with(200, &[], r#"{"manifests":[{"status":404}]}"#))
        }),
        ("too large", false, || {
            Answer::Reply(reply_with(200, &[], vec![b' '; 1 << 20]))
        }),
        ("500", true, || Answer::Reply(reply(500))),
        ("503", true, || Answer::Reply(reply(503))),
        ("cut", true, || {
            let headers = [("content-length", "100")];
            Answer::Cut(reply_with(200, &headers, r#"{"manifests":["#))
        }),
        ("hung up", true, || Answer::DoAndHangUp),
    ]
}

#[tokio::test]
async fn what_is_not_answered_together_is_asked_one_by_one() {
    for (name, may_pass, answer) in broken() {
        let (fake, client) = registry(32).await;
        fake.rule(1, Method::POST, lookup::PATH, move |_| answer());
        look_up(&client, 10).await;
        assert_eq!(fake.seen(&Method::POST).len(), 1, "{name}");
        assert_eq!(heads(&fake), 10, "{name}");

        // Who never answers so is not asked again.
        look_up(&client, 10).await;
        let asked = 1 + usize::from(may_pass);
        assert_eq!(fake.seen(&Method::POST).len(), asked, "{name}");
    }
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_asked_one_by_one() {
    let timeouts = Timeouts {
        read: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let (fake, client) = registry_of(32, timeouts).await;
    fake.rule(1, Method::POST, lookup::PATH, |_| Answer::Silence);
    for heads_by_then in [10, 20] {
        look_up(&client, 10).await;
        assert_eq!((sizes(&fake), heads(&fake)), (vec![10], heads_by_then));
    }
}

#[tokio::test]
async fn what_one_answer_leaves_open_is_asked_again() {
    let (fake, client) = registry(32).await;
    let there = Found::at(manifest(0).descriptor());
    let nothing = [404, 403, 500, 200, 0].map(Found::nothing);
    let manifests = std::iter::once(there).chain(nothing).collect();
    let body = serde_json::to_vec(&Answered { manifests }).unwrap();
    fake.rule(1, Method::POST, lookup::PATH, move |_| {
        Answer::Reply(reply_with(200, &[], body.clone()))
    });
    look_up(&client, 6).await;
    assert_eq!((sizes(&fake), heads(&fake)), (vec![6], 4));
}

#[tokio::test]
async fn who_goes_away_takes_nobody_along() {
    let (fake, client) = registry(32).await;
    let (repository, first, second): (RepositoryName, _, _) = (repository(), tag(0), tag(2));
    {
        let mut gone = std::pin::pin!(client.resolve(&repository, &first));
        assert!(poll!(&mut gone).is_pending());
    }
    let found = client.resolve(&repository, &second).await.unwrap();
    assert_eq!(found, manifest(2).descriptor());
    let seen = fake.seen(&Method::HEAD);
    assert_eq!(seen.len(), 1, "nobody asks for who has gone");
    assert!(seen[0].uri.path().ends_with("/manifests/v2"), "{seen:?}");
    assert!(fake.seen(&Method::POST).is_empty());
}

#[tokio::test]
async fn one_token_is_for_all_that_is_looked_up() {
    let (fake, client) = registry(32).await;
    let realm = format!("http://{}/token", fake.host);
    fake.rule(2, Method::POST, lookup::PATH, move |seen| {
        if seen.header("authorization") == Some("Bearer t") {
            return Answer::Usual;
        }
        let challenge = format!(r#"Bearer realm="{realm}",service="here""#);
        Answer::Reply(reply_with(401, &[("www-authenticate", &challenge)], ""))
    });
    fake.rule(1, Method::GET, "/token", |_| {
        Answer::Reply(reply_with(200, &[], r#"{"token":"t"}"#))
    });
    let names: Vec<RepositoryName> = ["acme/a", "acme/b"]
        .map(|name| name.parse().unwrap())
        .into();
    let tag = tag(4);
    for found in join_all(names.iter().map(|name| client.resolve(name, &tag))).await {
        assert_eq!(found.unwrap(), manifest(4).descriptor());
    }
    let asked = fake.seen(&Method::GET);
    let query = asked[0].uri.query().unwrap();
    for name in ["acme%2Fa", "acme%2Fb"] {
        assert!(
            query.contains(&format!("repository%3A{name}%3Apull")),
            "{query}"
        );
    }
    assert_eq!((sizes(&fake), heads(&fake)), (vec![2, 2], 0));
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_named_once() {
    let (fake, client) = registry(32).await;
    fake.rule(1000, Method::POST, lookup::PATH, |_| {
        Answer::Reply(reply(503))
    });
    fake.rule(1000, Method::HEAD, "/manifests/", |_| {
        Answer::Reply(reply(503))
    });
    let error = client.resolve(&repository(), &tag(0)).await.unwrap_err();
    let Error::Remote { what, status, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(what.contains("acme/shop:v0"), "{what}");
    assert_eq!(*status, Some(503));
}
