//! OpenPGP: key rings, and keys in them that are named by their fingerprints.

use async_trait::async_trait;
use ocm_config::ConsumerIdentity;
use ocm_digest::HashAlgorithm;
use ocm_model::{SignatureInfo, TypedSpec};
use ocm_openpgp::sign::Error as SignError;
use ocm_openpgp::{ALGORITHM, KeyRing, KeySelector, MEDIA_TYPE, OpenPgpSigner, OpenPgpVerifier};
use ocm_signing::{Signer, Verifier};

use super::{Handler, Signing, Verifying};
use crate::error::Error;
use crate::session::Ocm;
use crate::trust::{KeyMaterial, Scoped};
use crate::verify::VerifyError;

/// The handler of OpenPGP signatures.
pub(super) struct OpenPgp;

const TYPE: &str = "GPGSigningConfiguration";

#[async_trait]
impl Handler for OpenPgp {
    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    fn algorithms(&self) -> &'static [&'static str] {
        &[ALGORITHM]
    }

    fn with_algorithm(&self, _algorithm: &str) -> TypedSpec {
        TypedSpec::new(&format!("{TYPE}/v1alpha1"))
    }

    fn with_key(&self, private_key: &[u8], _: Option<&[u8]>) -> Option<TypedSpec> {
        KeyRing::is_one(private_key).then(|| self.with_algorithm(ALGORITHM))
    }

    fn fingerprint(&self, public_key: &[u8]) -> Option<String> {
        let ring = KeyRing::parse(public_key).ok()?;
        match ring.certificates() {
            [certificate] => Some(certificate.fingerprint()),
            _ => None,
        }
    }

    fn reads(&self, signature: &SignatureInfo) -> bool {
        let SignatureInfo {
            algorithm,
            media_type,
            ..
        } = signature;
        algorithm.eq_ignore_ascii_case(ALGORITHM)
            || algorithm.is_empty() && media_type == MEDIA_TYPE
    }

    async fn signer(&self, wanted: &Signing<'_>) -> Result<Box<dyn Signer>, Error> {
        let Settings { hash, selector } = settings(wanted.spec)?;
        let Signing {
            ocm, name, keys, ..
        } = wanted;
        let now = keys.occasion.now.ok_or_else(|| Error::Signer {
            signature: (*name).to_owned(),
            source: "the time is not known".into(),
        })?;
        let configured = Configured::of(ocm, name).await?;
        let private_key = match &keys.private_key {
            Some(material) => Some(material.clone()),
            None => configured.private_key().await?,
        };
        let private_key = private_key.ok_or_else(|| Error::NoPrivateKey {
            signature: (*name).to_owned(),
            algorithm: ALGORITHM.to_owned(),
        })?;
        let passphrase = keys.passphrase.clone().or_else(|| configured.passphrase());
        let passphrase = passphrase.as_ref().map(|it| it.expose().as_bytes());
        let ring = parse(&private_key)?;
        let signer = OpenPgpSigner::new(&ring, selector.as_ref(), passphrase, hash, now);
        Ok(Box::new(signer.map_err(|source| match source {
            SignError::Locked { key } => Error::PassphraseNeeded {
                signature: (*name).to_owned(),
                key,
            },
            source => Error::Signer {
                signature: (*name).to_owned(),
                source: source.into(),
            },
        })?))
    }

    async fn verifier(&self, wanted: &Verifying<'_>) -> Result<Box<dyn Verifier>, Error> {
        let name = &wanted.signature.name;
        let selector = match wanted.spec {
            Some(spec) => settings(spec)?.selector,
            None => None,
        };
        let mut keys = Scoped::find(&wanted.trust.keys, name).cloned();
        if keys.is_none() {
            keys = Configured::of(wanted.ocm, name).await?.public_key().await?;
        }
        let keys = keys.ok_or_else(|| VerifyError::NoKey {
            signature: name.clone(),
        })?;
        Ok(Box::new(OpenPgpVerifier::new(parse(&keys)?, selector)))
    }
}

/// What a specification says.
struct Settings {
    /// How what is signed is hashed; without, as the key needs.
    hash: Option<HashAlgorithm>,
    /// Which key of a ring is meant; without, the first signs and any verifies.
    selector: Option<KeySelector>,
}

fn settings(spec: &TypedSpec) -> Result<Settings, Error> {
    let read = || {
        let text = |field| Ok(spec.text(field)?.filter(|it| !it.is_empty()));
        let hash = text("hashAlgorithm")?.map(|name| {
            HashAlgorithm::from_name(&name).ok_or_else(|| {
                let reason = "it is none of SHA-256, SHA-384 and SHA-512";
                spec.invalid("hashAlgorithm", &reason)
            })
        });
        let selector = text("keyFingerprint")?.map(|name| {
            name.parse()
                .map_err(|reason: ocm_openpgp::ParseKeySelectorError| {
                    spec.invalid("keyFingerprint", &reason)
                })
        });
        Ok(Settings {
            hash: hash.transpose()?,
            selector: selector.transpose()?,
        })
    };
    read().map_err(|source| Error::HandlerSpec {
        what: "the specification of how to sign".to_owned(),
        source,
    })
}

fn parse(material: &KeyMaterial) -> Result<KeyRing, Error> {
    KeyRing::parse(material.bytes.expose()).map_err(|source| Error::OpenPgpKey {
        what: material.origin.clone(),
        source,
    })
}

/// The credentials that the configuration has for a signature.
struct Configured<'a> {
    signature: &'a str,
    found: Option<ocm_config::Credentials>,
}

impl<'a> Configured<'a> {
    async fn of(ocm: &Ocm, signature: &'a str) -> Result<Self, Error> {
        let identity = ConsumerIdentity::gpg(signature);
        Ok(Self {
            signature,
            found: ocm.credentials().await?.resolve(&identity).await?,
        })
    }

    async fn private_key(&self) -> Result<Option<KeyMaterial>, Error> {
        let Some(found) = &self.found else {
            return Ok(None);
        };
        let bytes = found.private_key_pgp().await.map_err(Error::KeyFile)?;
        Ok(bytes.map(|bytes| self.material("private key", bytes)))
    }

    /// Returns the public key, or the private one: it contains the public one.
    async fn public_key(&self) -> Result<Option<KeyMaterial>, Error> {
        let Some(found) = &self.found else {
            return Ok(None);
        };
        match found.public_key_pgp().await.map_err(Error::KeyFile)? {
            Some(bytes) => Ok(Some(self.material("public key", bytes))),
            None => self.private_key().await,
        }
    }

    fn passphrase(&self) -> Option<ocm_config::Secret<String>> {
        self.found.as_ref()?.passphrase()
    }

    fn material(&self, what: &str, bytes: ocm_config::Secret<Vec<u8>>) -> KeyMaterial {
        KeyMaterial {
            origin: format!(
                "the {what} that is configured for signature `{}`",
                self.signature
            ),
            bytes,
        }
    }
}
