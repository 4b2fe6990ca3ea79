//! Speaking to services: one request, one answer of a limited size.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use thiserror::Error;
use url::Url;

/// The most bytes of an answer.
const MAX_ANSWER_SIZE: usize = 1 << 20;
/// How long a service may take. A log that waits for its next tree takes some seconds.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most characters of a refusal that are passed on.
const MAX_MESSAGE: usize = 400;

/// The HTTP client that services are called with.
pub use reqwest::Client as HttpClient;

/// Any error.
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes the client for a service: proxies, certificates and timeouts are the caller's business.
#[async_trait]
pub trait Network: Send + Sync {
    /// Returns a client for this address, which follows no redirects.
    ///
    /// # Errors
    ///
    /// There is no client for it.
    async fn client(&self, url: &Url) -> Result<HttpClient, BoxError>;
}

/// A service that is about to be called.
pub(crate) struct Service {
    name: &'static str,
    url: Url,
    client: Client,
}

impl Service {
    pub(crate) async fn open(
        name: &'static str,
        url: &Url,
        network: &dyn Network,
    ) -> Result<Self, ServiceError> {
        let client = network
            .client(url)
            .await
            .map_err(|source| ServiceError::Unreachable {
                service: name,
                url: shown(url),
                source,
            })?;
        Ok(Self {
            name,
            url: url.clone(),
            client,
        })
    }

    /// Returns a request to a path below the address of the service.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.url.clone();
        let below = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&below);
        self.client.request(method, url)
    }

    /// Returns a request to the address itself.
    pub(crate) fn request_here(&self, method: Method) -> RequestBuilder {
        self.client.request(method, self.url.clone())
    }

    /// Sends a request, and returns the body of the answer if it says success.
    pub(crate) async fn call(&self, request: RequestBuilder) -> Result<Vec<u8>, ServiceError> {
        let answer = self.send(request).await?;
        if answer.status.is_success() {
            Ok(answer.body)
        } else {
            Err(self.refusal(&answer))
        }
    }

    /// Sends a request, whatever the answer.
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Answer, ServiceError> {
        let sent = request.timeout(PATIENCE).send().await;
        let mut response = sent.map_err(|error| self.unreachable(error))?;
        let body = self.body(&mut response).await?;
        Ok(Answer {
            status: response.status(),
            location: location(&response),
            body,
        })
    }

    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, ServiceError> {
        let mut body = Vec::new();
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|error| self.unreachable(error))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > MAX_ANSWER_SIZE {
                return Err(self.odd(format!("more than {MAX_ANSWER_SIZE} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T, ServiceError> {
        serde_json::from_slice(body).map_err(|error| self.odd(error))
    }

    /// Says that the service has refused.
    pub(crate) fn refusal(&self, answer: &Answer) -> ServiceError {
        ServiceError::Refused {
            service: self.name,
            url: shown(&self.url),
            status: answer.status,
            message: Message::of(&answer.body),
        }
    }

    /// Says that the service has answered something that makes no sense.
    pub(crate) fn odd(&self, source: impl Into<BoxError>) -> ServiceError {
        ServiceError::Odd {
            service: self.name,
            url: shown(&self.url),
            source: source.into(),
        }
    }

    fn unreachable(&self, error: reqwest::Error) -> ServiceError {
        ServiceError::Unreachable {
            service: self.name,
            url: shown(&self.url),
            source: Box::new(error.without_url()),
        }
    }
}

/// Returns an address without what may be secret in it.
fn shown(url: &Url) -> String {
    url[..url::Position::AfterPath].to_owned()
}

fn location(response: &Response) -> Option<String> {
    let value = response.headers().get(reqwest::header::LOCATION)?;
    value.to_str().ok().map(str::to_owned)
}

/// What a service has answered.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// What a service says about a refusal, in one short line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Message(String);

impl Message {
    fn of(body: &[u8]) -> Self {
        let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
        let field = |name| {
            value
                .as_ref()
                .and_then(|it| it.get(name))
                .and_then(|it| it.as_str())
        };
        let text = field("message")
            .or_else(|| field("error_description"))
            .or_else(|| field("error"))
            .map_or_else(|| String::from_utf8_lossy(body), Into::into);
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || c.is_control())
            .collect();
        let line = words.join(" ");
        Self(line.trim().chars().take(MAX_MESSAGE).collect())
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.0)
        }
    }
}

/// Why a service has not done what it was asked.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ServiceError {
    /// There was no answer.
    #[error("cannot reach {service} at {url}")]
    Unreachable {
        service: &'static str,
        url: String,
        source: BoxError,
    },
    /// The answer says no.
    #[error("{service} at {url} refuses with {status}{message}")]
    Refused {
        service: &'static str,
        url: String,
        status: StatusCode,
        message: Message,
    },
    /// The answer makes no sense.
    #[error("{service} at {url} answers something else than was asked for")]
    Odd {
        service: &'static str,
        url: String,
        source: BoxError,
    },
}

impl ServiceError {
    /// Returns whether the service wants other credentials, and not another time or another
    /// request.
    pub fn is_not_allowed(&self) -> bool {
        // Fulcio says that a token is bad as it says that a request is; ours are not.
        let of_token = |service: &str| service == crate::signer::AUTHORITY;
        matches!(
            self,
            Self::Refused { service, status, .. }
                if matches!(status.as_u16(), 401 | 403)
                    || (status.as_u16() == 400 && of_token(service))
        )
    }

    /// Returns whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                status.is_server_error() || matches!(status.as_u16(), 408 | 429)
            }
            Self::Odd { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_short_line() {
        let message = |body: &[u8]| Message::of(body).to_string();
        assert_eq!(
            message(br#"{"code":3,"message":"bad\ntoken"}"#),
            ": bad token"
        );
        assert_eq!(message(br#"{"error":"invalid_grant"}"#), ": invalid_grant");
        assert_eq!(message(b"<html>\x1b[31m"), ": <html> [31m");
        assert_eq!(message(b""), "");
        assert_eq!(message(&vec![b'a'; 10_000]).len(), MAX_MESSAGE + 2);
    }
}
