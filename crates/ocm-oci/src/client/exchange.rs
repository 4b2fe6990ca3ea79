//! One call to a registry: a place in the queue, proof, attempts.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Response;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

use crate::client::RegistryClient;
use crate::client::auth::Authorization;
use crate::client::http::Request;
use crate::client::reply::{Reply, challenges};
use crate::client::retry::{Backoff, Failure, is_transient};
use crate::client::scope::Scopes;
use crate::error::Error;

/// How long a download waits for its turn before it goes ahead without. Somebody who compares two
/// blobs of one registry reads them against each other, so waiting for ever could be for ever.
const STREAM_PATIENCE: Duration = Duration::from_secs(5);

/// How many requests a registry gets at the same time, for each of three kinds.
///
/// The kinds are apart because one waits for another: an upload reads its content from a download
/// of the same registry, and both send short requests.
#[derive(Debug)]
pub(crate) struct Slots {
    requests: Semaphore,
    uploads: Semaphore,
    downloads: Arc<Semaphore>,
}

impl Slots {
    pub(crate) fn new(parallel: usize) -> Self {
        let parallel = parallel.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            requests: Semaphore::new(parallel),
            uploads: Semaphore::new(parallel),
            downloads: Arc::new(Semaphore::new(parallel)),
        }
    }

    /// Waits for the turn of an upload.
    pub(crate) async fn upload(&self) -> Option<SemaphorePermit<'_>> {
        self.uploads.acquire().await.ok()
    }

    /// Waits for the turn of a download, but not for ever.
    pub(crate) async fn download(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.downloads).acquire_owned();
        timeout(STREAM_PATIENCE, turn).await.ok()?.ok()
    }
}

/// What is asked of a registry.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) request: Request,
    /// The repository whose credentials are used; empty for the registry as a whole.
    pub(crate) repository: String,
    pub(crate) scopes: Scopes,
    /// How messages name what is asked for.
    pub(crate) what: String,
}

impl Call {
    pub(crate) fn new(
        method: Method,
        url: Url,
        repository: &str,
        scopes: Scopes,
        what: String,
    ) -> Self {
        Self {
            request: Request {
                method,
                url,
                headers: HeaderMap::new(),
                body: bytes::Bytes::new(),
            },
            repository: repository.to_owned(),
            scopes,
            what,
        }
    }

    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.request.headers.insert(name, value);
        self
    }
}

impl RegistryClient {
    /// Calls until there is an answer that another attempt would not change, and reads it.
    pub(crate) async fn call(&self, call: &Call, limit: u64) -> Result<Reply, Error> {
        let mut backoff = self.inner.retry.start();
        loop {
            match self.try_call(call, limit).await {
                Ok(mut reply) => {
                    reply.is_repeated = backoff.has_failed();
                    return Ok(reply);
                }
                Err(failure) => self.pause(&mut backoff, failure).await?,
            }
        }
    }

    /// Calls once and reads the answer.
    pub(crate) async fn try_call(&self, call: &Call, limit: u64) -> Result<Reply, Failure> {
        let (response, with_credentials) = self.attempt(call).await?;
        let mut reply = Reply::read(&self.inner.http, response, limit, &call.what).await?;
        reply.with_credentials = with_credentials;
        if is_transient(reply.status) {
            return Err(reply.into_failure(&call.what));
        }
        Ok(reply)
    }

    /// Calls once for an answer that is read as a stream. A refusal is read whole.
    pub(crate) async fn try_open(&self, call: &Call) -> Result<Result<Response, Reply>, Failure> {
        let (response, with_credentials) = self.attempt(call).await?;
        if response.status().is_success() {
            return Ok(Ok(response));
        }
        let mut reply = Reply::read(&self.inner.http, response, 0, &call.what).await?;
        reply.with_credentials = with_credentials;
        if is_transient(reply.status) {
            return Err(reply.into_failure(&call.what));
        }
        Ok(Err(reply))
    }

    /// Waits for the next attempt, together with everybody if the registry asked for that.
    pub(crate) async fn pause(&self, backoff: &mut Backoff, failure: Failure) -> Result<(), Error> {
        let busy = matches!(
            failure.error,
            Error::Remote {
                status: Some(429),
                ..
            }
        );
        if let (true, Some(wait)) = (busy, failure.retry_after) {
            self.inner.truce.extend(wait, self.inner.retry.max_elapsed);
        }
        backoff.pause(failure).await
    }

    /// Sends a request with proof, and once more with better proof if it is refused.
    async fn attempt(&self, call: &Call) -> Result<(Response, bool), Failure> {
        let proof = self.proof(call).await?;
        let response = self.send(call, proof.as_ref()).await?;
        let better = match response.status() {
            StatusCode::UNAUTHORIZED => {
                let (url, headers) = (response.url(), response.headers());
                self.renew(call, url, headers, proof.as_ref()).await?
            }
            _ => None,
        };
        let Some(better) = better else {
            return Ok((response, proof.is_some_and(|proof| proof.with_credentials)));
        };
        drop(response);
        let response = self.send(call, Some(&better)).await?;
        Ok((response, better.with_credentials))
    }

    /// Returns the proof for a call; none for a URL that is not the registry's own.
    pub(crate) async fn proof(&self, call: &Call) -> Result<Option<Authorization>, Failure> {
        if !self.trusts(&call.request.url) {
            return Ok(None);
        }
        let inner = &self.inner;
        inner
            .auth
            .proof(&inner.http, &call.repository, &call.scopes)
            .await
    }

    /// Returns another proof after a refusal by whoever answered at a URL.
    ///
    /// Only the registry itself may say who is to be told its credentials: the storage behind it,
    /// which a redirect or a location leads to, may not.
    pub(crate) async fn renew(
        &self,
        call: &Call,
        answered: &Url,
        headers: &HeaderMap,
        refused: Option<&Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        if !self.trusts(answered) {
            return Ok(None);
        }
        let inner = &self.inner;
        let challenges = challenges(headers);
        inner
            .auth
            .renew(
                &inner.http,
                &call.repository,
                &call.scopes,
                challenges,
                refused,
            )
            .await
    }

    fn trusts(&self, url: &Url) -> bool {
        self.inner.endpoint.owns(url)
    }

    async fn send(&self, call: &Call, proof: Option<&Authorization>) -> Result<Response, Failure> {
        self.inner.truce.over().await;
        // Closing never happens, and without a permit the request goes ahead all the same.
        let _turn = self.inner.slots.requests.acquire().await.ok();
        let authorization = proof.map(|proof| &proof.value);
        let http = &self.inner.http;
        Ok(http.send(&call.request, authorization, &call.what).await?)
    }
}
