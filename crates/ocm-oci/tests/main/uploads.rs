//! Blobs to a registry that fails in the middle.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, MemoryBlob};
use ocm_digest::Digest;
use ocm_oci::{Error, Outcome, Push as _};

use crate::fake::{Answer, Fake, content, reply, reply_with, repository};

/// More than what is hashed before it is sent.
const SIZE: usize = 4_300_000;

/// A blob that tells of itself only what it is told to.
#[derive(Debug)]
struct Shy {
    bytes: Bytes,
    size: Option<u64>,
    digest: Option<Digest>,
}

#[async_trait]
impl Blob for Shy {
    fn size(&self) -> Option<u64> {
        self.size
    }

    fn digest(&self) -> Option<Digest> {
        self.digest
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = ocm_blob::Promise {
            size: self.size,
            digest: self.digest,
        };
        Ok(ocm_blob::verify(
            ocm_blob::once(self.bytes.clone()),
            promise,
        ))
    }
}

/// The same blob with everything and with nothing known of it.
fn kinds(bytes: &Bytes) -> [BlobRef; 4] {
    let (size, digest) = (bytes.len() as u64, Digest::sha256(bytes));
    [
        (Some(size), Some(digest)),
        (Some(size), None),
        (None, Some(digest)),
        (None, None),
    ]
    .map(|(size, digest)| {
        let bytes = bytes.clone();
        Arc::new(Shy {
            bytes,
            size,
            digest,
        }) as BlobRef
    })
}

#[tokio::test]
async fn blobs_of_every_kind_arrive() {
    for size in [0, 1, SIZE] {
        let bytes = content(size);
        for blob in kinds(&bytes) {
            let fake = Fake::start().await;
            let client = fake.client();
            let pushed = client.push_blob(&repository(), &blob).await.unwrap();
            assert_eq!(pushed.digest, Digest::sha256(&bytes), "{blob:?}");
            assert_eq!(pushed.size, size as u64);
            assert_eq!(pushed.outcome, Outcome::Copied);
            assert!(fake.has_blob(&bytes));
        }
    }
}

#[tokio::test]
async fn a_known_blob_goes_in_one_request_and_only_once() {
    let fake = Fake::start().await;
    let blob: BlobRef = Arc::new(MemoryBlob::new(content(SIZE)));
    fake.client().push_blob(&repository(), &blob).await.unwrap();
    assert_eq!(fake.seen(&Method::PUT)[0].body.len(), SIZE);
    assert_eq!(
        fake.seen(&Method::PUT)[0].header("content-length"),
        Some("4300000")
    );
    let again = fake.client().push_blob(&repository(), &blob).await.unwrap();
    assert_eq!((again.outcome, again.size), (Outcome::Existed, SIZE as u64));
    assert_eq!(fake.seen(&Method::POST).len(), 1);
}

#[tokio::test]
async fn an_upload_that_was_cut_goes_on_where_the_registry_is() {
    let bytes = content(SIZE);
    for (kind, blob) in kinds(&bytes).into_iter().enumerate() {
        let fake = Fake::start().await;
        let method = if kind == 0 {
            Method::PUT
        } else {
            Method::PATCH
        };
        fake.rule(1, method, "/uploads/", |_| Answer::TakeAndHangUp(2_500_000));
        let pushed = fake.client().push_blob(&repository(), &blob).await.unwrap();
        assert_eq!(pushed.digest, Digest::sha256(&bytes));
        assert!(fake.has_blob(&bytes));
        assert_eq!(fake.seen(&Method::POST).len(), 1, "kind {kind}");
        let sent = fake.seen(&Method::PATCH).last().unwrap().body.len();
        assert_eq!(sent, SIZE - 2_500_000, "kind {kind}");
    }
}

#[tokio::test]
async fn an_upload_that_the_registry_forgot_starts_anew() {
    let bytes = content(SIZE);
    for (kind, blob) in kinds(&bytes).into_iter().enumerate() {
        let fake = Fake::start().await;
        let method = if kind == 0 {
            Method::PUT
        } else {
            Method::PATCH
        };
        fake.rule(1, method, "/uploads/", |_| Answer::TakeAndHangUp(1000));
        fake.rule(1, Method::GET, "/uploads/", |_| Answer::Reply(reply(404)));
        fake.client().push_blob(&repository(), &blob).await.unwrap();
        assert!(fake.has_blob(&bytes));
        assert_eq!(fake.seen(&Method::POST).len(), 2);
    }
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_done() {
    let bytes = content(SIZE);
    for blob in kinds(&bytes) {
        let fake = Fake::start().await;
        fake.rule(1, Method::PUT, "/uploads/", |_| Answer::DoAndHangUp);
        let pushed = fake.client().push_blob(&repository(), &blob).await.unwrap();
        assert_eq!(pushed.outcome, Outcome::Copied);
        assert_eq!(fake.seen(&Method::POST).len(), 1);
    }
}

#[tokio::test]
async fn content_that_is_not_what_it_promised_is_not_sent_whole() {
    let bytes = content(SIZE);
    for size in [Some(SIZE as u64), None] {
        let fake = Fake::start().await;
        let digest = Some(Digest::sha256(b"something else"));
        let blob: BlobRef = Arc::new(Shy {
            bytes: bytes.clone(),
            size,
            digest,
        });
        let error = fake
            .client()
            .push_blob(&repository(), &blob)
            .await
            .unwrap_err();
        assert!(error.is_mismatch(), "{error:?}");
        assert!(fake.state().blobs.is_empty());
        assert!(fake.state().uploads.is_empty(), "the upload is abandoned");
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_the_words_of_the_registry() {
    let fake = Fake::start().await;
    fake.rule(1, Method::POST, "/uploads/", |_| {
        let said = r#"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#;
        Answer::Reply(reply_with(403, &[], said))
    });
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    let error = fake
        .client()
        .push_blob(&repository(), &blob)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Denied { .. }));
    assert!(error.to_string().contains("quota exceeded"), "{error}");
}

#[tokio::test]
async fn a_busy_registry_is_asked_again() {
    let fake = Fake::start().await;
    for (method, status) in [
        (Method::POST, 429),
        (Method::PUT, 503),
        (Method::HEAD, 500),
        (Method::POST, 502),
    ] {
        fake.rule(1, method, "/blobs/", move |_| {
            Answer::Reply(reply_with(status, &[("retry-after", "0")], ""))
        });
    }
    let bytes = content(1000);
    let blob: BlobRef = Arc::new(MemoryBlob::new(bytes.clone()));
    let mut options = fake.options();
    options.retry.attempts = 6;
    let client = ocm_oci::RegistryClient::new(options).unwrap();
    client.push_blob(&repository(), &blob).await.unwrap();
    assert!(fake.has_blob(&bytes));
}

#[tokio::test]
async fn a_mount_that_is_not_possible_leaves_nothing_behind() {
    let fake = Fake::start().await;
    let (client, other) = (fake.client(), "acme/other".parse().unwrap());
    let digest = Digest::sha256(b"x");
    fake.rule(1, Method::POST, "mount=sha256", |_| {
        Answer::Reply(reply(201))
    });
    assert!(
        client
            .mount_blob(&repository(), &other, &digest)
            .await
            .unwrap()
    );
    assert!(
        !client
            .mount_blob(&repository(), &other, &digest)
            .await
            .unwrap()
    );
    assert!(fake.state().uploads.is_empty());
    assert_eq!(fake.seen(&Method::DELETE).len(), 1);
    for status in [403, 404, 405] {
        fake.rule(1, Method::POST, "mount", move |_| {
            Answer::Reply(reply(status))
        });
        assert!(
            !client
                .mount_blob(&repository(), &other, &digest)
                .await
                .unwrap()
        );
    }
}

#[tokio::test]
async fn a_blob_is_uploaded_from_the_registry_that_takes_it() {
    use ocm_oci::{Descriptor, Fetch as _, RegistryClient};
    let fake = Fake::start().await;
    let bytes = content(SIZE);
    fake.put_blob(&bytes);
    fake.rule(100, Method::HEAD, "/blobs/", |_| Answer::Reply(reply(404)));
    let mut options = fake.options();
    options.parallel = 1;
    let client = RegistryClient::new(options).unwrap();
    let blob = client.blob(&repository(), &Descriptor::of("", &bytes));
    let to = "acme/other".parse().unwrap();
    let (one, two) = (client.push_blob(&to, &blob), client.push_blob(&to, &blob));
    let (one, two) = tokio::join!(one, two);
    assert_eq!(one.unwrap(), two.unwrap());
}

#[tokio::test]
async fn a_registry_that_never_answers_an_upload_is_left() {
    use std::time::Duration;
    let fake = Fake::start().await;
    fake.rule(9, Method::PUT, "/uploads/", |_| Answer::Silence);
    let mut options = fake.options();
    options.retry.attempts = 2;
    options.timeouts.finish = Duration::from_millis(20);
    let client = ocm_oci::RegistryClient::new(options).unwrap();
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    let error = client.push_blob(&repository(), &blob).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(fake.seen(&Method::PUT).len(), 2);
}
