//! Sigstore: identities, with services that testify them, and keys without.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use ocm_config::{ConsumerIdentity, Credentials};
use ocm_model::{SignatureInfo, TypedSpec};
use ocm_oci::{Redirects, Scheme, http_client};
use ocm_signing::{Signer, Verifier};
use ocm_sigstore::{
    ALGORITHM, AUDIENCE, AmbientToken, HttpClient, IdentityToken, LEGACY_ALGORITHM, Log, Login,
    MAX_SIGNING_CONFIG_SIZE, Network, PrivateKey, PublicKey, Services, SignatureValue,
    SigningConfiguration, SigstoreSigner, SigstoreVerifier, TokenError, TrustedRoot,
    VerificationConfiguration,
};
use tokio::io::AsyncReadExt as _;
use url::Url;

use super::{Handler, Signing, Verifying};
use crate::error::Error;
use crate::session::Ocm;
use crate::trust::{KeyMaterial, Scoped};
use crate::verify::VerifyError;

/// The handler of signatures of Sigstore.
pub(super) struct Sigstore;

/// The type of credentials that stand for a login.
pub(crate) const LOGIN: &str = "OIDCIdentityTokenProvider";

#[async_trait]
impl Handler for Sigstore {
    fn types(&self) -> &'static [&'static str] {
        &[SigningConfiguration::TYPE, VerificationConfiguration::TYPE]
    }

    fn algorithms(&self) -> &'static [&'static str] {
        &[ALGORITHM, LEGACY_ALGORITHM]
    }

    fn with_algorithm(&self, algorithm: &str) -> TypedSpec {
        let kind = format!("{}/v1alpha1", SigningConfiguration::TYPE);
        TypedSpec::new(&kind).with("signatureAlgorithm", algorithm)
    }

    /// A key alone does not ask for Sigstore.
    fn with_key(&self, _: &[u8], _: Option<&[u8]>) -> Option<TypedSpec> {
        None
    }

    fn fingerprint(&self, public_key: &[u8]) -> Option<String> {
        let key = PublicKey::parse(public_key).ok()?;
        Some(key.fingerprint().to_string())
    }

    fn reads(&self, signature: &SignatureInfo) -> bool {
        SignatureValue::is_known(signature)
    }

    async fn signer(&self, wanted: &Signing<'_>) -> Result<Box<dyn Signer>, Error> {
        let fail = |source| Error::Sigstore {
            signature: wanted.name.to_owned(),
            source,
        };
        let value = wanted.spec.clone().into_json();
        let config =
            SigningConfiguration::from_value(&value).map_err(|error| fail(error.into()))?;
        let now = wanted
            .keys
            .occasion
            .now
            .ok_or_else(|| fail("the time is not known".into()))?;
        let ocm = wanted.ocm;
        let services = match &config.signing_config {
            Some(path) => {
                let json = read(ocm, path).await?;
                Some(Services::read(&json, now).map_err(|error| fail(error.into()))?)
            }
            None => None,
        };
        let network = Arc::new(Session(ocm.clone()));
        let credentials = signer_credentials(ocm, wanted.name, &config).await?;
        if let Some(key) = private_key(wanted, credentials.as_ref()).await? {
            let parsed =
                PrivateKey::parse(key.bytes.expose()).map_err(|error| fail(error.into()))?;
            // A key needs nobody else, and nobody is asked who was not named.
            let services = services.unwrap_or_default();
            return Ok(Box::new(SigstoreSigner::with_key(
                parsed, services, network,
            )));
        }
        let services = match services {
            Some(services) => services,
            None => Services::public(now).map_err(|error| fail(error.into()))?,
        };
        let who = Who {
            wanted,
            config: &config,
            services: &services,
            now,
        };
        let token = who.token(credentials.as_ref()).await?;
        let signer = SigstoreSigner::new(token, services, network);
        Ok(Box::new(signer.map_err(|error| fail(error.into()))?))
    }

    async fn verifier(&self, wanted: &Verifying<'_>) -> Result<Box<dyn Verifier>, Error> {
        let name = &wanted.signature.name;
        let fail = |source| Error::Sigstore {
            signature: name.clone(),
            source,
        };
        let identity = ConsumerIdentity::new("SigstoreVerifier/v1alpha1").with("signature", name);
        let credentials = wanted.ocm.credentials().await?.resolve(&identity).await?;
        let root = trusted_root(credentials.as_ref()).await?;
        let root = match root {
            Some(json) => TrustedRoot::read(&json),
            None => TrustedRoot::public(),
        };
        let root = Arc::new(root.map_err(|error| fail(error.into()))?);
        let spec = wanted.spec.map(|spec| spec.clone().into_json());
        // What cannot be read is for the verifier to say.
        let is_of_key =
            SignatureValue::read(&wanted.signature.signature).is_ok_and(|value| value.is_of_key());
        let key = if is_of_key {
            public_key(wanted, credentials.as_ref()).await?
        } else {
            None
        };
        if let Some(key) = key {
            let parsed =
                PublicKey::parse(key.bytes.expose()).map_err(|error| fail(error.into()))?;
            let log = match &spec {
                Some(spec) => VerificationConfiguration::log_from_value(spec)
                    .map_err(|error| fail(error.into()))?,
                None => Log::default(),
            };
            return Ok(Box::new(SigstoreVerifier::with_key(parsed, root, log)));
        }
        let Some(spec) = spec else {
            return Err(VerifyError::NoSignatory {
                signature: name.clone(),
            }
            .into());
        };
        let config = VerificationConfiguration::from_value(&spec);
        let verifier = config.and_then(|config| SigstoreVerifier::new(config, root));
        Ok(Box::new(verifier.map_err(|error| fail(error.into()))?))
    }
}

/// Who signs.
struct Who<'a> {
    wanted: &'a Signing<'a>,
    config: &'a SigningConfiguration,
    services: &'a Services,
    now: Timestamp,
}

impl Who<'_> {
    /// Returns the token of the surroundings, else that which is configured, else that of who logs
    /// in.
    async fn token(&self, credentials: Option<&Credentials>) -> Result<IdentityToken, Error> {
        let network = Session(self.wanted.ocm.clone());
        let environment = self.wanted.ocm.environment();
        if let Some(ambient) = AmbientToken::find(|name| environment.var(name)) {
            let audience = self.config.client_id.as_deref().unwrap_or(AUDIENCE);
            let token = ambient.obtain(audience, &network, self.now).await;
            return token.map_err(|error| self.fail(error));
        }
        let configured = match credentials {
            Some(credentials) => credentials.oidc_token().await.map_err(Error::KeyFile)?,
            None => None,
        };
        if let Some(token) = configured {
            let text = String::from_utf8_lossy(token.expose());
            return IdentityToken::parse(&text, self.now).map_err(|error| self.fail(error));
        }
        let terminal = self.wanted.keys.occasion.terminal.as_deref();
        let (Some(terminal), Some(login)) = (terminal, self.login(credentials)) else {
            return Err(Error::NoToken {
                signature: self.wanted.name.to_owned(),
            });
        };
        let token = login.obtain(terminal, &network, self.now).await;
        token.map_err(|error| self.fail(error))
    }

    /// Returns the login that is configured, as a signer or as credentials.
    fn login(&self, credentials: Option<&Credentials>) -> Option<Login> {
        let of_credentials = |name| {
            let text = credentials?.get(name)?;
            Some(text.expose().clone())
        };
        let issuer = of_credentials("issuer").and_then(|text| Url::parse(&text).ok());
        let issuer = self.config.issuer.clone().or(issuer);
        let client = self.config.client_id.clone();
        let client = client.or_else(|| of_credentials("clientID"));
        Login::new(issuer.or_else(|| self.services.issuer.clone()), client)
    }

    fn fail(&self, error: TokenError) -> Error {
        Error::Sigstore {
            signature: self.wanted.name.to_owned(),
            source: error.into(),
        }
    }
}

async fn signer_credentials(
    ocm: &Ocm,
    name: &str,
    config: &SigningConfiguration,
) -> Result<Option<Credentials>, Error> {
    let mut identity = ConsumerIdentity::new("SigstoreSigner/v1alpha1").with("signature", name);
    if let Some(issuer) = &config.issuer {
        identity = identity.with("issuer", issuer.as_str());
    }
    if let Some(client) = &config.client_id {
        identity = identity.with("clientID", client);
    }
    Ok(ocm.credentials().await?.resolve(&identity).await?)
}

async fn private_key(
    wanted: &Signing<'_>,
    credentials: Option<&Credentials>,
) -> Result<Option<KeyMaterial>, Error> {
    if let Some(key) = &wanted.keys.private_key {
        return Ok(Some(key.clone()));
    }
    let Some(credentials) = credentials else {
        return Ok(None);
    };
    let pem = credentials
        .private_key_pem()
        .await
        .map_err(Error::KeyFile)?;
    Ok(pem.map(|bytes| configured("private key", wanted.name, bytes)))
}

async fn public_key(
    wanted: &Verifying<'_>,
    credentials: Option<&Credentials>,
) -> Result<Option<KeyMaterial>, Error> {
    let name = &wanted.signature.name;
    if let Some(key) = Scoped::find(&wanted.trust.keys, name) {
        return Ok(Some(key.clone()));
    }
    let Some(credentials) = credentials else {
        return Ok(None);
    };
    let pem = credentials.public_key_pem().await.map_err(Error::KeyFile)?;
    Ok(pem.map(|bytes| configured("public key", name, bytes)))
}

fn configured(what: &str, signature: &str, bytes: ocm_config::Secret<Vec<u8>>) -> KeyMaterial {
    KeyMaterial {
        origin: format!("the {what} that is configured for signature `{signature}`"),
        bytes,
    }
}

async fn trusted_root(credentials: Option<&Credentials>) -> Result<Option<Vec<u8>>, Error> {
    let Some(credentials) = credentials else {
        return Ok(None);
    };
    let json = credentials
        .trusted_root_json()
        .await
        .map_err(Error::KeyFile)?;
    Ok(json.map(|json| json.expose().clone()))
}

/// Reads a signing config.
async fn read(ocm: &Ocm, path: &str) -> Result<Vec<u8>, Error> {
    let path: PathBuf = ocm.path(path);
    let fail = |source| Error::File {
        action: "read",
        path: path.clone(),
        source,
    };
    let file = tokio::fs::File::open(&path).await.map_err(fail)?;
    let mut json = Vec::new();
    // One byte more than is allowed, so that too much is seen.
    let mut limited = file.take(MAX_SIGNING_CONFIG_SIZE as u64 + 1);
    limited.read_to_end(&mut json).await.map_err(fail)?;
    Ok(json)
}

/// The way to services: as the session reaches registries, with the same certificates and proxies.
struct Session(Ocm);

#[async_trait]
impl Network for Session {
    async fn client(
        &self,
        url: &Url,
    ) -> Result<HttpClient, Box<dyn std::error::Error + Send + Sync>> {
        let scheme = if url.scheme() == "http" {
            Scheme::Http
        } else {
            Scheme::Https
        };
        let options = self.0.registry_options(url.authority(), scheme).await?;
        Ok(http_client(&options, Redirects::Refuse)?)
    }
}
