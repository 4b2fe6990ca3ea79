//! Proof for requests: basic credentials, and tokens from the service that a registry names
//! (distribution token specification, and its form for `OAuth2`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::client::challenge::Challenge;
use crate::client::credentials::{CredentialSource, RegistryCredentials};
use crate::client::endpoint::Endpoint;
use crate::client::http::{Http, Request};
use crate::client::reply::Reply;
use crate::client::retry::{Failure, is_transient};
use crate::client::scope::Scopes;
use crate::error::Error;

/// How the client names itself to token services.
const CLIENT_ID: &str = "ocm";

/// The size beyond which a token answer is refused, in bytes.
const MAX_TOKEN: u64 = 256 * 1024;

/// How long a token is good for if its service does not say: the specification's minimum.
const DEFAULT_LIFETIME: Duration = Duration::from_mins(1);

/// How long before its end a token is renewed, or a fifth of its life if that is less.
const MARGIN: Duration = Duration::from_secs(30);

/// The header that proves who asks.
#[derive(Clone, Eq, PartialEq)]
pub(crate) struct Authorization {
    pub(crate) value: HeaderValue,
    /// Whether it stands for somebody, rather than for an anonymous token.
    pub(crate) with_credentials: bool,
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization(..)")
    }
}

/// Knows what a registry asks for, and answers it.
#[derive(Debug)]
pub(crate) struct Authenticator {
    endpoint: Endpoint,
    source: Arc<dyn CredentialSource>,
    known: Mutex<Known>,
    /// Held while a token is fetched, so that parallel requests wait for one.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    challenge: Option<Challenge>,
    credentials: BTreeMap<String, Option<RegistryCredentials>>,
    tokens: BTreeMap<Scopes, Token>,
}

#[derive(Debug)]
struct Token {
    authorization: Authorization,
    good_until: Instant,
}

impl Authenticator {
    pub(crate) fn new(endpoint: Endpoint, source: Arc<dyn CredentialSource>) -> Self {
        Self {
            endpoint,
            source,
            known: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the proof for a request, if the registry is known to want one.
    pub(crate) async fn proof(
        &self,
        http: &Http,
        repository: &str,
        scopes: &Scopes,
    ) -> Result<Option<Authorization>, Failure> {
        if let Some(authorization) = self.cached(scopes) {
            return Ok(Some(authorization));
        }
        let Some(challenge) = self.known().challenge.clone() else {
            return Ok(None);
        };
        self.answer(http, repository, scopes, &challenge).await
    }

    /// Returns another proof after the registry has refused one, or `None` if there is none.
    pub(crate) async fn renew(
        &self,
        http: &Http,
        repository: &str,
        scopes: &Scopes,
        challenges: Vec<Challenge>,
        refused: Option<&Authorization>,
    ) -> Result<Option<Authorization>, Failure> {
        let Some(challenge) = choose(challenges) else {
            return Ok(None);
        };
        {
            let mut known = self.known();
            known.challenge = Some(challenge.clone());
            if let Some(refused) = refused {
                known
                    .tokens
                    .retain(|_, token| token.authorization != *refused);
                known.credentials.remove(repository);
            }
        }
        let renewed = self.answer(http, repository, scopes, &challenge).await?;
        Ok(renewed.filter(|renewed| refused != Some(renewed)))
    }

    async fn answer(
        &self,
        http: &Http,
        repository: &str,
        scopes: &Scopes,
        challenge: &Challenge,
    ) -> Result<Option<Authorization>, Failure> {
        let _alone = self.fetching.lock().await;
        if let Some(authorization) = self.cached(scopes) {
            return Ok(Some(authorization));
        }
        let credentials = self.credentials(repository).await?;
        match (challenge.scheme.as_str(), credentials) {
            ("basic", Some(RegistryCredentials::Basic { username, password })) => {
                Ok(Some(Authorization {
                    value: self.basic(&username, &password)?,
                    with_credentials: true,
                }))
            }
            ("bearer", Some(RegistryCredentials::AccessToken(token))) => Ok(Some(Authorization {
                value: self.bearer(&token)?,
                with_credentials: true,
            })),
            ("bearer", credentials) => {
                let token = self.fetch(http, scopes, challenge, credentials).await?;
                let authorization = token.authorization.clone();
                let mut known = self.known();
                known
                    .tokens
                    .retain(|_, token| token.good_until > Instant::now());
                known.tokens.insert(scopes.clone(), token);
                Ok(Some(authorization))
            }
            _ => Ok(None),
        }
    }

    /// Returns a token that is good for these scopes and not about to expire.
    fn cached(&self, scopes: &Scopes) -> Option<Authorization> {
        let known = self.known();
        known
            .tokens
            .iter()
            .find(|(held, token)| held.cover(scopes) && token.good_until > Instant::now())
            .map(|(_, token)| token.authorization.clone())
    }

    async fn credentials(&self, repository: &str) -> Result<Option<RegistryCredentials>, Error> {
        if let Some(known) = self.known().credentials.get(repository) {
            return Ok(known.clone());
        }
        let identity = self.endpoint.identity(repository);
        let found = self.source.credentials(&identity).await;
        let found = found.map_err(|source| Error::Remote {
            what: format!("credentials for {}", self.endpoint.host()),
            reason: "cannot be obtained".to_owned(),
            status: None,
            transient: false,
            source: Some(source),
        })?;
        self.known()
            .credentials
            .insert(repository.to_owned(), found.clone());
        Ok(found)
    }

    async fn fetch(
        &self,
        http: &Http,
        scopes: &Scopes,
        challenge: &Challenge,
        credentials: Option<RegistryCredentials>,
    ) -> Result<Token, Failure> {
        let realm = self.realm(challenge)?;
        let what = format!(
            "token service {} of {}",
            realm.host_str().unwrap_or_default(),
            self.endpoint.host()
        );
        let with_credentials = credentials.is_some();
        let wanted = scopes
            .clone()
            .with_challenge(challenge.parameter("scope").unwrap_or_default());
        let request = self.token_request(realm, &wanted, challenge, credentials)?;
        let asked = Instant::now();
        let response = http.send(&request, None, &what).await?;
        let mut reply = Reply::read(http, response, MAX_TOKEN, &what).await?;
        reply.with_credentials = with_credentials;
        if !reply.status.is_success() {
            return Err(refusal(reply, what));
        }
        let answer: TokenAnswer = serde_json::from_slice(&reply.body)
            .map_err(|error| Error::malformed(&what, error.to_string()))?;
        let token = answer
            .token
            .or(answer.access_token)
            .filter(|token| !token.is_empty())
            .ok_or_else(|| Error::malformed(&what, "the answer has no token"))?;
        Ok(Token {
            authorization: Authorization {
                value: self.bearer(&token)?,
                with_credentials,
            },
            good_until: asked + usable(answer.expires_in),
        })
    }

    /// Returns the URL of the token service. Credentials go to wherever the registry says, as the
    /// specification wants it, but not in the clear if the registry itself is not.
    fn realm(&self, challenge: &Challenge) -> Result<Url, Error> {
        let malformed = |reason: &str| {
            Error::malformed(format!("challenge of {}", self.endpoint.host()), reason)
        };
        let realm = challenge
            .parameter("realm")
            .ok_or_else(|| malformed("it names no token service"))?;
        let url = Url::parse(realm).map_err(|_| malformed("its realm is no URL"))?;
        match url.scheme() {
            "https" => Ok(url),
            "http" if !self.endpoint.is_secure() => Ok(url),
            "http" => Err(malformed(
                "it leads from https to a token service at http, which would show credentials",
            )),
            _ => Err(malformed("its realm is neither http nor https")),
        }
    }

    fn token_request(
        &self,
        mut url: Url,
        scopes: &Scopes,
        challenge: &Challenge,
        credentials: Option<RegistryCredentials>,
    ) -> Result<Request, Error> {
        let mut headers = HeaderMap::new();
        let service = challenge.parameter("service");
        if let Some(RegistryCredentials::IdentityToken(token)) = credentials {
            let mut form = Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token")
                .append_pair("client_id", CLIENT_ID)
                .append_pair("refresh_token", &token)
                .append_pair("scope", &scopes.texts().collect::<Vec<_>>().join(" "));
            if let Some(service) = service {
                form.append_pair("service", service);
            }
            let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
            headers.insert(CONTENT_TYPE, media_type);
            return Ok(Request {
                method: Method::POST,
                url,
                headers,
                body: Bytes::from(form.finish()),
            });
        }
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in scopes.texts() {
            url.query_pairs_mut().append_pair("scope", &scope);
        }
        if let Some(RegistryCredentials::Basic { username, password }) = credentials {
            url.query_pairs_mut().append_pair("account", &username);
            headers.insert(AUTHORIZATION, self.basic(&username, &password)?);
        }
        Ok(Request {
            method: Method::GET,
            url,
            headers,
            body: Bytes::new(),
        })
    }

    fn basic(&self, username: &str, password: &str) -> Result<HeaderValue, Error> {
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        self.sensitive(format!("Basic {encoded}"))
    }

    fn bearer(&self, token: &str) -> Result<HeaderValue, Error> {
        self.sensitive(format!("Bearer {token}"))
    }

    fn sensitive(&self, text: String) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::try_from(text).map_err(|_| {
            Error::malformed(
                format!("token for {}", self.endpoint.host()),
                "it has characters that no header may have",
            )
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // Each change is one insertion, so what is known is whole even where a holder panicked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes the challenge that can be answered best.
fn choose(challenges: Vec<Challenge>) -> Option<Challenge> {
    let mut basic = None;
    for challenge in challenges {
        match challenge.scheme.as_str() {
            "bearer" => return Some(challenge),
            "basic" => basic = basic.or(Some(challenge)),
            _ => {}
        }
    }
    basic
}

/// A token service that refuses has not recognised the user, whatever status it chose.
fn refusal(reply: Reply, what: String) -> Failure {
    let is_ours = reply.status.is_client_error() && !is_transient(reply.status);
    if is_ours && reply.status != StatusCode::FORBIDDEN {
        Error::Unauthenticated { what }.into()
    } else {
        reply.into_failure(what)
    }
}

fn usable(expires_in: Option<u64>) -> Duration {
    let lifetime = match expires_in {
        Some(seconds) if seconds > 0 => Duration::from_secs(seconds.min(24 * 3600)),
        _ => DEFAULT_LIFETIME,
    };
    lifetime.saturating_sub(MARGIN.min(lifetime / 5))
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_before_they_expire() {
        assert_eq!(usable(None).as_secs(), 48);
        assert_eq!(usable(Some(0)).as_secs(), 48);
        assert_eq!(usable(Some(10)).as_secs(), 8);
        assert_eq!(usable(Some(300)).as_secs(), 270);
        assert_eq!(usable(Some(u64::MAX)).as_secs(), 24 * 3600 - 30);
    }

    #[test]
    fn tokens_are_preferred_to_passwords() {
        let scheme = |header: &str| choose(Challenge::parse(header)).map(|chosen| chosen.scheme);
        assert_eq!(
            scheme("Negotiate, Basic realm=x, Bearer realm=y").unwrap(),
            "bearer"
        );
        assert_eq!(scheme("Basic realm=x").unwrap(), "basic");
        assert_eq!(scheme("Negotiate"), None);
    }
}
