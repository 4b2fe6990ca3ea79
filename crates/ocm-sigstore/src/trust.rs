//! The trusted root: which authorities and logs are believed.

use std::fmt;

use sigstore_trust_root::{SIGSTORE_PRODUCTION_TRUSTED_ROOT, TrustedRoot as Document};
use sigstore_verify::Verifier;

use crate::config::ConfigError;

/// The most bytes of a trusted root. That of the public instance has less than a hundredth of it.
pub const MAX_ROOT_SIZE: usize = 1 << 20;

/// The keys and certificates of the services that are believed, and when each of them was in use.
///
/// A value has been checked: every key and certificate in it can be used.
pub struct TrustedRoot {
    verifier: Verifier,
    has_certificate_log: bool,
    is_own: bool,
}

impl TrustedRoot {
    /// Returns the root of the public instance of Sigstore that is part of this program.
    ///
    /// # Errors
    ///
    /// Never, as a test shows.
    pub fn public() -> Result<Self, ConfigError> {
        Ok(Self {
            is_own: false,
            ..Self::read(SIGSTORE_PRODUCTION_TRUSTED_ROOT.as_bytes())?
        })
    }

    /// Reads the root of somebody's own services, in JSON
    /// (`application/vnd.dev.sigstore.trustedroot+json`).
    ///
    /// # Errors
    ///
    /// The document is too large, malformed, or has keys or certificates that cannot be used.
    pub fn read(json: &[u8]) -> Result<Self, ConfigError> {
        const WHAT: &str = "the trusted root";
        let limit = MAX_ROOT_SIZE;
        if json.len() > limit {
            return Err(ConfigError::TooLarge { what: WHAT, limit });
        }
        let document = |reason| ConfigError::Document { what: WHAT, reason };
        let text = std::str::from_utf8(json).map_err(|error| document(error.to_string()))?;
        let root = Document::from_json(text).map_err(|error| document(error.to_string()))?;
        Ok(Self {
            verifier: Verifier::new(&root).map_err(|error| document(error.to_string()))?,
            has_certificate_log: !root.ctlogs.is_empty(),
            is_own: true,
        })
    }

    pub(crate) const fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Returns whether there is a log in which certificates must be.
    pub(crate) const fn has_certificate_log(&self) -> bool {
        self.has_certificate_log
    }

    /// Returns whether the root was given, and is not that of the public instance.
    pub(crate) const fn is_own(&self) -> bool {
        self.is_own
    }
}

impl fmt::Debug for TrustedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustedRoot")
            .field("is_own", &self.is_own)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_the_public_instance_can_be_used() {
        let root = TrustedRoot::public().unwrap();
        assert!(root.has_certificate_log());
        assert!(!root.is_own());
    }

    #[test]
    fn a_root_that_cannot_be_used_is_refused() {
        for json in [&b""[..], b"{", b"{}", b"\xff", b"[]", b"null"] {
            assert!(matches!(
                TrustedRoot::read(json),
                Err(ConfigError::Document { .. })
            ));
        }
        let large = vec![b' '; MAX_ROOT_SIZE + 1];
        assert!(matches!(
            TrustedRoot::read(&large),
            Err(ConfigError::TooLarge { .. })
        ));
        let keyless = SIGSTORE_PRODUCTION_TRUSTED_ROOT.replace("MFkw", "AAAA");
        assert!(TrustedRoot::read(keyless.as_bytes()).is_err());
    }
}
