//! The client of a registry (OCI distribution specification, 1.0 and 1.1).
//!
//! - `http` makes the HTTP client and sends a request once; `resolve` finds its host, `transport` says
//!   what is wrong between here and there; `exchange` adds the place in the queue, the proof (`auth`,
//!   `scope`, `challenge`, `credentials`) and the attempts (`retry`).
//! - `fetch`, `push`, `list` and `delete` are the abilities of a store; `download` and `upload` the
//!   two ways of large content, which go on where they were cut; `remembered` keeps what the next
//!   process needs for that. `at_once` is the short way of what is small, `lookups` of what is many.
//! - `reply` says what an answer means; `endpoint` where things are and whom to trust.

mod at_once;
mod auth;
mod body;
mod challenge;
mod checks;
mod credentials;
mod delete;
mod download;
mod endpoint;
mod exchange;
mod fetch;
mod http;
mod list;
mod lookups;
mod push;
mod remembered;
mod reply;
mod resolve;
mod retry;
mod scope;
mod transport;
mod trust;
mod upload;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use challenge::Challenge;
pub use credentials::{Anonymous, CredentialSource, RegistryCredentials, RegistryIdentity};
pub use http::{ClientIdentity, Redirects, http_client};
pub use list::next_page;
pub use retry::{Backoff, Failure, RetryPolicy, is_transient, retry_after};
pub use transport::{connection_error, silence};

use crate::error::Error;
use crate::store::Store;
use auth::Authenticator;
use endpoint::Endpoint;
use exchange::Slots;
use http::Http;
use lookups::Lookups;
use remembered::Remembered;
use retry::Truce;

/// Whether a registry is asked over TLS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Scheme {
    /// Over TLS, unless the host is this machine (`localhost`, `127.0.0.0/8`, `[::1]`).
    #[default]
    Auto,
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

/// How long the other side may be silent. Nothing limits how long a blob takes that moves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// Between a request and its answer, and between two pieces of a body.
    pub read: Duration,
    /// Between the last byte of a blob and the answer. Registries hash and move the blob then.
    pub finish: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            read: Duration::from_mins(1),
            finish: Duration::from_mins(10),
        }
    }
}

/// How a registry is reached.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// The host, with its port if it is not the usual one: `ghcr.io`, `localhost:5001`.
    pub host: String,
    /// Whether TLS is used.
    pub scheme: Scheme,
    /// Where credentials come from.
    pub credentials: Arc<dyn CredentialSource>,
    /// What happens after failures that may pass.
    pub retry: RetryPolicy,
    /// How long the other side may be silent.
    pub timeouts: Timeouts,
    /// How many uploads, downloads and short requests the registry gets at the same time, of each.
    pub parallel: usize,
    /// How the client names itself.
    pub user_agent: String,
    /// Certificates of authorities to trust besides those of the system, each text in PEM.
    pub extra_ca_pems: Vec<Vec<u8>>,
    /// Whether any certificate is accepted. For tests of a network only.
    pub insecure_skip_verify: bool,
    /// How the client proves itself in TLS, if it is asked to.
    pub client_identity: Option<ClientIdentity>,
    /// A directory in which large uploads are remembered, so that another process goes on with
    /// what this one has sent; with none, it starts anew.
    pub remember_uploads_in: Option<PathBuf>,
}

impl RegistryOptions {
    /// Returns the defaults for a host: anonymous, TLS unless it is this machine.
    pub fn new(host: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            scheme: Scheme::default(),
            credentials: Arc::new(Anonymous),
            retry: RetryPolicy::default(),
            timeouts: Timeouts::default(),
            parallel: 16,
            user_agent: concat!("ocm/", env!("CARGO_PKG_VERSION")).to_owned(),
            extra_ca_pems: Vec::new(),
            insecure_skip_verify: false,
            client_identity: None,
            remember_uploads_in: None,
        }
    }
}

/// The repositories of one registry, over HTTP.
///
/// Nothing is sent before something is asked for. Clones share connections, tokens and limits.
///
/// ```
/// use ocm_oci::{RegistryClient, RegistryOptions, Store as _};
///
/// let client = RegistryClient::new(RegistryOptions::new("localhost:5001"))?;
/// assert_eq!(client.location(), "http://localhost:5001");
/// # Ok::<(), ocm_oci::Error>(())
/// ```
#[derive(Clone)]
pub struct RegistryClient {
    inner: Arc<Inner>,
}

struct Inner {
    endpoint: Endpoint,
    http: Http,
    auth: Authenticator,
    retry: RetryPolicy,
    slots: Slots,
    truce: Truce,
    uploads: Option<Remembered>,
    /// Whether it refuses content that is not what its digest says, once it has shown that.
    checks_content: tokio::sync::OnceCell<bool>,
    /// Whether it may take small blobs in one request.
    takes_at_once: AtomicBool,
    lookups: Lookups,
    /// Held while a list of referrers that is kept under a tag is read and written back.
    referrers: tokio::sync::Mutex<()>,
}

impl RegistryClient {
    /// Makes a client; nothing is sent.
    ///
    /// # Errors
    ///
    /// The host or a certificate is malformed.
    pub fn new(options: RegistryOptions) -> Result<Self, Error> {
        let endpoint = Endpoint::new(&options.host, options.scheme)?;
        let http = Http::new(&options, endpoint.is_loopback())?;
        let lookups = Lookups::new(&options.timeouts);
        Ok(Self {
            inner: Arc::new(Inner {
                http,
                auth: Authenticator::new(endpoint.clone(), options.credentials),
                endpoint,
                retry: options.retry,
                slots: Slots::new(options.parallel),
                truce: Truce::default(),
                uploads: options.remember_uploads_in.map(Remembered::new),
                checks_content: tokio::sync::OnceCell::new(),
                takes_at_once: AtomicBool::new(true),
                lookups,
                referrers: tokio::sync::Mutex::default(),
            }),
        })
    }
}

impl fmt::Debug for RegistryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistryClient")
            .field(&self.inner.endpoint.location())
            .finish()
    }
}

impl Store for RegistryClient {
    fn location(&self) -> String {
        self.inner.endpoint.location()
    }
}
