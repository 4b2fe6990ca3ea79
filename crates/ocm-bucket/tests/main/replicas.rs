//! Two registries over one bucket that know nothing of each other.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use jiff::SignedDuration;
use ocm_bucket::BucketStore;
use ocm_digest::Digest;
use ocm_oci::{
    Collect as _, Descriptor, Fetch as _, List as _, Push as _, Referrers as _, RegistryClient,
    RegistryOptions,
};
use ocm_registry::{Registry, Server};
use reqwest::{Body, Client, Method, RequestBuilder, Response};
use tokio::task::JoinHandle;

use crate::support::{
    Fixture, by_tag, image, noise, push_image, push_referrer, read_back, repository, tag,
};

const MIB: usize = 1024 * 1024;
const PATIENCE: Duration = Duration::from_mins(1);

struct Replica {
    host: String,
    client: Client,
    served: JoinHandle<()>,
}

impl Replica {
    async fn over(store: BucketStore) -> Self {
        Self::with(store, ocm_registry::RegistryOptions::default()).await
    }

    async fn with(store: BucketStore, options: ocm_registry::RegistryOptions) -> Self {
        let registry = Registry::new(Arc::new(store), options);
        let server = Server::bind("127.0.0.1:0").await.unwrap();
        let host = server.address().to_string();
        let served = tokio::spawn(server.serve(registry.router(), std::future::pending()));
        let mut options = RegistryOptions::new(&host);
        options.parallel = 8;
        Self {
            client: ocm_oci::http_client(&options, ocm_oci::Redirects::Refuse).unwrap(),
            host,
            served,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client
            .request(method, format!("http://{}{path}", self.host))
            .timeout(PATIENCE)
    }

    async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> Response {
        let request = self.request(method, path).body(body);
        request.send().await.unwrap()
    }

    async fn begin(&self) -> String {
        let answer = self
            .send(Method::POST, "/v2/acme/a/blobs/uploads/", "")
            .await;
        assert_eq!(answer.status(), 202);
        header(&answer, "location")
    }

    fn as_store(&self) -> RegistryClient {
        RegistryClient::new(RegistryOptions::new(&self.host)).unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn header(answer: &Response, name: &str) -> String {
    let value = answer.headers().get(name);
    value.unwrap().to_str().unwrap().to_owned()
}

async fn two(fixture: &Fixture) -> (Replica, Replica) {
    (
        Replica::over(fixture.open().await).await,
        Replica::over(fixture.open().await).await,
    )
}

#[tokio::test]
async fn each_chunk_of_an_upload_may_come_to_another_replica() {
    let fixture = Fixture::new();
    let (one, other) = two(&fixture).await;
    for cuts in [
        // Within a part, at its end, and over several.
        [1, 2, 3],
        [5 * MIB, 5 * MIB + 1, 10 * MIB],
        [6 * MIB, 13 * MIB, 13 * MIB + 1],
    ] {
        let content = noise(14 * MIB, cuts[0] as u64);
        let location = one.begin().await;
        let mut start = 0;
        for (replica, end) in [(&one, cuts[0]), (&other, cuts[1]), (&one, cuts[2])] {
            let chunk = content.slice(start..end);
            let request = replica
                .request(Method::PATCH, &location)
                .header("content-range", format!("{start}-{}", end - 1));
            let answer = request.body(chunk).send().await.unwrap();
            assert_eq!(answer.status(), 202);
            assert_eq!(header(&answer, "range"), format!("0-{}", end - 1));
            start = end;
        }
        for replica in [&one, &other] {
            let answer = replica.send(Method::GET, &location, "").await;
            assert_eq!(answer.status(), 204);
            assert_eq!(header(&answer, "range"), format!("0-{}", start - 1));
        }
        let digest = Digest::sha256(&content);
        let path = format!("{location}?digest={digest}");
        let answer = one.send(Method::PUT, &path, content.slice(start..)).await;
        assert_eq!(answer.status(), 201);
        for replica in [&other, &one] {
            let answer = replica.send(Method::GET, &location, "").await;
            assert_eq!(answer.status(), 404);
            let path = format!("/v2/acme/a/blobs/{digest}");
            let answer = replica.send(Method::GET, &path, "").await;
            assert!(answer.bytes().await.unwrap() == content);
            let part = replica
                .request(Method::GET, &path)
                .header("range", "bytes=5-9");
            let answer = part.send().await.unwrap();
            assert_eq!(answer.status(), 206);
            assert_eq!(answer.bytes().await.unwrap(), content.slice(5..10));
        }
    }
    if let Some(fake) = &fixture.fake {
        let keys = fake.bucket.keys();
        let left: Vec<_> = keys
            .iter()
            .filter(|key| key.contains("/uploads/"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let data = keys.iter().filter(|key| key.contains("/data/")).count();
        assert_eq!((data, fake.bucket.unfinished()), (3, 0));
    }
}

#[tokio::test]
async fn a_chunk_for_another_place_is_refused_by_every_replica() {
    let fixture = Fixture::new();
    let (one, other) = two(&fixture).await;
    let location = one.begin().await;
    let patch = |replica: &Replica, range: &'static str| {
        let request = replica.request(Method::PATCH, &location);
        request.header("content-range", range).body("12345").send()
    };
    assert_eq!(patch(&other, "0-4").await.unwrap().status(), 202);
    assert_eq!(patch(&one, "0-4").await.unwrap().status(), 416);
    assert_eq!(patch(&one, "5-9").await.unwrap().status(), 202);
    let elsewhere = location.replace("/acme/a/", "/acme/b/");
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        let answer = other.send(method, &elsewhere, "x").await;
        assert_eq!(answer.status(), 404);
    }
    let unknown = format!("{}0000", &location[..location.len() - 4]);
    assert_eq!(other.send(Method::GET, &unknown, "").await.status(), 404);
    let wrong = format!("{location}?digest={}", Digest::sha256(b"other"));
    assert_eq!(other.send(Method::PUT, &wrong, "").await.status(), 400);
    assert_eq!(one.send(Method::GET, &location, "").await.status(), 404);
}

#[tokio::test]
async fn an_upload_is_cancelled_for_all() {
    let fixture = Fixture::fake();
    let (one, other) = two(&fixture).await;
    let location = one.begin().await;
    let answer = other
        .send(Method::PATCH, &location, noise(6 * MIB, 1))
        .await;
    assert_eq!(answer.status(), 202);
    assert_eq!(one.send(Method::DELETE, &location, "").await.status(), 204);
    assert_eq!(
        other.send(Method::PATCH, &location, "x").await.status(),
        404
    );
    let bucket = &fixture.fake_server().bucket;
    assert_eq!((bucket.keys(), bucket.unfinished()), (Vec::new(), 0));
}

/// What has been acknowledged is there; what came after may have to be sent again.
#[tokio::test]
async fn a_replica_that_is_killed_in_the_middle_of_a_chunk_is_replaced_by_another() {
    let fixture = Fixture::fake();
    let other = Replica::over(fixture.open().await).await;
    // Everything of this one ends with its runtime, connections included, at once.
    let process = tokio::runtime::Runtime::new().unwrap();
    let store = fixture.open().await;
    let one = process.spawn(Replica::over(store)).await.unwrap();
    let content = noise(14 * MIB, 1);
    let location = one.begin().await;
    let first = content.slice(..MIB);
    assert_eq!(
        one.send(Method::PATCH, &location, first).await.status(),
        202
    );
    // The second chunk never ends. A part of it has reached the bucket when the replica dies.
    let endless = futures::stream::iter([Ok::<_, std::io::Error>(content.slice(MIB..7 * MIB))]);
    let endless = Body::wrap_stream(endless.chain(futures::stream::pending()));
    let hanging = tokio::spawn(one.request(Method::PATCH, &location).body(endless).send());
    let bucket = &fixture.fake_server().bucket;
    let started = async {
        while bucket.unfinished() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, started).await.unwrap();
    let killed = tokio::task::spawn_blocking(|| process.shutdown_timeout(PATIENCE));
    killed.await.unwrap();
    drop(one);
    // Where a dying replica still answers, it is not to say that the chunk is there.
    let answer = hanging.await.unwrap();
    assert!(!answer.is_ok_and(|answer| answer.status().is_success()));
    let answer = other.send(Method::GET, &location, "").await;
    assert_eq!(header(&answer, "range"), format!("0-{}", MIB - 1));
    let digest = Digest::sha256(&content);
    let path = format!("{location}?digest={digest}");
    let answer = other.send(Method::PUT, &path, content.slice(MIB..)).await;
    assert_eq!(answer.status(), 201);
    let answer = other
        .send(Method::GET, &format!("/v2/acme/a/blobs/{digest}"), "")
        .await;
    assert!(answer.bytes().await.unwrap() == content);
}

#[tokio::test]
async fn of_two_replicas_that_write_to_an_upload_at_the_same_time_one_is_refused() {
    let fixture = Fixture::fake();
    let (one, other) = two(&fixture).await;
    let location = one.begin().await;
    let requests = [&one, &other].map(|replica| replica.send(Method::PATCH, &location, "12345"));
    let answers = futures::future::join_all(requests).await;
    let mut codes: Vec<_> = answers
        .iter()
        .map(|answer| answer.status().as_u16())
        .collect();
    codes.sort_unstable();
    let range = header(&one.send(Method::GET, &location, "").await, "range");
    // They may have come one after the other.
    assert!(
        (codes == [202, 409] && range == "0-4") || (codes == [202, 202] && range == "0-9"),
        "{codes:?} {range}"
    );
}

/// Otherwise the bytes of one would be taken for those of the other.
#[tokio::test]
async fn two_that_finish_an_upload_with_other_bytes_do_not_mix_them() {
    let fixture = Fixture::fake();
    for start in [0, MIB, 6 * MIB] {
        let (one, other) = two(&fixture).await;
        let location = one.begin().await;
        let common = noise(start, 7);
        let answer = one.send(Method::PATCH, &location, common.clone()).await;
        assert_eq!(answer.status(), 202);
        // Where a part is sent, what follows fills the same one.
        for tail in [10, 6 * MIB] {
            let finish = |replica: &Replica, seed: u64| {
                let own = noise(tail, seed);
                let whole = [&common[..], &own[..]].concat();
                let digest = Digest::sha256(&whole);
                let path = format!("{location}?digest={digest}");
                let request = replica.request(Method::PUT, &path).body(own).send();
                async move { (digest, whole, request.await.unwrap().status().as_u16()) }
            };
            let seed = (start + tail) as u64;
            let results = tokio::join!(finish(&one, seed + 1), finish(&other, seed + 2));
            for (digest, whole, status) in [results.0, results.1] {
                let path = format!("/v2/acme/a/blobs/{digest}");
                let answer = other.send(Method::GET, &path, "").await;
                match status {
                    201 => assert!(answer.bytes().await.unwrap() == whole),
                    _ => assert_eq!(answer.status(), 404, "{status}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn what_one_replica_is_given_the_other_has() {
    let fixture = Fixture::new();
    let (one, other) = two(&fixture).await;
    let (pushing, pulling) = (one.as_store(), other.as_store());
    let name = repository("acme/a");
    let layer = noise(6 * MIB, 1);
    let manifest = push_image(&pushing, &name, "v1", layer.clone()).await;
    push_referrer(&pushing, &name, &manifest, "acme/signature").await;
    let found = pulling.manifest(&name, &by_tag("v1")).await.unwrap();
    assert_eq!(found.bytes(), manifest.bytes());
    read_back(&pulling, &name, &layer).await;
    let referrers = pulling.referrers(&name, &manifest.digest()).await.unwrap();
    assert_eq!(referrers.len(), 1);
    assert_eq!(pulling.tags(&name).await.unwrap(), [tag("v1")]);
    assert_eq!(pulling.repositories().await.unwrap(), [name]);
}

#[tokio::test]
async fn readers_are_sent_to_the_bucket_if_that_is_wanted() {
    let fixture = Fixture::new();
    let options = ocm_registry::RegistryOptions {
        delivery: ocm_registry::Delivery::Redirect,
        ..Default::default()
    };
    let replica = Replica::with(fixture.open().await, options).await;
    let (store, name) = (replica.as_store(), repository("acme/a"));
    let layer = noise(6 * MIB, 1);
    push_image(&store, &name, "v1", layer.clone()).await;
    let path = format!("/v2/acme/a/blobs/{}", Digest::sha256(&layer));
    let answer = replica.send(Method::GET, &path, "").await;
    assert_eq!(answer.status(), 307);
    assert!(!header(&answer, "location").contains(&replica.host));
    assert_eq!(replica.send(Method::HEAD, &path, "").await.status(), 200);
    read_back(&store, &name, &layer).await;
}

#[tokio::test]
async fn a_tag_that_both_write_points_to_one_of_the_two() {
    let fixture = Fixture::new();
    let (one, other) = two(&fixture).await;
    let stores = [one.as_store(), other.as_store()];
    let name = repository("acme/a");
    for round in 0..10 {
        let pushes = stores.iter().enumerate().map(|(at, store)| {
            let name = &name;
            async move { push_image(store, name, "v1", format!("{round} {at}")).await }
        });
        let pushed = futures::future::join_all(pushes).await;
        let found = stores[0].manifest(&name, &by_tag("v1")).await.unwrap();
        assert!(pushed.iter().any(|it| it.digest() == found.digest()));
        for manifest in pushed {
            let reference = ocm_oci::Reference::Digest(manifest.digest());
            assert!(stores[1].manifest(&name, &reference).await.is_ok());
        }
    }
}

/// Each chunk of the push is followed by a collection; nothing of it is older than the grace time.
#[tokio::test]
async fn a_push_goes_on_while_garbage_is_collected() {
    let fixture = Fixture::fake();
    let (one, other) = two(&fixture).await;
    let collector = fixture.open().await;
    let bucket = &fixture.fake_server().bucket;
    let grace = Duration::from_hours(1);
    let name = repository("acme/a");
    let content = noise(14 * MIB, 1);
    let location = one.begin().await;
    let (mut start, mut replicas) = (0, [&one, &other].into_iter().cycle());
    while start < content.len() {
        let end = content.len().min(start + 3 * MIB);
        let replica = replicas.next().unwrap();
        let chunk = content.slice(start..end);
        let answer = replica.send(Method::PATCH, &location, chunk).await;
        assert_eq!(answer.status(), 202);
        // Over all chunks it is much longer than the grace time.
        bucket.age(SignedDuration::from_mins(40));
        collector.collect(grace).await.unwrap();
        start = end;
    }
    let digest = Digest::sha256(&content);
    let answer = other
        .send(Method::PUT, &format!("{location}?digest={digest}"), "")
        .await;
    assert_eq!(answer.status(), 201);
    collector.collect(grace).await.unwrap();
    let store = one.as_store();
    let manifest = image(&store, &name, content.clone()).await;
    collector.collect(grace).await.unwrap();
    let tag = tag("v1");
    store
        .push_manifest(&name, &manifest, Some(&tag))
        .await
        .unwrap();
    for _ in 0..3 {
        bucket.age(SignedDuration::from_hours(2));
        collector.collect(grace).await.unwrap();
    }
    read_back(&store, &name, &content).await;
    let layer = Descriptor::of("", &content);
    let size = store.stat_blob(&name, &layer.digest).await.unwrap();
    assert_eq!(size, Some(14 * MIB as u64));
}
