//! What a DER structure is, told from its outline.
//!
//! Keys come without a name in DER, and with a wrong one in some PEM files, so the content decides.

use x509_parser::asn1_rs::{Any, FromDer, Integer, Oid, Tag};

use crate::key::Curve;

/// What a DER structure turned out to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `RSAPrivateKey` of PKCS#1.
    RsaPrivate,
    /// `RSAPublicKey` of PKCS#1.
    RsaPublic,
    /// `PrivateKeyInfo` of PKCS#8 with a key of this algorithm.
    Pkcs8(KeyType),
    /// `SubjectPublicKeyInfo` of X.509 with a key of this algorithm.
    PublicInfo(KeyType),
    /// `EncryptedPrivateKeyInfo` of PKCS#8.
    Encrypted,
    /// Shaped like an X.509 certificate, a request for one, or a revocation list.
    Certificate,
    /// `ECPrivateKey` of SEC 1, with the curve if it is one of those we know.
    EcPrivate(Option<Curve>),
    /// The private key of DSA as OpenSSL writes it.
    DsaPrivate,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Returns the name for messages.
    pub(crate) fn name(self) -> String {
        match self {
            Self::RsaPrivate | Self::Pkcs8(KeyType::Rsa) => "an RSA private key".to_owned(),
            Self::RsaPublic | Self::PublicInfo(KeyType::Rsa) => "an RSA public key".to_owned(),
            Self::Pkcs8(key) => format!("{} private key", key.name()),
            Self::PublicInfo(key) => format!("{} public key", key.name()),
            Self::Encrypted => "an encrypted private key".to_owned(),
            Self::Certificate => "a certificate".to_owned(),
            Self::EcPrivate(curve) => Self::Pkcs8(KeyType::Ec(curve)).name(),
            Self::DsaPrivate => Self::Pkcs8(KeyType::Dsa).name(),
            Self::Unknown => "data of another kind".to_owned(),
        }
    }
}

/// The algorithm that a key is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum KeyType {
    Rsa,
    RsaPss,
    /// With the curve if it is one of those we know.
    Ec(Option<Curve>),
    Ed25519,
    Ed448,
    Dsa,
    Other,
}

impl KeyType {
    /// Takes the content of an `AlgorithmIdentifier`.
    fn from_identifier(identifier: &[u8]) -> Option<Self> {
        let (parameters, oid) = Oid::from_der(identifier).ok()?;
        Some(match oid.to_id_string().as_str() {
            "1.2.840.113549.1.1.1" => Self::Rsa,
            "1.2.840.113549.1.1.10" => Self::RsaPss,
            "1.2.840.10045.2.1" => Self::Ec(curve(parameters)),
            "1.3.101.112" => Self::Ed25519,
            "1.3.101.113" => Self::Ed448,
            "1.2.840.10040.4.1" => Self::Dsa,
            _ => Self::Other,
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Rsa => "an RSA",
            Self::RsaPss => "an RSASSA-PSS-only",
            Self::Ec(Some(_)) => "an ECDSA",
            Self::Ec(None) => "another elliptic curve",
            Self::Ed25519 => "an Ed25519",
            Self::Ed448 => "an Ed448",
            Self::Dsa => "a DSA",
            Self::Other => "another kind of",
        }
    }
}

/// Tells what a structure is. It must be the whole of the bytes.
pub(crate) fn classify(der: &[u8]) -> Kind {
    let Some(children) = whole_sequence(der).and_then(children) else {
        return Kind::Unknown;
    };
    let tags: Vec<Tag> = children.iter().map(Any::tag).collect();
    match tags.as_slice() {
        numbers if numbers.iter().all(|tag| *tag == Tag::Integer) => match numbers.len() {
            2 => Kind::RsaPublic,
            6 => Kind::DsaPrivate,
            9 => Kind::RsaPrivate,
            _ => Kind::Unknown,
        },
        [Tag::Integer, Tag::OctetString, rest @ ..] => {
            let parameters = rest.first().is_some_and(|tag| *tag == Tag(0));
            Kind::EcPrivate(if parameters {
                curve(children[2].data)
            } else {
                None
            })
        }
        [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => {
            key_type(&children[1]).map_or(Kind::Unknown, Kind::Pkcs8)
        }
        [Tag::Sequence, Tag::BitString] => {
            key_type(&children[0]).map_or(Kind::Unknown, Kind::PublicInfo)
        }
        [Tag::Sequence, Tag::OctetString] => Kind::Encrypted,
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Kind::Certificate,
        _ => Kind::Unknown,
    }
}

/// Returns the PKCS#1 private key within a PKCS#8 one.
pub(crate) fn private_within(pkcs8: &[u8]) -> Option<&[u8]> {
    let children = children(whole_sequence(pkcs8)?)?;
    match children.as_slice() {
        [_, _, key, ..] if key.tag() == Tag::OctetString => Some(key.data),
        _ => None,
    }
}

/// Returns the size of a PKCS#1 private key's modulus in bits.
pub(crate) fn private_bits(pkcs1: &[u8]) -> Option<usize> {
    let children = children(whole_sequence(pkcs1)?)?;
    let modulus = Integer::try_from(children.into_iter().nth(1)?).ok()?;
    let bytes = modulus.as_ref();
    let leading = bytes.iter().take_while(|byte| **byte == 0).count();
    let first = bytes.get(leading)?;
    Some((bytes.len() - leading) * 8 - first.leading_zeros() as usize)
}

fn key_type(algorithm: &Any<'_>) -> Option<KeyType> {
    KeyType::from_identifier(algorithm.data)
}

/// Reads the parameters of a key: the name of a curve. Those that spell a curve out are not taken.
fn curve(parameters: &[u8]) -> Option<Curve> {
    let (_, oid) = Oid::from_der(parameters).ok()?;
    Curve::from_oid(&oid.to_id_string())
}

pub(crate) fn whole_sequence(der: &[u8]) -> Option<&[u8]> {
    let (rest, outer) = Any::from_der(der).ok()?;
    (rest.is_empty() && outer.tag() == Tag::Sequence).then_some(outer.data)
}

/// Splits the content of a sequence; ten elements are more than any structure here has.
pub(crate) fn children(mut content: &[u8]) -> Option<Vec<Any<'_>>> {
    let mut children = Vec::new();
    while !content.is_empty() {
        if children.len() == 10 {
            return None;
        }
        let (rest, child) = Any::from_der(content).ok()?;
        children.push(child);
        content = rest;
    }
    Some(children)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_are_told_by_their_outline() {
        assert_eq!(classify(&[0x30, 6, 2, 1, 5, 2, 1, 3]), Kind::RsaPublic);
        let ed25519 = [0x30, 10, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 1, 0];
        assert_eq!(classify(&ed25519), Kind::PublicInfo(KeyType::Ed25519));
        assert_eq!(classify(&[0x30, 6, 0x30, 0, 4, 2, 0, 0]), Kind::Encrypted);
    }

    #[test]
    fn what_is_cut_or_followed_by_more_is_unknown() {
        assert_eq!(classify(&[]), Kind::Unknown);
        assert_eq!(classify(&[0x30, 6, 2, 1, 5, 2, 1]), Kind::Unknown);
        assert_eq!(classify(&[0x30, 6, 2, 1, 5, 2, 1, 3, 0]), Kind::Unknown);
        assert_eq!(
            classify(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]),
            Kind::Unknown
        );
    }

    #[test]
    fn the_size_of_a_modulus_does_not_count_leading_zeros() {
        assert_eq!(private_bits(&[0x30, 7, 2, 1, 0, 2, 2, 0, 0x80]), Some(8));
        assert_eq!(private_bits(&[0x30, 6, 2, 1, 0, 2, 1, 0x7f]), Some(7));
        assert_eq!(private_bits(&[0x30, 6, 2, 1, 0, 2, 1, 0]), None);
    }
}
