//! What clients are allowed: sizes, time, connections; and what is counted of them.

use std::sync::Arc;
use std::time::Duration;

use ocm_digest::Digest;
use ocm_oci::MemoryStore;
use ocm_registry::{Policy, Quota, Registry, RegistryOptions, Server, ServerOptions};
use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::{
    Fixture, Kept, PATIENCE, arrived, content, expect, expect_error, read_all, start_upload,
};

const GET: &[u8] = b"GET /v2/ HTTP/1.1\r\nhost: x\r\n\r\n";

async fn serve(server: ServerOptions, options: RegistryOptions, policy: Policy) -> Fixture {
    let registry = Registry::with_policy(Arc::new(MemoryStore::new()), options, policy);
    let bound = Server::bind("127.0.0.1:0").await.unwrap();
    let bound = bound.with_options(server).with_metrics(registry.metrics());
    Fixture::of(bound, &registry)
}

async fn with_server(server: ServerOptions) -> Fixture {
    serve(server, RegistryOptions::default(), Policy::default()).await
}

#[tokio::test]
async fn a_blob_has_a_size_limit_however_it_comes() {
    let registry = Fixture::with(RegistryOptions {
        max_blob: Some(10),
        ..RegistryOptions::default()
    })
    .await;
    registry.push("a", &[7; 10]).await;
    let large = Digest::sha256([7; 11]);
    let path = format!("/v2/a/blobs/uploads/?digest={large}");
    let whole = registry.request(Method::POST, &path).body(vec![7; 11]);
    expect_error(whole.send().await.unwrap(), 413, "SIZE_INVALID").await;
    let location = registry.begin("a").await;
    let chunk = || registry.request(Method::PATCH, &location).body(vec![7; 6]);
    expect(chunk().send().await.unwrap(), 202).await;
    expect_error(chunk().send().await.unwrap(), 413, "SIZE_INVALID").await;
    // Nothing announces how much comes here, and what has come is not kept.
    let location = registry.begin("a").await;
    let request = format!(
        "PATCH {location} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\nb\r\nhello world\r\n0\r\n\r\n"
    );
    let answer = registry.raw(&request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(registry.get(&location).await.status(), 404);
}

#[tokio::test]
async fn a_quota_holds_for_the_whole_store() {
    let directory = tempfile::tempdir().unwrap();
    let quota = Quota::new(directory.path().to_owned(), 100).await.unwrap();
    let policy = Policy {
        quota: Some(quota),
        ..Policy::default()
    };
    let registry = serve(ServerOptions::default(), RegistryOptions::default(), policy).await;
    registry.push("a", &[1; 60]).await;
    let digest = Digest::sha256([2; 60]);
    let path = format!("/v2/b/blobs/uploads/?digest={digest}");
    let second = registry.request(Method::POST, &path).body(vec![2; 60]);
    expect_error(second.send().await.unwrap(), 507, "DENIED").await;
    registry.push("b", &[3; 40]).await;
}

#[tokio::test]
async fn a_head_that_drips_is_cut_and_other_clients_are_not() {
    let registry = with_server(ServerOptions {
        head_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    })
    .await;
    let mut slow = registry.connect().await;
    let dripping = async {
        // A byte of a path that never ends, until the server has gone away.
        let mut sent = slow.write_all(b"GET /").await;
        while sent.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            sent = slow.write_all(b"a").await;
        }
    };
    tokio::time::timeout(PATIENCE, dripping).await.unwrap();
    expect(registry.get("/v2/").await, 200).await;
}

#[tokio::test]
async fn a_connection_without_a_request_makes_room() {
    let registry = with_server(ServerOptions {
        max_connections: 1,
        head_timeout: Duration::from_millis(300),
        ..ServerOptions::default()
    })
    .await;
    // Nothing at all, and what both versions of HTTP may begin with.
    for start in [&b""[..], b"P"] {
        let mut silent = registry.connect().await;
        silent.write_all(start).await.unwrap();
        let next = tokio::time::timeout(PATIENCE, registry.get("/v2/"));
        expect(next.await.unwrap(), 200).await;
        assert_eq!(read_all(&mut silent).await, "");
    }
}

#[tokio::test]
async fn a_connection_with_a_request_is_kept_while_it_is_answered() {
    let limit = Duration::from_millis(300);
    let registry = with_server(ServerOptions {
        head_timeout: limit,
        ..ServerOptions::default()
    })
    .await;
    let location = registry.begin("a").await;
    let mut connection = start_upload(&registry, &location, 1).await;
    tokio::time::sleep(2 * limit).await;
    connection.write_all(b"x").await.unwrap();
    let answer = read_all(&mut connection).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_drips_is_cut_and_one_that_moves_is_not() {
    let idle = Duration::from_secs(1);
    let registry = Fixture::with(RegistryOptions {
        body_idle: idle,
        ..RegistryOptions::default()
    })
    .await;
    for (step, pause, status) in [(1, 20, 408), (300, 60, 202)] {
        let location = registry.begin("a").await;
        let mut connection = start_upload(&registry, &location, 6000).await;
        let mut answer = vec![0; 12];
        // One byte at a time is cut long before it is done; the other takes longer than the limit,
        // and what must come within it in a quarter of that.
        for _ in 0..6000 / step {
            let _ = connection.write_all(&vec![b'x'; step]).await;
            let answered = connection.read_exact(&mut answer);
            if tokio::time::timeout(Duration::from_millis(pause), answered)
                .await
                .is_ok()
            {
                break;
            }
        }
        if answer[0] == 0 {
            connection.read_exact(&mut answer).await.unwrap();
        }
        assert_eq!(
            String::from_utf8(answer).unwrap(),
            format!("HTTP/1.1 {status}")
        );
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut() {
    let registry = with_server(ServerOptions {
        write_idle: Duration::from_millis(200),
        ..ServerOptions::default()
    })
    .await;
    let blob = registry.push("a", &content(30_000_000)).await;
    let mut connection = registry.connect().await;
    let request = format!(
        "GET /v2/a/blobs/{} HTTP/1.1\r\nhost: x\r\n\r\n",
        blob.digest
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(read_all(&mut connection).await.len() < 30_000_000);
}

#[tokio::test]
async fn more_connections_wait_for_their_turn() {
    let registry = with_server(ServerOptions {
        max_connections: 2,
        ..ServerOptions::default()
    })
    .await;
    let mut first = registry.connect().await;
    let _second = registry.connect().await;
    let mut third = registry.connect().await;
    third.write_all(GET).await.unwrap();
    let mut byte = [0];
    let early = tokio::time::timeout(Duration::from_millis(200), third.read(&mut byte)).await;
    assert!(early.is_err());
    first.shutdown().await.unwrap();
    drop(first);
    let served = tokio::time::timeout(PATIENCE, third.read(&mut byte)).await;
    assert_eq!(served.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn thousands_of_idle_connections_hold_up_nobody() {
    let registry = with_server(ServerOptions::default()).await;
    let mut idle = Vec::new();
    for _ in 0..2500 {
        idle.push(registry.connect().await);
    }
    registry.push_image("a", "v1", b"layer").await;
    expect(registry.get("/v2/a/manifests/v1").await, 200).await;
}

#[tokio::test]
async fn two_lengths_are_no_length() {
    let registry = Fixture::start().await;
    let smuggled = "GET /v2/_catalog HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = smuggled.len();
    for headers in [
        format!("content-length: {length}\r\ntransfer-encoding: chunked"),
        format!("transfer-encoding: chunked\r\ncontent-length: {length}"),
        "content-length: 0\r\ncontent-length: 5".to_owned(),
        "content-length: 0, 5".to_owned(),
        "content-length: +0".to_owned(),
        "transfer-encoding: chunked, identity".to_owned(),
        "transfer-encoding: xchunked".to_owned(),
        "content-length : 5".to_owned(),
    ] {
        let location = registry.begin("a").await;
        let request =
            format!("PATCH {location} HTTP/1.1\r\nhost: x\r\n{headers}\r\n\r\n0\r\n\r\n{smuggled}");
        let mut connection = registry.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.shutdown().await.unwrap();
        let answer = read_all(&mut connection).await;
        // Refused, or read as chunks and then closed: what follows is never another request.
        assert!(!answer.contains("repositories"), "{headers}: {answer}");
    }
}

#[tokio::test]
async fn requests_are_counted_and_logged() {
    let kept = Arc::new(Kept::default());
    let policy = Policy {
        access_log: Some(kept.clone()),
        ..Policy::default()
    };
    let options = RegistryOptions {
        metrics: true,
        ..RegistryOptions::default()
    };
    let registry = serve(ServerOptions::default(), options, policy).await;
    let blob = registry.push("a", b"hello").await;
    let path = format!("/v2/a/blobs/{}", blob.digest);
    expect(registry.get(&path).await, 200).await;
    expect(registry.head(&path).await, 200).await;
    expect(registry.get("/v2/a/tags/list?n=x").await, 400).await;
    expect(registry.get("/readyz").await, 200).await;
    let text = String::from_utf8(expect(registry.get("/metrics").await, 200).await).unwrap();
    for line in [
        r#"ocm_registry_requests_total{method="POST",route="upload",status="2xx"} 1"#,
        r#"ocm_registry_requests_total{method="GET",route="blob",status="2xx"} 1"#,
        r#"ocm_registry_requests_total{method="GET",route="tags",status="4xx"} 1"#,
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    // The client may have opened more than the one that it uses.
    let mut lines = text.lines();
    let open = lines.find_map(|it| it.strip_prefix("ocm_registry_connections_open "));
    assert!(open.unwrap().parse::<u32>().unwrap() >= 1, "{text}");
    let logged = kept.entries();
    let [push, get, head, ..] = logged.as_slice() else {
        panic!("{logged:?}");
    };
    assert_eq!((push.method.as_str(), push.status), ("POST", 201));
    assert_eq!((get.status, get.bytes, get.complete), (200, 5, true));
    assert_eq!((head.status, head.bytes, head.complete), (200, 0, true));
    assert_eq!(get.path, path);
    assert!(get.remote.is_some() && get.user.is_none());
    // Where nobody wants numbers, there are none.
    let quiet = Fixture::start().await;
    expect_error(quiet.get("/metrics").await, 404, "UNSUPPORTED").await;
}

#[tokio::test]
async fn what_may_be_a_password_is_not_logged() {
    let kept = Arc::new(Kept::default());
    let policy = Policy {
        access_log: Some(kept.clone()),
        ..Policy::default()
    };
    let registry = serve(ServerOptions::default(), RegistryOptions::default(), policy).await;
    registry.get("/token?account=a&password=secret").await;
    kept.entry("/token").await;
    registry.get("/?secret").await;
    kept.entry("/").await;
    let request = "GET http://user:secret@x/v2/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    registry.raw(request).await;
    kept.entry("/v2/").await;
    registry.get("/v2/_catalog?n=1").await;
    kept.entry("/v2/_catalog?n=1").await;
    assert!(!format!("{:?}", kept.entries()).contains("secret"));
}

#[tokio::test]
async fn a_request_that_breaks_off_before_its_answer_is_logged() {
    let kept = Arc::new(Kept::default());
    let policy = Policy {
        access_log: Some(kept.clone()),
        ..Policy::default()
    };
    let server = ServerOptions {
        grace: Duration::ZERO,
        ..ServerOptions::default()
    };
    let mut registry = serve(server, RegistryOptions::default(), policy).await;
    let location = registry.begin("a").await;
    let mut connection = start_upload(&registry, &location, 10).await;
    connection.write_all(b"hello").await.unwrap();
    arrived(&registry, &location, "0-4").await;
    registry.stop();
    registry.stopped().await;
    let broken = kept.entries().into_iter();
    let broken: Vec<_> = broken.filter(|it| it.method == "PATCH").collect();
    let [entry] = broken.as_slice() else {
        panic!("{broken:?}");
    };
    assert_eq!((entry.path.as_str(), entry.status), (&*location, 0));
    assert!(!entry.complete && entry.remote.is_some());
}
