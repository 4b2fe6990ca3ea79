//! Requests to the server of a bucket: signed, repeated, understood.
//!
//! Each is signed in its address by Signature Version 4, anew for each attempt. All of them may be
//! repeated: an object that is written has its content from the request alone, and what is
//! conditional is looked at again by whoever asked.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, IF_MATCH, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use ocm_blob::CHUNK;
use ocm_oci::{
    Error, Failure, Redirects, RegistryOptions, RetryPolicy, connection_error, http_client,
    is_transient, retry_after, silence,
};
use reqwest::{Body, Response};
use rusty_s3::{Bucket, Method};
use tokio::time::timeout;
use url::Url;

use crate::keys::KeySource;
use crate::options::Clock;
use crate::place::Place;
use crate::xml::{self, Page, UnfinishedPage};

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

/// A bucket, or the part of it below a prefix. Clones share connections.
#[derive(Clone)]
pub(crate) struct Client(Arc<Inner>);

struct Inner {
    name: String,
    bucket: Bucket,
    prefix: String,
    http: reqwest::Client,
    connect: Duration,
    read: Duration,
    finish: Duration,
    retry: RetryPolicy,
    keys: Arc<dyn KeySource>,
    clock: Clock,
}

/// When a write is to be refused.
#[derive(Clone, Debug)]
pub(crate) enum Condition {
    /// Never.
    Always,
    /// If there is something.
    Absent,
    /// If there is not what this tag names.
    Is(String),
}

/// An object that fits in memory.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// The tag by which the server knows this very content.
    pub(crate) tag: String,
    pub(crate) media_type: String,
}

/// What the server says of an object without sending it.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) media_type: String,
}

struct Request<'a> {
    method: Method,
    /// The object, or the bucket itself.
    key: Option<&'a str>,
    /// Sorted by name.
    query: Vec<(&'static str, String)>,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> Request<'a> {
    fn new(method: Method, key: &'a str) -> Self {
        Self {
            method,
            key: Some(key),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn list(query: Vec<(&'static str, String)>) -> Self {
        Self {
            method: Method::Get,
            key: None,
            query,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    fn query(mut self, query: Vec<(&'static str, String)>) -> Self {
        self.query = query;
        self
    }

    fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let value = HeaderValue::try_from(value)
            .map_err(|error| Error::malformed(format!("header {name}"), error.to_string()))?;
        self.headers.insert(name, value);
        Ok(self)
    }

    fn body(mut self, body: Bytes) -> Self {
        self.body = body;
        self
    }
}

/// An answer that has been read.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Client {
    pub(crate) fn new(
        place: &Place,
        keys: Arc<dyn KeySource>,
        clock: Clock,
        http: &RegistryOptions,
    ) -> Result<Self, Error> {
        let bucket = place.to_bucket()?;
        let mut http = http.clone();
        http.host = host_of(bucket.base_url());
        http.scheme = match bucket.base_url().scheme() {
            "http" => ocm_oci::Scheme::Http,
            _ => ocm_oci::Scheme::Https,
        };
        let prefix = match &*place.prefix {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Ok(Self(Arc::new(Inner {
            name: place.to_string(),
            bucket,
            prefix,
            // A signature holds for one host.
            http: http_client(&http, Redirects::Refuse)?,
            connect: http.timeouts.connect,
            read: http.timeouts.read,
            finish: http.timeouts.finish,
            retry: http.retry,
            keys,
            clock,
        })))
    }

    /// Returns how messages name the bucket.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns how messages name an object.
    pub(crate) fn what(&self, key: &str) -> String {
        format!("{}/{key}", self.0.name)
    }

    pub(crate) fn retry(&self) -> &RetryPolicy {
        &self.0.retry
    }

    /// Returns how long a body may pause.
    pub(crate) fn patience(&self) -> Duration {
        self.0.read
    }

    /// Returns an object of at most `limit` bytes, if it is there.
    pub(crate) async fn get(&self, key: &str, limit: u64) -> Result<Option<Object>, Error> {
        let request = Request::new(Method::Get, key);
        let Some(reply) = found(self.ask(&request, limit).await?) else {
            return Ok(None);
        };
        Ok(Some(Object {
            tag: text(&reply.headers, &ETAG),
            media_type: text(&reply.headers, &CONTENT_TYPE),
            bytes: reply.body,
        }))
    }

    pub(crate) async fn head(&self, key: &str) -> Result<Option<Head>, Error> {
        let request = Request::new(Method::Head, key);
        let Some(reply) = found(self.ask(&request, 0).await?) else {
            return Ok(None);
        };
        let size = text(&reply.headers, &CONTENT_LENGTH).parse();
        Ok(Some(Head {
            size: size.map_err(|_| self.unexpected(key, "it states no size"))?,
            media_type: text(&reply.headers, &CONTENT_TYPE),
        }))
    }

    /// Starts to read an object at an offset. One attempt; the caller goes on after a failure.
    /// `None` if the object is not there.
    pub(crate) async fn open(&self, key: &str, offset: u64) -> Result<Option<Response>, Failure> {
        let mut request = Request::new(Method::Get, key);
        if offset > 0 {
            request = request.header(RANGE, &format!("bytes={offset}-"))?;
        }
        let response = self.send(&request).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(Some(response)),
            StatusCode::NOT_FOUND => Ok(None),
            _ => {
                let reply = self.read(&request, response, xml::LIMIT).await?;
                Err(failure(&self.what(key), &reply))
            }
        }
    }

    /// Writes an object. Returns its tag, or `None` if the condition does not hold.
    pub(crate) async fn put(
        &self,
        key: &str,
        media_type: &str,
        body: Bytes,
        condition: &Condition,
    ) -> Result<Option<String>, Error> {
        let mut request = Request::new(Method::Put, key)
            .header(CONTENT_TYPE, media_type)?
            .body(body);
        match condition {
            Condition::Always => {}
            Condition::Absent => request = request.header(IF_NONE_MATCH, "*")?,
            Condition::Is(tag) => request = request.header(IF_MATCH, tag)?,
        }
        let reply = self.ask(&request, xml::LIMIT).await?;
        match reply.status {
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND => Ok(None),
            _ => Ok(Some(text(&reply.headers, &ETAG))),
        }
    }

    /// Removes an object. That it is not there is no error.
    pub(crate) async fn delete(&self, key: &str) -> Result<(), Error> {
        let request = Request::new(Method::Delete, key);
        self.ask(&request, xml::LIMIT).await.map(drop)
    }

    /// Removes an object if its tag is still the one that is known, where the server looks at it.
    pub(crate) async fn delete_if(&self, key: &str, tag: &str) -> Result<bool, Error> {
        let request = Request::new(Method::Delete, key).header(IF_MATCH, tag)?;
        let reply = self.ask(&request, xml::LIMIT).await?;
        Ok(reply.status != StatusCode::PRECONDITION_FAILED)
    }

    /// Returns a page of the objects below a prefix, sorted by key, and what time it is there.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        next: Option<&str>,
        limit: usize,
    ) -> Result<(Page, Option<Timestamp>), Error> {
        let mut query = Vec::new();
        if let Some(next) = next {
            query.push(("continuation-token", next.to_owned()));
        }
        query.push(("list-type", "2".to_owned()));
        query.push(("max-keys", limit.to_string()));
        query.push(("prefix", format!("{}{prefix}", self.0.prefix)));
        let reply = self.ask(&Request::list(query), xml::LIMIT).await?;
        self.check_there(&reply)?;
        let now = reply.headers.get(DATE).and_then(|date| date.to_str().ok());
        let now = now.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        let mut page = self.understood("the list", &reply, xml::page)?;
        for object in &mut page.objects {
            object.key = self.within(&object.key)?;
        }
        Ok((page, now.map(|now| now.timestamp())))
    }

    /// Returns a page of the multipart uploads below a prefix.
    pub(crate) async fn list_unfinished(
        &self,
        prefix: &str,
        next: Option<&(String, String)>,
    ) -> Result<UnfinishedPage, Error> {
        let mut query = Vec::new();
        if let Some((key, _)) = next {
            query.push(("key-marker", key.clone()));
        }
        query.push(("prefix", format!("{}{prefix}", self.0.prefix)));
        if let Some((_, upload)) = next {
            query.push(("upload-id-marker", upload.clone()));
        }
        query.push(("uploads", String::new()));
        let reply = self.ask(&Request::list(query), xml::LIMIT).await?;
        self.check_there(&reply)?;
        let mut page = self.understood("the list of uploads", &reply, xml::unfinished)?;
        for upload in &mut page.uploads {
            upload.key = self.within(&upload.key)?;
        }
        Ok(page)
    }

    /// Starts an object that comes in parts, and returns the name of the upload.
    pub(crate) async fn start(&self, key: &str) -> Result<String, Error> {
        let request = Request::new(Method::Post, key).query(vec![("uploads", String::new())]);
        let reply = self.ask(&request, xml::LIMIT).await?;
        self.check_there(&reply)?;
        self.understood(&self.what(key), &reply, xml::started)
    }

    /// Uploads a part, the first being 1, and returns its tag.
    pub(crate) async fn put_part(
        &self,
        key: &str,
        upload: &str,
        number: usize,
        body: Bytes,
    ) -> Result<String, Error> {
        let request = Request::new(Method::Put, key)
            .query(vec![
                ("partNumber", number.to_string()),
                ("uploadId", upload.to_owned()),
            ])
            .body(body);
        let reply = self.ask(&request, xml::LIMIT).await?;
        if reply.status == StatusCode::NOT_FOUND {
            return Err(Error::not_found(format!("upload of {}", self.what(key))));
        }
        Ok(text(&reply.headers, &ETAG))
    }

    /// Makes an object of parts. Returns whether it is known to be of these parts: where an object is
    /// there and the parts are gone, that was an attempt whose answer got lost, or somebody else.
    pub(crate) async fn complete<'a>(
        &self,
        key: &str,
        upload: &str,
        tags: impl Iterator<Item = &'a str>,
    ) -> Result<bool, Error> {
        let request = Request::new(Method::Post, key)
            .query(vec![("uploadId", upload.to_owned())])
            .body(xml::parts(tags).into());
        let mut backoff = self.0.retry.start();
        loop {
            let reply = self.ask(&request, xml::LIMIT).await?;
            // The status is sent before it is known how it goes.
            match refusal(&reply) {
                None if reply.status.is_success() => return Ok(true),
                _ if reply.status == StatusCode::NOT_FOUND => {
                    return match self.head(key).await? {
                        Some(_) => Ok(false),
                        None => Err(Error::not_found(format!("upload of {}", self.what(key)))),
                    };
                }
                _ => {
                    let failure = failure(&self.what(key), &reply);
                    backoff.pause(failure).await?;
                }
            }
        }
    }

    /// Forgets the parts of an object. That there are none is no error.
    pub(crate) async fn abort(&self, key: &str, upload: &str) -> Result<(), Error> {
        let request =
            Request::new(Method::Delete, key).query(vec![("uploadId", upload.to_owned())]);
        self.ask(&request, xml::LIMIT).await.map(drop)
    }

    /// Returns an address under which anybody can read an object for a while.
    pub(crate) async fn address(&self, key: &str, validity: Duration) -> Result<Url, Error> {
        self.sign(&Request::new(Method::Get, key), validity).await
    }

    /// Sends a request, again after failures that may pass, and reads the answer. It is a good one,
    /// or says that something is not there or not as expected.
    async fn ask(&self, request: &Request<'_>, limit: u64) -> Result<Reply, Error> {
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

    async fn send(&self, request: &Request<'_>) -> Result<Response, Error> {
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

    async fn read(
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

    async fn sign(&self, request: &Request<'_>, validity: Duration) -> Result<Url, Error> {
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

    fn check_there(&self, reply: &Reply) -> Result<(), Error> {
        match reply.status {
            StatusCode::NOT_FOUND => Err(Error::not_found(format!("bucket {}", self.0.name))),
            _ => Ok(()),
        }
    }

    fn understood<T>(
        &self,
        what: &str,
        reply: &Reply,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Error> {
        let text = str::from_utf8(&reply.body).map_err(|error| error.to_string());
        text.and_then(read)
            .map_err(|reason| self.unexpected(what, &reason))
    }

    /// Returns a key without the prefix that all have.
    fn within(&self, key: &str) -> Result<String, Error> {
        let inner = key.strip_prefix(&self.0.prefix);
        let inner = inner.ok_or_else(|| self.unexpected(key, "it was not asked for"))?;
        Ok(inner.to_owned())
    }

    fn unexpected(&self, what: &str, reason: &str) -> Error {
        let what = format!("answer of {} about {what}", self.0.name);
        Error::malformed(what, reason)
    }

    fn shown(&self, request: &Request<'_>) -> String {
        match request.key {
            Some(key) => self.what(key),
            None => self.0.name.clone(),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.name).finish()
    }
}

/// Says why a request was refused, and whether that may pass.
fn failure(what: &str, reply: &Reply) -> Failure {
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

fn refusal(reply: &Reply) -> Option<xml::Refusal> {
    str::from_utf8(&reply.body).ok().and_then(xml::refusal)
}

fn found(reply: Reply) -> Option<Reply> {
    (reply.status != StatusCode::NOT_FOUND).then_some(reply)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
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

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
