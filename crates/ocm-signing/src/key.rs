//! Keys: reading every form they are kept in, making new ones, writing them.
//!
//! | | PEM label | DER |
//! | --- | --- | --- |
//! | private key | `PRIVATE KEY`, `RSA PRIVATE KEY`, `EC PRIVATE KEY` | PKCS#8, PKCS#1, SEC 1 |
//! | public key | `PUBLIC KEY`, `RSA PUBLIC KEY`, `CERTIFICATE` | PKIX, PKCS#1, X.509 |
//!
//! In PEM the content of a block decides, not its label: some tools write one form under the label
//! of the other.

mod certificate;
mod ecdsa;
mod ed25519;
mod private;
mod protected;
mod public;
mod rsa;

use thiserror::Error;

pub use certificate::Certificate;
pub use ecdsa::{Curve, EcdsaPrivateKey, EcdsaPublicKey};
pub use ed25519::{Ed25519PrivateKey, Ed25519PublicKey};
pub use private::{PrivateKey, PrivatePem};
pub use public::PublicKey;
pub use rsa::{RsaPrivateKey, RsaPublicKey};

pub use crate::pem::Error as PemError;

use crate::der::{self, Kind};
use crate::pem;

/// The largest file that is read as a key or a chain of certificates, in bytes.
pub const MAX_FILE_SIZE: usize = 1024 * 1024;

/// The fewest bits of an RSA key that signs.
pub const MIN_BITS: usize = 2048;

/// The most bits of any RSA key.
pub const MAX_BITS: usize = 8192;

/// Which of its two standard structures a key is written as.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyFormat {
    /// PKCS#8 (`PRIVATE KEY`) and PKIX (`PUBLIC KEY`), what tools write today.
    #[default]
    Pkcs8,
    /// PKCS#1 (`RSA PRIVATE KEY`, `RSA PUBLIC KEY`), what the first version of OCM wrote. Only RSA
    /// keys have this form; others are written in the other.
    Pkcs1,
}

/// The parts of a file that may be keys, each with what it turned out to be.
struct Parts(Vec<(Kind, pem::Block)>);

impl Parts {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_FILE_SIZE {
            return Err(Error::TooLarge { size: bytes.len() });
        }
        let kind = der::classify(bytes);
        if kind != Kind::Unknown {
            let block = pem::Block {
                label: "DER".to_owned(),
                headers: Vec::new(),
                bytes: bytes.to_vec().into(),
            };
            return Ok(Self(vec![(kind, block)]));
        }
        if !pem::is_pem(bytes) {
            return Err(Error::NoKey);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::NoKey)?;
        let blocks = pem::read(text)?.into_iter();
        Ok(Self(
            blocks
                .map(|block| (der::classify(&block.bytes), block))
                .collect(),
        ))
    }

    /// Returns the error that names what is there instead of what was expected.
    fn unexpected(&self, expected: &'static str) -> Error {
        if self
            .0
            .iter()
            .any(|(kind, block)| is_encrypted(*kind, block))
        {
            return Error::Encrypted;
        }
        let found = self
            .0
            .iter()
            .find(|(_, block)| block.label != "EC PARAMETERS");
        let found = match found {
            Some((Kind::Unknown, block)) => format!("a PEM block `{}`", block.label),
            Some((kind, _)) => kind.name(),
            None => return Error::NoKey,
        };
        Error::Unexpected { expected, found }
    }
}

/// Encryption is in the content (PKCS#8) or in a header (PKCS#1 as OpenSSL used to write it).
fn is_encrypted(kind: Kind, block: &pem::Block) -> bool {
    kind == Kind::Encrypted
        || block.label == "ENCRYPTED PRIVATE KEY"
        || (block.header("Proc-Type")).is_some_and(|value| value.ends_with("ENCRYPTED"))
}

/// Why bytes are not the key that is needed.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be a key.
    #[error("{size} bytes are too much for a key, the limit is {MAX_FILE_SIZE}")]
    TooLarge { size: usize },
    /// The file is neither PEM nor DER.
    #[error("neither a PEM block nor a DER structure found")]
    NoKey,
    /// The PEM text is damaged.
    #[error("malformed PEM")]
    Pem(#[from] pem::Error),
    /// The private key is protected by a passphrase.
    #[error("the private key is protected by a passphrase")]
    Encrypted,
    /// The private key is protected in a way that is not known here.
    #[error("the private key is protected in a way that is not supported ({scheme})")]
    Protection { scheme: String },
    /// The passphrase does not unlock the private key.
    #[error("the passphrase is wrong, or the private key is damaged")]
    Passphrase,
    /// There is something else.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        expected: &'static str,
        found: String,
    },
    /// The numbers of the key do not fit together, or its encoding is wrong.
    #[error("malformed {what}")]
    Malformed { what: &'static str },
    /// The key is too short to be safe, or too long to be handled.
    #[error("an RSA key of {bits} bits is not supported, {MIN_BITS} to {MAX_BITS} are")]
    Size { bits: usize },
    /// No key of this size is generated.
    #[error("an RSA key of {bits} bits cannot be generated, one of 2048, 3072 or 4096 can")]
    GenerateSize { bits: usize },
    /// The key is on a curve that is not known, or does not name its curve.
    #[error("only keys on the curves P-256, P-384 and P-521 are supported, by their names")]
    Curve,
    /// The cryptographic library refused.
    #[error("the cryptographic library cannot {action}")]
    Library { action: &'static str },
}

impl Error {
    const ENCODE: Self = Self::Library {
        action: "encode the private key",
    };
}
