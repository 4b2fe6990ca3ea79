//! What clients do with their connections: whether they ask for anything, and by HTTP/2, whether
//! they take what they have asked for.
//!
//! By HTTP/2 many answers share a connection, and hyper keeps those back that the client does not
//! take. That a connection moves says nothing of each of them then, so each is watched by itself.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Version;
use http_body::{Frame, SizeHint};
use tokio::task_local;
use tokio::time::{Instant, sleep_until};

task_local! {
    /// The answer that a task sends.
    static ANSWER: Arc<Waiting>;
}

/// The requests of a connection.
#[derive(Debug)]
pub(crate) struct Activity(Mutex<Requests>);

#[derive(Debug)]
struct Requests {
    open: usize,
    /// When the last one ended, or the connection began.
    since: Instant,
    /// Whether the connection is one of HTTP/1, where hyper sees to the time between requests.
    by_http1: bool,
}

impl Activity {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Requests {
            open: 0,
            since: Instant::now(),
            by_http1: false,
        })))
    }

    /// Notes a request; it is open until what is returned is dropped.
    pub(crate) fn begin(self: &Arc<Self>, version: Version) -> Open {
        let mut requests = self.lock();
        requests.open += 1;
        requests.by_http1 |= version < Version::HTTP_2;
        Open(Arc::clone(self))
    }

    /// Is ready when there was no request for so long.
    pub(crate) async fn ceased(&self, patience: Duration) {
        loop {
            let since = {
                let requests = self.lock();
                if requests.by_http1 {
                    break;
                }
                if requests.open > 0 {
                    Instant::now()
                } else {
                    requests.since
                }
            };
            if since.elapsed() >= patience {
                return;
            }
            sleep_until(since + patience).await;
        }
        std::future::pending::<()>().await;
    }

    fn lock(&self) -> MutexGuard<'_, Requests> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub(crate) struct Open(Arc<Activity>);

impl Drop for Open {
    fn drop(&mut self) {
        let mut requests = self.0.lock();
        requests.open -= 1;
        requests.since = Instant::now();
    }
}

/// Runs the tasks of HTTP/2, one for each request, and ends those whose client takes nothing of its
/// answer for so long. To the client the stream is reset; others of the connection go on.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) patience: Duration,
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        let answer = Arc::new(Waiting::default());
        let (watched, patience) = (Arc::clone(&answer), self.patience);
        tokio::spawn(ANSWER.scope(answer, async move {
            tokio::select! {
                _ = task => {}
                () = watched.stalled(patience) => {
                    tracing::debug!("an answer is broken off, as its client takes nothing of it");
                }
            }
        }));
    }
}

/// Since when a client is waited for to take more of an answer. Nothing while the store is.
#[derive(Debug, Default)]
struct Waiting(Mutex<Option<Instant>>);

impl Waiting {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    async fn stalled(&self, patience: Duration) {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let since = since.unwrap_or_else(Instant::now);
            if since.elapsed() >= patience {
                return;
            }
            sleep_until(since + patience).await;
        }
    }
}

/// How much of an answer is handed over at a time, in bytes. A client has taken something when it
/// has taken so much, so that one that is slow is told from one that takes nothing.
const PIECE: usize = 16 * 1024;

/// The body of an answer by HTTP/2.
#[derive(Debug)]
pub(crate) struct Answer {
    body: Body,
    /// What has been read of the body and not been handed over.
    rest: Bytes,
    waiting: Option<Arc<Waiting>>,
    _open: Open,
}

impl Answer {
    /// Watches the body of the answer to a request, in the task that sends it.
    pub(crate) fn new(body: Body, open: Open) -> Self {
        let answer = Self {
            body,
            rest: Bytes::new(),
            waiting: ANSWER.try_with(Arc::clone).ok(),
            _open: open,
        };
        answer.waits(true);
        answer
    }

    fn waits(&self, for_client: bool) {
        if let Some(waiting) = &self.waiting {
            waiting.set(for_client.then(Instant::now));
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.waits(false);
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    /// Is called when the client can take more.
    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            self.waits(false);
            let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        self.waits(true);
        let len = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::time::{advance, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    async fn is_over(ended: impl Future<Output = ()>) -> bool {
        timeout(Duration::from_millis(1), ended).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_once_its_last_request_has_ended_for_long() {
        let activity = Activity::new();
        let first = activity.begin(Version::HTTP_2);
        let second = activity.begin(Version::HTTP_2);
        drop(first);
        advance(PATIENCE * 3).await;
        assert!(!is_over(activity.ceased(PATIENCE)).await);
        drop(second);
        advance(PATIENCE / 2).await;
        assert!(!is_over(activity.ceased(PATIENCE)).await);
        advance(PATIENCE / 2).await;
        assert!(is_over(activity.ceased(PATIENCE)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_request_is_idle_and_one_of_http_1_never() {
        let activity = Activity::new();
        advance(PATIENCE).await;
        assert!(is_over(activity.ceased(PATIENCE)).await);
        drop(activity.begin(Version::HTTP_11));
        advance(PATIENCE * 2).await;
        assert!(!is_over(activity.ceased(PATIENCE)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stalls_only_while_its_client_is_waited_for() {
        let waiting = Waiting::default();
        advance(PATIENCE * 2).await;
        assert!(
            !is_over(waiting.stalled(PATIENCE)).await,
            "the store is slow"
        );
        waiting.set(Some(Instant::now()));
        advance(PATIENCE / 2).await;
        assert!(!is_over(waiting.stalled(PATIENCE)).await);
        advance(PATIENCE / 2).await;
        assert!(is_over(waiting.stalled(PATIENCE)).await);
    }

    #[tokio::test]
    async fn an_answer_is_handed_over_in_pieces_that_a_slow_client_can_take() {
        let content: Vec<u8> = (0..=255).cycle().take(PIECE * 2 + 5).collect();
        let body = Body::from(content.clone());
        let mut answer = Answer::new(body, Activity::new().begin(Version::HTTP_2));
        let (mut taken, mut pieces) = (Vec::new(), Vec::new());
        loop {
            let left = content.len() - taken.len();
            assert_eq!(
                http_body::Body::size_hint(&answer).exact(),
                Some(left as u64)
            );
            let Some(frame) = answer.frame().await else {
                break;
            };
            let data = frame.unwrap().into_data().unwrap();
            pieces.push(data.len());
            taken.extend_from_slice(&data);
        }
        assert_eq!(pieces, [PIECE, PIECE, 5]);
        assert_eq!(taken, content);
        assert!(http_body::Body::is_end_stream(&answer));
    }
}
