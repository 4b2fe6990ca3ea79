//! Blobs to a registry that fails in the middle.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use http::Method;
use ocm_blob::{Blob, BlobRef, ByteStream, Bytes, MemoryBlob};
use ocm_digest::Digest;
use ocm_oci::{Error, Outcome, Push as _, Pushed, RegistryClient};

use crate::fake::{Answer, Fake, content, reply, reply_with, repository};

/// More than what is hashed before it is sent.
const SIZE: usize = 4_300_000;

/// A size from which on a registry is asked whether it checks what it is sent.
const LARGE: usize = 33_554_432;

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

/// A blob that counts how often somebody else was going to check it, and how often nobody.
#[derive(Debug)]
struct Watched {
    inner: Shy,
    checked: AtomicUsize,
    unchecked: AtomicUsize,
}

impl Watched {
    fn new(bytes: Bytes, digest: Digest) -> Arc<Self> {
        let inner = Shy {
            size: Some(bytes.len() as u64),
            digest: Some(digest),
            bytes,
        };
        Arc::new(Self {
            inner,
            checked: AtomicUsize::new(0),
            unchecked: AtomicUsize::new(0),
        })
    }

    /// Returns how often it was opened to be checked here, and how often for the registry.
    fn opened(&self) -> (usize, usize) {
        let count = |of: &AtomicUsize| of.load(Ordering::Relaxed);
        (count(&self.checked), count(&self.unchecked))
    }
}

#[async_trait]
impl Blob for Watched {
    fn size(&self) -> Option<u64> {
        self.inner.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.inner.digest()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.checked.fetch_add(1, Ordering::Relaxed);
        self.inner.open().await
    }

    async fn open_unchecked(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.unchecked.fetch_add(1, Ordering::Relaxed);
        Ok(ocm_blob::once(self.inner.bytes.clone()))
    }
}

async fn push(client: &RegistryClient, blob: &Arc<Watched>) -> Result<Pushed, Error> {
    let blob: BlobRef = Arc::<Watched>::clone(blob);
    client.push_blob(&repository(), &blob).await
}

/// Returns how often the registry was sent what is not what its digest says.
fn asked(fake: &Fake) -> usize {
    let puts = fake.seen(&Method::PUT);
    puts.iter().filter(|put| put.body.len() == 32).count()
}

#[tokio::test]
async fn a_registry_that_has_refused_wrong_content_is_relied_on_for_it() {
    let fake = Fake::start().await;
    let client = fake.client();
    for bytes in [content(LARGE), content(LARGE + 1)] {
        let blob = Watched::new(bytes.clone(), Digest::sha256(&bytes));
        let pushed = push(&client, &blob).await.unwrap();
        assert_eq!(pushed.digest, Digest::sha256(&bytes));
        assert!(fake.has_blob(&bytes));
        assert_eq!(blob.opened(), (0, 1));
    }
    assert_eq!(asked(&fake), 1, "once for all");
    assert!(fake.state().uploads.is_empty());
    // What is small is hashed in less time than it takes to ask.
    let fake = Fake::start().await;
    let bytes = content(LARGE - 1);
    let blob = Watched::new(bytes.clone(), Digest::sha256(&bytes));
    push(&fake.client(), &blob).await.unwrap();
    assert_eq!((blob.opened(), asked(&fake)), ((1, 0), 0));
}

#[tokio::test]
async fn a_registry_that_takes_anything_is_sent_what_was_checked() {
    let bytes = content(LARGE);
    for answer in [201, 400, 500] {
        let fake = Fake::start().await;
        fake.rule(1, Method::PUT, "/uploads/", move |_| {
            Answer::Reply(reply(answer))
        });
        let blob = Watched::new(bytes.clone(), Digest::sha256(&bytes));
        push(&fake.client(), &blob).await.unwrap();
        assert_eq!(blob.opened(), (1, 0), "{answer}");
    }
}

#[tokio::test]
async fn wrong_content_is_found_out_at_the_registry_and_told_as_if_it_was_here() {
    let fake = Fake::start().await;
    let digest = Digest::sha256(b"something else");
    let blob = Watched::new(content(LARGE), digest);
    let client = fake.client();
    let error = push(&client, &blob).await.unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    assert!(fake.state().blobs.is_empty());
    assert!(fake.state().uploads.is_empty());
    assert_eq!(blob.opened(), (1, 1));
    assert_eq!(fake.seen(&Method::PUT).len(), 2, "it is not sent again");

    // Where it is right here, something between here and there is wrong, and the registry says so.
    let bytes = content(LARGE);
    fake.rule(1, Method::PUT, "/uploads/", |_| {
        let said = r#"{"errors":[{"code":"DIGEST_INVALID","message":"other digest"}]}"#;
        Answer::Reply(reply_with(400, &[], said))
    });
    let blob = Watched::new(bytes.clone(), Digest::sha256(&bytes));
    let error = push(&client, &blob).await.unwrap_err();
    assert!(
        !error.is_mismatch() && error.to_string().contains("other digest"),
        "{error}"
    );
    assert_eq!(blob.opened(), (1, 1));
}

#[tokio::test]
async fn a_refusal_is_told_with_the_words_of_the_registry() {
    let fake = Fake::start().await;
    fake.rule(2, Method::POST, "/uploads/", |_| {
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
    let client = RegistryClient::new(options).unwrap();
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
async fn what_is_small_and_new_goes_in_one_request_where_the_registry_takes_it() {
    let fake = Fake::start().await;
    let bytes = Bytes::from_static(b"a document");
    let blob: BlobRef = Arc::new(MemoryBlob::new(bytes.clone()));
    let digest = Digest::sha256(&bytes);
    fake.rule(2, Method::POST, "digest=sha256", |_| {
        Answer::Reply(reply(201))
    });
    let client = fake.client();
    for _ in 0..2 {
        let pushed = client.push_new_blob(&repository(), &blob).await.unwrap();
        let expected = (digest, 10, Outcome::Copied);
        assert_eq!((pushed.digest, pushed.size, pushed.outcome), expected);
    }
    let sent = fake.seen(&Method::POST);
    assert_eq!(sent.len(), 2);
    for request in sent {
        assert_eq!(request.body, bytes);
        let media_type = request.header("content-type");
        assert_eq!(media_type, Some("application/octet-stream"));
    }
    // It has not been asked for, nor is it uploaded.
    assert!(fake.seen(&Method::HEAD).is_empty());
    assert!(fake.seen(&Method::PUT).is_empty());
    fake.rule(1, Method::POST, "digest=sha256", |_| {
        let other = Digest::sha256(b"another").to_string();
        Answer::Reply(reply_with(201, &[("docker-content-digest", &other)], ""))
    });
    let error = client.push_new_blob(&repository(), &blob).await;
    assert!(matches!(error, Err(Error::DigestMismatch { .. })));
}

#[tokio::test]
async fn what_is_small_is_looked_for_and_goes_in_one_request() {
    let fake = Fake::start().await;
    let blob: BlobRef = Arc::new(MemoryBlob::new("small"));
    fake.rule(1, Method::POST, "digest=sha256", |_| {
        Answer::Reply(reply(201))
    });
    let pushed = fake.client().push_blob(&repository(), &blob).await.unwrap();
    let expected = (Digest::sha256("small"), 5, Outcome::Copied);
    assert_eq!((pushed.digest, pushed.size, pushed.outcome), expected);
    let methods: Vec<_> = fake
        .state()
        .seen
        .iter()
        .map(|it| it.method.clone())
        .collect();
    assert_eq!(methods, [Method::HEAD, Method::POST]);
    // What is there is not sent.
    fake.put_blob(&Bytes::from_static(b"small"));
    let again = fake.client().push_blob(&repository(), &blob).await.unwrap();
    assert_eq!(again.outcome, Outcome::Existed);
    assert_eq!(fake.seen(&Method::POST).len(), 1);
}

/// Who asks for time gets it before the upload is begun that takes the place of one request.
#[tokio::test]
async fn a_registry_that_asks_for_time_gets_it_also_when_it_was_sent_a_blob_at_once() {
    use std::time::{Duration, Instant};
    let fake = Fake::start().await;
    fake.rule(1, Method::POST, "digest=sha256", |_| {
        Answer::Reply(reply_with(429, &[("retry-after", "1")], ""))
    });
    let blob: BlobRef = Arc::new(MemoryBlob::new("small"));
    let start = Instant::now();
    fake.client().push_blob(&repository(), &blob).await.unwrap();
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(fake.seen(&Method::POST).len(), 2);
    assert!(fake.has_blob(&Bytes::from_static(b"small")));
}

#[tokio::test]
async fn what_is_new_is_uploaded_where_the_registry_does_not_take_it_at_once() {
    let at_once = |fake: &Fake| {
        let asked = fake.seen(&Method::POST);
        let asked = asked.iter().filter(|seen| seen.uri.query().is_some());
        asked.count()
    };
    // 202 is what a registry says that has not looked at the digest.
    for (status, asked) in [(202, 1), (400, 1), (404, 1), (501, 1), (403, 2), (503, 2)] {
        let fake = Fake::start().await;
        if status != 202 {
            fake.rule(9, Method::POST, "digest=sha256", move |_| {
                Answer::Reply(reply(status))
            });
        }
        let client = fake.client();
        for content in ["one document", "another document"] {
            let bytes = Bytes::from_static(content.as_bytes());
            let blob: BlobRef = Arc::new(MemoryBlob::new(bytes.clone()));
            client.push_new_blob(&repository(), &blob).await.unwrap();
            assert!(fake.has_blob(&bytes), "{status}");
        }
        // Who refuses for lack of rights, or in passing, may take the next one.
        assert_eq!(at_once(&fake), asked, "{status}");
        assert!(fake.state().uploads.is_empty(), "{status}");
    }
    // Much is not sent in vain.
    let fake = Fake::start().await;
    let blob: BlobRef = Arc::new(MemoryBlob::new(content(100_000)));
    fake.client()
        .push_new_blob(&repository(), &blob)
        .await
        .unwrap();
    assert_eq!(at_once(&fake), 0);
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
    let client = RegistryClient::new(options).unwrap();
    let blob: BlobRef = Arc::new(MemoryBlob::new("x"));
    let error = client.push_blob(&repository(), &blob).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert_eq!(fake.seen(&Method::PUT).len(), 2);
}
