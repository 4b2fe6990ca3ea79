//! Whether a registry checks what it is sent.
//!
//! A registry that refuses content which is not what its digest says need not be sent content that
//! has been hashed here before: whoever hashes it, wrong content does not get in, and half of the
//! work is left. No specification demands it of a registry, so each is asked once, by sending it
//! something that it has to refuse.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use ocm_digest::Digest;

use crate::client::RegistryClient;
use crate::client::exchange::Call;
use crate::client::reply::Reply;
use crate::client::scope::Scopes;
use crate::client::upload::{MAX_ANSWER, location_of, with_query};
use crate::name::RepositoryName;

/// The size from which on a blob is worth asking, in bytes: hashing it takes as long as a request
/// or two.
pub(crate) const WORTH_ASKING: u64 = 32 * 1024 * 1024;

/// What is sent, and what the digest that is sent with it belongs to.
const SENT: &[u8] = b"this is not what its digest says";
const NOT_SENT: &[u8] = b"this is never sent";

impl Reply {
    /// Returns whether it refuses content that is not what its digest says (OCI distribution
    /// specification, "Error Codes").
    pub(crate) fn refuses_digest(&self) -> bool {
        self.status == StatusCode::BAD_REQUEST && self.has_code("DIGEST_INVALID")
    }
}

impl RegistryClient {
    /// Returns whether the registry refuses content that is not what its digest says, as far as that
    /// can be found out.
    pub(crate) async fn checks_content(
        &self,
        repository: &RepositoryName,
        scopes: &Scopes,
    ) -> bool {
        let asked = self.inner.checks_content.get_or_try_init(|| async {
            // One that cannot be asked now may be asked with the next blob.
            self.send_wrong(repository, scopes).await.ok_or(())
        });
        asked.await.copied().unwrap_or(false)
    }

    /// Sends wrong content; returns whether it was refused for that, or `None` if it did not get so
    /// far.
    async fn send_wrong(&self, repository: &RepositoryName, scopes: &Scopes) -> Option<bool> {
        let endpoint = &self.inner.endpoint;
        let what = format!("upload to {}/{repository}", endpoint.host());
        let call = |method, url| {
            let path = endpoint.path_of(repository);
            Call::new(method, url, &path, scopes.clone(), what.clone())
        };
        let start = call(Method::POST, endpoint.uploads(repository));
        let reply = self.try_call(&start, MAX_ANSWER).await.ok()?;
        let session = location_of(endpoint, &reply).ok()??;
        let media_type = HeaderValue::from_static("application/octet-stream");
        let url = with_query(session, Digest::sha256(NOT_SENT));
        let mut put = call(Method::PUT, url).with_header(CONTENT_TYPE, media_type);
        put.request.body = Bytes::from_static(SENT);
        let reply = self.try_call(&put, MAX_ANSWER).await.ok()?;
        let checks = reply.refuses_digest();
        if !checks {
            let (host, status) = (endpoint.host(), reply.status);
            tracing::debug!("{host} answers {status} to wrong content, so all is hashed here");
        }
        Some(checks)
    }
}
