//! One exchange with the server of a bucket: signed, repeated after failures that may pass, and told
//! apart from refusals.

use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ocm_blob::CHUNK;
use ocm_oci::{Error, Failure, connection_error, is_transient, retry_after, silence};
use reqwest::{Body, Response};
use rusty_s3::Method;
use tokio::time::timeout;
use url::Url;

use super::Client;
use crate::xml;

/// How long a signed request may be under way. An upload of a part over a slow line takes a while.
const VALIDITY: Duration = Duration::from_hours(1);

/// How slow a line may be, in bytes per second, before a request with a body counts as stuck.
const SLOWEST: u64 = 32 * 1024;

/// The header in which AWS says where a bucket is.
const REGION: HeaderName = HeaderName::from_static("x-amz-bucket-region");

/// Codes of failures that pass, whatever their status.
const PASSING: [&str; 5] = [
    "SlowDown",
    "InternalError",
    "ServiceUnavailable",
    "RequestTimeout",
    "OperationAborted",
];

/// Codes of refusals because of who asks; some servers say them with other statuses than 403.
const DENIALS: [&str; 4] = [
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "XAdminUserNotFound",
];

/// Codes that say that what was asked for is not there.
const ABSENT: [&str; 4] = ["", "NoSuchKey", "NoSuchUpload", "NotFound"];

pub(super) struct Request<'a> {
    method: Method,
    /// The object, or the bucket itself.
    pub(super) key: Option<&'a str>,
    /// Sorted by name.
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, key: &'a str) -> Self {
        Self {
            method,
            key: Some(key),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn list(query: Vec<(&'static str, String)>) -> Self {
        Self {
            method: Method::Get,
            key: None,
            query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub(super) fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::try_from(value)
            .map_err(|error| Error::malformed(format!("header {name}"), error.to_string()))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// An answer that has been read.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Client {
    /// Sends a request, again after failures that may pass, and reads the answer. It is a good one,
    /// or says that something is not there or not as expected.
    pub(super) async fn ask(&self, request: &Request<'_>, limit: u64) -> Result<Reply, Error> {
        let mut backoff = self.0.retry.start();
        loop {
            match self.attempt(request, limit).await {
                Ok(reply) => return Ok(reply),
                Err(failure) => backoff.pause(failure).await?,
            }
        }
    }

    async fn attempt(&self, request: &Request<'_>, limit: u64) -> Result<Reply, Failure> {
        let response = self.send(request).await?;
        let status = response.status();
        let limit = if status.is_success() {
            limit
        } else {
            xml::LIMIT
        };
        let reply = self.read(request, response, limit).await?;
        match status {
            StatusCode::PRECONDITION_FAILED => Ok(reply),
            StatusCode::NOT_FOUND => self.absent(request, reply),
            _ if status.is_success() => Ok(reply),
            _ => Err(failure(&self.shown(request), &reply)),
        }
    }

    /// Tells what is not there from where it cannot be.
    fn absent(&self, request: &Request<'_>, reply: Reply) -> Result<Reply, Failure> {
        let code = refusal(&reply).unwrap_or_default().code;
        match &*code {
            "NoSuchBucket" => Err(Error::not_found(format!("bucket {}", self.0.name)).into()),
            code if ABSENT.contains(&code) => Ok(reply),
            _ => Err(failure(&self.shown(request), &reply)),
        }
    }

    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
        let url = self.sign(request, VALIDITY).await?;
        let what = self.shown(request);
        let method = match request.method {
            Method::Head => http::Method::HEAD,
            Method::Get => http::Method::GET,
            Method::Post => http::Method::POST,
            Method::Put => http::Method::PUT,
            Method::Delete => http::Method::DELETE,
        };
        let inner = &self.0;
        let mut builder = inner
            .http
            .request(method, url)
            .headers(request.headers.clone());
        let mut patience = inner.connect + inner.read;
        if matches!(request.method, Method::Put | Method::Post) {
            let size = request.body.len() as u64;
            patience += Duration::from_secs(size / SLOWEST);
            if request.method == Method::Post {
                patience += inner.finish;
            }
            builder = builder
                .header(CONTENT_LENGTH, size)
                .body(pieces(&request.body));
        }
        match timeout(patience, builder.send()).await {
            Ok(answer) => answer.map_err(|error| connection_error(&what, error)),
            Err(_) => Err(silence(&what, patience)),
        }
    }

    pub(super) async fn read(
        &self,
        request: &Request<'_>,
        mut response: Response,
        limit: u64,
    ) -> Result<Reply, Error> {
        let what = || self.shown(request);
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = timeout(self.0.read, response.chunk())
            .await
            .map_err(|_| silence(&what(), self.0.read))?
            .map_err(|error| connection_error(&what(), error))?
        {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(Error::TooLarge {
                    what: what(),
                    limit,
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply {
            status,
            headers,
            body: body.into(),
        })
    }

    pub(super) async fn sign(
        &self,
        request: &Request<'_>,
        validity: Duration,
    ) -> Result<Url, Error> {
        let inner = &self.0;
        let mut url = match request.key {
            Some(key) => inner.bucket.object_url(&format!("{}{key}", inner.prefix)),
            None => inner.bucket.base_url().clone(),
        };
        let query = request.query.iter().map(|(name, value)| (*name, &**value));
        let Some(keys) = inner.keys.keys().await? else {
            if !request.query.is_empty() {
                url.query_pairs_mut().extend_pairs(query);
            }
            return Ok(url);
        };
        Ok(rusty_s3::signing::sign(
            &(inner.clock)(),
            request.method,
            url,
            &keys.id,
            &keys.secret,
            keys.token.as_deref().map(String::as_str),
            inner.bucket.region(),
            validity.as_secs(),
            query,
            std::iter::empty(),
        ))
    }
}

/// Says why a request was refused, and whether that may pass.
pub(super) fn failure(what: &str, reply: &Reply) -> Failure {
    let told = refusal(reply).unwrap_or_default();
    let mut reason = format!("the server answered {}", reply.status.as_u16());
    for text in [&told.code, &told.message] {
        if !text.is_empty() {
            reason.push_str(": ");
            reason.extend(text.chars().filter(|char| !char.is_control()).take(200));
        }
    }
    let region = text(&reply.headers, &REGION);
    if reply.status.is_redirection() && !region.is_empty() {
        reason = format!("the bucket is in region `{region}`");
    }
    let status = if DENIALS.contains(&&*told.code) {
        StatusCode::FORBIDDEN
    } else {
        reply.status
    };
    let transient = PASSING.contains(&&*told.code)
        || is_transient(reply.status)
        // Two wrote at the same time; AWS asks to do it again.
        || reply.status == StatusCode::CONFLICT;
    Failure {
        error: Error::Remote {
            what: what.to_owned(),
            reason,
            status: Some(status.as_u16()),
            transient,
            source: None,
        },
        retry_after: retry_after(&reply.headers),
        is_final: false,
    }
}

pub(super) fn refusal(reply: &Reply) -> Option<xml::Refusal> {
    str::from_utf8(&reply.body).ok().and_then(xml::refusal)
}

pub(super) fn found(reply: Reply) -> Option<Reply> {
    (reply.status != StatusCode::NOT_FOUND).then_some(reply)
}

pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().to_owned()
}

/// Sends a body piece by piece, so that the connection does not copy all of it at once.
fn pieces(body: &Bytes) -> Body {
    if body.len() <= CHUNK {
        return Body::from(body.clone());
    }
    let mut rest = body.clone();
    Body::wrap_stream(stream::iter(std::iter::from_fn(move || {
        (!rest.is_empty())
            .then(|| Ok::<_, std::convert::Infallible>(rest.split_to(rest.len().min(CHUNK))))
    })))
}
