//! Large blobs pass through in pieces.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::StreamExt as _;
use ocm_digest::{Digest, Digester};
use ocm_registry::RegistryOptions;
use reqwest::Method;

use crate::store::{Endless, TestStore};
use crate::support::{Fixture, expect};

const SIZE: u64 = 64 << 20;

/// What the buffers of two sockets may hold, and those of the registry.
const BETWEEN: u64 = 32 << 20;

async fn endless() -> (Fixture, Arc<Endless>) {
    with(RegistryOptions::default()).await
}

async fn with(options: RegistryOptions) -> (Fixture, Arc<Endless>) {
    let endless = Endless::new(SIZE);
    let store = TestStore {
        endless: Some(Arc::clone(&endless)),
        ..TestStore::default()
    };
    let registry = Fixture::over(Arc::new(store), options).await;
    (registry, endless)
}

fn check(endless: &Endless) {
    let between = endless.between.load(Ordering::SeqCst);
    assert!(between < BETWEEN, "{between} bytes were on their way");
    assert_eq!(endless.client.load(Ordering::SeqCst), SIZE);
    assert_eq!(endless.store.load(Ordering::SeqCst), SIZE);
}

#[tokio::test]
async fn a_large_download_passes_through() {
    let (registry, endless) = endless().await;
    let digest = endless.digest();
    let response = registry.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(response.content_length(), Some(SIZE));
    let mut body = response.bytes_stream();
    let mut digester = Digester::default();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.unwrap();
        digester.update(&chunk);
        endless.pass(|endless| &endless.client, chunk.len() as u64);
    }
    assert_eq!(digester.finish(), digest);
    check(&endless);
}

async fn upload(registry: &Fixture, endless: &Arc<Endless>, method: Method, path: &str) -> u16 {
    let body = reqwest::Body::wrap_stream(endless.content(|endless| &endless.client));
    let request = registry.request(method, path).body(body);
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_large_upload_passes_through_in_one_request() {
    let (registry, endless) = endless().await;
    let path = format!("/v2/a/blobs/uploads/?digest={}", endless.digest());
    assert_eq!(upload(&registry, &endless, Method::POST, &path).await, 201);
    check(&endless);
    assert!(endless.chunk.load(Ordering::SeqCst) <= 1 << 20);
}

#[tokio::test]
async fn a_large_chunk_passes_through() {
    let (registry, endless) = endless().await;
    let location = registry.begin("a").await;
    assert_eq!(
        upload(&registry, &endless, Method::PATCH, &location).await,
        202
    );
    check(&endless);
    let path = format!("{location}?digest={}", endless.digest());
    expect(registry.send(Method::PUT, &path).await, 201).await;
}

#[tokio::test]
async fn a_store_with_other_bytes_is_broken_off_where_that_is_checked() {
    for verify_reads in [false, true] {
        let options = RegistryOptions {
            verify_reads,
            ..RegistryOptions::default()
        };
        let (registry, _endless) = with(options).await;
        let path = format!("/v2/a/blobs/{}", Digest::sha256(b"other"));
        let response = registry.get(&path).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.is_err(), verify_reads);
    }
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_reading() {
    let (registry, endless) = endless().await;
    let path = format!("/v2/a/blobs/{}", Digest::sha256(b"any"));
    let mut body = registry.get(&path).await.bytes_stream();
    body.next().await.unwrap().unwrap();
    drop(body);
    let mut registry = registry;
    registry.stop();
    registry.stopped().await;
    assert!(endless.store.load(Ordering::SeqCst) <= BETWEEN);
}
