//! Signing: a certificate for an identity, or a key; logs and clocks that testify it.

mod authority;
mod clock;
mod log;

use std::sync::Arc;

use async_trait::async_trait;
use ocm_digest::Digest;
use ocm_model::SignatureInfo;
use ocm_signing::Signer;
use ocm_signing::role::SignError;
use serde_json::Map;
use sigstore_bundle::{BundleV03, VerificationMaterialV03};
use sigstore_types::{
    DerCertificate, HashAlgorithm, MessageDigest, MessageSignature, Sha256Hash, SignatureBytes,
    SignatureContent,
};
use thiserror::Error;

use crate::http::{Network, ServiceError};
use crate::key::{KeyError, PrivateKey};
use crate::services::{LogVersion, Services};
use crate::token::IdentityToken;
use crate::{ALGORITHM, BUNDLE_MEDIA_TYPE, value};

/// The name of the certificate authority in messages.
pub(crate) const AUTHORITY: &str = "Fulcio";

/// Makes signatures of Sigstore: bundles of version 0.3.
pub struct SigstoreSigner {
    signatory: Signing,
    services: Services,
    network: Arc<dyn Network>,
}

/// Who signs.
enum Signing {
    Identity(IdentityToken),
    Key(PrivateKey),
}

/// By what a signature is recognised.
enum Holder<'a> {
    Certificate(DerCertificate),
    Key(&'a PrivateKey),
}

impl SigstoreSigner {
    /// Signs as who a token says, with a key that exists for one signature.
    ///
    /// # Errors
    ///
    /// The services cannot make a signature that could be verified: there is no certificate
    /// authority, or nobody who testifies the time, without which a certificate of some minutes
    /// means nothing.
    pub fn new(
        token: IdentityToken,
        services: Services,
        network: Arc<dyn Network>,
    ) -> Result<Self, Error> {
        if services.authority.is_none() {
            return Err(Error::NoAuthority);
        }
        let tells_time = |log: &crate::TransparencyLog| log.version == LogVersion::V1;
        if services.clocks.is_empty() && !services.logs.iter().any(tells_time) {
            return Err(Error::NoClock);
        }
        Ok(Self {
            signatory: Signing::Identity(token),
            services,
            network,
        })
    }

    /// Signs with a key. Of the services, the logs and the clocks are used; there may be none.
    pub fn with_key(key: PrivateKey, services: Services, network: Arc<dyn Network>) -> Self {
        Self {
            signatory: Signing::Key(key),
            services,
            network,
        }
    }

    /// Signs bytes, and returns the bundle. [`Signer::sign`] does so for the bytes of a digest.
    ///
    /// # Errors
    ///
    /// A service cannot be reached, refuses or answers something else.
    pub async fn bundle(&self, bytes: &[u8]) -> Result<String, Error> {
        let ephemeral;
        let (key, holder) = match &self.signatory {
            Signing::Key(key) => (key, Holder::Key(key)),
            Signing::Identity(token) => {
                ephemeral = PrivateKey::generate()?;
                let url = self.services.authority.as_ref().ok_or(Error::NoAuthority)?;
                let network = self.network.as_ref();
                let certificate = authority::certify(url, network, token, &ephemeral).await?;
                (&ephemeral, Holder::Certificate(certificate))
            }
        };
        let hash = Digest::sha256(bytes);
        let hash = Sha256Hash::try_from(hash.as_bytes()).map_err(Error::bundle)?;
        let signed = Signed {
            hash,
            signature: key.sign(bytes)?,
            holder,
        };
        self.testified(&signed).await
    }

    /// Has logs and clocks testify a signature, and packs all of it.
    async fn testified(&self, signed: &Signed<'_>) -> Result<String, Error> {
        let mut bundle = BundleV03::new(signed.material(), signed.content());
        for log in &self.services.logs {
            let entry = log::add(log, self.network.as_ref(), signed).await?;
            bundle = bundle.with_tlog_entry(entry);
        }
        for clock in &self.services.clocks {
            let network = self.network.as_ref();
            let stamp = clock::stamp(clock, network, signed.signature.as_bytes()).await?;
            bundle = bundle.with_rfc3161_timestamp(stamp);
        }
        bundle.into_bundle().to_json().map_err(Error::bundle)
    }
}

#[async_trait]
impl Signer for SigstoreSigner {
    async fn sign(&self, digest: &Digest) -> Result<SignatureInfo, SignError> {
        let bundle = self.bundle(digest.as_bytes()).await;
        let bundle = bundle.map_err(|error| SignError(Box::new(error)))?;
        Ok(SignatureInfo {
            algorithm: ALGORITHM.to_owned(),
            value: value::encode(&bundle),
            media_type: BUNDLE_MEDIA_TYPE.to_owned(),
            // The identity is in the certificate; here the Go tools expect a distinguished name.
            issuer: None,
            extra: Map::new(),
        })
    }
}

/// A signature, and whose it is.
struct Signed<'a> {
    hash: Sha256Hash,
    signature: SignatureBytes,
    holder: Holder<'a>,
}

impl Signed<'_> {
    fn material(&self) -> VerificationMaterialV03 {
        match &self.holder {
            Holder::Certificate(certificate) => {
                VerificationMaterialV03::Certificate(certificate.clone())
            }
            Holder::Key(key) => VerificationMaterialV03::PublicKey {
                hint: key.public_key().hint(),
            },
        }
    }

    fn content(&self) -> SignatureContent {
        let digest = MessageDigest::new(HashAlgorithm::Sha2256, self.hash.into());
        let message = MessageSignature::new(self.signature.clone()).with_message_digest(digest);
        SignatureContent::MessageSignature(message)
    }
}

/// Why no signature was made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// Nobody would certify the signer.
    #[error("the signing config has no certificate authority")]
    NoAuthority,
    /// Nobody would testify when the signature was made.
    #[error("the signing config has neither a timestamp authority nor a log that tells the time")]
    NoClock,
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A service has not done its part.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The bundle cannot be written.
    #[error("cannot write the bundle")]
    Bundle(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    fn bundle(error: sigstore_types::Error) -> Self {
        Self::Bundle(Box::new(error))
    }
}
