//! The one place that makes an HTTP client and sends requests, each once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH};
use http::{HeaderMap, HeaderValue, Method};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Body, Client, Response};
use tokio::time::timeout;
use url::Url;

use crate::client::endpoint::Endpoint;
use crate::client::resolve::SystemResolver;
use crate::client::transport::{connection_error, silence, transport_error};
use crate::client::trust::tls;
use crate::client::{RegistryOptions, Timeouts};
use crate::error::Error;

/// The number of redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// How long an idle connection is kept. Shorter than what load balancers do, so that few requests
/// meet a connection that is about to be closed.
const IDLE: Duration = Duration::from_secs(30);

/// What a client does when it is sent elsewhere.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Redirects {
    /// It goes there, a few times, but never from TLS to the clear.
    #[default]
    Follow,
    /// It takes that for the answer.
    Refuse,
}

/// The certificate by which a client proves itself in TLS, and its key. The key never shows in
/// `Debug`.
#[derive(Clone, Eq, PartialEq)]
pub struct ClientIdentity(Vec<u8>);

impl ClientIdentity {
    /// Takes a certificate, with those that lead to its authority, and its private key, in PEM.
    pub fn new(certificates: &[u8], key: &[u8]) -> Self {
        Self([certificates, b"\n", key].concat())
    }

    /// Returns certificates and key in PEM.
    pub fn as_pem(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientIdentity(..)")
    }
}

/// Makes an HTTP client for what is no registry, such as charts and files on web servers, with the
/// same trust, proxies and time to connect. Whoever reads an answer watches [`Timeouts::read`].
///
/// # Errors
///
/// The host or a certificate is malformed.
pub fn http_client(options: &RegistryOptions, redirects: Redirects) -> Result<Client, Error> {
    let endpoint = Endpoint::new(&options.host, options.scheme)?;
    client(options, endpoint.is_loopback(), redirects)
}

/// A request that can be sent any number of times.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// An HTTP client with the timeouts of [`Timeouts`].
///
/// The timeouts are kept here rather than by `reqwest`, whose read timeout runs while a body is
/// still being sent and would end every long upload.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    client: Client,
    pub(crate) timeouts: Timeouts,
}

impl Http {
    pub(crate) fn new(options: &RegistryOptions, is_loopback: bool) -> Result<Self, Error> {
        let client = client(options, is_loopback, Redirects::Follow)?;
        Ok(Self {
            client,
            timeouts: options.timeouts.clone(),
        })
    }

    /// Sends a request, with proof if there is some, and returns the answer, whatever its status,
    /// before its body is read.
    pub(crate) async fn send(
        &self,
        request: &Request,
        authorization: Option<&HeaderValue>,
        what: &str,
    ) -> Result<Response, Error> {
        let mut sent = reqwest::Request::new(request.method.clone(), request.url.clone());
        sent.headers_mut().clone_from(&request.headers);
        if let Some(authorization) = authorization {
            sent.headers_mut()
                .insert(AUTHORIZATION, authorization.clone());
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            // Some servers refuse a POST without length, and an empty body would send none.
            let length = HeaderValue::from(request.body.len());
            sent.headers_mut().insert(CONTENT_LENGTH, length);
            *sent.body_mut() = Some(request.body.clone().into());
        }
        let patience = self.timeouts.connect + self.timeouts.read;
        match timeout(patience, self.client.execute(sent)).await {
            Ok(answer) => answer.map_err(|error| connection_error(what, error)),
            Err(_) => Err(silence(what, patience)),
        }
    }

    /// Starts a request with a body that can be sent only once. The caller watches it.
    pub(crate) async fn send_stream(
        &self,
        method: Method,
        url: Url,
        headers: HeaderMap,
        body: Body,
        what: &str,
    ) -> Result<Response, Error> {
        let builder = self.client.request(method, url).headers(headers);
        let answer = builder.body(body).send().await;
        answer.map_err(|error| connection_error(what, error))
    }

    /// Returns the next chunk of an answer's body.
    pub(crate) async fn chunk(
        &self,
        response: &mut Response,
        what: &str,
    ) -> Result<Option<Bytes>, Error> {
        match timeout(self.timeouts.read, response.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| connection_error(what, error)),
            Err(_) => Err(silence(what, self.timeouts.read)),
        }
    }
}

fn client(
    options: &RegistryOptions,
    is_loopback: bool,
    redirects: Redirects,
) -> Result<Client, Error> {
    let builder = Client::builder()
        .user_agent(&options.user_agent)
        .connect_timeout(options.timeouts.connect)
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(options.parallel.max(1))
        .tcp_nodelay(true)
        .tls_backend_preconfigured(tls(options)?)
        .referer(false)
        .dns_resolver(Arc::new(SystemResolver))
        .redirect(match redirects {
            Redirects::Follow => Policy::custom(redirect),
            Redirects::Refuse => Policy::none(),
        })
        // One connection for each blob: the flow control of HTTP/2 has windows of 64 KiB at many
        // registries, which costs nine tenths of the throughput.
        .http1_only()
        // Blobs are stored compressed and named by their digest; nobody may unpack them here.
        .no_gzip()
        .no_deflate()
        .no_brotli()
        .no_zstd();
    // The system takes megabytes that may never arrive. Who waits for an answer to them cannot tell
    // a line that is dead from a registry that works on a blob; the system can.
    #[cfg(any(target_os = "android", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(options.timeouts.read);
    // No proxy reaches what runs on this machine.
    let builder = if is_loopback {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build().map_err(|error| {
        let what = format!("HTTP client for {}", options.host);
        transport_error(what, "cannot be set up", error)
    })
}

/// Follows a few redirects, but none that leaves TLS. `reqwest` drops credentials whenever host,
/// port or scheme change.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let leaves_tls = attempt
        .previous()
        .last()
        .is_some_and(|url| url.scheme() == "https" && attempt.url().scheme() != "https");
    if leaves_tls {
        attempt.error("redirected from https to http")
    } else if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("redirected too often")
    } else {
        attempt.follow()
    }
}
