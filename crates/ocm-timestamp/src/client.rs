//! Asking an authority for a timestamp.

use async_trait::async_trait;
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::TimestampSpec;
use ocm_signing::role::{BoxError, SignError, Timestamper};
use ocm_signing::x509::ChainError;
use serde_json::Map;
use thiserror::Error;

use crate::authorities::TimestampAuthorities;
use crate::request::{Request, read_answer};
use crate::token::{self, Token};

/// How a request reaches an authority.
#[async_trait]
pub trait Post: Send + Sync {
    /// Sends a body by HTTP, and returns the body of an answer that is no error.
    ///
    /// The answer is small: [`MAX_ANSWER`](TimestampClient::MAX_ANSWER) bytes are enough.
    ///
    /// # Errors
    ///
    /// The authority cannot be reached, or answers with an error.
    async fn post(&self, url: &str, media_type: &str, body: Vec<u8>) -> Result<Vec<u8>, BoxError>;
}

/// Asks one authority for timestamps.
#[derive(Clone, Debug)]
pub struct TimestampClient<P> {
    url: String,
    post: P,
    authorities: Option<TimestampAuthorities>,
}

impl<P: Post> TimestampClient<P> {
    /// The largest answer that is of any use, in bytes.
    pub const MAX_ANSWER: usize = token::MAX_SIZE;

    /// Asks the authority at a URL.
    pub const fn new(url: String, post: P) -> Self {
        Self {
            url,
            post,
            authorities: None,
        }
    }

    /// Refuses timestamps that these do not vouch for, rather than finding out when they are
    /// needed.
    #[must_use]
    pub fn trusting(self, authorities: TimestampAuthorities) -> Self {
        Self {
            authorities: Some(authorities),
            ..self
        }
    }

    async fn request(&self, digest: &Digest) -> Result<Token, Error> {
        let mut nonce = [0; 8];
        (SystemRandom::new().fill(&mut nonce)).map_err(|_| Error::NoNonce)?;
        let request = Request::new(*digest, nonce);
        let url = || self.url.clone();
        let answer = self
            .post
            .post(&self.url, "application/timestamp-query", request.to_der())
            .await
            .map_err(|source| Error::Post { url: url(), source })?;
        let (status, token) = read_answer(&answer).ok_or_else(|| Error::NoAnswer { url: url() })?;
        let token = match token {
            Some(token) if status.is_granted() => token,
            _ => {
                return Err(Error::Refused {
                    url: url(),
                    code: status.code,
                    text: status.text,
                });
            }
        };
        let token = Token::from_der(token).map_err(|source| Error::Token { url: url(), source })?;
        if token.imprint() != digest || token.nonce() != Some(&request.nonce_content()) {
            return Err(Error::OtherRequest { url: url() });
        }
        if let Some(authorities) = &self.authorities {
            let checked = authorities.check(&token);
            checked.map_err(|source| Error::Untrusted { url: url(), source })?;
        }
        Ok(token)
    }
}

#[async_trait]
impl<P: Post> Timestamper for TimestampClient<P> {
    async fn stamp(&self, digest: &Digest) -> Result<TimestampSpec, SignError> {
        let token = self.request(digest).await;
        let token = token.map_err(|error| SignError(error.into()))?;
        // The first Go tool writes whole seconds.
        let time = Timestamp::from_second(token.time().as_second()).unwrap_or(token.time());
        Ok(TimestampSpec {
            value: token.to_pem(),
            time: Some(time.to_string()),
            extra: Map::new(),
        })
    }
}

/// Why there is no timestamp.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// There is no randomness.
    #[error("the cryptographic library cannot make a random number")]
    NoNonce,
    /// The authority was not reached, or was in no mood.
    #[error("cannot ask {url} for a timestamp")]
    Post { url: String, source: BoxError },
    /// Something else than an authority answered.
    #[error("{url} does not answer as a timestamp authority")]
    NoAnswer { url: String },
    /// The authority makes no timestamp.
    #[error("{url} refuses to make a timestamp: status {code} {text}")]
    Refused { url: String, code: u8, text: String },
    /// The timestamp is of no use.
    #[error("{url} has made a timestamp that is not valid")]
    Token { url: String, source: token::Error },
    /// The answer belongs to another request.
    #[error("{url} has made a timestamp of something else")]
    OtherRequest { url: String },
    /// No root vouches for the authority.
    #[error("{url} has made a timestamp, but is not trusted")]
    Untrusted { url: String, source: ChainError },
}
