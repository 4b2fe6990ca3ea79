//! Whom a client trusts in TLS, and how it proves itself.

use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature,
    verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::client::RegistryOptions;
use crate::error::Error;

/// Returns how TLS is spoken.
pub(super) fn tls(options: &RegistryOptions) -> Result<ClientConfig, Error> {
    let provider = CryptoProvider::get_default().cloned();
    let provider = provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider()));
    let trust = Trust {
        in_anybody: options.insecure_skip_verify,
        extra: certificates(&options.extra_ca_pems)?,
        provider: Arc::clone(&provider),
        verifier: OnceLock::new(),
    };
    let failed = |what| move |error: rustls::Error| Error::malformed(what, error.to_string());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed("provider of cryptography"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(trust));
    let mut config = match &options.client_identity {
        Some(identity) => {
            // What the parser says may repeat a line of the key.
            let (chain, key) = identity_of(identity.as_pem()).ok_or_else(|| {
                Error::malformed(IDENTITY, "there is no certificate with its key in PEM")
            })?;
            let config = config.with_client_auth_cert(chain, key);
            config.map_err(failed(IDENTITY))?
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

const IDENTITY: &str = "certificate or key of the client";

/// Reads certificates of authorities, and sees whether they can be used.
fn certificates(pems: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let malformed = |reason: String| Error::malformed("certificate of an authority", reason);
    let mut usable = RootCertStore::empty();
    let mut certificates = Vec::new();
    for certificate in pems
        .iter()
        .flat_map(|pem| CertificateDer::pem_slice_iter(pem))
    {
        let certificate = certificate.map_err(|error| malformed(error.to_string()))?;
        let added = usable.add(certificate.clone());
        added.map_err(|error| malformed(error.to_string()))?;
        certificates.push(certificate);
    }
    Ok(certificates)
}

type ChainAndKey = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn identity_of(pem: &[u8]) -> Option<ChainAndKey> {
    let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty())?;
    Some((chain, PrivateKeyDer::from_pem_slice(pem).ok()?))
}

/// Trusts the authorities of the system and some more, or anybody.
///
/// The authorities of the system are read when the first server shows its certificate. That takes
/// some milliseconds, and who speaks plain HTTP needs none of them.
#[derive(Debug)]
struct Trust {
    in_anybody: bool,
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Verifier, rustls::Error>>,
}

impl Trust {
    fn verifier(&self) -> Result<&Verifier, rustls::Error> {
        let verifier = self.verifier.get_or_init(|| {
            let with = |extra| Verifier::new_with_extra_roots(extra, Arc::clone(&self.provider));
            // Without any certificate on the system, as in an image from scratch, the first attempt
            // fails. Then the roots that were compiled in serve.
            with(self.extra.clone())
                .or_else(|_| with(webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec()))
        });
        verifier.as_ref().map_err(Clone::clone)
    }

    fn verify_signature(
        &self,
        verify: Verify,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Signature {
        if self.in_anybody {
            return Ok(HandshakeSignatureValid::assertion());
        }
        let algorithms = &self.provider.signature_verification_algorithms;
        verify(message, certificate, signature, algorithms)
    }
}

type Signature = Result<HandshakeSignatureValid, rustls::Error>;

/// Verifies the signature of a handshake, of one version of TLS.
type Verify =
    fn(&[u8], &CertificateDer<'_>, &DigitallySignedStruct, &WebPkiSupportedAlgorithms) -> Signature;

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.in_anybody {
            return Ok(ServerCertVerified::assertion());
        }
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Signature {
        self.verify_signature(verify_tls12_signature, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Signature {
        self.verify_signature(verify_tls13_signature, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::ClientIdentity;

    #[test]
    fn the_authorities_of_the_system_are_read_when_they_are_needed() {
        let trust = Trust {
            in_anybody: false,
            extra: Vec::new(),
            provider: Arc::new(aws_lc_rs::default_provider()),
            verifier: OnceLock::new(),
        };
        assert!(!trust.supported_verify_schemes().is_empty());
        assert!(trust.verifier.get().is_none());
        let nobody = CertificateDer::from(b"no certificate".as_slice());
        let name = ServerName::try_from("acme.org").unwrap();
        let refused = trust.verify_server_cert(&nobody, &[], &name, &[], UnixTime::now());
        assert!(refused.is_err());
        // With or without certificates on the system.
        assert!(trust.verifier.get().is_some_and(Result::is_ok));
    }

    #[test]
    fn a_key_that_cannot_be_read_is_not_repeated() {
        let lines = "-----BEGIN PRIVATE KEY-----hunter2-----END PRIVATE KEY-----";
        for pem in [lines, "hunter2", ""] {
            let options = RegistryOptions {
                client_identity: Some(ClientIdentity::new(b"", pem.as_bytes())),
                ..RegistryOptions::new("acme.org")
            };
            let error = tls(&options).unwrap_err().to_string();
            assert!(error.contains(IDENTITY), "{error}");
            assert!(
                !error.contains("hunter2") && !error.contains("104, 117"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_when_it_is_given() {
        let pem = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----";
        let options = RegistryOptions {
            extra_ca_pems: vec![pem.into()],
            ..RegistryOptions::new("acme.org")
        };
        let error = tls(&options).unwrap_err().to_string();
        assert!(error.contains("certificate of an authority"), "{error}");
    }
}
