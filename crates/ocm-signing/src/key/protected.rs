//! Private keys that are protected by a passphrase: PKCS#8 with PBES2 of RFC 8018, which is what
//! OpenSSL writes as `ENCRYPTED PRIVATE KEY`.
//!
//! The key is derived by PBKDF2 with HMAC, and encrypts with AES in CBC mode.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use x509_parser::asn1_rs::{Any, Oid, Tag};
use zeroize::Zeroizing;

use super::Error;
use crate::der::{children, whole_sequence};

/// The most rounds of deriving a key: a file must not make somebody wait for hours.
const MAX_ROUNDS: u32 = 20_000_000;

const PBES2: &str = "1.2.840.113549.1.5.13";
const PBKDF2: &str = "1.2.840.113549.1.5.12";

const MALFORMED: Error = Error::Malformed {
    what: "encrypted private key",
};

/// How a key is derived from a passphrase, and how it encrypts.
struct Scheme<'a> {
    salt: &'a [u8],
    rounds: NonZeroU32,
    derivation: pbkdf2::Algorithm,
    cipher: &'static cipher::Algorithm,
    key_len: usize,
    iv: [u8; 16],
}

/// Decrypts an `EncryptedPrivateKeyInfo` of PKCS#8, and returns the `PrivateKeyInfo` in it.
///
/// # Errors
///
/// It is malformed or protected in another way, or the passphrase is wrong.
pub(super) fn decrypt(der: &[u8], passphrase: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let parts = whole_sequence(der).and_then(children).ok_or(MALFORMED)?;
    let [algorithm, data] = parts.as_slice() else {
        return Err(MALFORMED);
    };
    let scheme = Scheme::read(algorithm)?;
    let mut key = Zeroizing::new(vec![0; scheme.key_len]);
    let Scheme { salt, rounds, .. } = scheme;
    pbkdf2::derive(scheme.derivation, rounds, salt, passphrase, &mut key);
    let mut plain = Zeroizing::new(data.data.to_vec());
    let len = UnboundCipherKey::new(scheme.cipher, &key)
        .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
        .and_then(|key| {
            let context = DecryptionContext::Iv128(FixedLength::from(scheme.iv));
            Ok(key.decrypt(&mut plain, context)?.len())
        })
        .map_err(|_| Error::Passphrase)?;
    plain.truncate(len);
    // A wrong passphrase passes the padding once in 256 times.
    whole_sequence(&plain).ok_or(Error::Passphrase)?;
    Ok(plain)
}

impl<'a> Scheme<'a> {
    fn read(algorithm: &Any<'a>) -> Result<Self, Error> {
        let (name, parameters) = identifier(algorithm)?;
        if name != PBES2 {
            return Err(Error::Protection { scheme: name });
        }
        let parts = sequence(parameters.as_ref())?;
        let [derivation, encryption] = parts.as_slice() else {
            return Err(MALFORMED);
        };

        let (name, parameters) = identifier(derivation)?;
        if name != PBKDF2 {
            return Err(Error::Protection { scheme: name });
        }
        let parts = sequence(parameters.as_ref())?;
        let [salt, rounds, rest @ ..] = parts.as_slice() else {
            return Err(MALFORMED);
        };
        let rounds = rounds.as_u32().map_err(|_| MALFORMED)?;
        if rounds > MAX_ROUNDS {
            let scheme = format!("PBKDF2 with {rounds} rounds");
            return Err(Error::Protection { scheme });
        }
        let rounds = NonZeroU32::new(rounds).ok_or(MALFORMED)?;
        // Between them may stand the length of the key, which the cipher says, too.
        let function = rest.iter().find(|part| part.tag() == Tag::Sequence);
        let derivation = function.map_or(Ok(pbkdf2::PBKDF2_HMAC_SHA1), hmac)?;

        let (name, parameters) = identifier(encryption)?;
        let (cipher, key_len) = match name.as_str() {
            "2.16.840.1.101.3.4.1.2" => (&AES_128, 16),
            "2.16.840.1.101.3.4.1.22" => (&AES_192, 24),
            "2.16.840.1.101.3.4.1.42" => (&AES_256, 32),
            _ => return Err(Error::Protection { scheme: name }),
        };
        let iv = parameters.and_then(|iv| iv.data.try_into().ok());
        Ok(Self {
            salt: salt.data,
            rounds,
            derivation,
            cipher,
            key_len,
            iv: iv.ok_or(MALFORMED)?,
        })
    }
}

fn hmac(function: &Any<'_>) -> Result<pbkdf2::Algorithm, Error> {
    let (name, _) = identifier(function)?;
    match name.as_str() {
        "1.2.840.113549.2.7" => Ok(pbkdf2::PBKDF2_HMAC_SHA1),
        "1.2.840.113549.2.9" => Ok(pbkdf2::PBKDF2_HMAC_SHA256),
        "1.2.840.113549.2.10" => Ok(pbkdf2::PBKDF2_HMAC_SHA384),
        "1.2.840.113549.2.11" => Ok(pbkdf2::PBKDF2_HMAC_SHA512),
        _ => Err(Error::Protection { scheme: name }),
    }
}

/// Splits an `AlgorithmIdentifier` into its name and its parameters.
fn identifier<'a>(algorithm: &Any<'a>) -> Result<(String, Option<Any<'a>>), Error> {
    let mut parts = sequence(Some(algorithm))?.into_iter();
    let name = parts.next().and_then(|name| Oid::try_from(name).ok());
    Ok((name.ok_or(MALFORMED)?.to_id_string(), parts.next()))
}

fn sequence<'a>(structure: Option<&Any<'a>>) -> Result<Vec<Any<'a>>, Error> {
    let structure = structure.filter(|it| it.tag() == Tag::Sequence);
    structure.and_then(|it| children(it.data)).ok_or(MALFORMED)
}
