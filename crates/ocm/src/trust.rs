//! What a caller hands in to sign and to verify with.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use ocm_config::Secret;
use ocm_model::TypedSpec;
use ocm_signing::dn::DistinguishedName;
use ocm_sigstore::Terminal;

/// A key or certificates in any encoding, and what to call them in messages.
#[derive(Clone, Debug)]
pub struct KeyMaterial {
    /// Where it is from, such as the name of a file.
    pub origin: String,
    /// The content. What is in it, the kind of the signature finds out.
    pub bytes: Secret<Vec<u8>>,
}

impl KeyMaterial {
    /// Takes the content of a file.
    pub fn new(origin: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            origin: origin.into(),
            bytes: Secret::new(bytes.into()),
        }
    }
}

/// Something that is for the signature of one name, or for all that have none of their own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Scoped<T> {
    /// The name of the signature; none means all others.
    pub signature: Option<String>,
    /// What is for it.
    pub value: T,
}

impl<T> Scoped<T> {
    /// Makes something that is for all signatures.
    pub const fn for_all(value: T) -> Self {
        Self {
            signature: None,
            value,
        }
    }

    /// Returns what is for a signature: its own, else what is for all.
    pub fn find<'a>(entries: &'a [Self], signature: &str) -> Option<&'a T> {
        let own = |it: &&Self| it.signature.as_deref() == Some(signature);
        let general = |it: &&Self| it.signature.is_none();
        let found = entries.iter().find(own);
        let found = found.or_else(|| entries.iter().find(general));
        found.map(|entry| &entry.value)
    }
}

/// Whom a caller trusts, beside what is configured.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Public keys, or certificates that are trusted as such.
    pub keys: Vec<Scoped<KeyMaterial>>,
    /// Certificates of authorities. For signatures, those of the system are trusted only where none
    /// is given.
    pub roots: Vec<KeyMaterial>,
    /// Names that the signers, or who has certified them, must have.
    pub issuers: Vec<Scoped<DistinguishedName>>,
    /// How signatures are verified, such as `SigstoreVerificationConfiguration/v1alpha1`. One is
    /// used for every signature of its kind.
    pub verifiers: Vec<TypedSpec>,
}

impl Trust {
    /// Trusts one public key for every signature.
    pub fn in_key(key: KeyMaterial) -> Self {
        Self {
            keys: vec![Scoped::for_all(key)],
            ..Self::default()
        }
    }
}

/// What a caller hands in to sign with, beside what is configured.
#[derive(Clone, Debug, Default)]
pub struct SigningKeys {
    /// The private key.
    pub private_key: Option<KeyMaterial>,
    /// The public key, or the certificates of the key, that of the signer first.
    pub public_key: Option<KeyMaterial>,
    /// What unlocks the private key, if it is locked.
    pub passphrase: Option<Secret<String>>,
    /// When it is done, and who is there.
    pub occasion: Occasion,
}

/// When somebody signs, and where. Signatures by an identity need to know.
#[derive(Clone, Default)]
pub struct Occasion {
    /// The time: what has expired by then is not used.
    pub now: Option<Timestamp>,
    /// Where somebody sits who can log in.
    pub terminal: Option<Arc<dyn Terminal>>,
}

impl fmt::Debug for Occasion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Occasion")
            .field("now", &self.now)
            .field("is_attended", &self.terminal.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_a_name_comes_before_what_is_for_all() {
        let entry = |signature: Option<&str>, value| Scoped {
            signature: signature.map(str::to_owned),
            value,
        };
        let entries = [entry(None, 1), entry(Some("a"), 2)];
        assert_eq!(Scoped::find(&entries, "a"), Some(&2));
        assert_eq!(Scoped::find(&entries, "b"), Some(&1));
        assert_eq!(Scoped::find(&entries[1..], "b"), None);
    }
}
