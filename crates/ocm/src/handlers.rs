//! The kinds of signatures: how each is configured, made and verified.
//!
//! A kind is a module with a [`Handler`], and a line in [`HANDLERS`]. A specification chooses the
//! handler by its type, to sign; a signature chooses it by its algorithm and media type, to be
//! verified.

mod keyed;
mod openpgp;
mod sigstore;

pub(crate) use self::sigstore::LOGIN;

use async_trait::async_trait;
use ocm_model::{Signature, SignatureInfo, TypeName, TypedSpec};
use ocm_signing::{Signer, Verifier};

use crate::error::Error;
use crate::session::Ocm;
use crate::trust::{KeyMaterial, Scoped, SigningKeys, Trust};
use crate::verify::VerifyError;

/// All kinds of signatures. The first one signs where nothing says otherwise.
const HANDLERS: &[&dyn Handler] = &[&keyed::Keyed, &openpgp::OpenPgp, &sigstore::Sigstore];

/// One kind of signature.
#[async_trait]
pub(crate) trait Handler: Send + Sync {
    /// The types of specification that are its own, without version: to sign and to verify.
    fn types(&self) -> &'static [&'static str];

    /// The names of the algorithms that it signs with.
    fn algorithms(&self) -> &'static [&'static str];

    /// Returns the specification of a signer with one of [`Self::algorithms`].
    fn with_algorithm(&self, algorithm: &str) -> TypedSpec;

    /// Returns the specification of a signer with a private key, if the key is of this kind. One
    /// that is locked is of no kind without its passphrase.
    fn with_key(&self, private_key: &[u8], passphrase: Option<&[u8]>) -> Option<TypedSpec>;

    /// Returns the fingerprint of the public key, or of the one in the first certificate, as
    /// [`Signatory::fingerprint`](ocm_signing::Signatory::fingerprint) has it, if the key is of
    /// this kind.
    fn fingerprint(&self, public_key: &[u8]) -> Option<String>;

    /// Tells whether it verifies signatures of this algorithm and media type.
    fn reads(&self, signature: &SignatureInfo) -> bool;

    /// Returns who signs. Keys are those handed in, else those configured for the signature.
    async fn signer(&self, wanted: &Signing<'_>) -> Result<Box<dyn Signer>, Error>;

    /// Returns who verifies. Whom to trust is what was handed in, else what is configured for the
    /// signature; with neither, the error is [`VerifyError::NoKey`].
    async fn verifier(&self, wanted: &Verifying<'_>) -> Result<Box<dyn Verifier>, Error>;
}

/// A signer that is wanted.
pub(crate) struct Signing<'a> {
    /// The session, for credentials.
    pub(crate) ocm: &'a Ocm,
    /// The name that the signature gets.
    pub(crate) name: &'a str,
    /// What the handler is to do; its type is one of [`Handler::types`].
    pub(crate) spec: &'a TypedSpec,
    /// What the caller handed in.
    pub(crate) keys: &'a SigningKeys,
}

/// A verifier that is wanted.
pub(crate) struct Verifying<'a> {
    /// The session, for credentials.
    pub(crate) ocm: &'a Ocm,
    /// The signature, which chose the handler.
    pub(crate) signature: &'a Signature,
    /// What the handler is to do, if that is said somewhere; its type is one of
    /// [`Handler::types`].
    pub(crate) spec: Option<&'a TypedSpec>,
    /// What the caller handed in, of keys only the one to try.
    pub(crate) trust: &'a Trust,
}

/// How a signature is to be made, as far as the caller says so.
#[derive(Clone, Debug, Default)]
pub enum SigningMethod {
    /// As it is configured for the name of the signature, or as the private key suggests.
    #[default]
    Configured,
    /// With an algorithm, such as `RSASSA-PSS`.
    Algorithm(String),
    /// As a specification says, such as `RSASigningConfiguration/v1alpha1`.
    Spec(TypedSpec),
}

/// Returns the names of all algorithms to sign with.
pub fn signature_algorithms() -> Vec<&'static str> {
    let algorithms = HANDLERS.iter().flat_map(|handler| handler.algorithms());
    algorithms.copied().collect()
}

/// Returns what names a public key, as
/// [`Signatory::fingerprint`](ocm_signing::Signatory::fingerprint) does; none if it is of no known
/// kind.
pub fn key_fingerprint(public_key: &KeyMaterial) -> Option<String> {
    let key = public_key.bytes.expose();
    HANDLERS.iter().find_map(|handler| handler.fingerprint(key))
}

impl Ocm {
    /// Returns who makes a signature.
    pub(crate) async fn signer(
        &self,
        name: &str,
        method: &SigningMethod,
        keys: &SigningKeys,
    ) -> Result<Box<dyn Signer>, Error> {
        let spec = match method {
            SigningMethod::Spec(spec) => spec.clone(),
            SigningMethod::Algorithm(algorithm) => of_algorithm(algorithm)?,
            SigningMethod::Configured => self.configured_signer(name, keys).await?,
        };
        let handler = of_type(&spec).ok_or_else(|| Error::UnknownSigner {
            name: spec.type_text().to_owned(),
        })?;
        let ocm = self;
        let spec = &spec;
        let wanted = Signing {
            ocm,
            name,
            spec,
            keys,
        };
        handler.signer(&wanted).await
    }

    /// Returns what the configuration says of how a signature is made. A private key of another
    /// kind than the configured one decides for itself.
    async fn configured_signer(&self, name: &str, keys: &SigningKeys) -> Result<TypedSpec, Error> {
        let configured = self.config().await?.signing(name)?.signer;
        let configured = configured.map(|value| spec("signer", name, value));
        let configured = configured.transpose()?;
        let Some(key) = &keys.private_key else {
            return Ok(configured.unwrap_or_else(|| HANDLERS[0].with_algorithm(DEFAULT_ALGORITHM)));
        };
        let key = key.bytes.expose();
        let passphrase = keys.passphrase.as_ref().map(|it| it.expose().as_bytes());
        if let Some(spec) = configured
            && of_type(&spec).is_none_or(|handler| handler.with_key(key, passphrase).is_some())
        {
            return Ok(spec);
        }
        let suited = HANDLERS
            .iter()
            .find_map(|handler| handler.with_key(key, passphrase));
        // With a key of no kind, the first handler says what is wrong with it.
        Ok(suited.unwrap_or_else(|| HANDLERS[0].with_algorithm(DEFAULT_ALGORITHM)))
    }

    /// Returns who can verify a signature: of several keys that are trusted, any may have made it.
    /// There is at least one.
    pub(crate) async fn verifiers(
        &self,
        signature: &Signature,
        trust: &Trust,
    ) -> Result<Vec<Box<dyn Verifier>>, Error> {
        let name = &signature.name;
        let handler = HANDLERS
            .iter()
            .find(|it| it.reads(&signature.signature))
            .ok_or_else(|| VerifyError::UnknownKind {
                signature: name.clone(),
                algorithm: signature.signature.algorithm.clone(),
                media_type: signature.signature.media_type.clone(),
            })?;
        let is_own = |spec: &&TypedSpec| is_of(*handler, spec);
        let given = trust.verifiers.iter().find(is_own).cloned();
        let spec = match given {
            Some(spec) => Some(spec),
            None => self.configured_verifier(*handler, signature).await?,
        };
        let mut verifiers = Vec::new();
        for key in candidates(*handler, &trust.keys, name) {
            let trust = Trust {
                keys: key.into_iter().cloned().map(Scoped::for_all).collect(),
                ..trust.clone()
            };
            let wanted = Verifying {
                ocm: self,
                signature,
                spec: spec.as_ref(),
                trust: &trust,
            };
            verifiers.push(handler.verifier(&wanted).await?);
        }
        Ok(verifiers)
    }

    /// Returns what the configuration says of how a signature is verified. One that is of another
    /// kind than the configuration wants is not verified in some other way.
    async fn configured_verifier(
        &self,
        handler: &dyn Handler,
        signature: &Signature,
    ) -> Result<Option<TypedSpec>, Error> {
        let configured = self.config().await?.signing(&signature.name)?;
        let Some(value) = configured.verifier else {
            return Ok(None);
        };
        let spec = spec("verifier", &signature.name, value)?;
        if !is_of(handler, &spec) {
            return Err(VerifyError::OtherKind {
                signature: signature.name.clone(),
                algorithm: signature.signature.algorithm.clone(),
                configured: spec.type_text().to_owned(),
            }
            .into());
        }
        Ok(Some(spec))
    }
}

/// The algorithm of the first handler that signs where nothing says otherwise.
const DEFAULT_ALGORITHM: &str = "RSASSA-PSS";

/// Returns the keys that may have made a signature: those for its name, else those for all, but
/// for keys of another kind; `None` stands for what is configured.
fn candidates<'a>(
    handler: &dyn Handler,
    keys: &'a [Scoped<KeyMaterial>],
    name: &str,
) -> Vec<Option<&'a KeyMaterial>> {
    let of = |scope: Option<&str>| -> Vec<&'a KeyMaterial> {
        let keys = keys.iter().filter(|key| key.signature.as_deref() == scope);
        keys.map(|key| &key.value).collect()
    };
    let own = of(Some(name));
    if !own.is_empty() {
        return own.into_iter().map(Some).collect();
    }
    // What is no key at all stays, so that somebody says so.
    let is_other = |key: &KeyMaterial| {
        handler.fingerprint(key.bytes.expose()).is_none() && key_fingerprint(key).is_some()
    };
    let general: Vec<_> = of(None).into_iter().filter(|key| !is_other(key)).collect();
    if general.is_empty() {
        return vec![None];
    }
    general.into_iter().map(Some).collect()
}

fn spec(role: &str, name: &str, value: serde_json::Value) -> Result<TypedSpec, Error> {
    TypedSpec::from_json(value).map_err(|source| Error::HandlerSpec {
        what: format!("the {role} that is configured for signature `{name}`"),
        source,
    })
}

/// Returns the specification that an algorithm stands for.
fn of_algorithm(algorithm: &str) -> Result<TypedSpec, Error> {
    let mut all = HANDLERS
        .iter()
        .flat_map(|handler| handler.algorithms().iter().map(move |name| (handler, name)));
    let found = all.find(|(_, name)| name.eq_ignore_ascii_case(algorithm));
    let (handler, name) = found.ok_or_else(|| Error::UnknownSigner {
        name: algorithm.to_owned(),
    })?;
    Ok(handler.with_algorithm(name))
}

fn of_type(spec: &TypedSpec) -> Option<&'static dyn Handler> {
    let mut handlers = HANDLERS.iter().copied();
    handlers.find(|handler| is_of(*handler, spec))
}

/// Tells whether a specification is for a handler, whatever its version.
fn is_of(handler: &dyn Handler, spec: &TypedSpec) -> bool {
    let text = spec.type_text();
    let parsed = text.parse::<TypeName>();
    let name = parsed.as_ref().map_or(text, TypeName::name);
    let mut types = handler.types().iter();
    types.any(|own| own.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_algorithm_and_a_type_have_one_handler() {
        for algorithm in signature_algorithms() {
            let spec = of_algorithm(algorithm).unwrap();
            let handler = of_type(&spec).unwrap();
            assert!(handler.algorithms().contains(&algorithm));
        }
        let mut types: Vec<_> = HANDLERS.iter().flat_map(|it| it.types()).collect();
        let count = types.len();
        types.sort();
        types.dedup();
        assert_eq!(types.len(), count);
    }

    #[test]
    fn an_algorithm_may_be_written_in_any_case() {
        let spec = of_algorithm("rsassa-pkcs1-v1_5").unwrap();
        assert_eq!(
            spec.text("signatureAlgorithm").unwrap().as_deref(),
            Some("RSASSA-PKCS1-V1_5")
        );
        assert!(matches!(
            of_algorithm("MD5"),
            Err(Error::UnknownSigner { .. })
        ));
    }

    #[test]
    fn the_version_of_a_type_does_not_choose_the_handler() {
        for text in [
            "RSASigningConfiguration",
            "RSASigningConfiguration/v1alpha1",
        ] {
            assert!(of_type(&TypedSpec::new(text)).is_some(), "{text}");
        }
        assert!(of_type(&TypedSpec::new("RSA/v1alpha1")).is_none());
    }
}
