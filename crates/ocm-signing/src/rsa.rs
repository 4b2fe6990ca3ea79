//! RSA signatures of digests: RSASSA-PSS and RSASSA-PKCS1-v1_5 of RFC 8017.
//!
//! The digest is computed elsewhere; it is padded and signed here.
//!
//! A PSS signature contains a salt, and nothing tells a verifier how long it is. Go and OpenSSL
//! make it as long as fits, others as long as the digest. The cryptographic library is told a
//! length to expect, so that the likely ones are tried first, then all others.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512, RsaParameters, RsaPssSaltLength, RsaSignatureEncoding, VerificationAlgorithm,
};
use ocm_digest::{Digest, HashAlgorithm};
use thiserror::Error;

use crate::key::{MIN_BITS, RsaPrivateKey, RsaPublicKey};

/// How a digest is padded before the RSA operation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum RsaAlgorithm {
    /// RSASSA-PSS, randomised; what OCM signs with unless told otherwise.
    #[default]
    Pss,
    /// RSASSA-PKCS1-v1_5, deterministic; the default of the first version of OCM.
    Pkcs1V15,
}

impl RsaAlgorithm {
    /// Returns the name in component descriptors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pss => "RSASSA-PSS",
            Self::Pkcs1V15 => "RSASSA-PKCS1-V1_5",
        }
    }

    /// Reads the name, whatever its case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pss, Self::Pkcs1V15]
            .into_iter()
            .find(|algorithm| name.eq_ignore_ascii_case(algorithm.as_str()))
    }

    /// Returns the media type of a plain signature, which is hexadecimal text.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Pss => "application/vnd.ocm.signature.rsa.pss",
            Self::Pkcs1V15 => "application/vnd.ocm.signature.rsa",
        }
    }

    /// Returns the algorithm that a media type names.
    pub fn from_media_type(media_type: &str) -> Option<Self> {
        [Self::Pss, Self::Pkcs1V15]
            .into_iter()
            .find(|algorithm| media_type == algorithm.media_type())
    }

    /// Signs a digest.
    ///
    /// The salt of PSS is as long as fits, which is what verifiers expect that cannot detect it.
    ///
    /// # Errors
    ///
    /// The cryptographic library refuses.
    pub fn sign(self, digest: &Digest, key: &RsaPrivateKey) -> Result<Vec<u8>, Error> {
        let refused = |_| Error::Refused;
        let mut signature = vec![0; key.pair().public_modulus_len()];
        let imported = import(digest).map_err(refused)?;
        key.pair()
            .sign_digest(self.encoding(digest.algorithm()), &imported, &mut signature)
            .map_err(refused)?;
        Ok(signature)
    }

    /// Verifies the signature of a digest. Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// The signature was not made by this algorithm, of this digest, by the private key that
    /// belongs to `key`; or the key is too short to tell.
    pub fn verify(
        self,
        digest: &Digest,
        signature: &[u8],
        key: &RsaPublicKey,
    ) -> Result<(), Error> {
        let expected = key.bits().div_ceil(8);
        if signature.len() != expected {
            let actual = signature.len();
            return Err(Error::Length { expected, actual });
        }
        let imported = import(digest).map_err(|_| Error::Mismatch)?;
        let matches = |parameters: &RsaParameters| {
            parameters
                .verify_digest_sig(key.pkcs1(), &imported, signature)
                .is_ok()
        };
        let matched = match self {
            Self::Pkcs1V15 => matches(&pkcs1_parameters(digest.algorithm(), key.bits())?),
            Self::Pss if key.bits() < MIN_BITS => return Err(self.too_short(key)),
            Self::Pss => salt_lengths(key.bits(), digest.algorithm()).any(|salt| {
                matches(&pss_parameters(digest.algorithm()).with_pss_salt_length(salt))
            }),
        };
        if matched {
            Ok(())
        } else {
            Err(Error::Mismatch)
        }
    }

    const fn too_short(self, key: &RsaPublicKey) -> Error {
        Error::KeyTooShort {
            bits: key.bits(),
            algorithm: self,
        }
    }

    const fn encoding(self, hash: HashAlgorithm) -> &'static RsaSignatureEncoding {
        const fn max(encoding: RsaSignatureEncoding) -> RsaSignatureEncoding {
            encoding.with_pss_salt_length(RsaPssSaltLength::Max)
        }
        match (self, hash) {
            (Self::Pss, HashAlgorithm::Sha256) => &const { max(RSA_PSS_SHA256) },
            (Self::Pss, HashAlgorithm::Sha384) => &const { max(RSA_PSS_SHA384) },
            (Self::Pss, HashAlgorithm::Sha512) => &const { max(RSA_PSS_SHA512) },
            (Self::Pkcs1V15, HashAlgorithm::Sha256) => &RSA_PKCS1_SHA256,
            (Self::Pkcs1V15, HashAlgorithm::Sha384) => &RSA_PKCS1_SHA384,
            (Self::Pkcs1V15, HashAlgorithm::Sha512) => &RSA_PKCS1_SHA512,
        }
    }
}

impl std::fmt::Display for RsaAlgorithm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

fn import(digest: &Digest) -> Result<digest::Digest, aws_lc_rs::error::Unspecified> {
    let algorithm = match digest.algorithm() {
        HashAlgorithm::Sha256 => &digest::SHA256,
        HashAlgorithm::Sha384 => &digest::SHA384,
        HashAlgorithm::Sha512 => &digest::SHA512,
    };
    digest::Digest::import_less_safe(digest.as_bytes(), algorithm)
}

/// Keys of 1024 bits and more may verify what they have signed long ago.
const fn pkcs1_parameters(hash: HashAlgorithm, bits: usize) -> Result<RsaParameters, Error> {
    match hash {
        HashAlgorithm::Sha256 if bits >= MIN_BITS => Ok(RSA_PKCS1_2048_8192_SHA256),
        HashAlgorithm::Sha384 if bits >= MIN_BITS => Ok(RSA_PKCS1_2048_8192_SHA384),
        HashAlgorithm::Sha512 if bits >= MIN_BITS => Ok(RSA_PKCS1_2048_8192_SHA512),
        HashAlgorithm::Sha256 if bits >= 1024 => Ok(RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY),
        HashAlgorithm::Sha512 if bits >= 1024 => Ok(RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY),
        _ => Err(Error::KeyTooShort {
            bits,
            algorithm: RsaAlgorithm::Pkcs1V15,
        }),
    }
}

const fn pss_parameters(hash: HashAlgorithm) -> RsaParameters {
    match hash {
        HashAlgorithm::Sha256 => RSA_PSS_2048_8192_SHA256,
        HashAlgorithm::Sha384 => RSA_PSS_2048_8192_SHA384,
        HashAlgorithm::Sha512 => RSA_PSS_2048_8192_SHA512,
    }
}

/// Returns every salt length that fits, each once, the likely ones first.
fn salt_lengths(bits: usize, hash: HashAlgorithm) -> impl Iterator<Item = RsaPssSaltLength> {
    // RFC 8017, 9.1.1: the encoded message has one bit less than the modulus, and holds the hash
    // and two more bytes beside the salt.
    let encoded = (bits - 1).div_ceil(8);
    let max = encoded.saturating_sub(hash.size() + 2);
    let others = (0..=max).filter(move |length| *length != max && *length != hash.size());
    let custom = others.filter_map(|length| u16::try_from(length).ok());
    [RsaPssSaltLength::Max, RsaPssSaltLength::Digest]
        .into_iter()
        .chain(custom.map(RsaPssSaltLength::Custom))
}

/// Why a signature could not be made or is not valid.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The signature is of another digest, by another key, or by another algorithm.
    #[error("the signature does not match the public key")]
    Mismatch,
    /// A signature is as long as the modulus of the key; this one is by another key, or cut.
    #[error("the signature has {actual} bytes, one by this public key has {expected}")]
    Length { expected: usize, actual: usize },
    /// The key is too short to be trusted with this algorithm.
    #[error(
        "an RSA key of {bits} bits is too short to verify {algorithm}: \
         2048 are needed, and 1024 for RSASSA-PKCS1-V1_5 with SHA-256 or SHA-512"
    )]
    KeyTooShort {
        bits: usize,
        algorithm: RsaAlgorithm,
    },
    /// The cryptographic library does not sign.
    #[error("the cryptographic library cannot sign with this RSA key")]
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for algorithm in [RsaAlgorithm::Pss, RsaAlgorithm::Pkcs1V15] {
            let (name, media_type) = (algorithm.as_str(), algorithm.media_type());
            assert_eq!(RsaAlgorithm::from_name(name), Some(algorithm));
            assert_eq!(RsaAlgorithm::from_media_type(media_type), Some(algorithm));
        }
        assert_eq!(
            RsaAlgorithm::from_name("RSASSA-PKCS1-v1_5"),
            Some(RsaAlgorithm::Pkcs1V15)
        );
        assert_eq!(RsaAlgorithm::from_name("RSA"), None);
    }

    #[test]
    fn every_salt_that_fits_is_tried_once() {
        let lengths: Vec<_> = salt_lengths(2048, HashAlgorithm::Sha256).collect();
        // 256 bytes less 32 of the hash and 2: lengths 0 to 222.
        assert_eq!(lengths.len(), 223);
        assert!(!lengths.contains(&RsaPssSaltLength::Custom(222)));
        assert!(!lengths.contains(&RsaPssSaltLength::Custom(32)));
        assert!(lengths.contains(&RsaPssSaltLength::Custom(0)));
        assert!(lengths.contains(&RsaPssSaltLength::Custom(221)));
    }

    #[test]
    fn the_bit_above_a_whole_byte_holds_no_message() {
        // A modulus of 2049 bits has an encoded message of 2048.
        assert_eq!(salt_lengths(2049, HashAlgorithm::Sha256).count(), 223);
        assert_eq!(salt_lengths(2050, HashAlgorithm::Sha256).count(), 224);
    }
}
