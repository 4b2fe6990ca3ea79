//! ECDSA keys on the curves of NIST.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1, ECDSA_P521_SHA512_ASN1_SIGNING,
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey,
};
use ocm_digest::Digest;
use zeroize::Zeroizing;

use super::Error;

/// A curve that keys are on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Curve {
    /// NIST P-256, used with SHA-256.
    #[default]
    P256,
    /// NIST P-384, used with SHA-384.
    P384,
    /// NIST P-521, used with SHA-512.
    P521,
}

impl Curve {
    /// All curves.
    pub const ALL: [Self; 3] = [Self::P256, Self::P384, Self::P521];

    /// Returns the name that NIST has given it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// Reads the name, whatever its case, with or without hyphen.
    pub fn from_name(name: &str) -> Option<Self> {
        let plain = name.replace('-', "");
        (Self::ALL.into_iter())
            .find(|curve| curve.as_str().replace('-', "").eq_ignore_ascii_case(&plain))
    }

    pub(crate) fn from_oid(oid: &str) -> Option<Self> {
        match oid {
            "1.2.840.10045.3.1.7" => Some(Self::P256),
            "1.3.132.0.34" => Some(Self::P384),
            "1.3.132.0.35" => Some(Self::P521),
            _ => None,
        }
    }

    const fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &ECDSA_P521_SHA512_ASN1_SIGNING,
        }
    }

    pub(crate) const fn verifying(self) -> &'static EcdsaVerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_ASN1,
            Self::P384 => &ECDSA_P384_SHA384_ASN1,
            Self::P521 => &ECDSA_P521_SHA512_ASN1,
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An ECDSA private key, with the public key that belongs to it.
///
/// It has no `Display`, and its `Debug` form shows the public key only.
#[derive(Clone)]
pub struct EcdsaPrivateKey {
    pair: Arc<EcdsaKeyPair>,
    public: EcdsaPublicKey,
}

impl EcdsaPrivateKey {
    /// Makes a new key.
    ///
    /// # Errors
    ///
    /// There is no entropy.
    pub fn generate(curve: Curve) -> Result<Self, Error> {
        let pair = EcdsaKeyPair::generate(curve.signing()).map_err(|_| Error::Library {
            action: "generate an ECDSA key",
        })?;
        Self::new(pair, curve)
    }

    /// Returns the public key.
    pub const fn public_key(&self) -> &EcdsaPublicKey {
        &self.public
    }

    pub(crate) fn pair(&self) -> &EcdsaKeyPair {
        &self.pair
    }

    /// Takes PKCS#8 or SEC 1.
    pub(super) fn from_der(der: &[u8], curve: Option<Curve>) -> Result<Self, Error> {
        let curve = curve.ok_or(Error::Curve)?;
        let pair = EcdsaKeyPair::from_private_key_der(curve.signing(), der);
        let pair = pair.map_err(|_| Error::Malformed {
            what: "ECDSA private key",
        })?;
        Self::new(pair, curve)
    }

    pub(super) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let der = self.pair.to_pkcs8v1().map_err(|_| Error::ENCODE)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    fn new(pair: EcdsaKeyPair, curve: Curve) -> Result<Self, Error> {
        let public = EcdsaPublicKey::from_der(pair.public_key().as_ref(), Some(curve))?;
        let pair = Arc::new(pair);
        Ok(Self { pair, public })
    }
}

impl fmt::Debug for EcdsaPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcdsaPrivateKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// An ECDSA public key.
#[derive(Clone, Eq, PartialEq)]
pub struct EcdsaPublicKey {
    curve: Curve,
    pkix: Box<[u8]>,
}

impl EcdsaPublicKey {
    /// Returns the curve that the key is on.
    pub const fn curve(&self) -> Curve {
        self.curve
    }

    pub(crate) const fn pkix(&self) -> &[u8] {
        &self.pkix
    }

    /// Takes PKIX, or a bare point.
    pub(super) fn from_der(der: &[u8], curve: Option<Curve>) -> Result<Self, Error> {
        const MALFORMED: Error = Error::Malformed {
            what: "ECDSA public key",
        };
        let curve = curve.ok_or(Error::Curve)?;
        let key = ParsedPublicKey::new(curve.verifying(), der).map_err(|_| MALFORMED)?;
        let pkix: PublicKeyX509Der<'_> = key.as_der().map_err(|_| MALFORMED)?;
        let pkix = pkix.as_ref().into();
        Ok(Self { curve, pkix })
    }
}

impl fmt::Debug for EcdsaPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EcdsaPublicKey")
            .field("curve", &self.curve)
            .field("fingerprint", &Digest::sha256(&self.pkix))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_have_the_names_of_nist() {
        for curve in Curve::ALL {
            assert_eq!(Curve::from_name(curve.as_str()), Some(curve));
        }
        assert_eq!(Curve::from_name("p384"), Some(Curve::P384));
        assert_eq!(Curve::from_name("secp256k1"), None);
    }
}
