//! X.509 certificates that hold RSA public keys.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::{Error, Parts, PublicKey};
use crate::der::{self, KeyType, Kind};
use crate::pem;

/// An X.509 certificate for an RSA key.
///
/// That a value exists says that it could be read, nothing about whether it is to be trusted.
#[derive(Clone, Eq, PartialEq)]
pub struct Certificate {
    der: Box<[u8]>,
    key: PublicKey,
    subject: String,
    issuer: String,
}

impl Certificate {
    /// Reads the certificates of a PEM text in their order, or one in DER.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no certificate, one is malformed, or one is for another kind of key.
    pub fn parse_chain(bytes: &[u8]) -> Result<Vec<Self>, Error> {
        let parts = Parts::read(bytes)?;
        let certificates = parts
            .0
            .iter()
            .filter(|(kind, _)| *kind == Kind::Certificate);
        let chain: Vec<_> = certificates
            .map(|(_, block)| Self::from_der(&block.bytes))
            .collect::<Result<_, _>>()?;
        if chain.is_empty() {
            return Err(parts.unexpected("a certificate"));
        }
        Ok(chain)
    }

    /// Returns the key that the certificate is for.
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the distinguished name of the holder, for messages.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Returns the distinguished name of who issued the certificate, for messages.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns the certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem::write("CERTIFICATE", &[], &self.der).to_string()
    }

    pub(crate) fn from_der(der: &[u8]) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed {
            what: "certificate",
        };
        let (rest, parsed) = X509Certificate::from_der(der).map_err(|_| MALFORMED)?;
        if !rest.is_empty() {
            return Err(MALFORMED);
        }
        let info = parsed.public_key().raw;
        let key = match der::classify(info) {
            Kind::PublicInfo(KeyType::Rsa) => PublicKey::from_der(info)?,
            other => {
                return Err(Error::Unexpected {
                    expected: "a certificate for an RSA public key",
                    found: format!("one for {}", other.name()),
                });
            }
        };
        Ok(Self {
            der: der.into(),
            key,
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
        })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject)
            .field("issuer", &self.issuer)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
