//! Serving: many clients, slow clients, and the end.

use std::sync::Arc;
use std::time::Duration;

use ocm_digest::Digest;
use ocm_oci::MemoryStore;
use ocm_registry::{RegistryOptions, Server};
use reqwest::Method;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Fixture, PATIENCE, arrived, content, expect, json, read_all, start_upload};

#[tokio::test]
async fn slow_clients_do_not_hold_up_others() {
    let registry = Fixture::start().await;
    let mut slow = Vec::new();
    for _ in 0..50 {
        let location = registry.begin("a").await;
        slow.push(start_upload(&registry, &location, 1000).await);
    }
    let content = content(1_000_000);
    let digest = registry.push("a", &content).await.digest;
    let mut unread = Vec::new();
    for _ in 0..50 {
        unread.push(registry.get(&format!("/v2/a/blobs/{digest}")).await);
    }
    registry.push_image("a", "v1", b"layer").await;
    expect(registry.get("/v2/a/manifests/v1").await, 200).await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_given_up_on() {
    let options = RegistryOptions {
        body_idle: Duration::from_millis(1),
        ..RegistryOptions::default()
    };
    let registry = Fixture::with(options).await;
    let location = registry.begin("a").await;
    let mut connection = start_upload(&registry, &location, 1000).await;
    let answer = read_all(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    expect(registry.get(&location).await, 204).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_clients_push_at_once() {
    let registry = Arc::new(Fixture::start().await);
    let pushes: Vec<_> = (0..32)
        .map(|number| {
            let registry = Arc::clone(&registry);
            tokio::spawn(async move {
                let tag = format!("v{number:02}");
                registry.push_image("a/b", &tag, tag.as_bytes()).await
            })
        })
        .collect();
    for push in pushes {
        push.await.unwrap();
    }
    let tags = json(registry.get("/v2/a/b/tags/list").await).await;
    assert_eq!(tags["tags"].as_array().unwrap().len(), 32);
}

#[tokio::test]
async fn clients_may_speak_http_2() {
    let registry = Fixture::start().await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let content = content(3_000_000);
    let base = format!("http://{}/v2/a/blobs/", registry.address);
    let digest = Digest::sha256(&content);
    let upload = client.post(format!("{base}uploads/?digest={digest}"));
    let response = upload.body(content.clone()).send().await.unwrap();
    assert_eq!(response.version(), reqwest::Version::HTTP_2);
    expect(response, 201).await;
    let response = client.get(format!("{base}{digest}")).send().await.unwrap();
    assert!(expect(response, 200).await == content);
}

#[tokio::test]
async fn requests_under_way_are_finished_at_the_end() {
    let mut registry = Fixture::start().await;
    let location = registry.begin("a").await;
    let mut connection = start_upload(&registry, &location, 10).await;
    connection.write_all(b"hello").await.unwrap();
    arrived(&registry, &location, "0-4").await;
    let address = registry.address;
    registry.stop();
    // The socket is closed before requests are waited for.
    let refused = async { while TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
    connection.write_all(b"world").await.unwrap();
    let answer = read_all(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    registry.stopped().await;
}

#[tokio::test]
async fn requests_that_do_not_finish_are_broken_off() {
    let store = Arc::new(MemoryStore::new());
    let options = RegistryOptions::default();
    let mut registry = Fixture::serve(store, options, Duration::ZERO).await;
    let location = registry.begin("a").await;
    let mut connection = start_upload(&registry, &location, 10).await;
    connection.write_all(b"hello").await.unwrap();
    arrived(&registry, &location, "0-4").await;
    registry.stop();
    registry.stopped().await;
    assert!(!read_all(&mut connection).await.contains(" 202 "));
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let error = Server::bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen at {address}"));
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn a_head_of_a_path_has_no_body() {
    let registry = Fixture::start().await;
    let answer = registry
        .raw("HEAD /v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.contains("content-length: 2\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    let response = registry.send(Method::HEAD, "/v2/a/manifests/x").await;
    assert_eq!(response.status(), 404);
}
