//! Keys for a token that the surroundings have given out, as Kubernetes gives them to pods.

use std::fmt;
use std::path::PathBuf;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use ocm_oci::{
    Error, Failure, Redirects, RegistryOptions, connection_error, http_client, is_transient,
    retry_after, silence,
};
use tokio::sync::Mutex;
use tokio::time::timeout;
use url::Url;

use crate::keys::{KeySource, Keys};
use crate::options::Clock;
use crate::xml;

/// How long before their end keys are replaced.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// How large a token may be, in bytes.
const MAX_TOKEN: u64 = 64 * 1024;

/// How large an answer may be, in bytes.
const MAX_ANSWER: usize = 64 * 1024;

/// What keys are asked for.
#[derive(Clone, Debug)]
pub struct WebIdentityOptions {
    /// The address of the token service, such as `https://sts.eu-central-1.amazonaws.com`.
    pub service: Url,
    /// The role that is taken, by its ARN.
    pub role: String,
    /// How the session is called in logs of the service.
    pub session: String,
    /// The file with the token, which is read anew each time.
    pub token_file: PathBuf,
}

/// Exchanges a token for keys that are good for a while (`AssumeRoleWithWebIdentity`), and does so
/// again before they end.
pub struct WebIdentity {
    options: WebIdentityOptions,
    http: RegistryOptions,
    clock: Clock,
    client: reqwest::Client,
    current: Mutex<Option<(Keys, Timestamp)>>,
}

impl WebIdentity {
    /// Makes a source that asks nobody yet.
    ///
    /// # Errors
    ///
    /// The service has no address, or a certificate is malformed.
    pub fn new(
        options: WebIdentityOptions,
        clock: Clock,
        http: &RegistryOptions,
    ) -> Result<Self, Error> {
        let mut http = http.clone();
        options
            .service
            .host_str()
            .unwrap_or_default()
            .clone_into(&mut http.host);
        Ok(Self {
            client: http_client(&http, Redirects::Refuse)?,
            options,
            http,
            clock,
            current: Mutex::default(),
        })
    }

    async fn exchange(&self) -> Result<(Keys, Timestamp), Error> {
        let token = self.token().await?;
        let mut backoff = self.http.retry.start();
        loop {
            match self.ask(&token).await {
                Ok(session) => {
                    let keys = Keys::new(session.id, session.secret).with_token(session.token);
                    return Ok((keys, session.expires));
                }
                Err(failure) => backoff.pause(failure).await?,
            }
        }
    }

    async fn token(&self) -> Result<String, Error> {
        let path = &self.options.token_file;
        let file = ocm_blob::FileBlob::open_path(path);
        let failed = |source| Error::blob("read", "token for the bucket", source);
        let bytes = ocm_blob::read_to_end(&file.map_err(failed)?, MAX_TOKEN).await;
        let text = String::from_utf8(bytes.map_err(failed)?.to_vec());
        let text = text.map_err(|error| {
            Error::malformed(format!("token {}", path.display()), error.to_string())
        })?;
        Ok(text.trim().to_owned())
    }

    async fn ask(&self, token: &str) -> Result<xml::Session, Failure> {
        let what = self.options.service.as_str();
        let form = [
            ("Action", "AssumeRoleWithWebIdentity"),
            ("RoleArn", &*self.options.role),
            ("RoleSessionName", &*self.options.session),
            ("Version", "2011-06-15"),
            ("WebIdentityToken", token),
        ];
        let patience = self.http.timeouts.connect + self.http.timeouts.read;
        let exchange = async {
            let service = self.options.service.clone();
            let sent = self.client.post(service).form(&form).send().await;
            let mut answer = sent.map_err(|error| connection_error(what, error))?;
            let mut body = Vec::new();
            while let Some(chunk) = answer
                .chunk()
                .await
                .map_err(|error| connection_error(what, error))?
            {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ANSWER {
                    let limit = MAX_ANSWER as u64;
                    let what = format!("answer of {what}");
                    return Err(Error::TooLarge { what, limit });
                }
            }
            Ok((answer.status(), retry_after(answer.headers()), body))
        };
        let answered = timeout(patience, exchange).await;
        let (status, retry_after, body) = answered.map_err(|_| silence(what, patience))??;
        let text = String::from_utf8_lossy(&body);
        if status.is_success() {
            let read = xml::session(&text);
            return Ok(
                read.map_err(|reason| Error::malformed(format!("answer of {what}"), reason))?
            );
        }
        let code = xml::nested_refusal(&text).unwrap_or_default();
        let error = if is_transient(status) {
            Error::Remote {
                what: what.to_owned(),
                reason: format!("the server answered {}", status.as_u16()),
                status: Some(status.as_u16()),
                transient: true,
                source: None,
            }
        } else {
            let role = &self.options.role;
            Error::Denied {
                what: format!("taking role {role} at {what} ({status} {code})"),
            }
        };
        Err(Failure {
            error,
            retry_after,
            is_final: false,
        })
    }
}

#[async_trait]
impl KeySource for WebIdentity {
    async fn keys(&self) -> Result<Option<Keys>, Error> {
        // Held while keys are fetched, so that all who wait share them.
        let mut current = self.current.lock().await;
        let now = (self.clock)();
        if let Some((keys, expires)) = &*current
            && now + EARLY < *expires
        {
            return Ok(Some(keys.clone()));
        }
        match self.exchange().await {
            Ok((keys, expires)) => {
                *current = Some((keys.clone(), expires));
                Ok(Some(keys))
            }
            // The old ones are good for some minutes yet.
            Err(error) => match &*current {
                Some((keys, expires)) if now < *expires && error.is_transient() => {
                    tracing::warn!(%error, "keys for the bucket cannot be replaced yet");
                    Ok(Some(keys.clone()))
                }
                _ => Err(error),
            },
        }
    }
}

impl fmt::Debug for WebIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebIdentity")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
