//! Who the client is to a server: a header, a certificate, a signature.

use std::fmt;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocm_config::{ConsumerIdentity, Credentials};
use ocm_oci::{ClientIdentity, Error};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use url::Url;

use super::{HttpRequest, HttpSource, shown};

/// Makes credentials part of an address, where they are no header.
pub(crate) trait Signer: fmt::Debug + Send + Sync {
    /// Returns the address that a request is sent to at a time.
    ///
    /// # Errors
    ///
    /// The address cannot be signed.
    fn sign(
        &self,
        method: &Method,
        credentials: Option<&Credentials>,
        now: SystemTime,
    ) -> Result<Url, Error>;
}

/// A request together with what proves who sends it.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) url: Url,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) trust: Trust,
}

/// Whom to trust, and how to be trusted, in TLS.
#[derive(Clone, Debug, Default)]
pub(super) struct Trust {
    /// Certificates of authorities, each text in PEM.
    pub(super) authorities: Vec<Vec<u8>>,
    pub(super) identity: Option<ClientIdentity>,
}

impl HttpSource {
    /// Finds out who the client is to the server of a request. Credentials are sent without being
    /// asked for, as web servers often answer "not found".
    pub(super) async fn proof(&self, request: &HttpRequest) -> Result<Proof, Error> {
        let credentials = match &request.consumer {
            Some(consumer) => self.credentials(consumer, &request.url).await?,
            None => None,
        };
        let mut trust = match &credentials {
            Some(credentials) => trust(credentials, &request.url).await?,
            None => Trust::default(),
        };
        trust.authorities.extend(request.authority.clone());
        if let Some(signer) = &request.signer {
            let url = signer.sign(&request.method, credentials.as_ref(), self.config.now())?;
            return Ok(Proof {
                url,
                authorization: None,
                trust,
            });
        }
        let authorization = match credentials {
            Some(credentials) if !request.headers.contains_key(AUTHORIZATION) => {
                authorization(&credentials, &request.url)?
            }
            _ => None,
        };
        Ok(Proof {
            url: request.url.clone(),
            authorization,
            trust,
        })
    }

    async fn credentials(
        &self,
        consumer: &ConsumerIdentity,
        url: &Url,
    ) -> Result<Option<Credentials>, Error> {
        let found = self.config.credentials(consumer).await;
        found.map_err(|source| Error::Remote {
            what: shown(url),
            reason: "its credentials cannot be obtained".to_owned(),
            status: None,
            transient: false,
            source: Some(source),
        })
    }
}

/// Returns the header for credentials: that of a token, else that of a user with a password.
fn authorization(credentials: &Credentials, url: &Url) -> Result<Option<HeaderValue>, Error> {
    let token = credentials
        .identity_token()
        .or_else(|| credentials.access_token())
        .or_else(|| credentials.token());
    let text = match (token, credentials.username()) {
        (Some(token), _) => format!("Bearer {}", token.expose()),
        (None, Some(username)) => {
            let password = credentials.password();
            let password = password.as_ref().map_or("", |password| password.expose());
            format!(
                "Basic {}",
                STANDARD.encode(format!("{username}:{password}"))
            )
        }
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        let what = format!("credentials for {}", shown(url));
        Error::malformed(what, "no header can hold them")
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Returns the certificates that credentials have.
async fn trust(credentials: &Credentials, url: &Url) -> Result<Trust, Error> {
    let unreadable = |source: ocm_config::FileError| Error::Remote {
        what: shown(url),
        reason: "its credentials cannot be read".to_owned(),
        status: None,
        transient: false,
        source: Some(Box::new(source)),
    };
    let certificate = credentials.client_certificate().await.map_err(unreadable)?;
    let key = credentials.client_key().await.map_err(unreadable)?;
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some(ClientIdentity::new(certificate.expose(), key.expose()))
        }
        (Some(_), None) => {
            let what = format!("credentials for {}", shown(url));
            return Err(Error::malformed(
                what,
                "a certificate needs its private key",
            ));
        }
        // A key by itself is for something else, such as SSH.
        (None, _) => None,
    };
    let authority = credentials.certificate_authority();
    Ok(Trust {
        authorities: authority
            .map(|pem| pem.into_exposed().into_bytes())
            .into_iter()
            .collect(),
        identity,
    })
}
