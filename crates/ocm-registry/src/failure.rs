//! What a client is told when something cannot be done.
//!
//! ```json
//! {"errors":[{"code":"MANIFEST_UNKNOWN","message":"shop:1.0 not found"}]}
//! ```
//!
//! Clients learn what is wrong with their request. What is wrong with the server goes to its log.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ocm_digest::ParseDigestError;
use serde::Serialize;
use serde_json::json;

use crate::incoming::Cut;
use crate::route;

/// A code of an error body (OCI distribution specification, "Error Codes").
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    /// Not in the specification's table, which has none for a number of results.
    PaginationNumberInvalid,
    /// Not in the specification's table, which has none for what is the server's fault.
    Unknown,
}

/// An answer that is not what was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    code: Code,
    message: String,
    pub(crate) headers: HeaderMap,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: HeaderMap::new(),
        }
    }

    /// Says that a request makes no sense.
    pub(crate) fn bad(code: Code, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn digest(error: &ParseDigestError) -> Self {
        Self::bad(Code::DigestInvalid, error.to_string())
    }

    pub(crate) fn read_only(store: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            Code::Unsupported,
            format!("{store} is read-only"),
        )
        .with(header::ALLOW, HeaderValue::from_static("GET, HEAD"))
    }

    pub(crate) fn uri_too_long(limit: usize) -> Self {
        Self::new(
            StatusCode::URI_TOO_LONG,
            Code::Unsupported,
            format!("the URL is longer than {limit} bytes"),
        )
    }

    pub(crate) fn no_such_upload() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            Code::BlobUploadUnknown,
            route::Error::NoSuchUpload.to_string(),
        )
    }

    /// Says that a client is to come back later.
    pub(crate) fn too_many(message: &str) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            Code::TooManyRequests,
            message,
        )
        .with(header::RETRY_AFTER, HeaderValue::from_static("10"))
    }

    /// Says that the server failed, for a reason that only its log names.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::Unknown,
            "the registry failed; its log says why",
        )
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Says what a store answered. `missing` is the code for what was asked for not being there.
    fn of_store(error: &ocm_oci::Error, missing: Code) -> Self {
        use ocm_oci::Error;
        if is_full(error) {
            tracing::error!(error = %Chain(error), "the disk is full");
            let message = "the registry has no space left";
            return Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unknown, message);
        }
        let (status, code) = match error {
            Error::NotFound { .. } => (StatusCode::NOT_FOUND, missing),
            Error::Dangling { .. } => (StatusCode::NOT_FOUND, Code::ManifestBlobUnknown),
            Error::Unauthenticated { .. } => (StatusCode::UNAUTHORIZED, Code::Unauthorized),
            Error::Denied { .. } => (StatusCode::FORBIDDEN, Code::Denied),
            Error::ReadOnly { store } => return Self::read_only(store),
            Error::Unsupported { .. } => (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported),
            Error::Malformed { .. } if missing == Code::ManifestUnknown => {
                (StatusCode::BAD_REQUEST, Code::ManifestInvalid)
            }
            Error::Busy { .. } | Error::Changed { .. } if missing == Code::BlobUploadUnknown => {
                (StatusCode::CONFLICT, Code::BlobUploadInvalid)
            }
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            error if error.is_mismatch() => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
            Error::Blob { source, .. } => return Self::of_blob_within(error, source, missing),
            Error::Remote {
                status: Some(429), ..
            } => (StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests),
            Error::Remote { transient, .. } => {
                tracing::warn!(error = %Chain(error), "the store behind the registry failed");
                let status = if *transient {
                    StatusCode::SERVICE_UNAVAILABLE
                } else {
                    StatusCode::BAD_GATEWAY
                };
                (status, Code::Unknown)
            }
            _ => {
                tracing::error!(error = %Chain(error), "the store failed");
                return Self::internal();
            }
        };
        Self::new(status, code, error.to_string())
    }

    fn of_blob_within(
        outer: &(dyn StdError + 'static),
        error: &ocm_blob::Error,
        missing: Code,
    ) -> Self {
        let mut found = None;
        visit(error, &mut |cause| {
            if let Some(cut) = cause.downcast_ref::<Cut>() {
                found = Some(Self::from(*cut));
            } else if let Some(ocm_oci::Error::NotFound { .. }) = cause.downcast_ref() {
                let message = "the content is missing";
                found = Some(Self::new(StatusCode::NOT_FOUND, missing, message));
            }
            found.is_some()
        });
        found.unwrap_or_else(|| {
            tracing::error!(error = %Chain(outer), "content cannot be read or written");
            Self::internal()
        })
    }
}

/// What a store answered, as what a client is told.
pub(crate) trait OrFail<T> {
    /// `missing` is the code for what was asked for not being there.
    fn or_fail(self, missing: Code) -> Result<T, Failure>;
}

impl<T> OrFail<T> for Result<T, ocm_oci::Error> {
    fn or_fail(self, missing: Code) -> Result<T, Failure> {
        self.map_err(|error| Failure::of_store(&error, missing))
    }
}

impl<T> OrFail<T> for Result<T, ocm_blob::Error> {
    fn or_fail(self, missing: Code) -> Result<T, Failure> {
        self.map_err(|error| Failure::of_blob_within(&error, &error, missing))
    }
}

impl From<route::Error> for Failure {
    fn from(error: route::Error) -> Self {
        use route::Error;
        let (status, code) = match &error {
            Error::NoSuchPath => (StatusCode::NOT_FOUND, Code::Unsupported),
            Error::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported),
            Error::Encoding => (StatusCode::BAD_REQUEST, Code::Unsupported),
            Error::Name(_) => (StatusCode::BAD_REQUEST, Code::NameInvalid),
            Error::Digest(_) => (StatusCode::BAD_REQUEST, Code::DigestInvalid),
            Error::Tag(_) => (StatusCode::BAD_REQUEST, Code::ManifestInvalid),
            Error::NoSuchTag(_) => (StatusCode::NOT_FOUND, Code::ManifestUnknown),
            Error::NoSuchUpload => (StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
        };
        let failure = Self::new(status, code, error.to_string());
        match error {
            Error::Method { allow } => failure.with(header::ALLOW, HeaderValue::from_static(allow)),
            _ => failure,
        }
    }
}

impl From<Cut> for Failure {
    fn from(cut: Cut) -> Self {
        let (status, code) = match cut {
            Cut::Ended => (StatusCode::BAD_REQUEST, Code::BlobUploadInvalid),
            Cut::Size { .. } => (StatusCode::BAD_REQUEST, Code::SizeInvalid),
            Cut::Limit { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            Cut::Quota => (StatusCode::INSUFFICIENT_STORAGE, Code::Denied),
            Cut::Idle => (StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid),
            Cut::TakenOver => (StatusCode::CONFLICT, Code::BlobUploadInvalid),
        };
        Self::new(status, code, cut.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({"errors": [{"code": self.code, "message": self.message}]});
        let mut headers = self.headers;
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        (self.status, headers, body.to_string()).into_response()
    }
}

/// Prints an error with its causes, for the log.
pub(crate) struct Chain<'a>(pub(crate) &'a (dyn StdError + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

fn is_full(error: &(dyn StdError + 'static)) -> bool {
    visit(error, &mut |cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::StorageFull
                    | io::ErrorKind::QuotaExceeded
                    | io::ErrorKind::FileTooLarge
            )
        })
    })
}

/// Shows an error and its causes to `look` until it has found what it looks for.
///
/// Errors that are shared are causes as well; a chain of `source` alone passes over them, as it
/// shows their `Arc` in their place.
fn visit(
    error: &(dyn StdError + 'static),
    look: &mut dyn FnMut(&(dyn StdError + 'static)) -> bool,
) -> bool {
    if look(error) {
        return true;
    }
    if let Some(shared) = error.downcast_ref::<Arc<dyn StdError + Send + Sync>>() {
        return visit(shared.as_ref(), look);
    }
    if let Some(shared) = error.downcast_ref::<Arc<io::Error>>() {
        return visit(shared.as_ref(), look);
    }
    error.source().is_some_and(|source| visit(source, look))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: &ocm_oci::Error) -> (u16, Code) {
        let failure = Failure::of_store(error, Code::ManifestUnknown);
        (failure.status.as_u16(), failure.code)
    }

    fn file_error(kind: io::ErrorKind) -> ocm_oci::Error {
        let source = ocm_blob::Error::file("write", "blob", io::Error::from(kind));
        ocm_oci::Error::blob("store", "blob", source)
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        for kind in [
            io::ErrorKind::StorageFull,
            io::ErrorKind::QuotaExceeded,
            io::ErrorKind::FileTooLarge,
        ] {
            assert_eq!(of(&file_error(kind)), (507, Code::Unknown), "{kind}");
        }
        let other = file_error(io::ErrorKind::PermissionDenied);
        assert_eq!(of(&other), (500, Code::Unknown));
        let within = io::Error::from(io::ErrorKind::StorageFull);
        let within = ocm_blob::Error::source("blob", within);
        let within = ocm_oci::Error::blob("store", "blob", within);
        assert_eq!(of(&within), (507, Code::Unknown));
    }

    #[test]
    fn what_a_store_says_has_its_status() {
        use ocm_oci::Error;
        let digest = ocm_digest::Digest::sha256(b"");
        let (what, reason) = (String::new, String::new);
        for (error, expected) in [
            (Error::not_found("x"), (404, Code::ManifestUnknown)),
            (Error::Denied { what: what() }, (403, Code::Denied)),
            (
                Error::Unauthenticated { what: what() },
                (401, Code::Unauthorized),
            ),
            (Error::ReadOnly { store: what() }, (405, Code::Unsupported)),
            (
                Error::Unsupported {
                    store: what(),
                    operation: "deleting",
                },
                (405, Code::Unsupported),
            ),
            (Error::malformed("x", "y"), (400, Code::ManifestInvalid)),
            (
                Error::TooLarge {
                    what: what(),
                    limit: 1,
                },
                (413, Code::SizeInvalid),
            ),
            (
                Error::DigestMismatch {
                    what: what(),
                    expected: digest,
                    actual: digest,
                },
                (400, Code::DigestInvalid),
            ),
            (
                Error::Dangling {
                    what: what(),
                    digest,
                },
                (404, Code::ManifestBlobUnknown),
            ),
            (
                Error::Remote {
                    what: what(),
                    reason: reason(),
                    status: None,
                    transient: true,
                    source: None,
                },
                (503, Code::Unknown),
            ),
        ] {
            assert_eq!(of(&error), expected, "{error}");
        }
    }

    #[test]
    fn an_upload_that_passes_through_a_store_says_that_it_was_cut() {
        let source = ocm_blob::Error::source("upload", Cut::Ended);
        let error = ocm_oci::Error::blob("store", "blob", source);
        assert_eq!(of(&error), (400, Code::BlobUploadInvalid));
    }

    #[test]
    fn codes_are_those_of_the_specification() {
        for (code, text) in [
            (Code::ManifestBlobUnknown, "\"MANIFEST_BLOB_UNKNOWN\""),
            (Code::TooManyRequests, "\"TOOMANYREQUESTS\""),
        ] {
            assert_eq!(serde_json::to_string(&code).unwrap(), text);
        }
    }
}
