//! Serving a router over TCP.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures::future::{BoxFuture, Either, FutureExt as _};
use http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service as _;

use crate::guarded::Guarded;
use crate::metrics::Metrics;
use crate::streams::{Activity, Answer, Executor};
use crate::tls::Tls;

/// What a server allows its clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerOptions {
    /// Connections at a time; more wait to be accepted. Default: 16,384.
    pub max_connections: usize,
    /// How long the head of a request may take, and how long a connection may be without one; of
    /// the first, handshakes are a part. By HTTP/2, pings go out as often as this. Default: two
    /// minutes, longer than clients keep idle connections, so that they are the ones that close.
    pub head_timeout: Duration,
    /// How long a client may take nothing of an answer. Default: one minute.
    pub write_idle: Duration,
    /// How long requests may go on after the shutdown began. Default: 30 seconds.
    pub grace: Duration,
    /// Whether clients may speak HTTP/2. Default: they may.
    pub http2: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            head_timeout: Duration::from_mins(2),
            write_idle: Duration::from_mins(1),
            grace: Duration::from_secs(30),
            http2: true,
        }
    }
}

/// What is read of a request at a time; its head must fit.
const READ_BUFFER: usize = 256 * 1024;

/// How long to wait when the system has no room for another connection.
const FULL: Duration = Duration::from_millis(100);

/// How often that is said.
const COMPLAINT: Duration = Duration::from_secs(10);

/// What HTTP/2 clients may send ahead, per blob and per connection. Measured: the default of 64 KiB
/// is a tenth as fast on loopback.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const FRAME: u32 = 256 * 1024;

/// A TCP socket that serves a router by HTTP/1.1, and by HTTP/2 unless
/// [that is switched off](ServerOptions::http2).
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    options: ServerOptions,
    tls: Option<Tls>,
    metrics: Arc<Metrics>,
}

impl Server {
    /// Listens at an address. Port 0 is any free one; see [`Server::address`].
    ///
    /// # Errors
    ///
    /// The address is taken, not of this machine, or not allowed.
    pub async fn bind(address: impl ToSocketAddrs + ToString) -> Result<Self, BindError> {
        let text = address.to_string();
        let failed = |source| BindError {
            address: text,
            source,
        };
        match TcpListener::bind(address).await {
            Ok(listener) => Self::listen(listener).map_err(failed),
            Err(source) => Err(failed(source)),
        }
    }

    fn listen(listener: TcpListener) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            options: ServerOptions::default(),
            tls: None,
            metrics: Arc::default(),
        })
    }

    /// Takes a socket that listens already, as a service manager hands it over.
    ///
    /// # Errors
    ///
    /// The socket cannot be used.
    pub fn from_listener(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::listen(TcpListener::from_std(listener)?)
    }

    /// Sets what clients are allowed.
    #[must_use]
    pub const fn with_options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets how long requests may go on after the shutdown began.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.options.grace = grace;
        self
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Counts connections and bytes where a registry counts its requests.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Arc<Metrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// Returns the address that is listened at.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is ready; then finishes the requests that are under way, breaks off
    /// those that take longer than the grace, and returns.
    pub async fn serve(self, router: Router, shutdown: impl Future<Output = ()>) {
        let connections = Connections {
            graceful: GracefulShutdown::new(),
            permits: Arc::new(Semaphore::new(self.options.max_connections)),
            tasks: JoinSet::new(),
            http: Arc::new(http(&self.options)),
            tls: self.tls.map(Arc::new),
            metrics: self.metrics,
            head_timeout: self.options.head_timeout,
            write_idle: self.options.write_idle,
            http2: self.options.http2,
            router,
        };
        tracing::debug!(address = %self.address, "serving");
        let connections = connections.accept(&self.listener, shutdown).await;
        drop(self.listener);
        connections.finish(self.options.grace).await;
    }
}

/// How a request reached this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    encrypted: bool,
}

impl Connection {
    pub(crate) const fn is_encrypted(self) -> bool {
        self.encrypted
    }
}

struct Connections {
    graceful: GracefulShutdown,
    permits: Arc<Semaphore>,
    tasks: JoinSet<()>,
    http: Arc<auto::Builder<Executor>>,
    tls: Option<Arc<Tls>>,
    metrics: Arc<Metrics>,
    head_timeout: Duration,
    write_idle: Duration,
    http2: bool,
    router: Router,
}

impl Connections {
    async fn accept(mut self, listener: &TcpListener, shutdown: impl Future<Output = ()>) -> Self {
        let mut shutdown = pin!(shutdown);
        let mut complained: Option<Instant> = None;
        loop {
            let accepting = async {
                let permit = Arc::clone(&self.permits).acquire_owned().await;
                (permit, listener.accept().await)
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return self,
                Some(_) = self.tasks.join_next() => {}
                (permit, accepted) = accepting => match accepted {
                    Ok((stream, peer)) => self.start(stream, peer, permit),
                    Err(error) if is_of_client(&error) => {
                        tracing::debug!(%error, "a connection has gone before it was accepted");
                    }
                    Err(error) => {
                        if complained.is_none_or(|it| it.elapsed() >= COMPLAINT) {
                            let open = self.tasks.len();
                            tracing::warn!(%error, open, "no more connections can be accepted now");
                            complained = Some(Instant::now());
                        }
                        // No file handle is free, most likely; some will be.
                        sleep(FULL).await;
                    }
                }
            }
        }
    }

    fn start(&mut self, stream: TcpStream, peer: SocketAddr, permit: impl Send + 'static) {
        // Answers are small, or large: neither gains from waiting for more.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%peer, %error, "cannot set options of a connection");
        }
        let stream = Guarded::new(stream, self.write_idle, Arc::clone(&self.metrics.traffic));
        let activity = Activity::new();
        let service = Service {
            activity: Arc::clone(&activity),
            router: self.router.clone(),
            connection: Connection {
                peer,
                encrypted: self.tls.is_some(),
            },
        };
        let (http, tls) = (Arc::clone(&self.http), self.tls.clone());
        let watcher = self.graceful.watcher();
        let (head_timeout, http2) = (self.head_timeout, self.http2);
        self.tasks.spawn(async move {
            let serving = async {
                match tls {
                    None => {
                        let connection = http.serve_connection(TokioIo::new(stream), service);
                        watcher.watch(connection).await
                    }
                    Some(tls) => {
                        let stream = TokioIo::new(tls.accept(stream, http2).await?);
                        watcher.watch(http.serve_connection(stream, service)).await
                    }
                }
            };
            tokio::select! {
                served = serving => if let Err(error) = served {
                    tracing::debug!(%peer, error, "a connection broke");
                },
                () = activity.ceased(head_timeout) => {
                    tracing::debug!(%peer, "a connection is closed, as no request came");
                }
            }
            drop(permit);
        });
    }

    async fn finish(mut self, grace: Duration) {
        let open = self.graceful.count();
        tracing::debug!(connections = open, "finishing");
        if timeout(grace, self.graceful.shutdown()).await.is_err() {
            tracing::warn!("connections are broken off, as they did not finish in time");
        }
        self.tasks.shutdown().await;
    }
}

/// Returns whether a connection could not be accepted because of who has opened it, so that the next
/// one can.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// The router, and what it cannot see of the connection.
#[derive(Clone)]
struct Service {
    activity: Arc<Activity>,
    router: Router,
    connection: Connection,
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<RouteFuture<Infallible>, BoxFuture<'static, Result<Response, Infallible>>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let open = self.activity.begin(version);
        request.extensions_mut().insert(self.connection);
        // A clone is what the trait of the router wants, and costs a counter.
        let answering = self.router.clone().call(request);
        if version < Version::HTTP_2 {
            return Either::Left(answering);
        }
        let watched = async move {
            let response = answering.await?;
            Ok(response.map(|body| Body::new(Answer::new(body, open))))
        };
        Either::Right(watched.boxed())
    }
}

fn http(options: &ServerOptions) -> auto::Builder<Executor> {
    let head_timeout = options.head_timeout;
    let mut builder = auto::Builder::new(Executor {
        patience: options.write_idle,
    });
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(256)
        .keep_alive_interval(head_timeout)
        .max_header_list_size(64 * 1024);
    if options.http2 {
        builder
    } else {
        builder.http1_only()
    }
}

/// Why an address cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen at {address}")]
pub struct BindError {
    address: String,
    source: io::Error,
}

impl BindError {
    /// Returns what is wrong; text that is no address is [`io::ErrorKind::InvalidInput`].
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}
