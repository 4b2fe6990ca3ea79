//! Small blobs in one request (OCI distribution specification, "Single POST").
//!
//! A registry need not take them so. It answers then as if an upload had been begun, or refuses, and
//! is not tried again.

use std::sync::atomic::Ordering;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use ocm_blob::BlobRef;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::scope::Scopes;
use crate::client::upload::{MAX_ANSWER, pushed, with_query};
use crate::error::Error;
use crate::name::RepositoryName;
use crate::store::Pushed;

/// Up to which size a blob is sent at once, in bytes: sending it twice, where the registry does not
/// take it so, must cost no more than another request.
const AT_ONCE: u64 = 64 * 1024;

impl RegistryClient {
    /// Sends a blob in one request; returns `None` if it has to be uploaded, for whatever reason.
    ///
    /// # Errors
    ///
    /// The blob cannot be read, or the registry has stored something else.
    pub(crate) async fn send_at_once(
        &self,
        repository: &RepositoryName,
        blob: &BlobRef,
    ) -> Result<Option<Pushed>, Error> {
        let takes_at_once = &self.inner.takes_at_once;
        let (Some(digest), Some(size)) = (blob.digest(), blob.size()) else {
            return Ok(None);
        };
        if size > AT_ONCE || !takes_at_once.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let endpoint = &self.inner.endpoint;
        let path = endpoint.path_of(repository);
        let what = self.name_blob(repository, &digest);
        let body = ocm_blob::read_to_end(blob.as_ref(), AT_ONCE)
            .await
            .map_err(|source| Error::blob("read", &what, source))?;
        let url = with_query(endpoint.uploads(repository), digest);
        let media_type = HeaderValue::from_static("application/octet-stream");
        let mut call = Call::new(Method::POST, url, &path, Scopes::push(&path), what)
            .with_header(CONTENT_TYPE, media_type);
        call.request.body = body;
        let reply = match self.try_call(&call, MAX_ANSWER).await {
            Ok(reply) => reply,
            Err(failure) => {
                // What fails in passing is uploaded after a while, which is tried more often.
                if let Err(error) = self.pause(&mut self.inner.retry.start(), failure).await {
                    tracing::debug!("{} takes no blob at once: {error}", endpoint.host());
                    takes_at_once.store(false, Ordering::Relaxed);
                }
                return Ok(None);
            }
        };
        match reply.status.as_u16() {
            201 => pushed(&reply, &call.what, digest, size).map(Some),
            // The upload finds out who is to be asked for rights.
            401 | 403 => Ok(None),
            status => {
                tracing::debug!("{} answers {status} to a blob at once", endpoint.host());
                takes_at_once.store(false, Ordering::Relaxed);
                if status == 202 {
                    self.cancel(call, &reply).await;
                }
                Ok(None)
            }
        }
    }
}
