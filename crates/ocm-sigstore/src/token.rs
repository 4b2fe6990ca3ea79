//! Identity tokens of OpenID Connect: who the signer is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use thiserror::Error;
use url::Url;
use zeroize::Zeroizing;

use crate::http::{Network, Service, ServiceError};

/// For whom tokens are made, unless the configuration says another client.
pub const AUDIENCE: &str = "sigstore";

/// The most bytes of a token.
const MAX_TOKEN_SIZE: usize = 64 << 10;

/// A token by which an issuer says who somebody is. Whether it is right says the certificate
/// authority.
///
/// Its `Debug` form shows what it says, and not the token.
pub struct IdentityToken {
    raw: Zeroizing<String>,
    subject: String,
    issuer: String,
}

impl IdentityToken {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// The text is no token, it names nobody, or has expired at that time.
    pub fn parse(text: &str, at: Timestamp) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > MAX_TOKEN_SIZE {
            return Err(TokenError::Malformed);
        }
        let claims: Claims = claims(text).ok_or(TokenError::Malformed)?;
        if let Some(expires) = claims.exp
            && Timestamp::from_second(expires).is_ok_and(|expires| expires <= at)
        {
            let expired = Timestamp::from_second(expires).unwrap_or(at);
            return Err(TokenError::Expired { expired });
        }
        let subject = match claims.email.filter(|it| !it.is_empty()) {
            Some(_) if claims.email_verified == Some(false) => return Err(TokenError::Unverified),
            Some(email) => email,
            None => claims
                .sub
                .filter(|it| !it.is_empty())
                .ok_or(TokenError::Nobody)?,
        };
        Ok(Self {
            raw: Zeroizing::new(text.to_owned()),
            subject,
            issuer: claims.iss.unwrap_or_default(),
        })
    }

    /// Returns who the token says that its holder is: a mail address, or the subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns who says so.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub(crate) fn expose(&self) -> &str {
        &self.raw
    }
}

impl fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityToken")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    sub: Option<String>,
    exp: Option<i64>,
    email: Option<String>,
    email_verified: Option<bool>,
}

/// Returns what a token claims, without having checked its signature.
pub(crate) fn claims<T: for<'de> Deserialize<'de>>(token: &str) -> Option<T> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

/// A token that the surroundings of the process offer, such as a CI system.
pub enum AmbientToken {
    /// `SIGSTORE_ID_TOKEN` is the token.
    Given(Zeroizing<String>),
    /// GitHub Actions gives one to who asks, if the job has the permission `id-token: write`.
    GitHub {
        /// `ACTIONS_ID_TOKEN_REQUEST_URL`.
        url: String,
        /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`.
        permit: Zeroizing<String>,
    },
}

impl AmbientToken {
    /// Looks for a token in environment variables.
    pub fn find<'a>(variable: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        let set = |name| variable(name).filter(|text| !text.trim().is_empty());
        if let Some(token) = set("SIGSTORE_ID_TOKEN") {
            return Some(Self::Given(Zeroizing::new(token.to_owned())));
        }
        let permit = set("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
        let url = set("ACTIONS_ID_TOKEN_REQUEST_URL")?;
        Some(Self::GitHub {
            url: url.to_owned(),
            permit: Zeroizing::new(permit.to_owned()),
        })
    }

    /// Obtains the token, for an audience.
    ///
    /// # Errors
    ///
    /// It cannot be had, or is none.
    pub async fn obtain(
        &self,
        audience: &str,
        network: &dyn Network,
        at: Timestamp,
    ) -> Result<IdentityToken, TokenError> {
        match self {
            Self::Given(token) => IdentityToken::parse(token, at),
            Self::GitHub { url, permit } => {
                let mut url = Url::parse(url).map_err(|_| TokenError::RequestUrl)?;
                url.query_pairs_mut().append_pair("audience", audience);
                let service = Service::open("GitHub Actions", &url, network).await?;
                let request = service
                    .request_here(Method::GET)
                    .bearer_auth(permit.as_str());
                let answer: GitHubAnswer = service.json(&service.call(request).await?)?;
                IdentityToken::parse(&answer.value, at)
            }
        }
    }
}

#[derive(Deserialize)]
struct GitHubAnswer {
    value: Zeroizing<String>,
}

impl fmt::Debug for AmbientToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Given(_) => "AmbientToken::Given",
            Self::GitHub { .. } => "AmbientToken::GitHub",
        })
    }
}

/// Why there is no token.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum TokenError {
    /// The text is not a token.
    #[error("the identity token is not a JSON Web Token")]
    Malformed,
    /// The token has no subject.
    #[error("the identity token names nobody")]
    Nobody,
    /// The issuer is not sure of the mail address.
    #[error("the identity token has a mail address that its issuer has not verified")]
    Unverified,
    /// The token is too old.
    #[error("the identity token has expired at {expired}")]
    Expired { expired: Timestamp },
    /// The environment is not that of GitHub Actions.
    #[error("ACTIONS_ID_TOKEN_REQUEST_URL is not a URL")]
    RequestUrl,
    /// The login was refused, or went wrong.
    #[error("the login has failed: {0}")]
    Login(String),
    /// Nobody has logged in in time.
    #[error("nobody has logged in within {seconds} s")]
    TooLate { seconds: u64 },
    /// No way to log in that works here is offered.
    #[error("{issuer} offers no login that works in a terminal")]
    NoFlow { issuer: String },
    /// The issuer is another than it was asked for.
    #[error("{wanted} says that it is the issuer {found}")]
    OtherIssuer { wanted: String, found: String },
    /// No local address can be opened for the answer of the browser.
    #[error("cannot wait for the answer of the browser")]
    Listen(#[source] std::io::Error),
    /// There is no randomness.
    #[error("no random numbers are to be had")]
    NoEntropy,
    /// A service has failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
}

impl TokenError {
    /// Returns whether it takes another token or another login.
    pub fn is_not_allowed(&self) -> bool {
        match self {
            Self::Expired { .. } | Self::Unverified | Self::Login(_) | Self::TooLate { .. } => true,
            Self::Service(error) => error.is_not_allowed(),
            _ => false,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn token(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(&json!({"alg": "none"})), part(claims))
    }

    fn parse(claims: &Value) -> Result<IdentityToken, TokenError> {
        IdentityToken::parse(&token(claims), Timestamp::from_second(100).unwrap())
    }

    #[test]
    fn a_token_names_its_holder() {
        let mail = json!({"iss": "i", "sub": "1", "exp": 101, "email": "ann@acme.org"});
        let token = parse(&mail).unwrap();
        assert_eq!((token.subject(), token.issuer()), ("ann@acme.org", "i"));
        assert_eq!(
            format!("{token:?}"),
            r#"IdentityToken { subject: "ann@acme.org", issuer: "i", .. }"#
        );
        let subject = json!({"sub": "repo:acme/shop", "email": ""});
        assert_eq!(parse(&subject).unwrap().subject(), "repo:acme/shop");
    }

    #[test]
    fn a_token_that_cannot_work_is_not_sent() {
        assert!(matches!(parse(&json!({})), Err(TokenError::Nobody)));
        let expired = parse(&json!({"sub": "a", "exp": 100})).unwrap_err();
        assert!(expired.is_not_allowed());
        let unverified = json!({"email": "a@b.c", "email_verified": false});
        assert!(matches!(parse(&unverified), Err(TokenError::Unverified)));
        for text in ["", "a.b", "a.b.c", "a.e30.c.d", "..", "a.bnVsbA.c"] {
            let parsed = IdentityToken::parse(text, Timestamp::UNIX_EPOCH);
            assert!(matches!(parsed, Err(TokenError::Malformed)), "{text}");
        }
    }

    #[test]
    fn the_environment_is_asked_in_order() {
        let find = |set: &'static [(&str, &str)]| {
            let variable = |name: &str| set.iter().find(|(it, _)| *it == name).map(|it| it.1);
            AmbientToken::find(variable).map(|it| format!("{it:?}"))
        };
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[("SIGSTORE_ID_TOKEN", " ")]), None);
        assert_eq!(find(&[("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t")]), None);
        let all = &[
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "t"),
            ("ACTIONS_ID_TOKEN_REQUEST_URL", "https://a"),
            ("SIGSTORE_ID_TOKEN", "t"),
        ];
        assert_eq!(find(all).as_deref(), Some("AmbientToken::Given"));
        assert_eq!(find(&all[..2]).as_deref(), Some("AmbientToken::GitHub"));
    }
}
