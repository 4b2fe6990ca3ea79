//! Web servers: packages, archives and objects as their usual servers have them.

mod bucket;
mod layout;
mod s3;

use std::fmt::Write as _;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CONTENT_RANGE, CONTENT_TYPE, ETAG, HOST, IF_RANGE, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};

pub use bucket::Bucket;
pub use layout::{Github, Npm, files, maven};
pub use s3::S3;

use crate::registry::basic;
use crate::served::Served;

/// A web server that ends with the test.
///
/// What it has can be read in parts; [`Served::fail`](crate::Served::fail) has it fail.
#[derive(Debug)]
pub struct Web(Served);

/// What a web server has been asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path and the query, as they were sent.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// What a web server answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Web {
    /// Starts a server that is open to everyone.
    pub fn start(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        Self::serve(answer, None)
    }

    /// Starts a server that wants a user name and a password.
    pub fn with_password(
        user: &str,
        password: &str,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serve(answer, Some(basic(user, password)))
    }

    /// Starts a server that wants a token.
    pub fn with_token(
        token: &str,
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::serve(answer, Some(format!("Bearer {token}")))
    }

    fn serve(
        answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
        authorization: Option<String>,
    ) -> Self {
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let answer = Arc::clone(&answer);
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, usize::MAX).await;
                let asked = Asked {
                    method: parts.method,
                    uri: parts.uri,
                    headers: parts.headers,
                    body: body.expect("a request that can be read"),
                };
                answer(&asked).respond(&asked)
            }
        });
        Self(Served::start(router, authorization))
    }

    /// Returns the address of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.host())
    }
}

impl Deref for Web {
    type Target = Served;

    fn deref(&self) -> &Served {
        &self.0
    }
}

impl DerefMut for Web {
    fn deref_mut(&mut self) -> &mut Served {
        &mut self.0
    }
}

impl Asked {
    /// Returns the path as it was sent.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// Returns the text of a header, empty if there is none.
    pub fn header(&self, name: impl AsRef<str>) -> &str {
        let value = self.headers.get(name.as_ref());
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the address by which the server was asked.
    pub fn origin(&self) -> String {
        format!("http://{}", self.header(HOST))
    }
}

impl Answer {
    /// Answers with some bytes, which have a tag.
    pub fn file(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        let tag = bytes.iter().fold(5381_u64, |tag, byte| {
            tag.wrapping_mul(33) ^ u64::from(*byte)
        });
        Self {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: bytes,
        }
        .with(ETAG, &format!("\"{tag:x}\""))
        .with(ACCEPT_RANGES, "bytes")
    }

    /// Answers with a text of some type.
    pub fn text(media_type: &str, text: impl Into<Bytes>) -> Self {
        Self::file(text).with(CONTENT_TYPE, media_type)
    }

    /// Answers with nothing but a status.
    pub fn status(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a status"),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Sends whoever asks elsewhere.
    pub fn redirect(place: &str) -> Self {
        Self::status(302).with(LOCATION, place)
    }

    /// Adds a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: &str) -> Self {
        let value = HeaderValue::try_from(value).expect("the value of a header");
        self.headers.insert(name, value);
        self
    }

    /// Forgets the tag, so that parts cannot be told to belong together.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.headers.remove(ETAG);
        self
    }

    fn respond(mut self, asked: &Asked) -> Response {
        if let Some(start) = self.start(asked) {
            let size = self.body.len();
            let range = format!("bytes {start}-{}/{size}", size - 1);
            self = self.with(CONTENT_RANGE, &range);
            self.status = StatusCode::PARTIAL_CONTENT;
            self.body = self.body.slice(start..);
        }
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }

    /// Returns where the part begins that is asked for, if it is one.
    fn start(&self, asked: &Asked) -> Option<usize> {
        if self.status != StatusCode::OK || !self.headers.contains_key(ACCEPT_RANGES) {
            return None;
        }
        let condition = asked.headers.get(IF_RANGE);
        if condition.is_some_and(|tag| self.headers.get(ETAG) != Some(tag)) {
            return None;
        }
        let range = asked.header(RANGE).strip_prefix("bytes=")?;
        let start = range.strip_suffix('-')?.parse().ok()?;
        (start < self.body.len()).then_some(start)
    }
}

/// Writes bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("texts grow");
        text
    })
}
