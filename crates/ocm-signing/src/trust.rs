//! Whom a verifier of signatures by keys trusts.

use crate::dn::DistinguishedName;
use crate::key::{Certificate, Error, PublicKey};
use crate::x509::{Roots, is_self_signed};

/// Keys, roots, and who must have signed.
///
/// Nobody is trusted until it is said.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    key: Option<PublicKey>,
    certificate: Option<Certificate>,
    intermediates: Vec<Certificate>,
    roots: Roots,
    of_system: bool,
    issuer: Option<DistinguishedName>,
}

impl Trust {
    /// Trusts a key.
    pub fn of_key(key: PublicKey) -> Self {
        Self {
            key: Some(key),
            ..Self::default()
        }
    }

    /// Trusts what a file with a key or certificates says.
    ///
    /// Of certificates, the key of the first one is trusted, whatever its dates. If the last one is
    /// signed by itself it is a root, too; all others help to find a path to it.
    ///
    /// Any bytes may be handed in.
    ///
    /// # Errors
    ///
    /// There is no key, or what is there is malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let Ok(mut chain) = Certificate::parse_chain(bytes) else {
            return PublicKey::parse(bytes).map(Self::of_key);
        };
        let first = chain[0].clone();
        let root = chain.pop_if(|last| is_self_signed(last));
        // A root alone may have a key of a kind that signs nothing here.
        let key = match first.public_key() {
            Ok(key) => Some(key.clone()),
            Err(_) if root.is_some() => None,
            Err(error) => return Err(error.clone()),
        };
        Ok(Self {
            key,
            certificate: Some(first),
            intermediates: chain,
            roots: Roots::new(root.into_iter().collect()),
            ..Self::default()
        })
    }

    /// Trusts whom these roots vouch for, too.
    #[must_use]
    pub fn with_roots(self, roots: Roots) -> Self {
        Self {
            roots: self.roots.and(roots),
            ..self
        }
    }

    /// Trusts whom the roots of the system vouch for, if no other roots are trusted.
    ///
    /// Anybody can get a certificate from those. So it must be said, too, who is to have signed.
    #[must_use]
    pub fn or_system_roots(self, system: Roots) -> Self {
        if !self.roots.is_empty() {
            return self;
        }
        Self {
            roots: system,
            of_system: true,
            ..self
        }
    }

    /// Demands that who has signed, or who has certified that, has this name, or more of a name.
    #[must_use]
    pub fn with_issuer(self, issuer: DistinguishedName) -> Self {
        Self {
            issuer: Some(issuer),
            ..self
        }
    }

    /// Returns the key that is trusted by itself.
    pub const fn key(&self) -> Option<&PublicKey> {
        self.key.as_ref()
    }

    /// Returns the roots that are trusted.
    pub const fn roots(&self) -> &Roots {
        &self.roots
    }

    /// Returns the name that is demanded.
    pub const fn issuer(&self) -> Option<&DistinguishedName> {
        self.issuer.as_ref()
    }

    /// Returns the certificate that the key was given in.
    pub(crate) const fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// Returns certificates that may be part of a path.
    pub(crate) fn intermediates(&self) -> &[Certificate] {
        &self.intermediates
    }

    /// Tells whether the roots vouch for anybody, but nobody is demanded.
    pub(crate) const fn needs_issuer(&self) -> bool {
        self.of_system && self.issuer.is_none()
    }
}
