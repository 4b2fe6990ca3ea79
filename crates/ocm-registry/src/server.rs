//! Serving a router over TCP.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Connections at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;

/// How long the head of a request may take, and how long a connection may be without one. Longer
/// than clients keep idle connections, so that they are the ones that close.
const HEAD_TIMEOUT: Duration = Duration::from_mins(2);

/// What is read of a request at a time; its head must fit.
const READ_BUFFER: usize = 256 * 1024;

/// What HTTP/2 clients may send ahead, per blob and per connection. Measured: the default of 64 KiB
/// is a tenth as fast on loopback.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
const FRAME: u32 = 256 * 1024;

/// A TCP socket that serves a router by HTTP/1.1 and HTTP/2.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    grace: Duration,
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
            grace: Duration::from_secs(30),
        })
    }

    /// Sets how long requests may go on after the shutdown began. Default: 30 seconds.
    #[must_use]
    pub const fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
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
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            tasks: JoinSet::new(),
            router,
        };
        tracing::debug!(address = %self.address, "serving");
        let connections = connections.accept(&self.listener, shutdown).await;
        drop(self.listener);
        connections.finish(self.grace).await;
    }
}

/// How a request reached this server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Connection {
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
    router: Router,
}

impl Connections {
    async fn accept(mut self, listener: &TcpListener, shutdown: impl Future<Output = ()>) -> Self {
        let mut shutdown = pin!(shutdown);
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
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        // No file handle is free, most likely; some will be.
                        sleep(Duration::from_millis(100)).await;
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
        let service = TowerToHyperService::new(self.router.clone());
        let watcher = self.graceful.watcher();
        self.tasks.spawn(async move {
            let http = http();
            let connection = http.serve_connection(TokioIo::new(stream), service);
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%peer, error, "a connection broke");
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

fn http() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(256)
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_header_list_size(64 * 1024);
    builder
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
