//! A server in the test, on a free port, with faults on request.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use ocm_oci::lookup;
use ocm_registry::Server;
use tokio::sync::{Notify, oneshot};

/// How long a request is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// The size that an endless body claims to have, in bytes.
const ENDLESS: u64 = 5 << 30;

/// How a server fails.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It answers with a status.
    Status(u16),
    /// It answers with a status, and says when to try again, in seconds.
    RetryAfter(u16, u64),
    /// It sends half of the body, then ends the connection.
    Cut,
    /// It sends a body of the same length, of which one bit is another.
    OtherBytes,
    /// It sends a body with more bytes than there are.
    MoreBytes,
    /// It sends half of the body, and says that this is all.
    FewerBytes,
    /// It says that the body has 5 GiB, and sends zeros until nobody takes them.
    Endless,
    /// It sends the client to another place.
    Redirect(String),
    /// It never answers.
    Hold,
    /// It does not answer before its faults are forgotten; then it answers as it should.
    HoldUntilHealed,
}

/// A server that ends with the test. It counts requests, and fails as it is told.
#[derive(Debug)]
pub struct Served {
    host: String,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<Seen>,
    changed: Condvar,
    healed: Notify,
    /// What every request has to say in the header `Authorization`.
    authorization: Mutex<Option<String>>,
}

#[derive(Debug, Default)]
struct Seen {
    requests: Vec<String>,
    authorizations: Vec<String>,
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// How many requests pass before.
    passes: usize,
    times: usize,
    method: String,
    fragment: String,
    fault: Fault,
}

impl Served {
    /// Starts to serve whatever a test makes up.
    pub fn new(router: Router) -> Self {
        Self::start(router, None)
    }

    /// Starts to serve; with an authorization, only those who state it.
    pub(crate) fn start(router: Router, authorization: Option<String>) -> Self {
        let shared = Arc::new(Shared {
            authorization: Mutex::new(authorization),
            ..Shared::default()
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let (bound, address) = std::sync::mpsc::channel();
        let state = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server = Server::bind("127.0.0.1:0").await.expect("a free port");
                let server = server.with_grace(Duration::ZERO);
                let router = router.layer(from_fn_with_state(state, answer));
                bound.send(server.address()).expect("a test that listens");
                let stopped = async { stopped.await.unwrap_or_default() };
                server.serve(router, stopped).await;
            });
        });
        let address = address.recv().expect("a server that starts");
        Self {
            host: address.to_string(),
            shared,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    /// Returns host and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Wants another authorization from now on.
    pub(crate) fn authorize(&self, authorization: String) {
        let expected = self.shared.authorization.lock();
        *expected.unwrap_or_else(PoisonError::into_inner) = Some(authorization);
    }

    /// Fails the next requests with this method whose path contains a text. One that looks up many
    /// manifests counts as `HEAD`.
    pub fn fail(&self, times: usize, method: &str, fragment: &str, fault: Fault) {
        self.fail_after(0, times, method, fragment, fault);
    }

    /// Lets some requests pass with this method whose path contains a text, and fails the next.
    pub fn fail_after(
        &self,
        passes: usize,
        times: usize,
        method: &str,
        fragment: &str,
        fault: Fault,
    ) {
        self.shared.lock().rules.push(Rule {
            passes,
            times,
            method: method.to_owned(),
            fragment: fragment.to_owned(),
            fault,
        });
    }

    /// Forgets all faults.
    pub fn heal(&self) {
        self.shared.lock().rules.clear();
        self.shared.healed.notify_waiters();
    }

    /// Returns method and path of the requests since the last time they were taken.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().requests)
    }

    /// Returns what clients said to prove who they are, since the last time it was taken.
    pub fn take_authorizations(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().authorizations)
    }

    /// Waits for a request whose method and path contain a text.
    ///
    /// # Panics
    ///
    /// There is none for half a minute.
    pub fn wait_for(&self, fragment: &str) {
        self.wait_for_times(1, fragment);
    }

    /// Waits for so many requests whose method and path contain a text.
    ///
    /// # Panics
    ///
    /// There are fewer for half a minute.
    pub fn wait_for_times(&self, times: usize, fragment: &str) {
        let missing = |seen: &mut Seen| {
            let found = seen.requests.iter().filter(|it| it.contains(fragment));
            found.count() < times
        };
        let waited = self
            .shared
            .changed
            .wait_timeout_while(self.shared.lock(), PATIENCE, missing);
        let (_guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "there was no request for {fragment}");
    }

    /// Ends the server, so that nobody listens at its port.
    pub fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("a server that ends");
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until_healed(&self) {
        loop {
            let healed = self.healed.notified();
            // What heals from here on is heard of.
            let held = |rule: &Rule| rule.fault == Fault::HoldUntilHealed;
            if !self.lock().rules.iter().any(held) {
                return;
            }
            healed.await;
        }
    }

    /// Notes a request, and returns the fault that it meets.
    fn note(&self, request: &Request) -> Option<Fault> {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let mut seen = self.lock();
        seen.requests.push(format!("{method} {path}"));
        let method = match path {
            lookup::PATH => "HEAD",
            _ => method,
        };
        if let Some(value) = request.headers().get(AUTHORIZATION) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            seen.authorizations.push(value);
        }
        self.changed.notify_all();
        let rule = seen.rules.iter_mut().find(|rule| {
            rule.times > 0 && rule.method == method && path.contains(&rule.fragment)
        })?;
        if rule.passes > 0 {
            rule.passes -= 1;
            return None;
        }
        rule.times -= 1;
        Some(rule.fault.clone())
    }

    fn admits(&self, request: &Request) -> bool {
        let stated = request.headers().get(AUTHORIZATION);
        let authorization = self.authorization.lock();
        match &*authorization.unwrap_or_else(PoisonError::into_inner) {
            None => true,
            Some(expected) => stated.is_some_and(|stated| stated == expected),
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let fault = shared.note(&request);
    if !shared.admits(&request) {
        let challenge = (WWW_AUTHENTICATE, r#"Basic realm="test""#);
        return reply(StatusCode::UNAUTHORIZED, Some(challenge));
    }
    match fault {
        None => next.run(request).await,
        Some(Fault::Status(status)) => reply(code(status), None),
        Some(Fault::RetryAfter(status, seconds)) => {
            reply(code(status), Some((RETRY_AFTER, &seconds.to_string())))
        }
        Some(Fault::Redirect(place)) => {
            reply(StatusCode::TEMPORARY_REDIRECT, Some((LOCATION, &place)))
        }
        Some(Fault::Hold) => std::future::pending().await,
        Some(Fault::HoldUntilHealed) => {
            shared.until_healed().await;
            next.run(request).await
        }
        Some(fault) => distorted(next.run(request).await, &fault).await,
    }
}

fn code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).expect("a status")
}

fn reply(status: StatusCode, header: Option<(http::HeaderName, &str)>) -> Response {
    let mut response = Response::builder().status(status);
    if let Some((name, value)) = header {
        response = response.header(name, value);
    }
    response.body(Body::empty()).expect("an answer")
}

/// Sends other bytes than a good answer has.
async fn distorted(response: Response, fault: &Fault) -> Response {
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await;
    let mut bytes = body.expect("an answer that can be read").to_vec();
    let body = match fault {
        Fault::Cut => {
            bytes.truncate(bytes.len() / 2);
            let start = stream::once(async { Ok(Bytes::from(bytes)) });
            Body::from_stream(
                start.chain(stream::once(async { Err(std::io::Error::other("cut")) })),
            )
        }
        Fault::FewerBytes => {
            bytes.truncate(bytes.len() / 2);
            parts.headers.insert(CONTENT_LENGTH, bytes.len().into());
            Body::from(bytes)
        }
        Fault::Endless => {
            parts.headers.insert(CONTENT_LENGTH, ENDLESS.into());
            let zeros = Bytes::from(vec![0; 64 * 1024]);
            let chunks = ENDLESS / zeros.len() as u64;
            let chunks = stream::iter(0..chunks).map(move |_| std::io::Result::Ok(zeros.clone()));
            Body::from_stream(chunks)
        }
        Fault::MoreBytes => {
            parts.headers.remove(CONTENT_LENGTH);
            bytes.extend_from_slice(b"more");
            Body::from(bytes)
        }
        _ => {
            if let Some(byte) = bytes.last_mut() {
                *byte ^= 1;
            }
            Body::from(bytes)
        }
    };
    Response::from_parts(parts, body)
}
