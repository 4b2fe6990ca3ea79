//! TLS: a certificate and its key, from files that may change.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::watched::{FileError, Watched};

/// How long a client may take to agree on keys.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a server proves itself with.
///
/// The files are read again when they change, for connections that are opened a second later or
/// more. A certificate and a key that do not belong together, as while they are being replaced,
/// change nothing.
#[derive(Debug)]
pub struct Tls(Watched<Configs>);

/// What is offered with HTTP/2, and without.
struct Configs {
    all: Arc<ServerConfig>,
    http1: Arc<ServerConfig>,
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its key. Both are PEM.
    ///
    /// # Errors
    ///
    /// A file cannot be read, or they do not belong together.
    pub async fn open(certificates: PathBuf, key: PathBuf) -> Result<Self, FileError> {
        let read = |contents: &[Vec<u8>]| Ok(configs(&contents[0], &contents[1])?);
        let watched = Watched::open(vec![certificates, key], read);
        Ok(Self(watched.await?))
    }

    /// Takes a chain of certificates and its key, both PEM, that stay as they are.
    ///
    /// # Errors
    ///
    /// They cannot be read, or do not belong together.
    pub async fn from_pem(certificates: Vec<u8>, key: Vec<u8>) -> Result<Self, FileError> {
        let make = move |_: &[Vec<u8>]| Ok(configs(&certificates, &key)?);
        Ok(Self(Watched::open(Vec::new(), make).await?))
    }

    /// Agrees on keys with a client, and on HTTP/1.1 unless HTTP/2 is offered.
    pub(crate) async fn accept<S>(&self, stream: S, http2: bool) -> io::Result<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let configs = self.0.current().await;
        let config = if http2 { &configs.all } else { &configs.http1 };
        let acceptor = TlsAcceptor::from(Arc::clone(config));
        timeout(HANDSHAKE, acceptor.accept(stream)).await?
    }
}

fn configs(certificates: &[u8], key: &[u8]) -> Result<Configs, Error> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates)
        .collect::<Result<_, _>>()
        .map_err(Error::Certificates)?;
    if chain.is_empty() {
        return Err(Error::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(key).map_err(Error::Key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|it| it.with_no_client_auth().with_single_cert(chain, key))
        .map_err(Error::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let http1 = Arc::new(config.clone());
    config.alpn_protocols.insert(0, b"h2".to_vec());
    let all = Arc::new(config);
    Ok(Configs { all, http1 })
}

/// Why files are no certificate and key.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("there is no certificate")]
    NoCertificate,
    #[error("the certificates cannot be read")]
    Certificates(#[source] rustls_pki_types::pem::Error),
    #[error("the key cannot be read")]
    Key(#[source] rustls_pki_types::pem::Error),
    #[error("the key is not that of the certificate")]
    Pair(#[source] rustls::Error),
}
