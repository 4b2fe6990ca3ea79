//! Blobs: reading, whole and in part, and removing.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use ocm_blob::ByteStream;
use ocm_digest::Digest;
use ocm_oci::{Descriptor, RepositoryName};

use crate::failure::{Chain, Code, Failure, OrFail as _};
use crate::options::Delivery;
use crate::range::Selection;
use crate::registry::{Inner, insert, is_known, not_modified, tag_content};

const OCTETS: &str = "application/octet-stream";

/// What a digest names never changes.
const FOREVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

impl Inner {
    pub(crate) async fn get_blob(
        &self,
        repository: &RepositoryName,
        digest: Digest,
        headers: &HeaderMap,
        head: bool,
    ) -> Result<Response, Failure> {
        let size = self.store.stat_blob(repository, &digest).await;
        let size = size
            .or_fail(Code::BlobUnknown)?
            .ok_or_else(|| missing(repository, &digest))?;
        if is_known(headers, &digest) {
            return Ok(not_modified(&digest));
        }
        if self.options.delivery == Delivery::Redirect
            && !head
            && let Some(direct) = self.store.direct()
        {
            let address = direct.address(repository, &digest).await;
            return Ok(elsewhere(&address.or_fail(Code::BlobUnknown)?, &digest));
        }
        // Ranges are for GET (RFC 9110, section 14.2).
        let selection = if head {
            Selection::Whole
        } else {
            selected(headers, size, &digest)
        };
        let (status, first, len) = match selection {
            Selection::Whole => (StatusCode::OK, 0, size),
            Selection::Part { first, last } => {
                (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
            }
            Selection::Unsatisfiable => return Err(unsatisfiable(size)),
        };
        let body = if head || len == 0 {
            Body::empty()
        } else {
            let descriptor = Descriptor::new(OCTETS, digest, size);
            Body::from_stream(self.open(repository, &descriptor, first, len).await?)
        };
        let mut response = (status, body).into_response();
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(OCTETS));
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(len));
        answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer.insert(header::CACHE_CONTROL, FOREVER);
        tag_content(answer, &digest);
        if status == StatusCode::PARTIAL_CONTENT {
            let range = format!("bytes {first}-{}/{size}", first + len - 1);
            insert(answer, header::CONTENT_RANGE, &range);
        }
        Ok(response)
    }

    /// Opens `len` bytes of a blob, `first` being the first.
    async fn open(
        &self,
        repository: &RepositoryName,
        descriptor: &Descriptor,
        first: u64,
        len: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, ocm_blob::Error>> + use<>, Failure> {
        let blob = self.store.blob(repository, descriptor);
        let opened = if len == descriptor.size && self.options.verify_reads {
            blob.open().await
        } else {
            blob.open_at(first).await
        };
        let stream = opened.or_fail(Code::BlobUnknown)?;
        let digest = descriptor.digest;
        Ok(take(stream, len).inspect(move |chunk| {
            if let Err(error) = chunk {
                tracing::error!(%digest, error = %Chain(error), "a blob broke off");
            }
        }))
    }

    pub(crate) async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: Digest,
    ) -> Result<Response, Failure> {
        let deleted = self.store.delete_blob(repository, &digest).await;
        deleted.or_fail(Code::BlobUnknown)?;
        self.commit(None).await?;
        Ok(StatusCode::ACCEPTED.into_response())
    }
}

/// Sends a client to where the bytes are. The address does not stay good.
fn elsewhere(address: &str, digest: &Digest) -> Response {
    let mut response = StatusCode::TEMPORARY_REDIRECT.into_response();
    let headers = response.headers_mut();
    insert(headers, header::LOCATION, address);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    tag_content(headers, digest);
    response
}

fn missing(repository: &RepositoryName, digest: &Digest) -> Failure {
    let message = format!("blob {digest} of {repository} not found");
    Failure::new(StatusCode::NOT_FOUND, Code::BlobUnknown, message)
}

fn unsatisfiable(size: u64) -> Failure {
    let failure = Failure::new(
        StatusCode::RANGE_NOT_SATISFIABLE,
        Code::SizeInvalid,
        format!("the range lies beyond the {size} bytes of the blob"),
    );
    match HeaderValue::try_from(format!("bytes */{size}")) {
        Ok(range) => failure.with(header::CONTENT_RANGE, range),
        Err(_) => failure,
    }
}

/// Returns the part that a request asks for, unless it asks for that of other content.
fn selected(headers: &HeaderMap, size: u64, digest: &Digest) -> Selection {
    let value = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let Some(range) = value(header::RANGE) else {
        return Selection::Whole;
    };
    match value(header::IF_RANGE) {
        Some(tag) if tag.trim_matches('"') != digest.to_string() => Selection::Whole,
        _ => Selection::parse(range, size),
    }
}

/// Ends a stream after `len` bytes.
fn take(stream: ByteStream, len: u64) -> impl Stream<Item = Result<Bytes, ocm_blob::Error>> {
    stream::unfold((stream, len), |(mut stream, left)| async move {
        if left == 0 {
            return None;
        }
        match stream.next().await? {
            Ok(mut chunk) => {
                if let Ok(left) = usize::try_from(left) {
                    chunk.truncate(left);
                }
                let left = left - chunk.len() as u64;
                Some((Ok(chunk), (stream, left)))
            }
            Err(error) => Some((Err(error), (stream, 0))),
        }
    })
}
