//! Proof: what is asked for, what is sent, and to whom.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::Method;
use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_oci::{
    CredentialSource, Error, Fetch as _, List as _, Push as _, RegistryClient, RegistryCredentials,
    RegistryIdentity, Scheme,
};

use crate::fake::{Answer, Fake, Seen, reply_with, repository};

fn password() -> RegistryCredentials {
    RegistryCredentials::Basic {
        username: "u".into(),
        password: "p".into(),
    }
}

fn client(fake: &Fake, credentials: impl CredentialSource + 'static) -> RegistryClient {
    let mut options = fake.options();
    options.credentials = Arc::new(credentials);
    RegistryClient::new(options).unwrap()
}

/// Makes a registry that wants a token whose text is what it is good for.
fn want_tokens(fake: &Fake, lifetime: u64) {
    let realm = format!("http://{}/token", fake.host);
    for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT] {
        let realm = realm.clone();
        fake.rule(1000, method, "/v2/", move |seen| {
            if seen
                .header("authorization")
                .is_some_and(|value| value.starts_with("Bearer "))
            {
                return Answer::Usual;
            }
            let challenge = format!(r#"Bearer realm="{realm}",service="here""#);
            Answer::Reply(reply_with(401, &[("www-authenticate", &challenge)], ""))
        });
    }
    for method in [Method::GET, Method::POST] {
        let count = AtomicUsize::new(0);
        fake.rule(1000, method, "/token", move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let token = format!(r#"{{"token":"t{number}","expires_in":{lifetime}}}"#);
            Answer::Reply(reply_with(200, &[], token))
        });
    }
}

fn tokens(fake: &Fake) -> Vec<Seen> {
    let mut seen = fake.state().seen.clone();
    seen.retain(|seen| seen.uri.path() == "/token");
    seen
}

#[tokio::test]
async fn a_password_is_sent_only_when_it_is_asked_for() {
    let fake = Fake::start().await;
    let digest = Digest::sha256(b"x");
    let client = client(&fake, password());
    client.stat_blob(&repository(), &digest).await.unwrap();
    assert_eq!(fake.seen(&Method::HEAD)[0].header("authorization"), None);
    fake.rule(1, Method::HEAD, "/v2/", |_| {
        Answer::Reply(reply_with(
            401,
            &[("www-authenticate", "Basic realm=x")],
            "",
        ))
    });
    client.stat_blob(&repository(), &digest).await.unwrap();
    client.stat_blob(&repository(), &digest).await.unwrap();
    let sent: Vec<_> = fake
        .seen(&Method::HEAD)
        .iter()
        .map(|seen| seen.header("authorization").is_some())
        .collect();
    assert_eq!(sent, [false, false, true, true]);
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_tried_for_ever() {
    let fake = Fake::start().await;
    fake.rule(1000, Method::HEAD, "/v2/", |_| {
        Answer::Reply(reply_with(
            401,
            &[("www-authenticate", "Basic realm=x")],
            "",
        ))
    });
    let client = client(&fake, password());
    let error = client
        .stat_blob(&repository(), &Digest::sha256(b""))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
    assert_eq!(fake.seen(&Method::HEAD).len(), 2);
}

#[tokio::test]
async fn one_token_serves_all_requests_for_a_repository() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, password());
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    client.push_blob(&repository(), &blob).await.unwrap();
    let digest = Digest::sha256(b"x");
    let (one, two) = (repository(), repository());
    let both = tokio::join!(
        client.stat_blob(&one, &digest),
        client.stat_blob(&two, &digest)
    );
    assert_eq!((both.0.unwrap(), both.1.unwrap()), (Some(1), Some(1)));
    let tokens = tokens(&fake);
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(tokens[0].header("authorization"), Some("Basic dTpw"));
    let query = tokens[0].uri.query().unwrap();
    assert!(query.contains("service=here"), "{query}");
    assert!(
        query.contains("scope=repository%3Aacme%2Fshop%3Apull%2Cpush"),
        "{query}"
    );
}

#[tokio::test]
async fn parallel_requests_wait_for_one_token() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, ocm_oci::Anonymous);
    let digest = Digest::sha256(b"x");
    let repository = repository();
    let all = (0..20).map(|_| client.stat_blob(&repository, &digest));
    futures::future::try_join_all(all).await.unwrap();
    let tokens = tokens(&fake);
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].header("authorization"), None, "anonymous");
}

#[tokio::test]
async fn a_mount_asks_for_both_repositories_at_once() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, password());
    let from = "acme/other".parse().unwrap();
    client
        .mount_blob(&repository(), &from, &Digest::sha256(b"x"))
        .await
        .unwrap();
    let query = tokens(&fake)[0].uri.query().unwrap().to_owned();
    assert!(
        query.contains("scope=repository%3Aacme%2Fother%3Apull&"),
        "{query}"
    );
    assert!(
        query.contains("scope=repository%3Aacme%2Fshop%3Apull%2Cpush"),
        "{query}"
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(
        &fake,
        RegistryCredentials::IdentityToken("refresh me".into()),
    );
    client
        .stat_blob(&repository(), &Digest::sha256(b""))
        .await
        .unwrap();
    let exchange = &tokens(&fake)[0];
    assert_eq!(exchange.method, Method::POST);
    let form = String::from_utf8(exchange.body.to_vec()).unwrap();
    assert!(form.contains("grant_type=refresh_token"), "{form}");
    assert!(form.contains("refresh_token=refresh+me"), "{form}");
    assert!(
        form.contains("scope=repository%3Aacme%2Fshop%3Apull&service=here"),
        "{form}"
    );
}

#[tokio::test]
async fn an_access_token_is_sent_as_it_is() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, RegistryCredentials::AccessToken("mine".into()));
    client
        .stat_blob(&repository(), &Digest::sha256(b""))
        .await
        .unwrap();
    assert!(tokens(&fake).is_empty());
    assert_eq!(
        fake.seen(&Method::HEAD)[1].header("authorization"),
        Some("Bearer mine")
    );
}

#[tokio::test]
async fn a_token_that_expires_in_the_middle_of_an_upload_is_renewed_once() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let realm = format!(r#"Bearer realm="http://{}/token""#, fake.host);
    // Rules are asked in their order, so this one needs a fresh registry of rules.
    let late = Fake::start().await;
    late.rule(1, Method::PUT, "/uploads/", move |_| {
        Answer::Reply(reply_with(401, &[("www-authenticate", &realm)], ""))
    });
    let client = client(&late, password());
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    client.push_blob(&repository(), &blob).await.unwrap();
    assert_eq!(tokens(&fake).len(), 1);
    assert_eq!(
        late.seen(&Method::PUT)[1].header("authorization"),
        Some("Bearer t0")
    );
}

#[tokio::test]
async fn a_token_service_that_refuses_means_not_authenticated() {
    for (status, says) in [
        (401, "not authenticated"),
        (400, "not authenticated"),
        (403, "not allowed"),
    ] {
        let fake = Fake::start().await;
        fake.rule(9, Method::GET, "/token", move |_| {
            Answer::Reply(reply_with(status, &[], ""))
        });
        want_tokens(&fake, 300);
        let client = client(&fake, password());
        let error = client
            .stat_blob(&repository(), &Digest::sha256(b""))
            .await
            .unwrap_err();
        assert!(error.to_string().contains(says), "{status}: {error}");
        assert!(error.to_string().contains("token service"), "{error}");
    }
}

#[tokio::test]
async fn malformed_tokens_are_errors() {
    for answer in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, "[1]"] {
        let fake = Fake::start().await;
        fake.rule(9, Method::GET, "/token", move |_| {
            Answer::Reply(reply_with(200, &[], answer))
        });
        want_tokens(&fake, 300);
        let client = client(&fake, password());
        let error = client
            .stat_blob(&repository(), &Digest::sha256(b""))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{answer}: {error}"
        );
    }
}

#[tokio::test]
async fn secrets_show_nowhere() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, password());
    client.tags(&repository()).await.unwrap_err();
    let shown = format!("{client:?} {:?}", fake.options());
    assert!(!shown.contains("dTpw") && !shown.contains("t0"), "{shown}");
}

#[derive(Debug)]
struct Broken;

#[async_trait]
impl CredentialSource for Broken {
    async fn credentials(
        &self,
        identity: &RegistryIdentity,
    ) -> Result<Option<RegistryCredentials>, Box<dyn StdError + Send + Sync>> {
        assert_eq!(
            (identity.scheme.as_str(), identity.host.as_str()),
            ("http", "127.0.0.1")
        );
        assert_eq!(identity.repository, "acme/shop");
        Err("helper not found".into())
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_named() {
    let fake = Fake::start().await;
    want_tokens(&fake, 300);
    let client = client(&fake, Broken);
    let error = client
        .stat_blob(&repository(), &Digest::sha256(b""))
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("credentials for 127.0.0.1"),
        "{error}"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn tls_to_a_registry_without_it_fails_at_once() {
    let fake = Fake::start().await;
    let mut options = fake.options();
    options.scheme = Scheme::Https;
    options.retry.attempts = 100;
    let client = RegistryClient::new(options).unwrap();
    let error = client
        .stat_blob(&repository(), &Digest::sha256(b""))
        .await
        .unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn storage_behind_a_registry_cannot_ask_for_its_credentials() {
    let (fake, storage) = (Fake::start().await, Fake::start().await);
    let realm = format!(r#"Bearer realm="http://{}/token""#, storage.host);
    for method in [Method::GET, Method::PUT, Method::PATCH] {
        let realm = realm.clone();
        storage.rule(9, method, "/v2/", move |_| {
            Answer::Reply(reply_with(401, &[("www-authenticate", &realm)], ""))
        });
    }
    let target = format!("http://{}/v2/x/blobs/uploads/1", storage.host);
    for (method, status) in [(Method::GET, 307), (Method::POST, 202)] {
        let target = target.clone();
        fake.rule(9, method, "/blobs/", move |_| {
            Answer::Reply(reply_with(status, &[("location", &target)], ""))
        });
    }
    let client = client(&fake, password());
    let descriptor = ocm_oci::Descriptor::of("", b"x");
    let download = client.blob(&repository(), &descriptor).open().await;
    assert!(download.is_err());
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    let upload = client.push_blob(&repository(), &blob).await;
    assert!(matches!(upload, Err(Error::Unauthenticated { .. })));
    let asked = storage.state().seen.clone();
    assert!(asked.iter().all(|seen| seen.uri.path() != "/token"));
    assert!(
        asked
            .iter()
            .all(|seen| seen.header("authorization").is_none())
    );
    assert_eq!(storage.seen(&Method::PUT).len(), 1);
}
