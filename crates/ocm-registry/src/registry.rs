//! The registry as a whole: which request goes where, and the log of them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Uri};
use ocm_digest::Digest;
use ocm_oci::{RepositoryName, StoreRef, lookup};
use tokio::time::{Instant, sleep};
use tracing::Instrument as _;
use url::form_urlencoded;

use crate::access::{Asking, Authentication, Clock, Rights};
use crate::access_log::{AccessEntry, AccessLog, Line, Logged};
use crate::failure::{Chain, Code, Failure};
use crate::incoming::Incoming;
use crate::metrics::{Counted, Metrics};
use crate::options::RegistryOptions;
use crate::query::Query;
use crate::quota::Quota;
use crate::route::{self, Kind, Route};
use crate::server::Connection;
use crate::sessions::Sessions;

/// The longest path and query that are read, in bytes.
const MAX_URI: usize = 8 * 1024;

/// The largest form that is read, in bytes.
const MAX_FORM: u64 = 16 * 1024;

const LANDING: &str = "This is an OCI registry. Its API is at /v2/.\n";

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// The OCI distribution API 1.1 over a store.
///
/// Clones share the store and the uploads that are open.
#[derive(Clone, Debug)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

/// What requests share.
pub(crate) struct Inner {
    pub(crate) store: StoreRef,
    pub(crate) options: RegistryOptions,
    pub(crate) sessions: Sessions,
    pub(crate) quota: Option<Arc<Quota>>,
    authentication: Option<Authentication>,
    access_log: Option<Arc<dyn AccessLog>>,
    metrics: Arc<Metrics>,
}

/// What stands in front of a [`Registry`]. Default: nothing, so that everybody may do everything.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who may do what.
    pub authentication: Option<Authentication>,
    /// How much may be stored.
    pub quota: Option<Quota>,
    /// Who keeps the access log.
    pub access_log: Option<Arc<dyn AccessLog>>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("store", &self.store)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Registry {
    /// Puts the API in front of a store. Everybody may do everything.
    pub fn new(store: StoreRef, options: RegistryOptions) -> Self {
        Self::with_policy(store, options, Policy::default())
    }

    /// Puts the API in front of a store, for those who may.
    pub fn with_policy(store: StoreRef, options: RegistryOptions, policy: Policy) -> Self {
        let sessions = Sessions::new(options.max_uploads, options.upload_idle);
        Self {
            inner: Arc::new(Inner {
                store,
                options,
                sessions,
                quota: policy.quota.map(Arc::new),
                authentication: policy.authentication,
                access_log: policy.access_log,
                metrics: Arc::default(),
            }),
        }
    }

    /// Returns the numbers that `/metrics` shows.
    pub fn metrics(&self) -> Arc<Metrics> {
        Arc::clone(&self.inner.metrics)
    }

    /// Removes uploads that the store has kept and that nobody goes on with, now and from time to
    /// time, for ever. To be run beside the server, as those of an earlier process are not known
    /// here.
    pub async fn expire_uploads(&self, now: Clock) {
        let idle = self.inner.options.upload_idle;
        let Some(ingest) = self.inner.store.ingest() else {
            return std::future::pending().await;
        };
        loop {
            let before = UNIX_EPOCH + Duration::from_secs(now()).saturating_sub(idle);
            if let Err(error) = ingest.expire(before).await {
                tracing::warn!(error = %Chain(&error), "uploads that nobody goes on with stay");
            }
            sleep(idle).await;
        }
    }

    /// Has the store remove what nothing needs and what is older than the grace time, once in each
    /// interval, for ever. To be run beside the server. What cannot be done is logged, and tried again
    /// the next time.
    pub async fn collect_garbage(&self, interval: Duration, grace: Duration) {
        let Some(collector) = self.inner.store.collector() else {
            return std::future::pending().await;
        };
        if let Err(error) = collector.announce(grace).await {
            tracing::warn!(error = %Chain(&error), "others do not know of the grace time");
        }
        loop {
            sleep(interval).await;
            let started = Instant::now();
            let outcome = collector.collect(grace).await;
            let elapsed = started.elapsed();
            self.inner
                .metrics
                .garbage
                .count(outcome.as_ref().ok(), elapsed);
            let milliseconds = elapsed.as_millis();
            match outcome {
                Ok(done) => tracing::info!(
                    blobs = done.blobs,
                    bytes = done.bytes,
                    uploads = done.uploads,
                    condemned = done.condemned,
                    milliseconds,
                    "collected garbage"
                ),
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), milliseconds, "garbage stays");
                }
            }
        }
    }

    /// Returns the routes `/`, `/healthz`, `/readyz`, `/metrics`, `/token` and `/v2/…`.
    ///
    /// A layer that limits the size of bodies must leave `/v2/` out.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/", any(handle))
            .route("/healthz", any(handle))
            .route("/readyz", any(handle))
            .route("/metrics", any(handle))
            .route("/token", any(handle))
            .route("/v2", any(handle))
            .route("/v2/", any(handle))
            .route("/v2/{*path}", any(handle))
            .with_state(self.clone())
    }
}

async fn handle(State(registry): State<Registry>, request: Request) -> Response {
    let started = Instant::now();
    let inner = registry.inner;
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let line = |log: &Arc<_>| Line::new(describe(&request), started, Arc::clone(log));
    let mut line = inner.access_log.as_ref().map(line);
    let span = tracing::debug_span!("request", %method, path = uri.path());
    let route = route::parse(&method, uri.path());
    let kind = route.as_ref().map_or(Kind::Other, Route::kind);
    let reads = method.is_safe() || matches!(route, Ok(Route::LookUp));
    let mut counted = Counted::new(Arc::clone(&inner.metrics), method.clone(), kind, started);
    let mut nowhere = None;
    let user = line.as_mut().map_or(&mut nowhere, |it| &mut it.entry.user);
    let mut response = inner
        .answer(route, request, user)
        .instrument(span)
        .await
        .unwrap_or_else(IntoResponse::into_response);
    let status = response.status();
    counted.answered(status);
    if uri.path().starts_with("/v2") {
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert(API_VERSION, version);
        if kind == Kind::Manifest {
            let number = HeaderValue::from(lookup::MAX_REFERENCES);
            response.headers_mut().insert(lookup::HEADER, number);
        }
        log(&method, uri.path(), reads, status, started.elapsed());
    }
    let Some(mut line) = line else {
        return response;
    };
    line.entry.status = status.as_u16();
    let announced = response.headers().get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|it| it.to_str().ok()?.parse().ok());
    response.map(|body| Logged::body(body, announced, line))
}

/// Begins the entry of the access log for a request.
fn describe(request: &Request) -> AccessEntry {
    let (headers, uri) = (request.headers(), request.uri());
    let agent = headers.get(header::USER_AGENT);
    let connection = request.extensions().get::<Connection>();
    AccessEntry {
        remote: connection.map(|connection| connection.peer),
        user: None,
        method: request.method().to_string(),
        path: loggable(uri).chars().take(MAX_URI).collect(),
        user_agent: agent.map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned()),
        status: 0,
        bytes: 0,
        complete: false,
        elapsed: Duration::ZERO,
    }
}

/// Returns path and query for a log, which must not keep what may be a password: clients send them
/// where they ask for tokens.
fn loggable(uri: &Uri) -> String {
    let path = uri.path();
    let is_known = |part: &&str| {
        path.starts_with("/v2/") || part.starts_with("scope=") || part.starts_with("service=")
    };
    let query = uri.query().unwrap_or_default().split('&');
    let query: Vec<_> = query.filter(is_known).collect();
    if query.iter().all(|part| part.is_empty()) {
        path.to_owned()
    } else {
        format!("{path}?{}", query.join("&"))
    }
}

/// Writes the line of the access log; reading is as frequent as it is harmless.
fn log(method: &Method, path: &str, reads: bool, status: StatusCode, elapsed: Duration) {
    let (status, milliseconds) = (status.as_u16(), elapsed.as_millis());
    if reads {
        tracing::debug!(%method, path, status, milliseconds, "answered");
    } else {
        tracing::info!(%method, path, status, milliseconds, "answered");
    }
}

impl Inner {
    /// Answers a request. `user` is who has asked, as soon as that is proved.
    async fn answer(
        self: Arc<Self>,
        route: Result<Route, route::Error>,
        request: Request,
        user: &mut Option<String>,
    ) -> Result<Response, Failure> {
        let (parts, body) = request.into_parts();
        let length = parts.uri.path_and_query().map_or(0, |it| it.as_str().len());
        if length > MAX_URI {
            return Err(Failure::uri_too_long(MAX_URI));
        }
        let route = route?;
        let asking = Asking {
            headers: &parts.headers,
            uri: &parts.uri,
            encrypted: parts
                .extensions
                .get::<Connection>()
                .is_some_and(|it| it.is_encrypted()),
        };
        if route == Route::Token {
            return self.token(&asking, &parts, body, user).await;
        }
        let rights = match &self.authentication {
            Some(authentication) => authentication.identify(&asking, &route).await?,
            None => Rights::everything(),
        };
        *user = rights.user().map(str::to_owned);
        if let Some(authentication) = &self.authentication {
            authentication.permit(&asking, &route, &rights)?;
        }
        if route == Route::LookUp {
            return self.look_up(&parts.headers, body, &rights).await;
        }
        let query = Query::parse(parts.uri.query());
        if !route.writes() {
            return self.read(route, &query, &parts, &rights).await;
        }
        if self.options.read_only {
            return Err(Failure::read_only("this registry"));
        }
        // On a task of its own, what has been begun is ended also when the client goes away: the
        // connection drops this future, but not a store in the middle of a write.
        let write = async move {
            self.write(route, &query, &rights, parts.headers, body)
                .await
        };
        tokio::spawn(write.in_current_span())
            .await
            .unwrap_or_else(|error| {
                tracing::error!(%error, "a request broke off");
                Err(Failure::internal())
            })
    }

    async fn token(
        &self,
        asking: &Asking<'_>,
        parts: &Parts,
        body: Body,
        user: &mut Option<String>,
    ) -> Result<Response, Failure> {
        let authentication = self.authentication.as_ref();
        let authentication = authentication.ok_or(route::Error::NoSuchPath)?;
        let is_post = parts.method == Method::POST;
        let form = if is_post {
            let body = Incoming::new(&parts.headers, body, self.options.body_idle)?;
            body.collect(MAX_FORM).await?
        } else {
            Bytes::copy_from_slice(parts.uri.query().unwrap_or_default().as_bytes())
        };
        let form = form_urlencoded::parse(&form).into_owned();
        // Logs keep queries: a password there is taken for none, so that no client comes to use it.
        let form: Vec<_> = form.filter(|(key, _)| is_post || key == "scope").collect();
        let rights = authentication.log_in(asking, &form).await?;
        *user = rights.user().map(str::to_owned);
        let mut response = json(authentication.token(&rights, &form));
        let never = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, never);
        Ok(response)
    }

    async fn read(
        &self,
        route: Route,
        query: &Query,
        Parts {
            method, headers, ..
        }: &Parts,
        rights: &Rights,
    ) -> Result<Response, Failure> {
        let head = method == Method::HEAD;
        match route {
            Route::Base => Ok(json("{}")),
            Route::Catalog => self.list_repositories(query, rights).await,
            Route::ListTags { repository } => self.list_tags(&repository, query).await,
            Route::ListReferrers {
                repository,
                subject,
            } => self.list_referrers(&repository, &subject, query).await,
            Route::GetManifest {
                repository,
                reference,
            } => {
                if head {
                    self.head_manifest(&repository, &reference, headers).await
                } else {
                    self.get_manifest(&repository, &reference, headers).await
                }
            }
            Route::GetBlob { repository, digest } => {
                self.get_blob(&repository, digest, headers, head).await
            }
            Route::UploadStatus { repository, id } => {
                self.upload_status(&repository, id, rights).await
            }
            Route::Health => Ok(text("ok\n")),
            Route::Ready => self.readiness().await,
            Route::Metrics if self.options.metrics => Ok(self.numbers()),
            Route::Metrics => Err(route::Error::NoSuchPath.into()),
            _ => Ok(text(LANDING)),
        }
    }

    /// Says whether the store can be asked for content.
    async fn readiness(&self) -> Result<Response, Failure> {
        let name = "ready".parse();
        let name: RepositoryName = name.map_err(route::Error::from)?;
        let asked = self.store.stat_blob(&name, &Digest::sha256(b"")).await;
        match asked {
            Err(error) if !error.is_not_found() => {
                tracing::warn!(error = %Chain(&error), "the store does not answer");
                let message = "the store does not answer";
                Err(Failure::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    Code::Unknown,
                    message,
                ))
            }
            _ => Ok(text("ok\n")),
        }
    }

    fn numbers(&self) -> Response {
        let format = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        ([(header::CONTENT_TYPE, format)], self.metrics.to_text()).into_response()
    }

    async fn write(
        &self,
        route: Route,
        query: &Query,
        rights: &Rights,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        match route {
            Route::PutManifest {
                repository,
                reference,
            } => {
                self.put_manifest(&repository, &reference, query, &headers, body)
                    .await
            }
            Route::DeleteManifest {
                repository,
                reference,
            } => self.delete_manifest(&repository, &reference).await,
            Route::DeleteBlob { repository, digest } => self.delete_blob(&repository, digest).await,
            Route::StartUpload { repository } => {
                self.start_upload(repository, query, rights, &headers, body)
                    .await
            }
            Route::AppendUpload { repository, id } => {
                self.append_upload(&repository, id, rights, &headers, body)
                    .await
            }
            Route::FinishUpload { repository, id } => {
                self.finish_upload(&repository, id, rights, query, &headers, body)
                    .await
            }
            Route::CancelUpload { repository, id } => {
                self.cancel_upload(&repository, id, rights).await
            }
            _ => Err(route::Error::NoSuchPath.into()),
        }
    }
}

fn text(content: &'static str) -> Response {
    content.into_response()
}

/// Answers with a JSON document.
pub(crate) fn json(content: impl Into<Body>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], content.into()).into_response()
}

/// Names content in the header that clients compare.
pub(crate) fn name_content(headers: &mut HeaderMap, digest: &Digest) {
    if let Ok(value) = HeaderValue::try_from(digest.to_string()) {
        headers.insert(CONTENT_DIGEST, value);
    }
}

/// Names content in the headers that clients and caches compare.
pub(crate) fn tag_content(headers: &mut HeaderMap, digest: &Digest) {
    name_content(headers, digest);
    if let Ok(value) = HeaderValue::try_from(format!("\"{digest}\"")) {
        headers.insert(header::ETAG, value);
    }
}

/// Returns whether a client has the content already (RFC 9110, "If-None-Match").
pub(crate) fn is_known(headers: &HeaderMap, digest: &Digest) -> bool {
    let digest = digest.to_string();
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"'))
        .any(|tag| tag == "*" || tag == digest)
}

/// Answers a client that has the content already.
pub(crate) fn not_modified(digest: &Digest) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    tag_content(response.headers_mut(), digest);
    response
}

/// Answers that content has been stored, and where it is.
pub(crate) fn created(location: &str, digest: &Digest) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    insert(response.headers_mut(), header::LOCATION, location);
    name_content(response.headers_mut(), digest);
    response
}

/// Sets a header to a text that is made of names, digests and numbers.
pub(crate) fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    // Names are ASCII without control characters, so this is always a value.
    if let Ok(value) = HeaderValue::from_str(text) {
        headers.insert(name, value);
    }
}
