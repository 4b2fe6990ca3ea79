//! Consumer identities: who needs credentials.

mod matching;
mod path_pattern;

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

pub use self::matching::Mismatch;
pub(crate) use self::matching::{Specificity, canonical_host, compare, same_type};
use crate::typed;

/// Who needs credentials: a type and attributes, such as a registry with its host name.
///
/// In a configuration it is a pattern, in a lookup it is concrete.
///
/// ```
/// use ocm_config::ConsumerIdentity;
///
/// let identity = ConsumerIdentity::oci_registry("https://ghcr.io:5000/acme/shop")?;
/// assert_eq!(
///     identity.to_string(),
///     "OCIRegistry{hostname=ghcr.io,path=acme/shop,port=5000,scheme=https}"
/// );
/// # Ok::<(), ocm_config::ParseIdentityError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ConsumerIdentity {
    kind: String,
    attributes: BTreeMap<String, String>,
}

impl ConsumerIdentity {
    /// The attribute with the host name.
    pub const HOSTNAME: &str = "hostname";
    /// The attribute with the URL scheme.
    pub const SCHEME: &str = "scheme";
    /// The attribute with the port.
    pub const PORT: &str = "port";
    /// The attribute with the path, which is a pattern in a configuration.
    pub const PATH: &str = "path";
    /// The attribute with a path that others start with, from the first generation of the tools.
    pub const PATH_PREFIX: &str = "pathprefix";

    /// Starts an identity of a type, such as `RSA/v1alpha1`.
    pub fn new(kind: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            attributes: BTreeMap::new(),
        }
    }

    /// Adds an attribute. An empty value is the same as none, and slashes around paths do not count.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        let value = value.into();
        let value = match name.as_str() {
            Self::PATH | Self::PATH_PREFIX => value.trim_matches('/').to_owned(),
            _ => value,
        };
        if value.is_empty() {
            self.attributes.remove(&name);
        } else {
            self.attributes.insert(name, value);
        }
        self
    }

    /// Makes the identity of a URL, whose scheme may be left out.
    ///
    /// # Errors
    ///
    /// When the text is no URL or has no host.
    pub fn from_url(kind: impl Into<String>, url: &str) -> Result<Self, ParseIdentityError> {
        const NO_SCHEME: &str = "none://";
        let has_scheme = url.contains("://");
        let full = if has_scheme {
            url.to_owned()
        } else {
            format!("{NO_SCHEME}{url}")
        };
        let parsed = Url::parse(&full).map_err(|source| ParseIdentityError::Url {
            url: url.to_owned(),
            source,
        })?;
        let Some(host) = parsed.host_str().filter(|host| !host.is_empty()) else {
            return Err(ParseIdentityError::NoHost {
                url: url.to_owned(),
            });
        };
        let scheme = if has_scheme { parsed.scheme() } else { "" };
        let port = parsed.port().map(|port| port.to_string());
        Ok(Self::new(kind)
            .with(Self::SCHEME, scheme)
            .with(Self::HOSTNAME, host.trim_matches(['[', ']']))
            .with(Self::PORT, port.unwrap_or_default())
            .with(Self::PATH, parsed.path()))
    }

    /// Makes the identity of an OCI registry, with the path of a repository in it.
    ///
    /// # Errors
    ///
    /// As [`from_url`](Self::from_url).
    pub fn oci_registry(url: &str) -> Result<Self, ParseIdentityError> {
        Self::from_url("OCIRegistry", url)
    }

    /// Makes the identity of RSA keys for a signature.
    pub fn rsa(algorithm: &str, signature: &str) -> Self {
        Self::new("RSA/v1alpha1")
            .with("algorithm", algorithm)
            .with("signature", signature)
    }

    /// Makes the identity of OpenPGP keys for a signature.
    pub fn gpg(signature: &str) -> Self {
        Self::new("GPG/v1alpha1").with("signature", signature)
    }

    /// The type as it is written, with or without a version.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The type without its version.
    pub fn name(&self) -> &str {
        typed::name(&self.kind)
    }

    /// Returns an attribute.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    /// The attributes besides the type.
    pub const fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }
}

impl fmt::Display for ConsumerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{{", self.kind)?;
        for (position, (name, value)) in self.attributes.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            write!(f, "{comma}{name}={value}")?;
        }
        f.write_str("}")
    }
}

/// Why a text names no consumer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum ParseIdentityError {
    /// No URL.
    #[error("`{url}` is not a URL")]
    Url {
        url: String,
        source: url::ParseError,
    },
    /// No host, so nobody to log in to.
    #[error("`{url}` has no host")]
    NoHost { url: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_scheme_has_none() {
        let identity = ConsumerIdentity::oci_registry("localhost:5000/a/").unwrap();
        assert_eq!(
            identity.to_string(),
            "OCIRegistry{hostname=localhost,path=a,port=5000}"
        );
    }

    #[test]
    fn an_address_of_ip_version_6_loses_its_brackets() {
        let identity = ConsumerIdentity::oci_registry("http://[::1]:5000").unwrap();
        assert_eq!(identity.get("hostname"), Some("::1"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "http://", "a b:x", "file:///x"] {
            assert!(ConsumerIdentity::oci_registry(text).is_err(), "{text}");
        }
    }
}
