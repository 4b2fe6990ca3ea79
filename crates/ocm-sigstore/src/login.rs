//! Logging in at an OpenID Connect issuer from a terminal.
//!
//! Two ways, as the issuer offers them. On a *device* (RFC 8628) a short code is shown, to be typed
//! in any browser anywhere. Else an address is shown for a browser on the same machine, which comes
//! back to this program over the loopback interface (RFC 8252). Both are bound to the program by a
//! secret that only it knows (RFC 7636).

mod callback;

use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ocm_digest::Digest;
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use url::form_urlencoded::Serializer;
use zeroize::Zeroizing;

use crate::http::{Network, Service};
use crate::token::{AUDIENCE, IdentityToken, TokenError, claims};

/// The issuer of the public instance.
pub const PUBLIC_ISSUER: &str = "https://oauth2.sigstore.dev/auth";

/// How long a login may take where the issuer does not say.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long to wait between two questions, where the issuer does not say.
const INTERVAL: Duration = Duration::from_secs(5);
const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Where somebody sits who can log in.
#[async_trait]
pub trait Terminal: Send + Sync {
    /// Shows what is to be done.
    fn show(&self, text: &str);

    /// Waits until somebody may have done it.
    async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }
}

/// A login at an issuer, as a client.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The issuer.
    pub issuer: Url,
    /// The client.
    pub client_id: String,
}

impl Login {
    /// Logs in at an issuer, or the public one, as a client, or that of Sigstore.
    pub fn new(issuer: Option<Url>, client_id: Option<String>) -> Option<Self> {
        Some(Self {
            issuer: issuer.or_else(|| Url::parse(PUBLIC_ISSUER).ok())?,
            client_id: client_id.unwrap_or_else(|| AUDIENCE.to_owned()),
        })
    }

    /// Has somebody log in, and returns who it is.
    ///
    /// # Errors
    ///
    /// The issuer cannot be reached or offers no way that works here, or nobody logs in.
    pub async fn obtain(
        &self,
        terminal: &dyn Terminal,
        network: &dyn Network,
        at: Timestamp,
    ) -> Result<IdentityToken, TokenError> {
        let provider = self.provider(network).await?;
        let secret = Secret::new()?;
        let token = match (
            &provider.device_authorization_endpoint,
            &provider.authorization_endpoint,
        ) {
            (Some(start), _) => {
                let device = Device {
                    login: self,
                    provider: &provider,
                    secret: &secret,
                };
                device.login(start, terminal, network).await?
            }
            (None, Some(start)) => {
                self.browse(start, &provider, &secret, terminal, network)
                    .await?
            }
            (None, None) => {
                let issuer = self.issuer.to_string();
                return Err(TokenError::NoFlow { issuer });
            }
        };
        IdentityToken::parse(&token, at)
    }

    /// Asks the issuer what it offers (OpenID Connect Discovery).
    async fn provider(&self, network: &dyn Network) -> Result<Provider, TokenError> {
        let service = Service::open(ISSUER, &self.issuer, network).await?;
        let request = service.request(Method::GET, "/.well-known/openid-configuration");
        let provider: Provider = service.json(&service.call(request).await?)?;
        let plain = |url: &str| url.trim_end_matches('/').to_owned();
        if plain(&provider.issuer) != plain(self.issuer.as_str()) {
            return Err(TokenError::OtherIssuer {
                wanted: self.issuer.to_string(),
                found: provider.issuer,
            });
        }
        Ok(provider)
    }

    /// Logs in with a browser on this machine.
    async fn browse(
        &self,
        start: &Url,
        provider: &Provider,
        secret: &Secret,
        terminal: &dyn Terminal,
        network: &dyn Network,
    ) -> Result<Zeroizing<String>, TokenError> {
        let (state, nonce) = (random()?, random()?);
        let callback = callback::Callback::open(state.clone()).await?;
        let redirect = callback.address();
        let mut url = start.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &redirect)
            .append_pair("scope", SCOPE)
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &secret.challenge())
            .append_pair("code_challenge_method", "S256");
        terminal.show(&format!(
            "To sign, log in with a browser on this machine:\n\n  {url}\n"
        ));
        let code = tokio::time::timeout(PATIENCE, callback.code()).await;
        let code = code.map_err(|_| TokenError::TooLate {
            seconds: PATIENCE.as_secs(),
        })??;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("client_id", &self.client_id),
            ("code_verifier", &secret.0),
        ];
        let service = Service::open(ISSUER, &provider.token_endpoint, network).await?;
        let answer = service.call(form(&service, &fields)).await?;
        let granted: Granted = service.json(&answer)?;
        let claims: Option<Claims> = claims(&granted.id_token);
        if claims.and_then(|it| it.nonce).as_deref() != Some(&nonce) {
            return Err(TokenError::Login(
                "the token is of another login".to_owned(),
            ));
        }
        Ok(granted.id_token)
    }
}

const ISSUER: &str = "the OpenID Connect issuer";
const SCOPE: &str = "openid email";

/// A login on any device.
struct Device<'a> {
    login: &'a Login,
    provider: &'a Provider,
    secret: &'a Secret,
}

impl Device<'_> {
    async fn login(
        &self,
        start: &Url,
        terminal: &dyn Terminal,
        network: &dyn Network,
    ) -> Result<Zeroizing<String>, TokenError> {
        let service = Service::open(ISSUER, start, network).await?;
        let fields = [
            ("client_id", self.login.client_id.as_str()),
            ("scope", SCOPE),
            ("code_challenge", &self.secret.challenge()),
            ("code_challenge_method", "S256"),
        ];
        let started: Started = answer(&service, &fields).await?;
        terminal.show(&format!(
            "To sign, log in at\n\n  {}\n\nwith the code {}\n",
            printable(&started.verification_uri),
            printable(&started.user_code),
        ));
        self.poll(&started, terminal, network).await
    }

    /// Asks until somebody has typed the code.
    async fn poll(
        &self,
        started: &Started,
        terminal: &dyn Terminal,
        network: &dyn Network,
    ) -> Result<Zeroizing<String>, TokenError> {
        let service = Service::open(ISSUER, &self.provider.token_endpoint, network).await?;
        let fields = [
            ("grant_type", DEVICE_GRANT),
            ("device_code", started.device_code.as_str()),
            ("client_id", &self.login.client_id),
            ("code_verifier", &self.secret.0),
        ];
        let patience = started
            .expires_in
            .map_or(PATIENCE, Duration::from_secs)
            .min(PATIENCE);
        let mut interval = started.interval.map_or(INTERVAL, Duration::from_secs);
        interval = interval.max(Duration::from_secs(1));
        let mut waited = Duration::ZERO;
        while waited < patience {
            terminal.wait(interval).await;
            waited += interval;
            let answer = service.send(form(&service, &fields)).await?;
            if answer.status.is_success() {
                let granted: Granted = service.json(&answer.body)?;
                return Ok(granted.id_token);
            }
            let denied: Option<Denied> = serde_json::from_slice(&answer.body).ok();
            match denied.as_ref().map(|it| it.error.as_str()) {
                Some("authorization_pending") => {}
                Some("slow_down") => interval += INTERVAL,
                Some("expired_token") => break,
                Some("access_denied") => {
                    return Err(TokenError::Login("somebody has declined it".to_owned()));
                }
                _ => return Err(service.refusal(&answer).into()),
            }
        }
        let seconds = patience.as_secs();
        Err(TokenError::TooLate { seconds })
    }
}

async fn answer<T: DeserializeOwned>(
    service: &Service,
    fields: &[(&str, &str)],
) -> Result<T, TokenError> {
    let body = service.call(form(service, fields)).await?;
    Ok(service.json(&body)?)
}

fn form(service: &Service, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = Serializer::new(String::new()).extend_pairs(fields).finish();
    service
        .request_here(Method::POST)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body)
}

/// Drops what could do something to a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// What an issuer offers.
#[derive(Deserialize)]
struct Provider {
    issuer: String,
    token_endpoint: Url,
    authorization_endpoint: Option<Url>,
    device_authorization_endpoint: Option<Url>,
}

#[derive(Deserialize)]
struct Started {
    device_code: Zeroizing<String>,
    user_code: String,
    verification_uri: String,
    expires_in: Option<u64>,
    interval: Option<u64>,
}

#[derive(Deserialize)]
struct Granted {
    id_token: Zeroizing<String>,
}

/// What of a token ties it to a login.
#[derive(Deserialize)]
struct Claims {
    nonce: Option<String>,
}

/// Why there is no token yet.
#[derive(Deserialize)]
struct Denied {
    error: String,
}

/// What proves that who asks for the token is who has started the login.
struct Secret(Zeroizing<String>);

impl Secret {
    fn new() -> Result<Self, TokenError> {
        random().map(Zeroizing::new).map(Self)
    }

    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Digest::sha256(self.0.as_bytes()).as_bytes())
    }
}

fn random() -> Result<String, TokenError> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).map_err(|_| TokenError::NoEntropy)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
