//! TLS: real handshakes, and files that change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocm_oci::MemoryStore;
use ocm_registry::{Registry, RegistryOptions, Server, ServerOptions, Tls};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::{Certificate, Client};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::{Fixture, PATIENCE, read_all};

struct World {
    registry: Fixture,
    directory: TempDir,
}

/// Writes a certificate of its own and returns a client that trusts nothing else.
fn identity(directory: &Path) -> Client {
    let (certificate, client) = certificate(directory);
    std::fs::write(directory.join("cert.pem"), certificate).unwrap();
    client
}

/// Writes a key alone, and returns the certificate that belongs to it.
fn certificate(directory: &Path) -> (String, Client) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    std::fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    let trusted = Certificate::from_pem(cert.pem().as_bytes()).unwrap();
    let client = Client::builder()
        .no_proxy()
        .tls_certs_only([trusted])
        // Each request shows the certificate anew.
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    (cert.pem(), client)
}

async fn world() -> (World, Client) {
    serve(ServerOptions::default()).await
}

async fn serve(options: ServerOptions) -> (World, Client) {
    let directory = tempfile::tempdir().unwrap();
    let client = identity(directory.path());
    let tls = open(directory.path()).await.unwrap();
    let server = Server::bind("127.0.0.1:0").await.unwrap().with_tls(tls);
    let server = server.with_options(options);
    let registry = Registry::new(Arc::new(MemoryStore::new()), RegistryOptions::default());
    let registry = Fixture::of(server, &registry);
    (
        World {
            registry,
            directory,
        },
        client,
    )
}

async fn open(directory: &Path) -> Result<Tls, ocm_registry::FileError> {
    Tls::open(directory.join("cert.pem"), directory.join("key.pem")).await
}

impl World {
    async fn answers(&self, client: &Client) -> bool {
        let url = format!("https://localhost:{}/v2/", self.registry.address.port());
        let answer = client.get(url).send().await;
        answer.is_ok_and(|answer| {
            assert_eq!(answer.version(), reqwest::Version::HTTP_2);
            answer.status() == 200
        })
    }

    /// Agrees on keys, and says nothing more.
    async fn shake_hands(&self) -> TlsStream<TcpStream> {
        let certificate = CertificateDer::from_pem_file(self.directory.path().join("cert.pem"));
        let mut roots = RootCertStore::empty();
        roots.add(certificate.unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = self.registry.connect().await;
        connector.connect(name, stream).await.unwrap()
    }

    async fn comes_to_answer(&self, client: &Client) {
        let waiting = async {
            while !self.answers(client).await {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }
}

#[tokio::test]
async fn a_certificate_is_replaced_while_serving() {
    let (world, first) = world().await;
    assert!(world.answers(&first).await);
    let second = identity(world.directory.path());
    world.comes_to_answer(&second).await;
    assert!(!world.answers(&first).await);
}

#[tokio::test]
async fn files_that_are_wrong_leave_the_old_ones_in_use() {
    let (world, first) = world().await;
    let path = world.directory.path();
    // A key without its certificate, as in the middle of a replacement.
    let (new, second) = certificate(path);
    let until = tokio::time::Instant::now() + Duration::from_millis(1500);
    while tokio::time::Instant::now() < until {
        assert!(world.answers(&first).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(path.join("cert.pem"), new).unwrap();
    world.comes_to_answer(&second).await;
}

#[tokio::test]
async fn clients_that_do_not_speak_tls_harm_nobody() {
    let (world, client) = world().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(world.registry.connect().await);
    }
    let mut plain = world.registry.connect().await;
    plain
        .write_all(b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(!read_all(&mut plain).await.contains("HTTP/1.1 200"));
    assert!(world.answers(&client).await);
}

#[tokio::test]
async fn a_client_that_is_silent_after_the_handshake_makes_room() {
    let (world, client) = serve(ServerOptions {
        max_connections: 1,
        head_timeout: Duration::from_secs(1),
        ..ServerOptions::default()
    })
    .await;
    let _silent = world.shake_hands().await;
    let next = tokio::time::timeout(PATIENCE, world.answers(&client));
    assert!(next.await.unwrap());
}

#[tokio::test]
async fn files_that_are_wrong_from_the_start_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let missing = open(path).await.unwrap_err().to_string();
    assert!(
        missing.starts_with("cannot read ") && missing.ends_with("cert.pem"),
        "{missing}"
    );
    identity(path);
    certificate(path);
    for (file, text) in [
        ("other.pem", ""),
        ("cert.pem", ""),
        ("cert.pem", "nonsense"),
    ] {
        std::fs::write(path.join(file), text).unwrap();
        let error = open(path).await.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot use ") && error.ends_with("key.pem"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn clients_speak_http_1_where_nothing_else_is_allowed() {
    let (world, client) = serve(ServerOptions {
        http2: false,
        ..ServerOptions::default()
    })
    .await;
    let url = format!("https://localhost:{}/v2/", world.registry.address.port());
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_11);
    assert_eq!(answer.status(), 200);
    // Also who does not ask for it, and speaks it.
    let stubborn = Client::builder()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .http2_prior_knowledge()
        .build()
        .unwrap();
    assert!(stubborn.get(url).send().await.is_err());
}

#[tokio::test]
async fn a_certificate_needs_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let client = identity(directory.path());
    let file = |name: &str| std::fs::read(directory.path().join(name)).unwrap();
    let tls = Tls::from_pem(file("cert.pem"), file("key.pem"))
        .await
        .unwrap();
    let server = Server::bind("127.0.0.1:0").await.unwrap().with_tls(tls);
    let registry = Registry::new(Arc::new(MemoryStore::new()), RegistryOptions::default());
    let world = World {
        registry: Fixture::of(server, &registry),
        directory,
    };
    assert!(world.answers(&client).await);
    let error = Tls::from_pem(Vec::new(), Vec::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot use what was handed in");
}
