//! HTTP/2: many requests over one connection.

use std::sync::Arc;
use std::time::Duration;

use ocm_oci::MemoryStore;
use ocm_registry::{Policy, Registry, RegistryOptions, Server, ServerOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{Fixture, Kept, PATIENCE, content, expect};

async fn serve(options: ServerOptions, log: Arc<Kept>) -> Fixture {
    let policy = Policy {
        access_log: Some(log),
        ..Policy::default()
    };
    let store = Arc::new(MemoryStore::new());
    let registry = Registry::with_policy(store, RegistryOptions::default(), policy);
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    Fixture::of(server.with_options(options), &registry)
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_and_others_of_the_connection_go_on() {
    let options = ServerOptions {
        write_idle: Duration::from_secs(2),
        ..ServerOptions::default()
    };
    let log = Arc::new(Kept::default());
    let registry = serve(options, log.clone()).await;
    let content = content(10_000_000);
    let digest = registry.push("a", &content).await.digest;
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .http2_prior_knowledge()
        .http2_initial_stream_window_size(100_000)
        .http2_initial_connection_window_size(20_000_000)
        .build()
        .unwrap();
    let base = format!("http://{}/v2/", registry.address);
    let path = format!("/v2/a/blobs/{digest}?n=1");
    let untaken = client.get(format!("http://{}{path}", registry.address));
    let mut untaken = untaken.send().await.unwrap();
    let ended = async {
        let other = async {
            loop {
                let whole = client.get(format!("{base}a/blobs/{digest}")).send();
                assert!(expect(whole.await.unwrap(), 200).await == content);
            }
        };
        tokio::select! {
            entry = log.entry(&path) => entry,
            () = other => unreachable!(),
        }
    };
    let entry = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(
        !entry.complete && entry.bytes < content.len() as u64,
        "{entry:?}"
    );
    let taken = async {
        while let Some(chunk) = untaken.chunk().await? {
            assert!(!chunk.is_empty());
        }
        Ok::<_, reqwest::Error>(())
    };
    assert!(taken.await.is_err());
    expect(client.get(&base).send().await.unwrap(), 200).await;
    let mut remotes: Vec<_> = log.entries().iter().map(|it| it.remote).collect();
    remotes.dedup();
    // That of the push by HTTP/1, and one for all others.
    assert_eq!(remotes.len(), 2, "{remotes:?}");
}

#[tokio::test]
async fn a_connection_without_requests_is_closed_also_after_the_first() {
    let options = ServerOptions {
        head_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    };
    let log = Arc::new(Kept::default());
    let registry = serve(options, log.clone()).await;
    let mut connection = registry.connect().await;
    // The preface, empty settings, and a GET of `/` with `x` as authority, as stream 1.
    connection
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    connection
        .write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01x")
        .await
        .unwrap();
    log.entry("/").await;
    // Answers each ping, as a client does that is there.
    let talking = async {
        loop {
            let mut head = [0; 9];
            if connection.read_exact(&mut head).await.is_err() {
                return;
            }
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            connection.read_exact(&mut payload).await.unwrap();
            if head[3] == 6 && head[4] == 0 {
                let mut pong = vec![0, 0, 8, 6, 1, 0, 0, 0, 0];
                pong.append(&mut payload);
                let _ = connection.write_all(&pong).await;
            }
        }
    };
    tokio::time::timeout(PATIENCE, talking).await.unwrap();
}
