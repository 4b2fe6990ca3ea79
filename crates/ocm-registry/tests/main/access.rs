//! Who may do what: passwords, tokens, rules.

mod lookups;

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_oci::{
    CredentialSource, Delete as _, Descriptor, Error, Fetch as _, ImageManifest, List as _,
    MemoryStore, Push as _, RawManifest, Reference, RegistryClient, RegistryCredentials,
    RegistryIdentity, RepositoryName,
};
use ocm_registry::{
    Authentication, AuthenticationOptions, Policy, Registry, RegistryOptions, Scheme, Server,
};
use reqwest::{Method, Response};
use tempfile::TempDir;

use crate::support::{Fixture, Kept, PATIENCE, expect, expect_error, header, json};

/// The passwords are the names. The cost is the least there is.
const USERS: &str = "\
alice:$2y$04$ALICE
bob:$2y$04$BOB
";

const RULES: &str = r#"
groups:
  owners: [alice]
rules:
  - groups: [owners]
    repositories: ["acme/**"]
    allow: [pull, push, delete]
  - users: [bob]
    repositories: ["acme/shop", "bob/*"]
    allow: [pull]
  - users: [bob]
    repositories: ["bob/*"]
    allow: [push]
  - anonymous: true
    repositories: ["acme/public"]
    allow: [pull]
"#;

const KEY: [u8; 32] = [7; 32];

const fn now() -> u64 {
    1_000_000
}

struct World {
    registry: Fixture,
    log: Arc<Kept>,
    directory: TempDir,
}

async fn world(change: impl FnOnce(&mut AuthenticationOptions)) -> World {
    let directory = tempfile::tempdir().unwrap();
    let hash = |name: &str| bcrypt::hash(name, 4).unwrap();
    let users = USERS
        .replace("$2y$04$ALICE", &hash("alice"))
        .replace("$2y$04$BOB", &hash("bob"));
    let htpasswd = directory.path().join("htpasswd");
    std::fs::write(&htpasswd, users).unwrap();
    let rules = directory.path().join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let key = directory.path().join("key");
    std::fs::write(&key, KEY).unwrap();
    let mut options = AuthenticationOptions::new(htpasswd, now);
    options.rules = Some(rules);
    options.token_key = Some(key);
    change(&mut options);
    let authentication = Authentication::open(options).await.unwrap();
    let log = Arc::new(Kept::default());
    let policy = Policy {
        authentication: Some(authentication),
        access_log: Some(log.clone()),
        ..Policy::default()
    };
    let store = Arc::new(MemoryStore::new());
    let registry = Registry::with_policy(store, RegistryOptions::default(), policy);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    World {
        registry: Fixture::of(server, &registry),
        log,
        directory,
    }
}

/// A registry that has another time, and takes the tokens of [`token`].
async fn world_at(clock: fn() -> u64) -> World {
    world(|options| {
        options.scheme = Scheme::Token;
        options.clock = clock;
    })
    .await
}

async fn basic() -> World {
    world(|_| {}).await
}

async fn token() -> World {
    world_at(now).await
}

impl World {
    async fn send(&self, user: &str, method: Method, path: &str) -> Response {
        let request = self.registry.request(method, path);
        let request = match user {
            "" => request,
            user => request.basic_auth(user, Some(user)),
        };
        request.send().await.unwrap()
    }

    async fn get(&self, user: &str, path: &str) -> Response {
        self.send(user, Method::GET, path).await
    }

    /// Asks for a token and returns it.
    async fn token(&self, user: &str, scope: &str) -> String {
        let response = self.get(user, &format!("/token?scope={scope}")).await;
        assert_eq!(header(&response, "cache-control"), "no-store");
        json(response).await["token"].as_str().unwrap().to_owned()
    }

    async fn with_token(&self, token: &str, method: Method, path: &str) -> Response {
        let request = self.registry.request(method, path).bearer_auth(token);
        request.send().await.unwrap()
    }

    fn client(&self, user: &'static str) -> RegistryClient {
        let mut options = ocm_oci::RegistryOptions::new(self.registry.address.to_string());
        options.credentials = Arc::new(Known(user));
        RegistryClient::new(options).unwrap()
    }
}

#[derive(Debug)]
struct Known(&'static str);

#[async_trait]
impl CredentialSource for Known {
    async fn credentials(
        &self,
        _: &RegistryIdentity,
    ) -> Result<Option<RegistryCredentials>, Box<dyn StdError + Send + Sync>> {
        Ok(match self.0 {
            "" => None,
            name => Some(RegistryCredentials::Basic {
                username: name.to_owned(),
                password: name.to_owned(),
            }),
        })
    }
}

/// Pushes an image of one layer, tagged `v1`.
async fn push(client: &RegistryClient, name: &RepositoryName) -> Result<RawManifest, Error> {
    let mut parts = Vec::new();
    for content in ["{}", "layer"] {
        let blob: ocm_blob::BlobRef = Arc::new(ocm_blob::MemoryBlob::new(content));
        client.push_blob(name, &blob).await?;
        let part = Descriptor::of("application/octet-stream", content.as_bytes());
        parts.push(part);
    }
    let layers = parts.split_off(1);
    let manifest = RawManifest::image(&ImageManifest::new(parts.remove(0), layers));
    let tag = "v1".parse().unwrap();
    client.push_manifest(name, &manifest, Some(&tag)).await?;
    Ok(manifest)
}

#[tokio::test]
async fn who_is_not_known_is_asked() {
    let world = basic().await;
    for (user, password) in [
        ("alice", "wrong"),
        ("nobody", "nobody"),
        ("", ""),
        ("alice", ""),
    ] {
        let request = world
            .registry
            .request(Method::GET, "/v2/acme/shop/tags/list");
        let request = request.basic_auth(user, Some(password));
        let response = request.send().await.unwrap();
        let asked = header(&response, "www-authenticate");
        assert_eq!(asked, r#"Basic realm="ocm-registry", charset="UTF-8""#);
        let body = expect(response, 401).await;
        // Nothing tells a wrong password from an unknown user.
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#
        );
    }
    for value in [
        "Basic",
        "Basic ???",
        "Basic YQ==",
        "Digest x",
        "Bearer x.y.z",
        "Bearer ",
    ] {
        let request = world.registry.request(Method::GET, "/v2/");
        let request = request.header("authorization", value);
        expect_error(request.send().await.unwrap(), 401, "UNAUTHORIZED").await;
    }
    expect(world.get("alice", "/v2/").await, 200).await;
    expect(world.get("", "/healthz").await, 200).await;
    // A proof that is wrong is refused also where none is needed.
    let request = world
        .registry
        .request(Method::GET, "/v2/acme/public/tags/list");
    let request = request.basic_auth("alice", Some("wrong"));
    expect_error(request.send().await.unwrap(), 401, "UNAUTHORIZED").await;
}

#[tokio::test]
async fn each_method_needs_its_right() {
    let world = basic().await;
    let digest = Digest::sha256(b"nothing");
    let upload = "01234567-89ab-4def-8123-456789abcdef";
    let routes = |name: &str| {
        [
            (Method::GET, format!("/v2/{name}/tags/list"), "pull"),
            (Method::HEAD, format!("/v2/{name}/manifests/v1"), "pull"),
            (Method::GET, format!("/v2/{name}/manifests/v1"), "pull"),
            (Method::GET, format!("/v2/{name}/blobs/{digest}"), "pull"),
            (
                Method::GET,
                format!("/v2/{name}/referrers/{digest}"),
                "pull",
            ),
            (Method::PUT, format!("/v2/{name}/manifests/v1"), "push"),
            (Method::POST, format!("/v2/{name}/blobs/uploads/"), "push"),
            (
                Method::GET,
                format!("/v2/{name}/blobs/uploads/{upload}"),
                "push",
            ),
            (
                Method::PATCH,
                format!("/v2/{name}/blobs/uploads/{upload}"),
                "push",
            ),
            (
                Method::PUT,
                format!("/v2/{name}/blobs/uploads/{upload}?digest={digest}"),
                "push",
            ),
            (
                Method::DELETE,
                format!("/v2/{name}/blobs/uploads/{upload}"),
                "push",
            ),
            (Method::DELETE, format!("/v2/{name}/manifests/v1"), "delete"),
            (
                Method::DELETE,
                format!("/v2/{name}/blobs/{digest}"),
                "delete",
            ),
        ]
    };
    let cases: BTreeMap<(&str, &str), &[&str]> = BTreeMap::from([
        (("alice", "acme/shop"), &["pull", "push", "delete"][..]),
        (("alice", "bob/x"), &[]),
        (("bob", "acme/shop"), &["pull"]),
        (("bob", "bob/x"), &["pull", "push"]),
        (("bob", "acme/public"), &["pull"]),
        (("", "acme/public"), &["pull"]),
        (("", "acme/shop"), &[]),
    ]);
    for ((user, name), allowed) in cases {
        for (method, path, action) in routes(name) {
            let status = world
                .send(user, method.clone(), &path)
                .await
                .status()
                .as_u16();
            let shown = format!("{user} {method} {path}: {status}");
            match (allowed.contains(&action), user) {
                (true, _) => assert!(![401, 403].contains(&status), "{shown}"),
                (false, "") => assert_eq!(status, 401, "{shown}"),
                (false, _) => assert_eq!(status, 403, "{shown}"),
            }
        }
    }
    let denied = world.get("bob", "/v2/other/tags/list").await;
    expect_error(denied, 403, "DENIED").await;
}

#[tokio::test]
async fn the_access_log_names_who_was_refused_or_logged_in() {
    let world = token().await;
    for (user, path, status, logged) in [
        ("bob", "/v2/acme/secret/tags/list", 403, Some("bob")),
        ("bob", "/token?scope=none", 200, Some("bob")),
        ("carol", "/v2/acme/public/tags/list", 401, None),
        ("", "/token", 200, None),
    ] {
        expect(world.get(user, path).await, status).await;
        let entry = world.log.entry(path).await;
        assert_eq!((entry.status, entry.user.as_deref()), (status, logged));
    }
}

#[tokio::test]
async fn the_catalogue_has_what_may_be_pulled() {
    let world = basic().await;
    for name in ["acme/shop", "acme/public", "acme/secret"] {
        let path = format!("/v2/{name}/blobs/uploads/?digest={}", Digest::sha256(b"{}"));
        let request = world.registry.request(Method::POST, &path);
        let push = request.basic_auth("alice", Some("alice")).body("{}");
        expect(push.send().await.unwrap(), 201).await;
        let config = Descriptor::of("application/octet-stream", b"{}");
        let manifest = RawManifest::image(&ImageManifest::new(config, vec![]));
        let path = format!("/v2/{name}/manifests/v1");
        let put = world.registry.request(Method::PUT, &path);
        let put = put
            .basic_auth("alice", Some("alice"))
            .header("content-type", manifest.media_type())
            .body(manifest.bytes().clone());
        expect(put.send().await.unwrap(), 201).await;
    }
    for (user, expected) in [
        ("alice", &["acme/public", "acme/secret", "acme/shop"][..]),
        ("bob", &["acme/public", "acme/shop"]),
        ("", &["acme/public"]),
    ] {
        let listed = json(world.get(user, "/v2/_catalog").await).await;
        assert_eq!(
            listed["repositories"],
            serde_json::json!(expected),
            "{user}"
        );
    }
    // What may not be pulled is not mounted.
    let digest = Digest::sha256(b"{}");
    for (from, status) in [("&from=acme/secret", 202), ("&from=acme/shop", 201)] {
        let path = format!("/v2/bob/x/blobs/uploads/?mount={digest}{from}");
        let response = world.send("bob", Method::POST, &path).await;
        assert_eq!(response.status(), status, "{from}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_what_it_was_asked_for() {
    let world = token().await;
    let response = world.get("", "/v2/").await;
    let host = world.registry.address;
    let asked = header(&response, "www-authenticate");
    let realm = format!(r#"Bearer realm="http://{host}/token",service="ocm-registry""#);
    assert_eq!(asked, realm);
    expect_error(response, 401, "UNAUTHORIZED").await;
    let response = world
        .send("", Method::POST, "/v2/acme/shop/blobs/uploads/")
        .await;
    let asked = header(&response, "www-authenticate");
    assert_eq!(
        asked,
        format!(r#"{realm},scope="repository:acme/shop:pull,push""#)
    );

    let tags = "/v2/acme/public/tags/list";
    let pull = world.token("alice", "repository:acme/public:pull").await;
    expect_error(
        world.with_token(&pull, Method::GET, tags).await,
        404,
        "NAME_UNKNOWN",
    )
    .await;
    let delete = world
        .with_token(&pull, Method::DELETE, "/v2/acme/public/manifests/v1")
        .await;
    let asked = header(&delete, "www-authenticate");
    assert!(
        asked.ends_with(r#",scope="repository:acme/public:delete",error="insufficient_scope""#),
        "{asked}"
    );
    expect_error(delete, 401, "UNAUTHORIZED").await;
    let elsewhere = world
        .with_token(&pull, Method::GET, "/v2/acme/shop/tags/list")
        .await;
    expect_error(elsewhere, 401, "UNAUTHORIZED").await;
    expect(world.with_token(&pull, Method::GET, "/v2/").await, 200).await;
    expect_error(
        world.with_token(&pull, Method::GET, "/v2/_catalog").await,
        401,
        "UNAUTHORIZED",
    )
    .await;
    let catalogue = world.token("alice", "registry:catalog:*").await;
    expect(
        world
            .with_token(&catalogue, Method::GET, "/v2/_catalog")
            .await,
        200,
    )
    .await;

    // More than the rules allow is not given, and asking for it does not help.
    let more = world
        .token("bob", "repository:acme/shop:pull,push,delete")
        .await;
    let push = world
        .with_token(&more, Method::POST, "/v2/acme/shop/blobs/uploads/")
        .await;
    expect_error(push, 403, "DENIED").await;

    // Everybody may have a token, for what everybody may do.
    let anyone = world.token("", "repository:acme/public:pull,push").await;
    expect_error(
        world.with_token(&anyone, Method::GET, tags).await,
        404,
        "NAME_UNKNOWN",
    )
    .await;
    let push = world
        .with_token(&anyone, Method::POST, "/v2/acme/public/blobs/uploads/")
        .await;
    expect_error(push, 401, "UNAUTHORIZED").await;

    let wrong = world
        .registry
        .request(Method::GET, "/token")
        .basic_auth("alice", Some("x"));
    let wrong = wrong.send().await.unwrap();
    assert!(header(&wrong, "www-authenticate").starts_with("Basic "));
    expect_error(wrong, 401, "UNAUTHORIZED").await;
}

#[tokio::test]
async fn a_form_may_ask_for_a_token() {
    let world = token().await;
    let ask = |form: &[(&str, &str)]| {
        let request = world.registry.request(Method::POST, "/token");
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(form)
            .finish();
        request
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
    };
    let form = [
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", "alice"),
        ("service", "ocm-registry"),
        ("scope", "repository:acme/shop:pull"),
    ];
    let answer = json(ask(&form).await.unwrap()).await;
    assert_eq!(answer["expires_in"], 300);
    let token = answer["access_token"].as_str().unwrap();
    let tags = world
        .with_token(token, Method::GET, "/v2/acme/shop/tags/list")
        .await;
    expect_error(tags, 404, "NAME_UNKNOWN").await;
    let wrong = [
        ("grant_type", "password"),
        ("username", "alice"),
        ("password", "x"),
    ];
    expect_error(ask(&wrong).await.unwrap(), 401, "UNAUTHORIZED").await;
    let other = ask(&[("grant_type", "refresh_token"), ("refresh_token", "x")]).await;
    expect_error(other.unwrap(), 400, "UNSUPPORTED").await;
    let long = "x".repeat(20_000);
    expect_error(ask(&[("scope", &long)]).await.unwrap(), 413, "SIZE_INVALID").await;
    // Where passwords go with each request, there are no tokens.
    let plain = basic().await;
    expect_error(plain.get("alice", "/token").await, 404, "UNSUPPORTED").await;
}

#[tokio::test]
async fn a_password_in_a_query_proves_nothing() {
    let world = token().await;
    let path = "/token?grant_type=password&username=alice&password=alice&service=ocm-registry\
        &scope=repository:acme/shop:pull";
    let anyone = json(world.get("", path).await).await;
    let anyone = anyone["token"].as_str().unwrap();
    let tags = "/v2/acme/shop/tags/list";
    let refused = world.with_token(anyone, Method::GET, tags).await;
    expect_error(refused, 401, "UNAUTHORIZED").await;
}

#[tokio::test]
async fn registries_of_one_key_and_name_take_each_others_tokens() {
    let with_key = |host: &'static str| {
        world(move |options| {
            options.scheme = Scheme::Token;
            options.public_url = Some(format!("https://{host}/").parse().unwrap());
        })
    };
    let (one, two) = (
        with_key("oci.acme.org").await,
        with_key("oci.acme.org").await,
    );
    let other = with_key("other.org").await;
    let asked = header(&one.get("", "/v2/").await, "www-authenticate");
    assert_eq!(
        asked,
        r#"Bearer realm="https://oci.acme.org/token",service="oci.acme.org""#
    );
    let proof = one.token("alice", "repository:acme/shop:pull").await;
    let tags = "/v2/acme/shop/tags/list";
    for (world, status) in [
        (&one, 404),
        (&two, 404),
        (&other, 401),
        (&token().await, 401),
    ] {
        assert_eq!(
            world.with_token(&proof, Method::GET, tags).await.status(),
            status
        );
    }
    let path = one.directory.path();
    for (len, action) in [(16, "use"), (2 << 20, "read")] {
        let key = path.join("other");
        std::fs::write(&key, vec![7; len]).unwrap();
        let expected = format!("cannot {action} {}", key.display());
        let mut options = AuthenticationOptions::new(path.join("htpasswd"), now);
        options.token_key = Some(key);
        let refused = Authentication::open(options).await.unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

#[tokio::test]
async fn our_client_logs_in_and_pushes_and_pulls() {
    for world in [basic().await, token().await] {
        let alice = world.client("alice");
        let tag: Reference = "v1".parse().unwrap();
        let name = "acme/shop".parse().unwrap();
        let pushed = push(&alice, &name).await.unwrap();
        let pulled = world.client("bob").manifest(&name, &tag).await.unwrap();
        assert_eq!(pulled.digest(), pushed.digest());
        let denied = push(&world.client("bob"), &name).await.unwrap_err();
        assert!(matches!(denied, Error::Denied { .. }), "{denied:?}");
        for stranger in ["", "carol"] {
            let unknown = world.client(stranger).tags(&name).await.unwrap_err();
            assert!(
                matches!(unknown, Error::Unauthenticated { .. }),
                "{unknown:?}"
            );
        }
        let public = "acme/public".parse().unwrap();
        push(&alice, &public).await.unwrap();
        world.client("").manifest(&public, &tag).await.unwrap();
        assert_eq!(alice.repositories().await.unwrap().len(), 2);
        alice.delete_manifest(&name, &tag).await.unwrap();
    }
}

#[tokio::test]
async fn tokens_end_and_rules_change() {
    let world = token().await;
    let token = world.token("alice", "repository:acme/shop:pull").await;
    let tags = "/v2/acme/shop/tags/list";
    assert_eq!(
        world.with_token(&token, Method::GET, tags).await.status(),
        404
    );
    let rules = world.directory.path().join("rules.yaml");
    std::fs::write(rules, "rules: []").unwrap();
    let changed = async {
        while world.with_token(&token, Method::GET, tags).await.status() != 403 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, changed).await.unwrap();
    let later = world_at(|| now() + 301).await;
    let token = world.token("alice", "").await;
    let ended = later.with_token(&token, Method::GET, "/v2/").await;
    assert!(header(&ended, "www-authenticate").ends_with(r#",error="invalid_token""#));
}
