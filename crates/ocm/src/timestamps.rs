//! Timestamps: asking an authority by HTTP, and whom to believe.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_digest::Digest;
use ocm_model::TimestampSpec;
use ocm_oci::{Redirects, Scheme, http_client};
use ocm_signing::role::{BoxError, VerifyError};
use ocm_signing::x509::Roots;
use ocm_signing::{TimestampVerifier, Timestamper};
use ocm_timestamp::{MAX_SIZE, Post, TimestampAuthorities, TimestampClient};

use crate::error::Error;
use crate::roots;
use crate::session::Ocm;
use crate::trust::KeyMaterial;

/// The authority that is asked where none is named, as the first Go tool does.
pub const DEFAULT_AUTHORITY: &str = "http://timestamp.digicert.com";

impl Ocm {
    /// Returns who asks an authority for timestamps.
    pub fn timestamper(&self, url: &str) -> Arc<dyn Timestamper> {
        Arc::new(TimestampClient::new(url.to_owned(), Http(self.clone())))
    }

    /// Returns who believes authorities below these roots and those of the system.
    ///
    /// # Errors
    ///
    /// A root cannot be read.
    pub fn timestamp_verifier(
        &self,
        given: &[KeyMaterial],
    ) -> Result<Arc<dyn TimestampVerifier>, Error> {
        let given = roots::parse(given)?;
        Ok(Arc::new(Believed { given }))
    }
}

/// Reads the roots of the system when there is a timestamp.
struct Believed {
    given: Roots,
}

impl TimestampVerifier for Believed {
    fn verify(&self, digest: &Digest, timestamp: &TimestampSpec) -> Result<Timestamp, VerifyError> {
        let roots = self.given.clone().and(roots::of_system());
        TimestampAuthorities::new(roots).verify(digest, timestamp)
    }
}

/// Sends requests to authorities, with the timeouts and certificates that are configured.
struct Http(Ocm);

#[async_trait]
impl Post for Http {
    async fn post(&self, url: &str, media_type: &str, body: Vec<u8>) -> Result<Vec<u8>, BoxError> {
        let host = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = host.split(['/', '?', '#']).next().unwrap_or(host);
        let options = self.0.registry_options(host, Scheme::Auto).await?;
        let timeout = options.timeouts.read;
        let client = http_client(&options, Redirects::Follow)?;
        let exchange = async {
            let mut response = client
                .post(url)
                .header("content-type", media_type)
                .header("accept", "application/timestamp-reply")
                .body(body)
                .send()
                .await?
                .error_for_status()?;
            let mut answer = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if answer.len() + chunk.len() > MAX_SIZE {
                    return Err(format!("the answer has more than {MAX_SIZE} bytes").into());
                }
                answer.extend_from_slice(&chunk);
            }
            Ok(answer)
        };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(format!("no answer within {} seconds", timeout.as_secs()).into()),
        }
    }
}
