//! What many references point to, in one request.

use std::sync::Arc;

use futures::future::join_all;
use ocm_oci::lookup::{self, Answer, Found, Lookup, Wanted};
use ocm_oci::{Error, Fetch as _, RegistryClient, RepositoryName};
use ocm_registry::{Policy, Registry, RegistryOptions, Server};
use reqwest::{Method, Response};

use crate::store::TestStore;
use crate::support::{Fixture, Kept, check_header, expect, expect_error, header, unknown_digest};

fn wanted(repository: &str, reference: &str) -> Wanted {
    Wanted {
        repository: repository.parse().unwrap(),
        reference: reference.parse().unwrap(),
    }
}

async fn send(registry: &Fixture, body: impl Into<reqwest::Body>) -> Response {
    let request = registry.request(Method::POST, lookup::PATH).body(body);
    request.send().await.unwrap()
}

async fn look_up(registry: &Fixture, wanted: &[Wanted]) -> Vec<Found> {
    let manifests = wanted.to_vec();
    let response = send(registry, serde_json::to_vec(&Lookup { manifests }).unwrap()).await;
    check_header(&response, "content-type", "application/json");
    let answer: Answer = serde_json::from_slice(&expect(response, 200).await).unwrap();
    answer.manifests
}

#[tokio::test]
async fn whatever_is_answered_about_a_manifest_says_that_many_can_be_looked_up() {
    let registry = Fixture::start().await;
    registry.push_image("acme/shop", "v1", b"layer").await;
    let number = lookup::MAX_REFERENCES.to_string();
    for path in [
        "/v2/acme/shop/manifests/v1",
        "/v2/acme/shop/manifests/v2",
        "/v2/acme/till/manifests/v1",
    ] {
        for method in [Method::HEAD, Method::GET] {
            let response = registry.send(method, path).await;
            assert_eq!(header(&response, lookup::HEADER.as_str()), number, "{path}");
        }
    }
}

#[tokio::test]
async fn each_answer_is_that_to_a_head() {
    let store = Arc::new(TestStore::default());
    let registry = Fixture::over(store.clone(), RegistryOptions::default()).await;
    let shop = registry.push_image("acme/shop", "v1", b"one").await;
    let till = registry.push_image("acme/till", "v1", b"two").await;
    let asked = [
        wanted("acme/till", "v1"),
        wanted("acme/shop", "v2"),
        wanted("acme/shop", &shop.digest().to_string()),
        wanted("acme/shop", &unknown_digest().to_string()),
        wanted("nowhere", "v1"),
        wanted("acme/shop", "v1"),
    ];
    let there = [till.descriptor(), shop.descriptor(), shop.descriptor()].map(Found::at);
    let [first, third, last] = there;
    let missing = Found::nothing(404);
    assert_eq!(
        look_up(&registry, &asked).await,
        [
            first,
            missing.clone(),
            third,
            missing.clone(),
            missing,
            last
        ]
    );
    assert_eq!(look_up(&registry, &[]).await, []);

    *store.fault.lock().unwrap() = Some(|| Error::Busy {
        what: "the store".to_owned(),
    });
    for found in look_up(&registry, &asked).await {
        assert_eq!(found, Found::nothing(500));
    }
}

#[tokio::test]
async fn what_is_no_lookup_is_refused() {
    let registry = Fixture::start().await;
    for body in [
        "",
        "null",
        "{}",
        r#"{"manifests":[{"repository":"A","reference":"v1"}]}"#,
    ] {
        expect_error(send(&registry, body).await, 400, "UNSUPPORTED").await;
    }
    let manifests = vec![wanted("acme/shop", "v1"); lookup::MAX_REFERENCES + 1];
    let many = serde_json::to_vec(&Lookup { manifests }).unwrap();
    expect_error(send(&registry, many).await, 400, "UNSUPPORTED").await;
    let large = vec![b' '; 1 + usize::try_from(lookup::MAX_BYTES).unwrap()];
    expect_error(send(&registry, large).await, 413, "SIZE_INVALID").await;
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let response = registry.send(method, lookup::PATH).await;
        check_header(&response, "allow", "POST");
        expect_error(response, 405, "UNSUPPORTED").await;
    }
}

#[tokio::test]
async fn a_registry_for_reading_only_answers_as_well() {
    let options = RegistryOptions {
        read_only: true,
        ..RegistryOptions::default()
    };
    let registry = Fixture::with(options).await;
    let missing = look_up(&registry, &[wanted("acme/shop", "v1")]).await;
    assert_eq!(missing, [Found::nothing(404)]);
}

#[tokio::test]
async fn a_client_that_wants_much_needs_few_requests() {
    let log = Arc::new(Kept::default());
    let policy = Policy {
        access_log: Some(log.clone()),
        ..Policy::default()
    };
    let store = Arc::new(TestStore::default());
    let registry = Registry::with_policy(store, RegistryOptions::default(), policy);
    let registry = Fixture::of(Server::bind("127.0.0.1:0").await.unwrap(), &registry);
    let manifest = registry.push_image("acme/shop", "v1", b"layer").await;
    let before = log.entries().len();

    let options = ocm_oci::RegistryOptions::new(registry.address.to_string());
    let client = RegistryClient::new(options).unwrap();
    let tag = "v1".parse().unwrap();
    let shop: RepositoryName = "acme/shop".parse().unwrap();
    client.resolve(&shop, &tag).await.unwrap();
    let names: Vec<RepositoryName> = (0..99)
        .map(|number| format!("acme/{number}").parse().unwrap())
        .chain([shop])
        .collect();
    let found = join_all(names.iter().map(|name| client.resolve(name, &tag))).await;
    for (name, found) in names.iter().zip(found) {
        match found {
            Ok(found) => assert_eq!((name.as_str(), found), ("acme/shop", manifest.descriptor())),
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
    }
    let last = log.entry(lookup::PATH).await;
    assert_eq!((last.method.as_str(), last.status), ("POST", 200));
    let requests = log.entries().len() - before;
    assert!(
        requests <= 1 + names.len().div_ceil(lookup::MAX_REFERENCES),
        "{requests}"
    );
}
