//! Content that an HTTP request returns.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_blob::{Blob, ByteStream, Bytes, Promise, once, verify};
use ocm_digest::Digest;
use ocm_oci::{
    Error, Redirects, RegistryCredentials, RegistryIdentity, RegistryOptions, connection_error,
    http_client, silence,
};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use tokio::time::{Instant, timeout};
use url::Url;

/// How long an answer whose body has not been read yet is kept for the first reader.
const KEPT: Duration = Duration::from_secs(10);

/// Web servers, reached over HTTP.
///
/// Clones share connections.
#[derive(Clone)]
pub struct HttpSource {
    options: RegistryOptions,
    clients: Arc<Mutex<BTreeMap<(String, Redirects), Client>>>,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct HttpRequest {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) redirects: Redirects,
}

impl HttpRequest {
    pub(crate) fn get(url: &str) -> Result<Self, Error> {
        Ok(Self {
            method: Method::GET,
            url: parse_url(url)?,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            redirects: Redirects::Follow,
        })
    }
}

impl fmt::Debug for HttpSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSource").finish_non_exhaustive()
    }
}

impl HttpSource {
    /// Takes trust, credentials and timeouts from the options, whose host does not matter.
    ///
    /// Credentials are sent without being asked for, as web servers often answer "not found".
    pub fn new(options: RegistryOptions) -> Self {
        Self {
            options,
            clients: Arc::default(),
        }
    }

    /// Sends a request, and returns the answer if it is a good one.
    pub(crate) async fn send(&self, request: &HttpRequest) -> Result<Response, Error> {
        let what = shown(&request.url);
        let client = self.client(request)?;
        let mut headers = request.headers.clone();
        if !headers.contains_key(AUTHORIZATION)
            && let Some(value) = self.authorization(&request.url).await?
        {
            headers.insert(AUTHORIZATION, value);
        }
        let mut builder = client
            .request(request.method.clone(), request.url.clone())
            .headers(headers);
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let patience = self.options.timeouts.connect + self.options.timeouts.read;
        let answer = timeout(patience, builder.send())
            .await
            .map_err(|_| silence(&what, patience))?
            .map_err(|error| connection_error(&what, error))?;
        match answer.status() {
            status if status.is_success() => Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::GONE => Err(Error::not_found(what)),
            StatusCode::UNAUTHORIZED => Err(Error::Unauthenticated { what }),
            StatusCode::FORBIDDEN => Err(Error::Denied { what }),
            status => Err(Error::Remote {
                what,
                reason: format!("the server answered {status}"),
                status: Some(status.as_u16()),
                transient: status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS,
                source: None,
            }),
        }
    }

    /// Sends a request, and returns its answer as a blob. The body is read when the blob is; for
    /// a further reading the request is sent again.
    pub(crate) async fn blob(
        &self,
        request: HttpRequest,
        media_type: Option<String>,
        promise: Promise,
    ) -> Result<HttpBlob, Error> {
        let answer = self.send(&request).await?;
        let size = promise.size.or_else(|| answer.content_length());
        let media_type = media_type.or_else(|| {
            let header = answer.headers().get(CONTENT_TYPE)?;
            header.to_str().ok().map(str::to_owned)
        });
        Ok(HttpBlob {
            source: self.clone(),
            request,
            size,
            digest: promise.digest,
            media_type: media_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
            first: Mutex::new(Some((Instant::now(), answer))),
        })
    }

    /// Reads an answer into memory.
    pub(crate) async fn read(&self, url: &str, limit: u64) -> Result<Bytes, Error> {
        let request = HttpRequest::get(url)?;
        let what = shown(&request.url);
        let answer = self.send(&request).await?;
        ocm_blob::collect(self.body(answer, what.clone()), limit)
            .await
            .map_err(|source| Error::blob("read", what, source))
    }

    fn body(&self, answer: Response, what: String) -> ByteStream {
        let patience = self.options.timeouts.read;
        let chunks = stream::try_unfold((answer, what), move |(mut answer, what)| async move {
            let chunk = match timeout(patience, answer.chunk()).await {
                Err(_) => Err(silence(&what, patience)),
                Ok(chunk) => chunk.map_err(|error| connection_error(&what, error)),
            };
            let chunk = chunk.map_err(|error| ocm_blob::Error::source(what.clone(), error))?;
            Ok::<_, ocm_blob::Error>(chunk.map(|chunk| (chunk, (answer, what))))
        });
        chunks.map_ok(once).try_flatten().boxed()
    }

    fn client(&self, request: &HttpRequest) -> Result<Client, Error> {
        let host = host_of(&request.url)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host, request.redirects);
        if let Some(client) = clients.get(&key) {
            return Ok(client.clone());
        }
        let options = RegistryOptions {
            host: key.0.clone(),
            ..self.options.clone()
        };
        let client = http_client(&options, request.redirects)?;
        clients.insert(key, client.clone());
        Ok(client)
    }

    async fn authorization(&self, url: &Url) -> Result<Option<HeaderValue>, Error> {
        let identity = RegistryIdentity {
            scheme: url.scheme().to_owned(),
            host: url.host_str().unwrap_or_default().to_owned(),
            port: url.port(),
            repository: url.path().trim_start_matches('/').to_owned(),
        };
        let found = self.options.credentials.credentials(&identity).await;
        let found = found.map_err(|source| Error::Remote {
            what: shown(url),
            reason: "its credentials cannot be obtained".to_owned(),
            status: None,
            transient: false,
            source: Some(source),
        })?;
        let text = match found {
            None | Some(RegistryCredentials::IdentityToken(_)) => return Ok(None),
            Some(RegistryCredentials::AccessToken(token)) => format!("Bearer {token}"),
            Some(RegistryCredentials::Basic { username, password }) => {
                format!(
                    "Basic {}",
                    STANDARD.encode(format!("{username}:{password}"))
                )
            }
        };
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Error::malformed(
                format!("credentials for {}", shown(url)),
                "no header can hold them",
            )
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

/// The answer to an HTTP request.
pub(crate) struct HttpBlob {
    source: HttpSource,
    request: HttpRequest,
    size: Option<u64>,
    digest: Option<Digest>,
    media_type: String,
    /// The answer that told size and media type, until somebody reads it.
    first: Mutex<Option<(Instant, Response)>>,
}

impl fmt::Debug for HttpBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBlob")
            .field("url", &shown(&self.request.url))
            .field("size", &self.size)
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Blob for HttpBlob {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    fn media_type(&self) -> Option<&str> {
        Some(&self.media_type)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let first = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let what = shown(&self.request.url);
        let answer = match first {
            Some((since, answer)) if since.elapsed() < KEPT => answer,
            _ => {
                let sent = self.source.send(&self.request).await;
                sent.map_err(|error| ocm_blob::Error::source(what.clone(), error))?
            }
        };
        let promise = Promise {
            size: self.size,
            digest: self.digest,
        };
        Ok(verify(self.source.body(answer, what), promise))
    }
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
        (Some(_), Some(at)) => &shown[at + 1..],
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
fn shown(url: &Url) -> String {
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
    }

    #[test]
    fn only_web_addresses_are_accepted() {
        for text in ["", "x", "file:///etc/passwd", "ftp://acme.org", "http://"] {
            assert!(parse_url(text).is_err(), "{text}");
        }
    }
}
