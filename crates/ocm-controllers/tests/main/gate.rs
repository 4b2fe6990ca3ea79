//! What stands between controllers and the API server: it sees each request, and stops them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::response::{IntoResponse as _, Response};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use ocm_testkit::{Cluster, Served};
use tokio::sync::{OnceCell, watch};
use tokio::time::{sleep, timeout};

use crate::world::client_of;

/// How long something may take before the test fails.
const PATIENCE: Duration = Duration::from_mins(2);

/// A way to the API server without TLS, whose requests are counted.
///
/// Requests that fail as the server of the gate is told do not reach it, and are not counted.
pub(crate) struct Gate {
    pub(crate) served: Served,
    shared: Arc<Shared>,
}

struct Shared {
    kubeconfig: String,
    /// Made where it is used: its work goes on in that runtime.
    client: OnceCell<Client>,
    state: watch::Sender<Passed>,
    /// How often all watches were cut.
    cuts: watch::Sender<usize>,
}

/// What has passed.
#[derive(Default)]
struct Passed {
    requests: Vec<String>,
    /// How many writes may pass still, if they are counted down.
    left: Option<usize>,
    under_way: usize,
    most: usize,
    /// How long each request takes longer than without the gate, apart from watches.
    latency: Duration,
    held: usize,
}

impl Gate {
    /// Opens a way to the API server for one who may do everything.
    pub(crate) fn open(cluster: &Cluster) -> Self {
        let shared = Arc::new(Shared {
            kubeconfig: cluster.kubeconfig(),
            client: OnceCell::new(),
            state: watch::Sender::default(),
            cuts: watch::Sender::new(0),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        Self {
            served: Served::new(router),
            shared,
        }
    }

    /// A kubeconfig that leads through the gate.
    pub(crate) fn kubeconfig(&self) -> String {
        format!(
            r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "test",
"clusters": [{{"name": "test", "cluster": {{"server": "http://{}"}}}}],
"users": [{{"name": "test", "user": {{}}}}],
"contexts": [{{"name": "test", "context": {{"cluster": "test", "user": "test"}}}}]}}"#,
            self.served.host()
        )
    }

    /// Has each request take longer.
    pub(crate) fn slow(&self, latency: Duration) {
        self.shared
            .state
            .send_modify(|state| state.latency = latency);
    }

    /// Lets so many [writes](is_write) pass, and holds all requests that come after the last of
    /// them, apart from those about leases.
    pub(crate) fn close_after(&self, writes: usize) {
        self.shared
            .state
            .send_modify(|state| state.left = Some(writes));
    }

    /// Lets everything pass, also what was held and is still waited for.
    pub(crate) fn reopen(&self) {
        self.shared.state.send_modify(|state| state.left = None);
    }

    /// Waits until the last write has passed, and is answered.
    pub(crate) async fn closed(&self) {
        self.until(|it| it.left == Some(0) && it.under_way == 0)
            .await;
    }

    /// Waits until requests are held, or none of them is any more.
    pub(crate) async fn holds(&self, holds: bool) {
        self.until(|it| (it.held > 0) == holds).await;
    }

    /// Waits until a request has passed that is such.
    pub(crate) async fn passed(&self, is_such: impl Fn(&str) -> bool) {
        self.until(|it| it.requests.iter().any(|it| is_such(it)))
            .await;
    }

    async fn until(&self, is_so: impl Fn(&Passed) -> bool) {
        let mut state = self.shared.state.subscribe();
        // What is waited for is locked as long as it is looked at, so it is looked at once.
        let waited = timeout(PATIENCE, state.wait_for(|it| is_so(it))).await;
        let is_so = waited.is_ok();
        drop(waited);
        let passed = self.shared.state.borrow().requests.join("\n");
        assert!(is_so, "the gate waits in vain after\n{passed}");
    }

    /// Cuts all watches that go on.
    pub(crate) fn cut_watches(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Returns method and path of what has passed since the last time it was taken.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        let mut requests = Vec::new();
        let take = |state: &mut Passed| std::mem::swap(&mut requests, &mut state.requests);
        self.shared.state.send_modify(take);
        requests
    }

    /// Returns how many requests were under way at the same time, at most, apart from watches.
    pub(crate) fn most_at_once(&self) -> usize {
        self.shared.state.borrow().most
    }
}

/// Tells whether a request changes an object. Events and leases are about the work, and not part of
/// it.
pub(crate) fn is_write(request: &str) -> bool {
    let is_read = request.starts_with("GET ") || request.starts_with("WATCH ");
    !is_read && !request.contains("/events") && !request.contains("/leases")
}

impl Shared {
    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| client_of(&self.kubeconfig))
            .await
    }

    /// Waits until a request may pass, and notes it.
    async fn admit(&self, name: &str) {
        let mut seen = self.state.subscribe();
        let _held = Held(self);
        self.state.send_modify(|state| state.held += 1);
        loop {
            let mut admitted = false;
            self.state.send_if_modified(|state| {
                admitted = name.contains("/leases") || state.left != Some(0);
                if admitted {
                    if let Some(left) = state.left.as_mut().filter(|_| is_write(name)) {
                        *left -= 1;
                    }
                    state.requests.push(name.to_owned());
                }
                admitted
            });
            if admitted {
                return;
            }
            // The sender lives as long as this.
            let _ = seen.wait_for(|state| state.left != Some(0)).await;
        }
    }
}

/// A request that has not passed.
struct Held<'a>(&'a Shared);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.held -= 1);
    }
}

/// A request that was not answered yet.
struct UnderWay(Arc<Shared>);

impl UnderWay {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.state.send_modify(|state| {
            state.under_way += 1;
            state.most = state.most.max(state.under_way);
        });
        Self(Arc::clone(shared))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.under_way -= 1);
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let is_watch = query.contains("watch=true");
    let method = if is_watch {
        "WATCH"
    } else {
        request.method().as_str()
    };
    let name = format!("{method} {}", request.uri().path());
    // What is seen to have passed is cut from then on.
    let cuts = shared.cuts.subscribe();
    shared.admit(&name).await;
    // What has passed comes to its end, also where nobody waits for it any more.
    let passing = tokio::spawn(async move {
        let _under_way = (!is_watch).then(|| UnderWay::new(&shared));
        if !is_watch {
            let latency = shared.state.borrow().latency;
            sleep(latency).await;
        }
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(HOST);
        let body = axum::body::to_bytes(body, usize::MAX).await.ok()?;
        let request = Request::from_parts(parts, kube::client::Body::from(body));
        let answer = shared.client().await.send(request).await.ok()?;
        let (mut parts, body) = answer.into_parts();
        // They are about the other connection.
        for header in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
            parts.headers.remove(header);
        }
        let body = if is_watch {
            watched(cuts, Body::new(body))
        } else {
            let whole = axum::body::to_bytes(Body::new(body), usize::MAX).await;
            Body::from(whole.ok()?)
        };
        Some(Response::from_parts(parts, body))
    });
    let answer = passing.await.unwrap();
    answer.unwrap_or_else(|| StatusCode::BAD_GATEWAY.into_response())
}

/// What is watched, until it is cut.
fn watched(mut cuts: watch::Receiver<usize>, body: Body) -> Body {
    let cut = async move {
        let _ = cuts.changed().await;
    };
    let lines = body.into_data_stream().map_err(std::io::Error::other);
    let end = stream::once(async { Err(std::io::Error::other("cut")) });
    Body::from_stream(lines.take_until(cut).chain(end))
}
