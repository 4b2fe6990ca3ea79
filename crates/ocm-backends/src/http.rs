//! Content that web servers have.
//!
//! An [`HttpSource`] sends requests: as whom, `proof` finds out; where to and how often, is here.
//! `blob` is an answer that is read as content.

mod blob;
mod config;
mod proof;
#[cfg(any(feature = "helm", feature = "maven"))]
mod spool;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ocm_blob::Bytes;
use ocm_config::ConsumerIdentity;
use ocm_digest::{Digest, Digester};
use ocm_oci::{
    Backoff, Error, Failure, Redirects, RetryPolicy, connection_error, http_client, is_transient,
    retry_after, silence,
};
use reqwest::header::{
    ACCEPT, ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, IF_RANGE,
    LOCATION, RANGE, USER_AGENT,
};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::time::timeout;
use url::Url;

#[cfg(any(feature = "helm", feature = "npm", feature = "s3"))]
pub(crate) use self::blob::HttpBlob;
#[cfg(feature = "maven")]
pub(crate) use self::blob::size_in;
pub use self::config::WebConfig;
pub(crate) use self::proof::Signer;
use self::proof::{Proof, Trust};
#[cfg(any(feature = "helm", feature = "maven"))]
pub(crate) use self::spool::spool;

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// What goes along to another host: nothing that could be secret.
const HARMLESS: [HeaderName; 6] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    IF_RANGE,
    RANGE,
    USER_AGENT,
];

/// Web servers, reached over HTTP.
///
/// Clones share connections.
#[derive(Clone)]
pub struct HttpSource {
    config: Arc<dyn WebConfig>,
    connections: Arc<Mutex<BTreeMap<(String, Digest), Connection>>>,
}

/// How a host is reached.
#[derive(Clone, Debug)]
struct Connection {
    client: Client,
    retry: RetryPolicy,
    /// How long an answer may take to begin.
    connect: Duration,
    /// How long a body may pause.
    read: Duration,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) redirects: Redirects,
    /// Whose credentials are sent.
    pub(crate) consumer: Option<ConsumerIdentity>,
    /// Certificates of authorities to trust besides, in PEM.
    pub(crate) authority: Option<Vec<u8>>,
    /// What makes credentials part of the address, in place of a header.
    pub(crate) signer: Option<Arc<dyn Signer>>,
}

impl HttpRequest {
    pub(crate) fn get(url: Url) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects: Redirects::Follow,
            consumer: None,
            authority: None,
            signer: None,
        }
    }

    /// Sends the credentials that a kind of consumer has for the address.
    pub(crate) fn by(self, kind: &str) -> Self {
        let consumer = ConsumerIdentity::from_url(kind, self.url.as_str()).ok();
        Self { consumer, ..self }
    }

    /// Tells whether sending it twice does no harm.
    fn is_repeatable(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD) && self.body.is_empty()
    }
}

/// A request on its way, which may lead over several hosts.
struct Hop {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    trust: Trust,
}

impl Hop {
    /// Goes where an answer says. Neither credentials nor certificates go along to another host.
    fn follow(&mut self, answer: &Response, what: &str) -> Result<(), Error> {
        let refused = |reason: &str| Error::Remote {
            what: what.to_owned(),
            reason: reason.to_owned(),
            status: Some(answer.status().as_u16()),
            transient: false,
            source: None,
        };
        let location = answer.headers().get(LOCATION);
        let location = location.and_then(|value| value.to_str().ok());
        let next = location
            .and_then(|text| self.url.join(text).ok())
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| refused("the server redirects to what is no address"))?;
        if self.url.scheme() == "https" && next.scheme() != "https" {
            return Err(refused("the server redirects from https to http"));
        }
        if self.url.origin() != next.origin() {
            self.trust = Trust::default();
            let kept = std::mem::take(&mut self.headers);
            for name in HARMLESS {
                for value in kept.get_all(&name) {
                    self.headers.append(&name, value.clone());
                }
            }
        }
        // RFC 9110, 15.4: all but 307 and 308 ask for another request.
        let keeps = matches!(
            answer.status(),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
        );
        if !keeps && !matches!(self.method, Method::GET | Method::HEAD) {
            self.method = Method::GET;
            self.body = Bytes::new();
            self.headers.remove(CONTENT_TYPE);
        }
        self.url = next;
        Ok(())
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").finish_non_exhaustive()
    }
}

impl HttpSource {
    /// Makes a client that knows from a configuration what it has to.
    pub fn new(config: Arc<dyn WebConfig>) -> Self {
        Self {
            config,
            connections: Arc::default(),
        }
    }

    /// Sends a request, again after failures that may pass, and returns the answer if it is a good
    /// one.
    pub(crate) async fn send(&self, request: &HttpRequest) -> Result<Response, Error> {
        let mut backoff = self.backoff(&request.url).await?;
        self.send_with(request, &HeaderMap::new(), &mut backoff)
            .await
    }

    /// Sends a request with more headers.
    async fn send_with(
        &self,
        request: &HttpRequest,
        more: &HeaderMap,
        backoff: &mut Backoff,
    ) -> Result<Response, Error> {
        loop {
            match self.attempt(request, more).await {
                Ok(answer) => return Ok(answer),
                Err(failure) if request.is_repeatable() => backoff.pause(failure).await?,
                Err(failure) => return Err(failure.error),
            }
        }
    }

    /// Sends a request once, and returns the answer whatever it is.
    #[cfg(feature = "s3")]
    pub(crate) async fn ask(&self, request: &HttpRequest) -> Result<Response, Error> {
        Ok(self.deliver(request, &HeaderMap::new()).await?.0)
    }

    /// Reads an answer into memory.
    pub(crate) async fn read(&self, request: &HttpRequest, limit: u64) -> Result<Bytes, Error> {
        let what = shown(&request.url);
        let blob = self.blob(request.clone(), None).await?;
        let read = async {
            let stream = blob.stream().await?;
            ocm_blob::collect(stream, limit).await
        };
        read.await
            .map_err(|source| Error::blob("read", what, source))
    }

    async fn backoff(&self, url: &Url) -> Result<Backoff, Error> {
        let connection = self.connection(url, &Trust::default()).await?;
        Ok(connection.retry.start())
    }

    async fn attempt(&self, request: &HttpRequest, more: &HeaderMap) -> Result<Response, Failure> {
        let (answer, what) = self.deliver(request, more).await?;
        judged(answer, what)
    }

    /// Sends a request to where it is sent on to. Returns the answer, and who gave it.
    async fn deliver(
        &self,
        request: &HttpRequest,
        more: &HeaderMap,
    ) -> Result<(Response, String), Error> {
        let Proof {
            url,
            authorization,
            trust,
        } = self.proof(request).await?;
        let mut hop = Hop {
            method: request.method.clone(),
            url,
            headers: request.headers.clone(),
            body: request.body.clone(),
            trust,
        };
        hop.headers.extend(more.clone());
        if let Some(value) = authorization {
            hop.headers.insert(AUTHORIZATION, value);
        }
        for _ in 0..=MAX_REDIRECTS {
            let what = shown(&hop.url);
            let answer = self.exchange(&hop, &what).await?;
            if request.redirects == Redirects::Refuse || !is_redirect(answer.status()) {
                return Ok((answer, what));
            }
            hop.follow(&answer, &what)?;
        }
        Err(Error::Remote {
            what: shown(&request.url),
            reason: "redirected too often".to_owned(),
            status: None,
            transient: false,
            source: None,
        })
    }

    async fn exchange(&self, hop: &Hop, what: &str) -> Result<Response, Error> {
        let connection = self.connection(&hop.url, &hop.trust).await?;
        let mut builder = connection
            .client
            .request(hop.method.clone(), hop.url.clone())
            .headers(hop.headers.clone());
        if !hop.body.is_empty() {
            builder = builder.body(hop.body.clone());
        }
        let patience = connection.connect + connection.read;
        timeout(patience, builder.send())
            .await
            .map_err(|_| silence(what, patience))?
            .map_err(|error| connection_error(what, error))
    }

    async fn connection(&self, url: &Url, trust: &Trust) -> Result<Connection, Error> {
        let key = (host_of(url)?, fingerprint(trust));
        let known = |key| {
            let connections = self.connections.lock();
            let connections = connections.unwrap_or_else(PoisonError::into_inner);
            connections.get(key).cloned()
        };
        if let Some(connection) = known(&key) {
            return Ok(connection);
        }
        let options = self.config.options(&key.0).await;
        let mut options = options.map_err(|source| Error::Remote {
            what: shown(url),
            reason: "it is not known how to reach it".to_owned(),
            status: None,
            transient: false,
            source: Some(source),
        })?;
        options.host.clone_from(&key.0);
        options.extra_ca_pems.extend(trust.authorities.clone());
        options.client_identity.clone_from(&trust.identity);
        let connection = Connection {
            client: http_client(&options, Redirects::Refuse)?,
            connect: options.timeouts.connect,
            read: options.timeouts.read,
            retry: options.retry,
        };
        let mut connections = self
            .connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(connections.entry(key).or_insert(connection).clone())
    }
}

/// Returns the answer if it is a good one.
fn judged(answer: Response, what: String) -> Result<Response, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let headers = answer.headers();
    // GitHub answers so when somebody has asked too often.
    let is_busy = status == StatusCode::FORBIDDEN
        && headers
            .get("x-ratelimit-remaining")
            .is_some_and(|left| left == "0");
    let error = match status {
        StatusCode::NOT_FOUND | StatusCode::GONE => Error::not_found(what),
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { what },
        StatusCode::FORBIDDEN if !is_busy => Error::Denied { what },
        _ => Error::Remote {
            what,
            reason: if is_busy {
                "the server has been asked too often, and answers nothing for a while".to_owned()
            } else {
                format!("the server answered {status}")
            },
            status: Some(status.as_u16()),
            transient: is_transient(status),
            source: None,
        },
    };
    Err(Failure {
        error,
        retry_after: retry_after(headers),
        is_final: false,
    })
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Tells clients apart that trust others, or prove themselves otherwise.
fn fingerprint(trust: &Trust) -> Digest {
    let mut digester = Digester::default();
    let identity = trust.identity.as_ref().map(ocm_oci::ClientIdentity::as_pem);
    let authorities = trust.authorities.iter().map(Vec::as_slice);
    for pem in authorities.chain([identity.unwrap_or_default()]) {
        digester.update(&pem.len().to_le_bytes());
        digester.update(pem);
    }
    digester.finish()
}

pub(crate) fn parse_url(text: &str) -> Result<Url, Error> {
    let named = format!("address `{}`", without_query(text));
    let malformed = |reason: &str| Error::malformed(named.clone(), reason);
    let url = Url::parse(text).map_err(|error| malformed(&error.to_string()))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err(malformed("its scheme is neither http nor https")),
    }
}

/// An address as text without what may be secret in it.
pub(crate) fn without_query(text: &str) -> &str {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let shown = &text[..end];
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if !shown[scheme + 3..at].contains('/') => &shown[at + 1..],
        _ => shown,
    }
}

fn host_of(url: &Url) -> Result<String, Error> {
    let host = url
        .host_str()
        .ok_or_else(|| Error::malformed(format!("address `{url}`"), "it has no host"))?;
    Ok(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// The URL without user, password and query, which may be secret.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    match cleared {
        Ok(()) => url.to_string(),
        Err(()) => url.host_str().unwrap_or("a web server").to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_do_not_show() {
        let url = parse_url("https://user:hunter2@acme.org/x?token=hunter2#hunter2").unwrap();
        assert_eq!(shown(&url), "https://acme.org/x");
        assert_eq!(
            without_query("ftp://user:hunter2@acme.org/x?token=hunter2"),
            "acme.org/x"
        );
        assert_eq!(without_query("x?hunter2"), "x");
        assert_eq!(
            without_query("https://acme.org/@scope/x"),
            "https://acme.org/@scope/x"
        );
    }

    #[test]
    fn only_web_addresses_are_accepted() {
        for text in ["", "x", "file:///etc/passwd", "ftp://acme.org", "http://"] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
