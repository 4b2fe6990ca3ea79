//! Keys: RSA, ECDSA and Ed25519, and certificates for them.

use async_trait::async_trait;
use ocm_config::{ConsumerIdentity, Secret};
use ocm_model::{SignatureInfo, TypedSpec};
use ocm_signing::algorithm::SignatureAlgorithm;
use ocm_signing::key::{self, Certificate, Curve, PrivateKey, PublicKey};
use ocm_signing::keyed::{Error as KeyError, KeySigner, KeyVerifier};
use ocm_signing::rsa::RsaAlgorithm;
use ocm_signing::trust::Trust;
use ocm_signing::value::MEDIA_TYPE_PEM;
use ocm_signing::{Signer, Verifier};

use super::{Handler, Signing, Verifying};
use crate::error::Error;
use crate::roots;
use crate::session::Ocm;
use crate::trust::{KeyMaterial, Scoped};
use crate::verify::VerifyError;

/// The handler of signatures by keys.
pub(super) struct Keyed;

const RSA: &str = "RSASigningConfiguration";
const ECDSA: &str = "ECDSASigningConfiguration";
const ED25519: &str = "Ed25519SigningConfiguration";

const ALGORITHMS: &[&str] = &[
    SignatureAlgorithm::ALL[0].as_str(),
    SignatureAlgorithm::ALL[1].as_str(),
    SignatureAlgorithm::ALL[2].as_str(),
    SignatureAlgorithm::ALL[3].as_str(),
    SignatureAlgorithm::ALL[4].as_str(),
    SignatureAlgorithm::ALL[5].as_str(),
];

#[async_trait]
impl Handler for Keyed {
    fn types(&self) -> &'static [&'static str] {
        &[RSA, ECDSA, ED25519]
    }

    fn algorithms(&self) -> &'static [&'static str] {
        ALGORITHMS
    }

    fn with_algorithm(&self, algorithm: &str) -> TypedSpec {
        let kind = match SignatureAlgorithm::from_name(algorithm) {
            Some(SignatureAlgorithm::Ecdsa(_)) => ECDSA,
            Some(SignatureAlgorithm::Ed25519) => ED25519,
            _ => RSA,
        };
        TypedSpec::new(&format!("{kind}/v1alpha1")).with("signatureAlgorithm", algorithm)
    }

    fn with_key(&self, private_key: &[u8], passphrase: Option<&[u8]>) -> Option<TypedSpec> {
        let key = parse_private(private_key, passphrase).ok()?;
        Some(self.with_algorithm(SignatureAlgorithm::of_key(&key).as_str()))
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
        let is_own = |it: SignatureAlgorithm| it.media_type() == media_type;
        SignatureAlgorithm::from_name(algorithm).is_some()
            || algorithm.is_empty()
                && (media_type == MEDIA_TYPE_PEM || SignatureAlgorithm::ALL.into_iter().any(is_own))
    }

    async fn signer(&self, wanted: &Signing<'_>) -> Result<Box<dyn Signer>, Error> {
        let Settings { algorithm, chain } = settings(wanted.spec)?;
        let Signing {
            ocm, name, keys, ..
        } = wanted;
        let mut passphrase = keys.passphrase.clone();
        let mut private_key = keys.private_key.clone();
        if private_key.is_none()
            && let Some(found) = configured(ocm, Part::Private, algorithm, name).await?
        {
            passphrase = passphrase.or(found.1);
            private_key = Some(found.0);
        }
        let private_key = private_key.ok_or_else(|| Error::NoPrivateKey {
            signature: (*name).to_owned(),
            algorithm: algorithm.to_string(),
        })?;
        let passphrase = passphrase.as_ref().map(|it| it.expose().as_bytes());
        let key = parse_private(private_key.bytes.expose(), passphrase);
        let key = key.map_err(|source| match source {
            key::Error::Encrypted => Error::PassphraseNeeded {
                signature: (*name).to_owned(),
                key: private_key.origin.clone(),
            },
            source => Error::Key {
                what: private_key.origin.clone(),
                source,
            },
        });
        let signer = KeySigner::new(key?, algorithm);
        let unfit = |source: KeyError| Error::Signer {
            signature: (*name).to_owned(),
            source: source.into(),
        };
        let certificates = |material: &KeyMaterial| parse(material, Certificate::parse_chain);
        let signer = match &keys.public_key {
            // Certificates that are handed in are meant to be used; a bare key cannot be.
            Some(given) => match certificates(given) {
                Ok(chain) => signer.with_chain(chain),
                Err(error) if chain => return Err(error),
                Err(_) => signer.with_public_key(&parse(given, PublicKey::parse)?),
            },
            None if chain => {
                let configured = configured(ocm, Part::Public, algorithm, name).await?;
                let configured = configured.map(|(material, _)| certificates(&material));
                let configured = configured.transpose()?;
                signer.with_chain(configured.unwrap_or_default())
            }
            None => Ok(signer),
        };
        Ok(Box::new(signer.map_err(unfit)?))
    }

    async fn verifier(&self, wanted: &Verifying<'_>) -> Result<Box<dyn Verifier>, Error> {
        let Verifying {
            ocm,
            signature,
            trust: given,
            ..
        } = wanted;
        let name = &signature.name;
        if let Some(spec) = wanted.spec {
            // How it was signed says the signature, whatever the specification prefers.
            settings(spec)?;
        }
        let mut material = Scoped::find(&given.keys, name).cloned();
        if material.is_none() {
            let algorithm = SignatureAlgorithm::from_name(&signature.signature.algorithm);
            let algorithm = algorithm.unwrap_or(RsaAlgorithm::Pss.into());
            let found = configured(ocm, Part::Public, algorithm, name).await?;
            material = found.map(|(material, _)| material);
        }
        let trust = material.map(|material| parse(&material, Trust::parse));
        let mut trust = trust.transpose()?.unwrap_or_default();
        if !given.roots.is_empty() {
            trust = trust.with_roots(roots::parse(&given.roots)?);
        }
        if let Some(issuer) = Scoped::find(&given.issuers, name) {
            trust = trust.with_issuer(issuer.clone());
        }
        let by_certificate = signature.signature.media_type == MEDIA_TYPE_PEM
            && (trust.key().is_none() || trust.issuer().is_some());
        if by_certificate && trust.roots().is_empty() {
            trust = trust.or_system_roots(roots::of_system());
        }
        if trust.key().is_none() && trust.roots().is_empty() {
            return Err(VerifyError::NoKey {
                signature: name.clone(),
            }
            .into());
        }
        Ok(Box::new(KeyVerifier::new(trust)))
    }
}

/// What a specification says.
struct Settings {
    algorithm: SignatureAlgorithm,
    /// Whether certificates are put beside the signature.
    chain: bool,
}

fn settings(spec: &TypedSpec) -> Result<Settings, Error> {
    let read = || {
        let algorithm = match spec.text("signatureAlgorithm")? {
            None => default_algorithm(spec),
            Some(name) => SignatureAlgorithm::from_name(&name).ok_or_else(|| {
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

/// Returns the algorithm of a specification that names none.
fn default_algorithm(spec: &TypedSpec) -> SignatureAlgorithm {
    let kind = spec.type_text();
    let is = |name: &str| kind.split('/').next() == Some(name);
    if is(ECDSA) {
        SignatureAlgorithm::Ecdsa(Curve::P256)
    } else if is(ED25519) {
        SignatureAlgorithm::Ed25519
    } else {
        RsaAlgorithm::Pss.into()
    }
}

/// Reads a private key, and unlocks it if it is protected and there is a passphrase.
fn parse_private(bytes: &[u8], passphrase: Option<&[u8]>) -> Result<PrivateKey, key::Error> {
    match passphrase {
        Some(passphrase) => PrivateKey::parse_protected(bytes, passphrase),
        None => PrivateKey::parse(bytes),
    }
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

/// Reads a key that the configuration has for a signature, and what unlocks it.
async fn configured(
    ocm: &Ocm,
    part: Part,
    algorithm: SignatureAlgorithm,
    signature: &str,
) -> Result<Option<(KeyMaterial, Option<Secret<String>>)>, Error> {
    let kind = match algorithm {
        SignatureAlgorithm::Ecdsa(_) => "ECDSA/v1alpha1",
        SignatureAlgorithm::Ed25519 => "Ed25519/v1alpha1",
        _ => "RSA/v1alpha1",
    };
    let identity = ConsumerIdentity::new(kind)
        .with("algorithm", algorithm.as_str())
        .with("signature", signature);
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
    Ok(pem.map(|bytes| {
        let origin = format!("the {what} that is configured for signature `{signature}`");
        (KeyMaterial { origin, bytes }, found.passphrase())
    }))
}
