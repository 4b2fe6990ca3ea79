//! The steps of the protocol between a client and a registry, and what can go wrong at each.

use std::fmt;
use std::sync::Arc;

use ocm_oci::lookup;

/// One kind of request (OCI distribution specification, "Endpoints", and the token service).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Step {
    /// Asking whether a blob is there.
    BlobHead,
    /// Reading a blob.
    BlobGet,
    /// Starting an upload, or mounting a blob.
    UploadPost,
    /// Sending a whole blob where others start an upload ("Single POST").
    SinglePost,
    /// Asking how much of an upload the registry has.
    UploadGet,
    /// Sending a part of a blob.
    UploadPatch,
    /// Sending a whole blob, or ending its upload.
    UploadPut,
    /// Asking what a manifest is by `HEAD`, or what several are, in one request.
    Lookup,
    /// Reading a manifest.
    ManifestGet,
    /// Writing a manifest.
    ManifestPut,
    /// Asking what refers to a manifest.
    Referrers,
    /// Asking for repositories or tags.
    List,
    /// Asking for a token.
    Token,
}

impl Step {
    /// All steps.
    pub const ALL: [Self; 13] = [
        Self::BlobHead,
        Self::BlobGet,
        Self::UploadPost,
        Self::SinglePost,
        Self::UploadGet,
        Self::UploadPatch,
        Self::UploadPut,
        Self::Lookup,
        Self::ManifestGet,
        Self::ManifestPut,
        Self::Referrers,
        Self::List,
        Self::Token,
    ];

    /// Returns the step that a request is, by its method and its target.
    pub(super) fn of(method: &str, target: &str) -> Option<Self> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == super::TOKEN_PATH {
            return Some(Self::Token);
        }
        let has = |part: &str| path.contains(part);
        Some(match method {
            "POST" if has("/blobs/uploads/") && query.starts_with("digest=") => Self::SinglePost,
            "POST" if has("/blobs/uploads/") => Self::UploadPost,
            "GET" if has("/blobs/uploads/") => Self::UploadGet,
            "PATCH" if has("/blobs/uploads/") => Self::UploadPatch,
            "PUT" if has("/blobs/uploads/") => Self::UploadPut,
            "HEAD" if has("/blobs/") => Self::BlobHead,
            "GET" if has("/blobs/") => Self::BlobGet,
            "HEAD" if has("/manifests/") => Self::Lookup,
            "POST" if path == lookup::PATH => Self::Lookup,
            "GET" if has("/manifests/") => Self::ManifestGet,
            "PUT" if has("/manifests/") => Self::ManifestPut,
            "GET" if has("/referrers/") => Self::Referrers,
            "GET" if has("/tags/list") || has("/_catalog") => Self::List,
            _ => return None,
        })
    }
}

/// What happens to a request and its answer.
#[derive(Clone)]
pub enum Disturbance {
    /// So many bytes of the request's body reach the registry, then both connections end.
    CutRequest(u64),
    /// The registry does what it is asked; so many bytes of its answer, head included, come back.
    CutAnswer(u64),
    /// The registry does what it is asked; half of its answer comes back.
    HalfAnswer,
    /// So many bytes of the answer come back, head included, then nothing more comes.
    Stall(u64),
    /// So many bytes of the request's body reach the registry, then nothing more is taken.
    StallRequest(u64),
    /// The registry is not asked: this status comes back, with these headers.
    Answer(u16, Vec<(String, String)>),
    /// The registry is not asked: the client is sent to where it is (307).
    Round,
    /// The answer has a header with another value.
    OtherHeader(String, String),
    /// The answer says that it has so many bytes more than it has, or fewer.
    OtherLength(i64),
    /// The first byte of the body is another.
    OtherBytes,
    /// The answer comes twice, one right after the other.
    AnsweredTwice,
    /// The registry gets the request twice; the second answer comes back.
    AskedTwice,
    /// The request reaches the registry after the client has made it again.
    Late,
    /// The registry is said to have taken what it is sent (201), and has never seen it.
    Lost,
    /// All tokens are worth nothing from now on, also the one of this request.
    Expired,
    /// Something is done before the request goes on, such as a change by somebody else.
    Meanwhile(Arc<dyn Fn() + Send + Sync>),
}

impl Disturbance {
    /// Answers with a status.
    pub const fn status(status: u16) -> Self {
        Self::Answer(status, Vec::new())
    }

    /// Answers with a status and one header.
    pub fn with_header(status: u16, name: &str, value: &str) -> Self {
        Self::Answer(status, vec![(name.to_owned(), value.to_owned())])
    }

    /// Does something, then goes on as usual.
    pub fn meanwhile(work: impl Fn() + Send + Sync + 'static) -> Self {
        Self::Meanwhile(Arc::new(work))
    }
}

impl fmt::Debug for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutRequest(count) => write!(f, "request cut after {count}"),
            Self::CutAnswer(count) => write!(f, "answer cut after {count}"),
            Self::Stall(count) => write!(f, "silence after {count}"),
            Self::StallRequest(count) => write!(f, "nothing taken after {count}"),
            Self::HalfAnswer => f.write_str("half an answer"),
            Self::Answer(status, headers) => write!(f, "status {status} {headers:?}"),
            Self::Round => f.write_str("sent around"),
            Self::OtherHeader(name, value) => write!(f, "header {name}: {value}"),
            Self::OtherLength(by) => write!(f, "length off by {by}"),
            Self::OtherBytes => f.write_str("other bytes"),
            Self::AnsweredTwice => f.write_str("answered twice"),
            Self::AskedTwice => f.write_str("asked twice"),
            Self::Late => f.write_str("late"),
            Self::Lost => f.write_str("lost"),
            Self::Expired => f.write_str("token expired"),
            Self::Meanwhile(_) => f.write_str("changed meanwhile"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart() {
        for (method, target, expected) in [
            ("HEAD", "/v2/a/blobs/sha256:0", Some(Step::BlobHead)),
            ("GET", "/v2/a/blobs/sha256:0", Some(Step::BlobGet)),
            (
                "POST",
                "/v2/a/blobs/uploads/?mount=x",
                Some(Step::UploadPost),
            ),
            (
                "POST",
                "/v2/a/blobs/uploads/?digest=x",
                Some(Step::SinglePost),
            ),
            ("GET", "/v2/a/blobs/uploads/1", Some(Step::UploadGet)),
            ("PUT", "/v2/a/manifests/1.0", Some(Step::ManifestPut)),
            ("HEAD", "/v2/a/manifests/1.0", Some(Step::Lookup)),
            ("POST", lookup::PATH, Some(Step::Lookup)),
            ("GET", "/v2/a/tags/list?n=1", Some(Step::List)),
            ("GET", "/token?scope=x", Some(Step::Token)),
            ("GET", "/v2/", None),
            ("DELETE", "/v2/a/blobs/uploads/1", None),
        ] {
            assert_eq!(Step::of(method, target), expected, "{method} {target}");
        }
    }
}
