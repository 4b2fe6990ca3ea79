//! Who made a signature.

use std::fmt;

use jiff::Timestamp;
use ocm_digest::Digest;
use serde::Serialize;

/// Who made a signature, as far as the verifier has proof of it.
///
/// Each kind states what it knows, and nothing that only the signature claims of itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
#[non_exhaustive]
pub enum Signatory {
    /// The holder of a key that the verifier was given.
    Key {
        /// The SHA-256 of the key as `SubjectPublicKeyInfo` of X.509.
        fingerprint: Digest,
    },
    /// The holder of a certificate that a trusted root vouches for.
    #[serde(rename_all = "camelCase")]
    Certificate {
        /// The distinguished name of the holder (RFC 2253).
        subject: String,
        /// The distinguished name of who issued the certificate (RFC 2253).
        issuer: String,
        /// The SHA-256 of the certified key as `SubjectPublicKeyInfo`.
        fingerprint: Digest,
    },
    /// The holder of an OpenPGP key that the verifier was given.
    #[serde(rename_all = "camelCase")]
    OpenPgp {
        /// The fingerprint of the primary key, in upper-case hexadecimal digits.
        fingerprint: String,
        /// The user ids that the key states for itself.
        user_ids: Vec<String>,
    },
    /// Somebody who has proved an identity to an OpenID Connect issuer, as a certificate of
    /// Sigstore says.
    #[serde(rename_all = "camelCase")]
    Identity {
        /// The identity: a mail address or a URI.
        identity: String,
        /// The URL of the issuer.
        issuer: String,
        /// When the signature was made, as the transparency log or a timestamp in the bundle
        /// proves.
        #[serde(skip_serializing_if = "Option::is_none")]
        time: Option<Timestamp>,
    },
}

impl Signatory {
    /// Returns what names the key that has signed: `sha256:` and a digest for keys and
    /// certificates, the fingerprint for `OpenPGP`. Keys behind identities are used only once.
    pub fn fingerprint(&self) -> Option<String> {
        match self {
            Self::Key { fingerprint } | Self::Certificate { fingerprint, .. } => {
                Some(fingerprint.to_string())
            }
            Self::OpenPgp { fingerprint, .. } => Some(fingerprint.clone()),
            Self::Identity { .. } => None,
        }
    }

    /// Tells whether two signatures are by the same: the same key, or the same identity.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Identity {
                    identity, issuer, ..
                },
                Self::Identity {
                    identity: other_identity,
                    issuer: other_issuer,
                    ..
                },
            ) => identity == other_identity && issuer == other_issuer,
            _ => match (self.fingerprint(), other.fingerprint()) {
                (Some(one), Some(other)) => one.eq_ignore_ascii_case(&other),
                _ => false,
            },
        }
    }

    /// Returns when the signature was made, where its own kind has proof of it.
    pub const fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Identity { time, .. } => *time,
            _ => None,
        }
    }
}

/// One line for people.
impl fmt::Display for Signatory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { fingerprint } => write!(f, "key {fingerprint}"),
            Self::Certificate {
                subject, issuer, ..
            } => write!(f, "{subject}, certified by {issuer}"),
            Self::OpenPgp {
                fingerprint,
                user_ids,
            } => match user_ids.as_slice() {
                [] => write!(f, "OpenPGP key {fingerprint}"),
                [first, ..] => write!(f, "{first}, OpenPGP key {fingerprint}"),
            },
            Self::Identity {
                identity, issuer, ..
            } => write!(f, "{identity}, identified by {issuer}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_one_line() {
        let fingerprint = Digest::sha256("key");
        let certificate = Signatory::Certificate {
            subject: "CN=release,O=acme".to_owned(),
            issuer: "CN=ca,O=acme".to_owned(),
            fingerprint,
        };
        assert_eq!(
            certificate.to_string(),
            "CN=release,O=acme, certified by CN=ca,O=acme"
        );
        let key = Signatory::Key { fingerprint };
        assert_eq!(key.to_string(), format!("key {fingerprint}"));
        let pgp = |user_ids: &[&str]| Signatory::OpenPgp {
            fingerprint: "ABCD".to_owned(),
            user_ids: user_ids.iter().map(|&it| it.to_owned()).collect(),
        };
        assert_eq!(pgp(&[]).to_string(), "OpenPGP key ABCD");
        assert_eq!(
            pgp(&["Ann <ann@acme.org>", "Ann"]).to_string(),
            "Ann <ann@acme.org>, OpenPGP key ABCD"
        );
    }

    #[test]
    fn facts_are_written_by_their_kind() {
        let identity = Signatory::Identity {
            identity: "ann@acme.org".to_owned(),
            issuer: "https://id.acme.org".to_owned(),
            time: Some(Timestamp::UNIX_EPOCH),
        };
        assert_eq!(
            serde_json::to_value(&identity).unwrap(),
            serde_json::json!({
                "kind": "identity",
                "identity": "ann@acme.org",
                "issuer": "https://id.acme.org",
                "time": "1970-01-01T00:00:00Z",
            })
        );
    }
}
