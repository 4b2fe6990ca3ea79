//! A registry that does what it is told: a small one by default, any fault on request.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures::{StreamExt as _, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ocm_digest::Digest;
use ocm_oci::lookup::{self, Answer as Answered, Found, Lookup};
use ocm_oci::{Descriptor, RegistryClient, RegistryOptions, RepositoryName, RetryPolicy};
use tokio::net::TcpListener;

/// What a request was.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// What happens to a request.
pub(crate) enum Answer {
    Reply(Response<Bytes>),
    /// The body ends the connection after these bytes.
    Cut(Response<Bytes>),
    /// A body without `Content-Length`.
    Unsized(Response<Bytes>),
    /// So many bytes of the request are taken into the upload; then the connection ends.
    TakeAndHangUp(usize),
    /// The connection ends after the request was acted upon as usual.
    DoAndHangUp,
    /// The request is acted upon as usual.
    Usual,
    /// Nothing, ever.
    Silence,
}

type Decide = Box<dyn FnMut(&Seen) -> Answer + Send>;

struct Rule {
    method: Method,
    fragment: String,
    times: usize,
    decide: Decide,
}

/// What the registry has, and how it differs from a good one.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) blobs: BTreeMap<String, Bytes>,
    pub(crate) manifests: BTreeMap<String, (String, Bytes)>,
    pub(crate) uploads: BTreeMap<u64, Vec<u8>>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) no_digest_header: bool,
    pub(crate) no_ranges: bool,
    pub(crate) has_referrers: bool,
    /// How many references it looks up in one request, and what it says of that.
    pub(crate) looks_up: Option<usize>,
    rules: Vec<Rule>,
    next_upload: u64,
}

/// A registry on a port of this machine. It ends with the test.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

pub(crate) fn repository() -> RepositoryName {
    "acme/shop".parse().unwrap()
}

pub(crate) fn reply(status: u16) -> Response<Bytes> {
    reply_with(status, &[], "")
}

pub(crate) fn reply_with(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// Bytes that differ from place to place.
pub(crate) fn content(size: usize) -> Bytes {
    let block: Vec<u8> = (0..65_521_usize)
        .map(|n| (n ^ (n >> 8)).to_le_bytes()[0])
        .collect();
    let mut bytes = block.repeat(size / block.len() + 1);
    bytes.truncate(size);
    Bytes::from(bytes)
}

pub(crate) fn quick() -> RetryPolicy {
    RetryPolicy {
        patience: Duration::ZERO,
        attempts: 4,
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(2),
        max_elapsed: Duration::from_secs(30),
    }
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            host: listener.local_addr().unwrap().to_string(),
            state: Arc::default(),
        };
        let server = fake.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| server.clone().serve(request));
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(socket), service),
                );
            }
        });
        fake
    }

    pub(crate) fn options(&self) -> RegistryOptions {
        RegistryOptions {
            retry: quick(),
            ..RegistryOptions::new(&self.host)
        }
    }

    pub(crate) fn client(&self) -> RegistryClient {
        RegistryClient::new(self.options()).unwrap()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn has_blob(&self, bytes: &Bytes) -> bool {
        let digest = Digest::sha256(bytes).to_string();
        self.state().blobs.get(&digest) == Some(bytes)
    }

    pub(crate) fn put_blob(&self, bytes: &Bytes) -> Digest {
        let digest = Digest::sha256(bytes);
        self.state().blobs.insert(digest.to_string(), bytes.clone());
        digest
    }

    /// Decides otherwise for the next requests with a method whose URL contains a text.
    pub(crate) fn rule(
        &self,
        times: usize,
        method: Method,
        fragment: &str,
        decide: impl FnMut(&Seen) -> Answer + Send + 'static,
    ) {
        self.state().rules.push(Rule {
            method,
            fragment: fragment.to_owned(),
            times,
            decide: Box::new(decide),
        });
    }

    /// Returns the requests with a method.
    pub(crate) fn seen(&self, method: &Method) -> Vec<Seen> {
        let all = self.state().seen.clone();
        all.into_iter()
            .filter(|seen| seen.method == *method)
            .collect()
    }

    async fn serve(
        self,
        request: Request<Incoming>,
    ) -> Result<Response<BoxBody<Bytes, io::Error>>, io::Error> {
        let (parts, body) = request.into_parts();
        let mut seen = Seen {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body: Bytes::new(),
        };
        let answer = self.state().decide(&seen);
        if let Answer::TakeAndHangUp(count) = answer {
            let taken = take(body, count).await?;
            self.state().append(&seen.uri, &taken);
            self.state().seen.push(seen);
            return Err(io::Error::other("hung up"));
        }
        seen.body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        self.state().seen.push(seen.clone());
        let full = |response: Response<Bytes>| {
            response.map(|bytes| Full::new(bytes).map_err(|never| match never {}).boxed())
        };
        match answer {
            Answer::Reply(response) => Ok(full(response)),
            Answer::Usual => Ok(full(self.state().act(&seen))),
            Answer::DoAndHangUp => {
                self.state().act(&seen);
                Err(io::Error::other("hung up"))
            }
            Answer::Cut(response) => Ok(response.map(|bytes| {
                let first = stream::once(async { Ok(Frame::data(bytes)) });
                let second = stream::once(async {
                    // What was said before the cut is sent while this waits.
                    tokio::task::yield_now().await;
                    Err(io::Error::other("cut"))
                });
                BodyExt::boxed(StreamBody::new(first.chain(second)))
            })),
            Answer::Unsized(response) => Ok(response.map(|bytes| {
                let frames = [Ok(Frame::data(bytes))];
                BodyExt::boxed(StreamBody::new(stream::iter(frames)))
            })),
            Answer::TakeAndHangUp(_) => Err(io::Error::other("hung up")),
            Answer::Silence => std::future::pending().await,
        }
    }
}

async fn take(body: Incoming, count: usize) -> Result<Vec<u8>, io::Error> {
    let mut stream = BodyStream::new(body);
    let mut taken = Vec::new();
    while taken.len() < count {
        let Some(frame) = stream.next().await else {
            break;
        };
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            taken.extend_from_slice(&data);
        }
    }
    taken.truncate(count);
    Ok(taken)
}

impl State {
    fn decide(&mut self, seen: &Seen) -> Answer {
        let uri = seen.uri.to_string();
        let rule = self.rules.iter_mut().find(|rule| {
            rule.times > 0 && rule.method == seen.method && uri.contains(&rule.fragment)
        });
        match rule {
            Some(rule) => {
                rule.times -= 1;
                (rule.decide)(seen)
            }
            None => Answer::Usual,
        }
    }

    /// Does what a registry does.
    fn act(&mut self, seen: &Seen) -> Response<Bytes> {
        let path = seen.uri.path().to_owned();
        if path == lookup::PATH
            && let Some(limit) = self.looks_up
        {
            return self.look_up(seen, limit);
        }
        let tail = |marker: &str| path.split_once(marker).map(|(_, tail)| tail.to_owned());
        if let Some(upload) = tail("/blobs/uploads/") {
            return self.upload(seen, upload.parse().ok());
        }
        if let Some(digest) = tail("/blobs/") {
            return self.blob(seen, &digest);
        }
        if let Some(reference) = tail("/manifests/") {
            let mut response = self.manifest(seen, &reference);
            if let Some(limit) = self.looks_up {
                response.headers_mut().insert(lookup::HEADER, limit.into());
            }
            return response;
        }
        if tail("/referrers/").is_some() && self.has_referrers {
            let index = r#"{"schemaVersion":2,"manifests":[]}"#;
            return reply_with(200, &[("content-type", "application/json")], index);
        }
        reply(404)
    }

    fn append(&mut self, uri: &Uri, bytes: &[u8]) {
        let id = uri.path().rsplit('/').next().unwrap().parse().unwrap();
        self.uploads.get_mut(&id).unwrap().extend_from_slice(bytes);
    }

    fn upload(&mut self, seen: &Seen, id: Option<u64>) -> Response<Bytes> {
        let (Some(id), false) = (id, seen.method == Method::POST) else {
            self.next_upload += 1;
            self.uploads.insert(self.next_upload, Vec::new());
            let location = format!("/v2/acme/shop/blobs/uploads/{}?_state=x", self.next_upload);
            return reply_with(202, &[("location", &location)], "");
        };
        let Some(got) = self.uploads.get_mut(&id) else {
            return reply(404);
        };
        let start = seen.header("content-range").map_or(got.len(), |range| {
            range.split_once('-').unwrap().0.parse().unwrap()
        });
        if start != got.len() {
            return reply(416);
        }
        got.extend_from_slice(&seen.body);
        let location = format!("/v2/acme/shop/blobs/uploads/{id}?_state={}", got.len());
        let range = format!("0-{}", got.len().saturating_sub(1));
        let headers = [("location", location.as_str()), ("range", range.as_str())];
        match seen.method {
            Method::PATCH => reply_with(202, &headers, ""),
            Method::GET => reply_with(204, &headers, ""),
            Method::PUT => self.finish(seen, id),
            _ => {
                self.uploads.remove(&id);
                reply(204)
            }
        }
    }

    fn finish(&mut self, seen: &Seen, id: u64) -> Response<Bytes> {
        let bytes = Bytes::from(self.uploads.remove(&id).unwrap());
        let digest = Digest::sha256(&bytes).to_string();
        let query = seen.uri.query().unwrap_or_default().replace("%3A", ":");
        if !query.contains(&format!("digest={digest}")) || !query.contains("_state") {
            let said = r#"{"errors":[{"code":"DIGEST_INVALID","message":"other digest"}]}"#;
            return reply_with(400, &[], said);
        }
        self.blobs.insert(digest.clone(), bytes);
        reply_with(201, &[("docker-content-digest", &digest)], "")
    }

    fn blob(&mut self, seen: &Seen, digest: &str) -> Response<Bytes> {
        let Some(bytes) = self.blobs.get(digest).cloned() else {
            return reply(404);
        };
        let range = seen.header("range").filter(|_| !self.no_ranges);
        match (seen.method.clone(), range) {
            (Method::DELETE, _) => {
                self.blobs.remove(digest);
                reply(202)
            }
            (Method::GET, Some(range)) => {
                let start = range
                    .trim_start_matches("bytes=")
                    .split_once('-')
                    .unwrap()
                    .0;
                let start: usize = start.parse().unwrap();
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                reply_with(206, &[("content-range", &range)], bytes.slice(start..))
            }
            (Method::GET, None) => reply_with(200, &[], bytes),
            _ => reply_with(200, &[("content-length", &bytes.len().to_string())], ""),
        }
    }

    fn look_up(&self, seen: &Seen, limit: usize) -> Response<Bytes> {
        let lookup = Lookup::parse(&seen.body).unwrap();
        assert!(lookup.manifests.len() <= limit);
        let found = lookup.manifests.iter().map(|wanted| {
            match self.manifests.get(&wanted.reference.to_string()) {
                Some((media_type, bytes)) => Found::at(Descriptor::of(media_type, bytes)),
                None => Found::nothing(404),
            }
        });
        let manifests = found.collect();
        reply_with(
            200,
            &[],
            serde_json::to_vec(&Answered { manifests }).unwrap(),
        )
    }

    fn manifest(&mut self, seen: &Seen, reference: &str) -> Response<Bytes> {
        if seen.method == Method::PUT {
            let digest = Digest::sha256(&seen.body).to_string();
            let stored = (
                seen.header("content-type").unwrap().to_owned(),
                seen.body.clone(),
            );
            self.manifests.insert(digest.clone(), stored.clone());
            self.manifests.insert(reference.to_owned(), stored);
            let mut headers = vec![("docker-content-digest", digest.as_str())];
            if self.has_referrers {
                headers.push(("oci-subject", "sha256:yes"));
            }
            return reply_with(201, &headers, "");
        }
        let Some((media_type, bytes)) = self.manifests.get(reference).cloned() else {
            return reply(404);
        };
        if seen.method == Method::DELETE {
            self.manifests.remove(reference);
            return reply(202);
        }
        let mut response = if seen.method == Method::HEAD {
            reply_with(200, &[("content-length", &bytes.len().to_string())], "")
        } else {
            reply_with(200, &[], bytes.clone())
        };
        let headers = response.headers_mut();
        headers.insert("content-type", media_type.parse().unwrap());
        if !self.no_digest_header {
            let digest = Digest::sha256(&bytes).to_string();
            headers.insert("docker-content-digest", digest.parse().unwrap());
        }
        *response.status_mut() = StatusCode::OK;
        response
    }
}
