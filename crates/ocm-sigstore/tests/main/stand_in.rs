//! A Sigstore of one's own: certificate authority with its log, transparency logs of both versions,
//! timestamp authority and OpenID Connect issuer, in one small server.
//!
//! Each speaks the protocol of the real service, with real certificates and real proofs.

mod der;
mod issuer;
mod log;
mod pki;
mod stamp;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ocm_sigstore::{HttpClient, Network, Services, TrustedRoot};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use url::Url;

pub(crate) use issuer::Issuer;
use log::{LogV1, LogV2};
use pki::Authority;
use stamp::Clock;

/// What a service does when it is asked, other than its work.
#[derive(Clone, Debug)]
pub(crate) struct Failure(pub(crate) StatusCode, pub(crate) &'static str);

/// The running services.
pub(crate) struct StandIn {
    pub(crate) url: Url,
    parts: Arc<Parts>,
    server: JoinHandle<()>,
}

struct Parts {
    url: Url,
    authority: Authority,
    v1: Mutex<LogV1>,
    v2: Mutex<LogV2>,
    clock: Clock,
    issuer: Issuer,
    /// By the first part of the path.
    failures: Mutex<BTreeMap<&'static str, Failure>>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let url = Url::parse(&format!("http://{address}")).unwrap();
        let parts = Arc::new(Parts {
            authority: Authority::new(),
            v1: Mutex::new(LogV1::new("rekor.test - 42")),
            // The Go tools expect the name of such a log to be its host.
            v2: Mutex::new(LogV2::new("127.0.0.1".to_owned())),
            clock: Clock::new(),
            issuer: Issuer::new(url.join("/oidc").unwrap()),
            failures: Mutex::default(),
            url: url.clone(),
        });
        let router = Router::new()
            .route("/fulcio/api/v2/signingCert", post(certify))
            .route("/rekor/api/v1/log/entries", post(add_v1))
            .route("/rekor/api/v1/log/entries/{uuid}", get(entry_v1))
            .route("/rekor2/api/v2/log/entries", post(add_v2))
            .route("/tsa/api/v1/timestamp", post(stamp))
            .route("/oidc/.well-known/openid-configuration", get(discover))
            .route("/oidc/device", post(start_device))
            .route("/oidc/token", post(grant))
            .route("/github", get(github))
            .with_state(parts.clone());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, parts, server }
    }

    /// Lets a service fail from now on: `fulcio`, `rekor`, `rekor2`, `tsa` or `oidc`.
    pub(crate) fn fail(&self, service: &'static str, failure: Failure) {
        self.parts.failures.lock().unwrap().insert(service, failure);
    }

    /// Lets the log testify another time.
    pub(crate) fn set_log_time(&self, time: Timestamp) {
        self.parts.v1.lock().unwrap().time = Some(time);
    }

    pub(crate) fn issuer(&self) -> &Issuer {
        &self.parts.issuer
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        self.url.join(path).unwrap()
    }

    /// The keys and certificates of all services, as a trusted root.
    pub(crate) fn root_json(&self) -> Value {
        let parts = &self.parts;
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [
                parts.v1.lock().unwrap().trusted(&self.at("/rekor")),
                parts.v2.lock().unwrap().trusted(&self.at("/rekor2")),
            ],
            "certificateAuthorities": [parts.authority.trusted(&self.at("/fulcio"))],
            "ctlogs": [parts.authority.trusted_log()],
            "timestampAuthorities": [parts.clock.trusted(&self.at("/tsa"))],
        })
    }

    pub(crate) fn root(&self) -> Arc<TrustedRoot> {
        let json = self.root_json().to_string();
        Arc::new(TrustedRoot::read(json.as_bytes()).unwrap())
    }

    /// A signing config with a log of this version, and a clock if wanted.
    pub(crate) fn signing_config(&self, version: u32, clock: bool) -> Value {
        let service = |path: &str, version: u32| {
            json!({
                "url": self.at(path),
                "majorApiVersion": version,
                "validFor": {"start": "2024-01-01T00:00:00Z"},
                "operator": "test",
            })
        };
        let log = if version == 1 { "/rekor" } else { "/rekor2" };
        let mut config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "caUrls": [service("/fulcio", 1)],
            "oidcUrls": [service("/oidc", 1)],
            "rekorTlogUrls": [service(log, version)],
            "rekorTlogConfig": {"selector": "ANY"},
            "tsaConfig": {"selector": "ANY"},
        });
        if clock {
            config["tsaUrls"] = json!([service("/tsa/api/v1/timestamp", 1)]);
        }
        config
    }

    pub(crate) fn services(&self, version: u32, clock: bool) -> Services {
        let json = self.signing_config(version, clock).to_string();
        Services::read(json.as_bytes(), Timestamp::now()).unwrap()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The loopback interface.
pub(crate) struct Loopback;

#[async_trait]
impl Network for Loopback {
    async fn client(
        &self,
        _: &Url,
    ) -> Result<HttpClient, Box<dyn std::error::Error + Send + Sync>> {
        let none = reqwest::redirect::Policy::none();
        let builder = HttpClient::builder().no_proxy().redirect(none);
        Ok(builder.tls_certs_only([]).build()?)
    }
}

type Shared = State<Arc<Parts>>;

fn failure(parts: &Parts, service: &str) -> Option<Response> {
    let failures = parts.failures.lock().unwrap();
    let Failure(status, body) = failures.get(service)?;
    Some((*status, *body).into_response())
}

fn ok(status: StatusCode, value: &Value) -> Response {
    (
        status,
        [("content-type", "application/json")],
        value.to_string(),
    )
        .into_response()
}

/// Fulcio refuses as gRPC does.
fn refused(message: &str) -> Response {
    let body = json!({"code": 3, "message": message, "details": []});
    ok(StatusCode::BAD_REQUEST, &body)
}

async fn certify(State(parts): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(failure) = failure(&parts, "fulcio") {
        return failure;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    // The Go tools send the token in a header.
    let header = headers.get("authorization").and_then(|it| it.to_str().ok());
    let header = header.and_then(|it| it.strip_prefix("Bearer "));
    let token = request["credentials"]["oidcIdentityToken"].as_str();
    let token = token.or(header).unwrap_or_default();
    let Some(claims) = parts.issuer.check(token) else {
        return refused("There was an error processing the identity token");
    };
    let subject = claims["email"].as_str().or(claims["sub"].as_str()).unwrap();
    let asked = &request["publicKeyRequest"];
    let pem = asked["publicKey"]["content"].as_str().unwrap();
    let proof = STANDARD
        .decode(asked["proofOfPossession"].as_str().unwrap())
        .unwrap();
    match parts
        .authority
        .certify(pem, subject, parts.issuer.url.as_str(), &proof)
    {
        Some(chain) => ok(
            StatusCode::OK,
            &json!({"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}),
        ),
        None => refused("The signature supplied in the request could not be verified"),
    }
}

async fn add_v1(State(parts): Shared, body: Bytes) -> Response {
    if let Some(failure) = failure(&parts, "rekor") {
        return failure;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    match parts.v1.lock().unwrap().add(&request) {
        Ok(entry) => {
            let uuid = entry.as_object().and_then(|it| it.keys().next().cloned());
            let mut answer = ok(StatusCode::CREATED, &entry);
            let tag = uuid.unwrap().parse().unwrap();
            answer.headers_mut().insert("etag", tag);
            answer
        }
        Err(uuid) => {
            let location = format!("{}rekor/api/v1/log/entries/{uuid}", parts.url);
            (StatusCode::CONFLICT, [("location", location)], "{}").into_response()
        }
    }
}

async fn entry_v1(State(parts): Shared, Path(uuid): Path<String>) -> Response {
    match parts.v1.lock().unwrap().entry(&uuid) {
        Some(entry) => ok(StatusCode::OK, &entry),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn add_v2(State(parts): Shared, body: Bytes) -> Response {
    if let Some(failure) = failure(&parts, "rekor2") {
        return failure;
    }
    let request: Value = serde_json::from_slice(&body).unwrap();
    ok(StatusCode::CREATED, &parts.v2.lock().unwrap().add(&request))
}

async fn stamp(State(parts): Shared, headers: HeaderMap, body: Bytes) -> Response {
    if let Some(failure) = failure(&parts, "tsa") {
        return failure;
    }
    assert_eq!(headers["content-type"], "application/timestamp-query");
    let answer = parts.clock.stamp(&body);
    ([("content-type", "application/timestamp-reply")], answer).into_response()
}

async fn discover(State(parts): Shared) -> Response {
    if let Some(failure) = failure(&parts, "oidc") {
        return failure;
    }
    ok(StatusCode::OK, &parts.issuer.configuration())
}

async fn start_device(State(parts): Shared, body: String) -> Response {
    ok(StatusCode::OK, &parts.issuer.start_device(&body))
}

async fn grant(State(parts): Shared, body: String) -> Response {
    match parts.issuer.grant(&body) {
        Ok(granted) => ok(StatusCode::OK, &granted),
        Err(error) => ok(StatusCode::BAD_REQUEST, &json!({"error": error})),
    }
}

/// What GitHub gives to a job: a token for the audience that is asked for.
async fn github(State(parts): Shared, headers: HeaderMap, uri: axum::http::Uri) -> Response {
    if headers
        .get("authorization")
        .is_none_or(|it| it != "Bearer permit")
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let query = uri.query().unwrap_or_default();
    let audience = query.split('&').find_map(|it| it.strip_prefix("audience="));
    let token = parts.issuer.workflow_token(audience.unwrap_or_default());
    ok(StatusCode::OK, &json!({"value": token}))
}
