//! Requests to the server of a bucket: signed, repeated, understood.
//!
//! Each is signed in its address by Signature Version 4, anew for each attempt. All of them may be
//! repeated: an object that is written has its content from the request alone, and what is
//! conditional is looked at again by whoever asked.

mod exchange;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, ETAG, IF_MATCH, IF_NONE_MATCH, RANGE};
use jiff::Timestamp;
use ocm_oci::{Error, Failure, Redirects, RegistryOptions, RetryPolicy, http_client};
use reqwest::Response;
use rusty_s3::{Bucket, Method};
use url::Url;

use self::exchange::{Reply, Request, failure, found, refusal, text};
use crate::keys::KeySource;
use crate::options::Clock;
use crate::place::Place;
use crate::xml::{self, Page, UnfinishedPage};

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

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
