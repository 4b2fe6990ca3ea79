//! How a descriptor holds a signature by a key: as hexadecimal text, or as PEM with certificates.

use thiserror::Error;

use crate::algorithm::SignatureAlgorithm;
use crate::key::{self, Certificate};
use crate::pem;

/// The media type of a signature as PEM.
pub const MEDIA_TYPE_PEM: &str = "application/x-pem-file";

/// The longest value of a signature, in bytes of text.
const MAX_VALUE: usize = key::MAX_FILE_SIZE;

/// The most certificates beside a signature.
pub const MAX_CHAIN: usize = 16;

const LABEL: &str = "SIGNATURE";
const ALGORITHM_HEADER: &str = "Signature Algorithm";

/// A signature by a key as it stands in a descriptor, decoded but not verified.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SignatureValue {
    /// How the signature was made.
    pub algorithm: SignatureAlgorithm,
    /// The signature itself.
    pub bytes: Vec<u8>,
    /// The certificates that came with it, that of the signer first; nobody has vouched for them.
    pub chain: Vec<Certificate>,
}

impl SignatureValue {
    /// Reads the three fields of a signature in a descriptor. Any text may be handed in.
    ///
    /// The algorithm decides; descriptors exist that have RSASSA-PSS beside the media type of
    /// PKCS#1 v1.5. Only where the algorithm is empty the media type tells it.
    ///
    /// # Errors
    ///
    /// The algorithm or media type is not of a signature by a key, or the value is not what the
    /// media type says.
    pub fn decode(algorithm: &str, media_type: &str, value: &str) -> Result<Self, Error> {
        if value.len() > MAX_VALUE {
            return Err(Error::TooLarge { size: value.len() });
        }
        let declared = optional(algorithm)?;
        if media_type == MEDIA_TYPE_PEM {
            return Self::from_pem(declared, value);
        }
        let mut implied = (SignatureAlgorithm::ALL.into_iter())
            .filter(|algorithm| algorithm.media_type() == media_type);
        let first = implied.next().ok_or_else(|| Error::UnknownMediaType {
            media_type: media_type.to_owned(),
        })?;
        // The media type of ECDSA does not tell the curve.
        let only = implied.next().is_none().then_some(first);
        Ok(Self {
            algorithm: declared.or(only).ok_or(Error::NoAlgorithm)?,
            bytes: hex::decode(value).map_err(|_| Error::NotHex)?,
            chain: Vec::new(),
        })
    }

    /// Returns the media type and value of the signature in a descriptor: PEM if there are
    /// certificates, otherwise hexadecimal.
    pub fn encode(&self) -> (&'static str, String) {
        if self.chain.is_empty() {
            return (self.algorithm.media_type(), hex::encode(&self.bytes));
        }
        let headers = [(ALGORITHM_HEADER, self.algorithm.as_str())];
        let mut text = pem::write(LABEL, &headers, &self.bytes).to_string();
        for certificate in &self.chain {
            text.push_str(&certificate.to_pem());
        }
        (MEDIA_TYPE_PEM, text)
    }

    fn from_pem(declared: Option<SignatureAlgorithm>, text: &str) -> Result<Self, Error> {
        let blocks = pem::read(text)?;
        let mut signatures = blocks.iter().filter(|block| block.label == LABEL);
        let signature = signatures.next().ok_or(Error::NoBlock)?;
        if signatures.next().is_some() {
            return Err(Error::SeveralBlocks);
        }
        let header = optional(signature.header(ALGORITHM_HEADER).unwrap_or_default())?;
        let algorithm = match (declared, header) {
            (Some(field), Some(header)) if field != header => {
                return Err(Error::Contradiction { field, header });
            }
            (declared, header) => declared.or(header).ok_or(Error::NoAlgorithm)?,
        };
        let certificates = || blocks.iter().filter(|block| block.label == "CERTIFICATE");
        if certificates().count() > MAX_CHAIN {
            return Err(Error::TooManyCertificates);
        }
        Ok(Self {
            algorithm,
            bytes: signature.bytes.to_vec(),
            chain: certificates()
                .map(|block| Certificate::from_der(&block.bytes))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Reads the name of an algorithm that may be missing, but not unknown.
fn optional(name: &str) -> Result<Option<SignatureAlgorithm>, Error> {
    match SignatureAlgorithm::from_name(name) {
        None if !name.is_empty() => Err(Error::UnknownAlgorithm {
            algorithm: name.to_owned(),
        }),
        algorithm => Ok(algorithm),
    }
}

/// Why the fields of a signature are not a signature by a key.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The algorithm is not one of those of keys.
    #[error("signature algorithm `{algorithm}` is not known")]
    UnknownAlgorithm { algorithm: String },
    /// The media type is not one of those of keys.
    #[error("signature media type `{media_type}` is not known")]
    UnknownMediaType { media_type: String },
    /// Neither the field nor the PEM header is there.
    #[error("the signature does not name its algorithm")]
    NoAlgorithm,
    /// The field and the PEM header differ.
    #[error("the signature claims {field}, but its PEM header {header}")]
    Contradiction {
        field: SignatureAlgorithm,
        header: SignatureAlgorithm,
    },
    /// No signature and chain are that long.
    #[error("{size} bytes are too much for a signature, the limit is {MAX_VALUE}")]
    TooLarge { size: usize },
    /// The value of a plain signature has other characters, or an odd number of them.
    #[error("the signature value is not hexadecimal")]
    NotHex,
    /// The PEM text is damaged.
    #[error("the signature value is malformed PEM")]
    Pem(#[from] pem::Error),
    /// There is no signature in the PEM text.
    #[error("the signature value has no PEM block `{LABEL}`")]
    NoBlock,
    /// One signature could stand for the other.
    #[error("the signature value has several PEM blocks `{LABEL}`")]
    SeveralBlocks,
    /// No chain has that many certificates.
    #[error("the signature value has more than {MAX_CHAIN} certificates")]
    TooManyCertificates,
    /// A certificate beside the signature cannot be used.
    #[error("cannot read a certificate of the signature")]
    Certificate(#[from] key::Error),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Curve;
    use crate::rsa::RsaAlgorithm;

    const PSS: &str = "application/vnd.ocm.signature.rsa.pss";
    const PKCS1: &str = "application/vnd.ocm.signature.rsa";

    #[track_caller]
    fn algorithm(algorithm: &str, media_type: &str) -> SignatureAlgorithm {
        let decoded = SignatureValue::decode(algorithm, media_type, "00ff").unwrap();
        assert_eq!(decoded.bytes, [0, 0xff]);
        decoded.algorithm
    }

    #[track_caller]
    fn reason(algorithm: &str, media_type: &str, value: &str) -> String {
        SignatureValue::decode(algorithm, media_type, value)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn the_algorithm_goes_before_the_media_type() {
        const V15: SignatureAlgorithm = SignatureAlgorithm::Rsa(RsaAlgorithm::Pkcs1V15);
        const P384: SignatureAlgorithm = SignatureAlgorithm::Ecdsa(Curve::P384);
        let pss = SignatureAlgorithm::Rsa(RsaAlgorithm::Pss);
        assert_eq!(algorithm("RSASSA-PSS", PSS), pss);
        assert_eq!(algorithm("RSASSA-PSS", PKCS1), pss);
        assert_eq!(algorithm("RSASSA-PKCS1-V1_5", PSS), V15);
        assert_eq!(algorithm("", PSS), pss);
        assert_eq!(algorithm("", PKCS1), V15);
        assert_eq!(algorithm("ECDSA-P384-SHA384", P384.media_type()), P384);
        assert_eq!(
            algorithm("", SignatureAlgorithm::Ed25519.media_type()),
            SignatureAlgorithm::Ed25519
        );
        assert_eq!(
            reason("", P384.media_type(), "00"),
            "the signature does not name its algorithm"
        );
    }

    #[test]
    fn malformed_fields_say_why() {
        assert_eq!(
            reason("GPG", PSS, ""),
            "signature algorithm `GPG` is not known"
        );
        assert_eq!(
            reason("RSASSA-PSS", "text/plain", ""),
            "signature media type `text/plain` is not known"
        );
        for value in ["0", "0x", "zz", "00 ", "00\n", "é"] {
            assert_eq!(
                reason("RSASSA-PSS", PSS, value),
                "the signature value is not hexadecimal"
            );
        }
        assert_eq!(
            reason("RSASSA-PSS", PSS, &"0".repeat(MAX_VALUE + 1)),
            "1048577 bytes are too much for a signature, the limit is 1048576"
        );
    }

    #[test]
    fn malformed_pem_says_why() {
        let pem = |value: &str| reason("RSASSA-PSS", MEDIA_TYPE_PEM, value);
        assert_eq!(pem(""), "the signature value has no PEM block `SIGNATURE`");
        assert_eq!(
            pem(&pem::write(
                LABEL,
                &[(ALGORITHM_HEADER, "RSASSA-PKCS1-V1_5")],
                &[1]
            )),
            "the signature claims RSASSA-PSS, but its PEM header RSASSA-PKCS1-V1_5"
        );
        assert_eq!(
            pem(&pem::write(LABEL, &[(ALGORITHM_HEADER, "GPG")], &[1])),
            "signature algorithm `GPG` is not known"
        );
        let bare = pem::write(LABEL, &[], &[1]);
        assert_eq!(
            reason("", MEDIA_TYPE_PEM, &bare),
            "the signature does not name its algorithm"
        );
        assert_eq!(
            pem(&(bare.to_string() + &pem::write("CERTIFICATE", &[], &[1]))),
            "cannot read a certificate of the signature"
        );
        assert_eq!(
            pem(&bare.repeat(2)),
            "the signature value has several PEM blocks `SIGNATURE`"
        );
        let certificates = pem::write("CERTIFICATE", &[], &[1]).repeat(MAX_CHAIN + 1);
        assert_eq!(
            pem(&(bare.to_string() + &certificates)),
            "the signature value has more than 16 certificates"
        );
    }
}
