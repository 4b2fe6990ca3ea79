//! RSA: keys, and certificates for them.

use async_trait::async_trait;
use ocm_config::ConsumerIdentity;
use ocm_model::{SignatureInfo, TypedSpec};
use ocm_signing::key::{self, Certificate, PrivateKey, PublicKey};
use ocm_signing::rsa::{MEDIA_TYPE_PEM, RsaAlgorithm, RsaSigner, RsaVerifier};
use ocm_signing::{Signer, Verifier};

use super::{Handler, Signing, Verifying};
use crate::error::Error;
use crate::session::Ocm;
use crate::trust::{KeyMaterial, Scoped};
use crate::verify::VerifyError;

/// The handler of RSA signatures.
pub(super) struct Rsa;

const TYPE: &str = "RSASigningConfiguration";

const ALGORITHMS: &[&str] = &[RsaAlgorithm::Pss.as_str(), RsaAlgorithm::Pkcs1V15.as_str()];

#[async_trait]
impl Handler for Rsa {
    fn types(&self) -> &'static [&'static str] {
        &[TYPE]
    }

    fn algorithms(&self) -> &'static [&'static str] {
        ALGORITHMS
    }

    fn with_algorithm(&self, algorithm: &str) -> TypedSpec {
        TypedSpec::new(&format!("{TYPE}/v1alpha1")).with("signatureAlgorithm", algorithm)
    }

    fn with_key(&self, private_key: &[u8]) -> Option<TypedSpec> {
        PrivateKey::parse(private_key).ok()?;
        Some(self.with_algorithm(RsaAlgorithm::Pss.as_str()))
    }

    fn fingerprint(&self, public_key: &[u8]) -> Option<String> {
        let key = PublicKey::parse(public_key).ok()?;
        Some(key.fingerprint().to_string())
    }

    fn reads(&self, signature: &SignatureInfo) -> bool {
        let SignatureInfo {
            algorithm,
            media_type,
            ..
        } = signature;
        RsaAlgorithm::from_name(algorithm).is_some()
            || algorithm.is_empty()
                && (media_type == MEDIA_TYPE_PEM
                    || RsaAlgorithm::from_media_type(media_type).is_some())
    }

    async fn signer(&self, wanted: &Signing<'_>) -> Result<Box<dyn Signer>, Error> {
        let Settings { algorithm, chain } = settings(wanted.spec)?;
        let Signing {
            ocm, name, keys, ..
        } = wanted;
        let private_key = match &keys.private_key {
            Some(material) => Some(material.clone()),
            None => configured(ocm, Part::Private, algorithm, name).await?,
        };
        let private_key = private_key.ok_or_else(|| Error::NoPrivateKey {
            signature: (*name).to_owned(),
            algorithm: algorithm.to_string(),
        })?;
        let signer = RsaSigner::new(parse(&private_key, PrivateKey::parse)?, algorithm);
        if !chain {
            return Ok(Box::new(signer));
        }
        let certificates = match &keys.public_key {
            Some(material) => Some(material.clone()),
            None => configured(ocm, Part::Public, algorithm, name).await?,
        };
        let certificates = certificates.map(|it| parse(&it, Certificate::parse_chain));
        let signer = signer.with_chain(certificates.transpose()?.unwrap_or_default());
        Ok(Box::new(signer.map_err(|source| Error::Signer {
            signature: (*name).to_owned(),
            source: source.into(),
        })?))
    }

    async fn verifier(&self, wanted: &Verifying<'_>) -> Result<Box<dyn Verifier>, Error> {
        let name = &wanted.signature.name;
        if let Some(spec) = wanted.spec {
            // The padding is that of the signature, whatever the specification prefers.
            settings(spec)?;
        }
        let mut key = Scoped::find(&wanted.trust.keys, name).cloned();
        if key.is_none() {
            let algorithm = &wanted.signature.signature.algorithm;
            let algorithm = RsaAlgorithm::from_name(algorithm).unwrap_or(RsaAlgorithm::Pss);
            key = configured(wanted.ocm, Part::Public, algorithm, name).await?;
        }
        let key = key.ok_or_else(|| VerifyError::NoKey {
            signature: name.clone(),
        })?;
        let key = parse(&key, PublicKey::parse)?;
        Ok(Box::new(RsaVerifier::with_key(key)))
    }
}

/// What a specification says.
struct Settings {
    algorithm: RsaAlgorithm,
    /// Whether certificates are put beside the signature.
    chain: bool,
}

fn settings(spec: &TypedSpec) -> Result<Settings, Error> {
    let read = || {
        let algorithm = match spec.text("signatureAlgorithm")? {
            None => RsaAlgorithm::Pss,
            Some(name) => RsaAlgorithm::from_name(&name).ok_or_else(|| {
                spec.invalid(
                    "signatureAlgorithm",
                    &format!("it is none of {ALGORITHMS:?}"),
                )
            })?,
        };
        let policy = spec.text("signatureEncodingPolicy")?;
        let chain = match policy.as_deref() {
            None | Some("" | "Plain") => false,
            Some("PEM") => true,
            Some(_) => {
                let reason = "it is neither Plain nor PEM";
                return Err(spec.invalid("signatureEncodingPolicy", &reason));
            }
        };
        Ok(Settings { algorithm, chain })
    };
    read().map_err(|source| Error::HandlerSpec {
        what: "the specification of how to sign".to_owned(),
        source,
    })
}

fn parse<T>(
    material: &KeyMaterial,
    parse: impl Fn(&[u8]) -> Result<T, key::Error>,
) -> Result<T, Error> {
    parse(material.bytes.expose()).map_err(|source| Error::Key {
        what: material.origin.clone(),
        source,
    })
}

/// One of the two keys of a pair.
#[derive(Clone, Copy)]
enum Part {
    Private,
    /// The public key, or certificates with it; a private key will do.
    Public,
}

/// Reads a key that the configuration has for a signature.
async fn configured(
    ocm: &Ocm,
    part: Part,
    algorithm: RsaAlgorithm,
    signature: &str,
) -> Result<Option<KeyMaterial>, Error> {
    let identity = ConsumerIdentity::rsa(algorithm.as_str(), signature);
    let Some(found) = ocm.credentials().await?.resolve(&identity).await? else {
        return Ok(None);
    };
    let public = match part {
        Part::Private => None,
        Part::Public => found.public_key_pem().await.map_err(Error::KeyFile)?,
    };
    let pem = match public {
        Some(pem) => Some(pem),
        None => found.private_key_pem().await.map_err(Error::KeyFile)?,
    };
    let what = match part {
        Part::Private => "private key",
        Part::Public => "public key",
    };
    Ok(pem.map(|bytes| KeyMaterial {
        origin: format!("the {what} that is configured for signature `{signature}`"),
        bytes,
    }))
}
