//! Who may do what: files of users and rules, and what clients say of themselves.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Full;
use ocm_oci::MemoryStore;
use ocm_registry::{
    Authentication, AuthenticationOptions, Policy, Registry, RegistryOptions, Scheme,
};
use tower_service::Service as _;

/// A user, `acme`, whose password is `password`.
const USERS: &[u8] = b"acme:$2b$04$Oa5HmpsiEgQWnH6uZvVIzeA9SQYu9cYA7dK91l3Lu.BrAKd1iJXlu\n";

/// What `acme` is allowed: nothing in `closed`.
const RULES: &[u8] = b"rules:\n- {users: [acme], repositories: ['open/**'], allow: [pull]}\n";

/// More than 32 bytes.
const KEY: &[u8] = b"a key of which nobody outside of this test knows anything";

/// A file of users is read or refused.
pub fn htpasswd(bytes: &[u8]) {
    crate::block_on(async {
        let world = World::new(bytes, RULES);
        drop(world.authentication().await);
    });
}

/// A file of rules is read or refused. It allows nobody what it does not say: in the corpus and in
/// what becomes of it, `acme` is the only user.
pub fn access_rules(bytes: &[u8]) {
    crate::block_on(async {
        let world = World::new(USERS, bytes);
        let Some(authentication) = world.authentication().await else {
            return;
        };
        // Neither is found, but whoever may not look is told so before.
        let status = ask(authentication, "/v2/open/a/tags/list", None).await;
        let expected = [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND];
        let says_anonymous = bytes.windows(9).any(|window| window == b"anonymous");
        assert!(expected.contains(&status), "{status}");
        assert!(
            status == StatusCode::UNAUTHORIZED || says_anonymous,
            "{status}"
        );
    });
}

/// The header by which a client says who it is lets in nobody but `acme`, and nobody to what `acme`
/// may not see.
pub fn authorization(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    crate::block_on(async {
        let world = World::new(USERS, RULES);
        let authentication = world.authentication().await;
        let authentication = authentication.expect("users and rules that are right");
        let status = ask(authentication, "/v2/closed/tags/list", Some(value)).await;
        let refused = [
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::BAD_REQUEST,
        ];
        assert!(refused.contains(&status), "{status}");
    });
}

/// Files of a registry with tokens.
struct World(tempfile::TempDir);

impl World {
    fn new(users: &[u8], rules: &[u8]) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for (name, content) in [("users", users), ("rules", rules), ("key", KEY)] {
            std::fs::write(directory.path().join(name), content).expect("a file");
        }
        Self(directory)
    }

    async fn authentication(&self) -> Option<Authentication> {
        let path = |name: &str| Path::join(self.0.path(), name);
        let mut options = AuthenticationOptions::new(path("users"), || 1_000_000);
        options.rules = Some(path("rules"));
        options.token_key = Some(path("key"));
        options.scheme = Scheme::Token;
        Authentication::open(options).await.ok()
    }
}

/// Asks a registry in which nothing is.
async fn ask(
    authentication: Authentication,
    path: &str,
    authorization: Option<HeaderValue>,
) -> StatusCode {
    let policy = Policy {
        authentication: Some(authentication),
        ..Policy::default()
    };
    let store = Arc::new(MemoryStore::new());
    let registry = Registry::with_policy(store, RegistryOptions::default(), policy);
    let mut request = Request::get(path)
        .body(Full::new(Bytes::new()))
        .expect("a request");
    if let Some(value) = authorization {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    let answer = registry.router().call(request).await;
    answer.expect("routers do not fail").status()
}
