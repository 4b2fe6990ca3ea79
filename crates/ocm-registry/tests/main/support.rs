//! A registry on a free port, and clients of it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ocm_digest::Digest;
use ocm_oci::{Descriptor, ImageManifest, MemoryStore, RawManifest, StoreRef, media_type};
use ocm_registry::{AccessEntry, AccessLog, Registry, RegistryOptions, Server};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Waiting for longer than this is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::over(Arc::new(MemoryStore::new()), RegistryOptions::default()).await
    }

    pub(crate) async fn with(options: RegistryOptions) -> Self {
        Self::over(Arc::new(MemoryStore::new()), options).await
    }

    pub(crate) async fn over(store: StoreRef, options: RegistryOptions) -> Self {
        Self::serve(store, options, PATIENCE).await
    }

    pub(crate) async fn serve(store: StoreRef, options: RegistryOptions, grace: Duration) -> Self {
        let server = Server::bind("127.0.0.1:0").await.unwrap().with_grace(grace);
        Self::of(server, &Registry::new(store, options))
    }

    pub(crate) fn of(server: Server, registry: &Registry) -> Self {
        let address = server.address();
        let (stop, stopped) = oneshot::channel();
        let router = registry.router();
        let served = tokio::spawn(server.serve(router, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            client: client(),
            stop: Some(stop),
            served,
        }
    }

    /// Asks the server to stop, without waiting.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has stopped.
    pub(crate) async fn stopped(self) {
        let Self { served, .. } = self;
        tokio::time::timeout(PATIENCE, served)
            .await
            .unwrap()
            .unwrap();
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.address))
    }

    pub(crate) async fn send(&self, method: Method, path: &str) -> Response {
        self.request(method, path).send().await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path).await
    }

    pub(crate) async fn head(&self, path: &str) -> Response {
        self.send(Method::HEAD, path).await
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push(&self, repository: &str, content: &[u8]) -> Descriptor {
        let descriptor = Descriptor::of("application/octet-stream", content);
        let path = format!(
            "/v2/{repository}/blobs/uploads/?digest={}",
            descriptor.digest
        );
        let request = self.request(Method::POST, &path).body(content.to_vec());
        expect(request.send().await.unwrap(), 201).await;
        descriptor
    }

    /// Starts an upload and returns its location.
    pub(crate) async fn begin(&self, repository: &str) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/");
        let response = self.send(Method::POST, &path).await;
        assert_eq!(response.status(), 202);
        header(&response, "location")
    }

    /// Pushes a manifest under a reference.
    pub(crate) async fn put(
        &self,
        repository: &str,
        reference: &str,
        manifest: &RawManifest,
    ) -> Response {
        self.request(
            Method::PUT,
            &format!("/v2/{repository}/manifests/{reference}"),
        )
        .header("content-type", manifest.media_type())
        .body(manifest.bytes().clone())
        .send()
        .await
        .unwrap()
    }

    /// Pushes an image of one layer under a tag.
    pub(crate) async fn push_image(
        &self,
        repository: &str,
        tag: &str,
        layer: &[u8],
    ) -> RawManifest {
        let manifest = RawManifest::image(&self.image(repository, layer).await);
        expect(self.put(repository, tag, &manifest).await, 201).await;
        manifest
    }

    /// Pushes the blobs of an image of one layer, and returns its manifest.
    pub(crate) async fn image(&self, repository: &str, layer: &[u8]) -> ImageManifest {
        let mut config = self.push(repository, b"{}").await;
        media_type::EMPTY.clone_into(&mut config.media_type);
        let layer = self.push(repository, layer).await;
        ImageManifest::new(config, vec![layer])
    }

    /// Sends bytes as they are, and returns everything that comes back.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut connection = self.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut connection).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

/// Starts a request for `len` bytes and sends none of them.
pub(crate) async fn start_upload(registry: &Fixture, location: &str, len: usize) -> TcpStream {
    let mut connection = registry.connect().await;
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len}\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

/// Waits until the bytes of a range are there.
pub(crate) async fn arrived(registry: &Fixture, location: &str, range: &str) {
    let waiting = async {
        while header(&registry.get(location).await, "range") != range {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap();
}

/// An access log in memory.
#[derive(Debug, Default)]
pub(crate) struct Kept(Mutex<Vec<AccessEntry>>);

impl AccessLog for Kept {
    fn write(&self, entry: &AccessEntry) {
        self.0.lock().unwrap().push(entry.clone());
    }
}

impl Kept {
    pub(crate) fn entries(&self) -> Vec<AccessEntry> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for the entry of a path; it comes after the answer.
    pub(crate) async fn entry(&self, path: &str) -> AccessEntry {
        let waiting = async {
            loop {
                if let Some(entry) = self.entries().into_iter().find(|it| it.path == path) {
                    return entry;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap()
    }
}

fn client() -> reqwest::Client {
    // Nothing here is encrypted, and the machine may have no certificates at all.
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap()
}

/// Reads what comes until the other side closes the connection.
pub(crate) async fn read_all(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    // A server that closes with bytes unread resets the connection, after its answer.
    let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

pub(crate) fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    let value = value.unwrap_or_else(|| panic!("no header {name}: {response:?}"));
    value.to_str().unwrap().to_owned()
}

#[track_caller]
pub(crate) fn check_header(response: &Response, name: &str, expected: &str) {
    assert_eq!(header(response, name), expected, "{name}");
}

/// Checks the status; shows the body if it is another.
pub(crate) async fn expect(response: Response, status: u16) -> Vec<u8> {
    let actual = response.status();
    let body = response.bytes().await.unwrap().to_vec();
    assert_eq!(actual, status, "{}", String::from_utf8_lossy(&body));
    body
}

/// Checks the status and the code of an error body.
pub(crate) async fn expect_error(response: Response, status: u16, code: &str) {
    check_header(&response, "content-type", "application/json");
    let body: Value = serde_json::from_slice(&expect(response, status).await).unwrap();
    assert_eq!(body["errors"][0]["code"], code, "{body}");
    assert!(body["errors"][0]["message"].is_string(), "{body}");
}

pub(crate) async fn json(response: Response) -> Value {
    serde_json::from_slice(&expect(response, 200).await).unwrap()
}

/// Bytes of which no two parts are alike.
pub(crate) fn content(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(len)
    .collect()
}

/// A digest of nothing that is stored.
pub(crate) fn unknown_digest() -> Digest {
    Digest::sha256(b"nobody has stored this")
}
