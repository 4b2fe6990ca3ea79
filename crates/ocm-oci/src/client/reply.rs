//! Answers of a registry, and what their statuses mean.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use ocm_digest::Digest;
use reqwest::Response;
use serde::Deserialize;
use url::Url;

use crate::client::challenge::Challenge;
use crate::client::http::Http;
use crate::client::retry::{Failure, is_transient, retry_after};
use crate::error::Error;

/// How much of the body of a refusal is read, in bytes.
const MAX_REFUSAL: u64 = 16 * 1024;

/// How much of what a registry says is repeated, in bytes.
const MAX_REASON: usize = 1024;

/// An answer that has been read.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The URL that answered, after redirects.
    pub(crate) url: Url,
    pub(crate) body: Bytes,
    /// Whether the request carried credentials.
    pub(crate) with_credentials: bool,
    /// Whether it was sent again after a failure.
    pub(crate) is_repeated: bool,
}

impl Reply {
    /// Reads an answer: a document up to a limit, or the beginning of a refusal.
    pub(crate) async fn read(
        http: &Http,
        mut response: Response,
        limit: u64,
        what: &str,
    ) -> Result<Self, Error> {
        let refused = response.status().is_client_error() || response.status().is_server_error();
        let limit = if refused { MAX_REFUSAL } else { limit };
        let too_large = || Error::TooLarge {
            what: what.to_owned(),
            limit,
        };
        if !refused && response.content_length().is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        let mut body = Vec::new();
        while let Some(chunk) = http.chunk(&mut response, what).await? {
            if (body.len() + chunk.len()) as u64 > limit {
                if refused {
                    break;
                }
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Self {
            status: response.status(),
            url: response.url().clone(),
            headers: std::mem::take(response.headers_mut()),
            body: body.into(),
            with_credentials: false,
            is_repeated: false,
        })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the digest that the registry gives to what it answered.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.header("docker-content-digest")?.trim().parse().ok()
    }

    /// Returns `Content-Length`, also of an answer without body.
    pub(crate) fn length(&self) -> Option<u64> {
        self.header(CONTENT_LENGTH.as_str())?.trim().parse().ok()
    }

    /// Returns the media type without its parameters, in lower case.
    pub(crate) fn media_type(&self) -> String {
        let text = self.header(CONTENT_TYPE.as_str()).unwrap_or_default();
        let end = text.find(';').unwrap_or(text.len());
        text[..end].trim().to_ascii_lowercase()
    }

    pub(crate) fn challenges(&self) -> Vec<Challenge> {
        challenges(&self.headers)
    }

    /// Returns whether the registry names an error code.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.errors().iter().any(|error| error.code == code)
    }

    /// Returns the digest, of some, that the registry names in what it says.
    pub(crate) fn named_digest(&self, some: impl IntoIterator<Item = Digest>) -> Option<Digest> {
        let said = String::from_utf8_lossy(&self.body);
        let mut some = some.into_iter();
        some.find(|digest| said.contains(&digest.to_string()))
    }

    fn errors(&self) -> Vec<ErrorItem> {
        serde_json::from_slice::<ErrorBody>(&self.body)
            .map(|body| body.errors)
            .unwrap_or_default()
    }

    /// Says what an answer means that is not the one hoped for.
    pub(crate) fn into_error(self, what: impl Into<String>) -> Error {
        self.into_failure(what).error
    }

    /// As [`Reply::into_error`], with the time after which to come back.
    pub(crate) fn into_failure(self, what: impl Into<String>) -> Failure {
        let what = what.into();
        let reason = self.reason();
        let insufficient = || {
            self.challenges()
                .iter()
                .any(|challenge| challenge.parameter("error") == Some("insufficient_scope"))
        };
        let error = match self.status.as_u16() {
            // Who has been recognised is not helped by other proof.
            401 if self.with_credentials && insufficient() => Error::Denied { what },
            401 => Error::Unauthenticated { what },
            403 => Error::Denied {
                what: match self.said() {
                    Some(said) => format!("{what} ({said})"),
                    None => what,
                },
            },
            404 => Error::NotFound { what },
            status => Error::Remote {
                what,
                reason,
                status: Some(status),
                transient: is_transient(self.status),
                source: None,
            },
        };
        Failure {
            error,
            retry_after: retry_after(&self.headers),
            is_final: false,
        }
    }

    /// Returns the status, with what the registry says about it.
    pub(crate) fn reason(&self) -> String {
        let status = match self.status.canonical_reason() {
            Some(text) => format!("{} {text}", self.status.as_u16()),
            None => self.status.as_u16().to_string(),
        };
        match self.said() {
            Some(said) => format!("{status}: {said}"),
            None => status,
        }
    }

    /// Returns the codes and messages of the registry (OCI distribution specification, "Error
    /// Codes"), or the text that it answered.
    fn said(&self) -> Option<String> {
        let errors = self.errors();
        let said: Vec<String> = errors.iter().map(ErrorItem::to_text).collect();
        let text = if said.is_empty() && self.media_type() == "text/plain" {
            String::from_utf8_lossy(&self.body).into_owned()
        } else {
            said.join("; ")
        };
        let text = printable(&text);
        (!text.is_empty()).then_some(text)
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    #[serde(default)]
    errors: Vec<ErrorItem>,
}

#[derive(Deserialize)]
struct ErrorItem {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl ErrorItem {
    fn to_text(&self) -> String {
        match (self.code.as_str(), self.message.as_str()) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        }
    }
}

/// Reads every `WWW-Authenticate` header.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(Challenge::parse)
        .collect()
}

/// Keeps what can be shown on a terminal, on one line, up to a limit.
fn printable(text: &str) -> String {
    let mut result = String::new();
    for character in text.trim().chars() {
        if result.len() + character.len_utf8() > MAX_REASON {
            break;
        }
        result.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            url: "http://r.example/".parse().unwrap(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            with_credentials: false,
            is_repeated: false,
        }
    }

    #[test]
    fn statuses_become_what_callers_branch_on() {
        assert!(matches!(
            reply(401, "").into_error("x"),
            Error::Unauthenticated { .. }
        ));
        assert!(matches!(
            reply(403, "").into_error("x"),
            Error::Denied { .. }
        ));
        assert!(reply(404, "").into_error("x").is_not_found());
        assert!(reply(429, "").into_error("x").is_transient());
        assert!(reply(503, "").into_error("x").is_transient());
        assert!(!reply(400, "").into_error("x").is_transient());
        assert!(!reply(599, "").into_error("x").is_transient());
    }

    #[test]
    fn who_was_recognised_and_may_not_is_denied() {
        let mut refused = reply(401, "");
        let challenge = r#"Bearer realm="x",error="insufficient_scope""#;
        refused
            .headers
            .insert(WWW_AUTHENTICATE, challenge.parse().unwrap());
        assert!(matches!(
            refused.clone().into_error("x"),
            Error::Unauthenticated { .. }
        ));
        refused.with_credentials = true;
        assert!(matches!(refused.into_error("x"), Error::Denied { .. }));
    }

    #[test]
    fn the_registry_is_quoted_within_limits() {
        let said = |body: &str| reply(400, body).into_error("push of x").to_string();
        assert_eq!(
            said(
                r#"{"errors":[{"code":"SIZE_INVALID","message":"too\n\u001b[1mshort"},{"code":"Y"}]}"#
            ),
            "push of x: 400 Bad Request: SIZE_INVALID: too  [1mshort; Y"
        );
        assert_eq!(said("<html>"), "push of x: 400 Bad Request");
        assert_eq!(said(r#"{"errors":null}"#), "push of x: 400 Bad Request");
        assert_eq!(said(r#"{"errors":[3]}"#), "push of x: 400 Bad Request");
        let long = format!(r#"{{"errors":[{{"message":"{}"}}]}}"#, "ü".repeat(5000));
        assert!(said(&long).len() < 1100);
    }
}
