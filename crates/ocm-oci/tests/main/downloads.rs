//! Blobs from a registry that fails in the middle.

use http::Method;
use ocm_blob::{BlobRef, Bytes, collect, read_to_end};
use ocm_digest::Digest;
use ocm_oci::{Descriptor, Error, Fetch as _, RegistryClient, Timeouts};
use std::time::Duration;

use crate::fake::{Answer, Fake, content, reply, reply_with, repository};

const SIZE: usize = 3_000_000;

fn blob(client: &RegistryClient, bytes: &Bytes) -> BlobRef {
    client.blob(&repository(), &Descriptor::of("", bytes))
}

#[tokio::test]
async fn a_blob_is_asked_for_when_it_is_opened() {
    let fake = Fake::start().await;
    let bytes = content(SIZE);
    fake.put_blob(&bytes);
    let blob = blob(&fake.client(), &bytes);
    assert!(fake.state().seen.is_empty());
    assert_eq!(read_to_end(blob.as_ref(), u64::MAX).await.unwrap(), bytes);
    let tail = blob.open_at(SIZE as u64 - 5).await.unwrap();
    assert_eq!(collect(tail, 10).await.unwrap(), bytes.slice(SIZE - 5..));
    let end = blob.open_at(SIZE as u64).await.unwrap();
    assert!(collect(end, 0).await.unwrap().is_empty());
    assert!(blob.open_at(SIZE as u64 + 1).await.is_err());
}

#[tokio::test]
async fn who_checks_the_digest_gets_what_the_registry_sends() {
    let fake = Fake::start().await;
    let (bytes, other) = (content(SIZE), content(SIZE - 1));
    let blob = blob(&fake.client(), &bytes);
    let wrong: Bytes = [&other[..], b"?"].concat().into();
    for (sent, is_passed) in [(wrong, true), (other, false)] {
        fake.rule(2, Method::GET, "/blobs/", move |_| {
            Answer::Reply(reply_with(200, &[], sent.clone()))
        });
        let passed = match blob.open_unchecked().await {
            Ok(stream) => collect(stream, u64::MAX).await,
            Err(error) => Err(error),
        };
        assert_eq!(passed.is_ok(), is_passed, "{passed:?}");
        assert!(read_to_end(blob.as_ref(), u64::MAX).await.is_err());
    }
}

#[tokio::test]
async fn a_blob_that_was_cut_goes_on_where_it_was() {
    let fake = Fake::start().await;
    let bytes = content(SIZE);
    fake.put_blob(&bytes);
    let declared = SIZE.to_string();
    let part = bytes.slice(..1_000_000);
    fake.rule(1, Method::GET, "/blobs/", move |_| {
        Answer::Cut(reply_with(
            200,
            &[("content-length", &declared)],
            part.clone(),
        ))
    });
    let read = read_to_end(blob(&fake.client(), &bytes).as_ref(), u64::MAX).await;
    assert_eq!(read.unwrap(), bytes);
    let requests = fake.seen(&Method::GET);
    assert_eq!(requests.len(), 2);
    let range = requests[1].header("range").unwrap();
    assert!(range != "bytes=0-" && range.ends_with('-'), "{range}");
}

#[tokio::test]
async fn a_registry_without_ranges_starts_over() {
    let fake = Fake::start().await;
    let bytes = content(SIZE);
    fake.put_blob(&bytes);
    fake.state().no_ranges = true;
    let declared = SIZE.to_string();
    let part = bytes.slice(..1_000_000);
    fake.rule(2, Method::GET, "/blobs/", move |_| {
        Answer::Cut(reply_with(
            200,
            &[("content-length", &declared)],
            part.clone(),
        ))
    });
    let blob = blob(&fake.client(), &bytes);
    assert_eq!(read_to_end(blob.as_ref(), u64::MAX).await.unwrap(), bytes);
    let tail = blob.open_at(2_999_999).await.unwrap();
    assert_eq!(collect(tail, 1).await.unwrap(), bytes.slice(2_999_999..));
}

#[tokio::test]
async fn attempts_end_when_nothing_comes() {
    let fake = Fake::start().await;
    let bytes = content(SIZE);
    fake.rule(100, Method::GET, "/blobs/", move |_| {
        Answer::Cut(reply_with(200, &[("content-length", "3000000")], ""))
    });
    let error = read_to_end(blob(&fake.client(), &bytes).as_ref(), u64::MAX).await;
    let error = Error::blob("read", "x", error.unwrap_err());
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(fake.seen(&Method::GET).len(), 4);
}

#[tokio::test]
async fn other_bytes_are_never_handed_out_whole() {
    let bytes = content(SIZE);
    let mut other = bytes.to_vec();
    other[SIZE - 1] ^= 1;
    for (answer, sized) in [
        (bytes.slice(..SIZE - 1), true),
        (bytes.slice(..SIZE - 1), false),
        (Bytes::from([&bytes[..], b"!"].concat()), true),
        (Bytes::from([&bytes[..], b"!"].concat()), false),
        (Bytes::from(other), true),
        (Bytes::new(), true),
    ] {
        let fake = Fake::start().await;
        let size = answer.len();
        fake.rule(100, Method::GET, "/blobs/", move |seen| {
            if seen.header("range").is_some() {
                return Answer::Reply(reply(416));
            }
            let reply = reply_with(200, &[], answer.clone());
            if sized {
                Answer::Reply(reply)
            } else {
                Answer::Unsized(reply)
            }
        });
        let error = read_to_end(blob(&fake.client(), &bytes).as_ref(), u64::MAX).await;
        assert!(
            error.unwrap_err().is_mismatch(),
            "{size} bytes, sized: {sized}"
        );
    }
}

#[tokio::test]
async fn a_missing_blob_names_itself_and_the_registry() {
    let fake = Fake::start().await;
    let blob = blob(&fake.client(), &Bytes::from_static(b"x"));
    let error = Error::blob("read", "x", blob.open().await.err().unwrap());
    assert!(error.is_not_found());
    let message = error.cause().to_string();
    assert!(message.contains(&fake.host), "{message}");
    assert!(
        message.contains(&Digest::sha256(b"x").to_string()),
        "{message}"
    );
}

#[tokio::test]
async fn a_silent_registry_is_left() {
    let fake = Fake::start().await;
    fake.rule(100, Method::GET, "/blobs/", |_| Answer::Silence);
    let mut options = fake.options();
    options.timeouts = Timeouts {
        connect: Duration::from_millis(20),
        read: Duration::from_millis(20),
        ..Timeouts::default()
    };
    let client = RegistryClient::new(options).unwrap();
    let blob = blob(&client, &Bytes::from_static(b"x"));
    let error = Error::blob("read", "x", blob.open().await.err().unwrap());
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test]
async fn credentials_do_not_follow_a_redirect_to_another_host() {
    let (fake, storage) = (Fake::start().await, Fake::start().await);
    let bytes = content(SIZE);
    let digest = storage.put_blob(&bytes);
    let target = format!(
        "http://{}/v2/elsewhere/blobs/{digest}?sig=secret",
        storage.host
    );
    fake.rule(100, Method::GET, "/blobs/", move |seen| {
        match seen.header("authorization") {
            Some("Basic dTpw") => Answer::Reply(reply_with(307, &[("location", &target)], "")),
            _ => Answer::Reply(reply_with(
                401,
                &[("www-authenticate", "Basic realm=x")],
                "",
            )),
        }
    });
    let mut options = fake.options();
    options.credentials = std::sync::Arc::new(ocm_oci::RegistryCredentials::Basic {
        username: "u".into(),
        password: "p".into(),
    });
    let client = RegistryClient::new(options).unwrap();
    let read = read_to_end(blob(&client, &bytes).as_ref(), u64::MAX).await;
    assert_eq!(read.unwrap(), bytes);
    let requests = storage.seen(&Method::GET);
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(requests[0].header("referer"), None);
}
