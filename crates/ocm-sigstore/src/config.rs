//! How signatures are made and judged, as configuration files say it.

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use url::Url;

use crate::identity::{IdentityRules, Pattern, PatternError, Rule};

/// Which services make a signature, and for whom: `SigstoreSigningConfiguration/v1alpha1`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SigningConfiguration {
    /// The path of a [signing config](crate::Services::read), which names the services.
    /// Without it, they are those of the public instance.
    pub signing_config: Option<String>,
    /// The OpenID Connect issuer that identifies the signer.
    pub issuer: Option<Url>,
    /// As whom the signer asks the issuer.
    pub client_id: Option<String>,
}

impl SigningConfiguration {
    /// The type of the configuration, without version.
    pub const TYPE: &str = "SigstoreSigningConfiguration";

    /// Reads the configuration; its `type` is the caller's business.
    ///
    /// # Errors
    ///
    /// A field is unknown or malformed.
    pub fn from_value(value: &Value) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        struct Wire {
            #[serde(rename = "type")]
            _kind: Option<String>,
            #[serde(default)]
            signing_config: String,
            #[serde(default)]
            issuer: String,
            #[serde(default, rename = "clientID")]
            client_id: String,
            #[serde(default)]
            signature_algorithm: String,
        }
        let wire: Wire = read(Self::TYPE, value)?;
        if !["", crate::ALGORITHM, crate::LEGACY_ALGORITHM]
            .contains(&wire.signature_algorithm.as_str())
        {
            return Err(ConfigError::Algorithm(wire.signature_algorithm));
        }
        let issuer = set(wire.issuer)
            .map(|text| issuer_url("issuer", &text))
            .transpose()?;
        Ok(Self {
            signing_config: set(wire.signing_config),
            issuer,
            client_id: set(wire.client_id),
        })
    }
}

/// Whose signatures hold: `SigstoreVerificationConfiguration/v1alpha1`.
#[derive(Clone, Debug)]
pub struct VerificationConfiguration {
    /// Who must have signed.
    pub rules: IdentityRules,
    /// Whether the signature must be in a transparency log: it need not be if it was made with
    /// services of one's own (`privateInfrastructure`), whose trusted root must be given then.
    pub log: Log,
}

impl VerificationConfiguration {
    /// The type of the configuration, without version.
    pub const TYPE: &str = "SigstoreVerificationConfiguration";

    /// Reads the configuration; its `type` is the caller's business.
    ///
    /// # Errors
    ///
    /// A field is unknown or malformed, or there is not exactly one rule for each of issuer and
    /// identity.
    pub fn from_value(value: &Value) -> Result<Self, ConfigError> {
        let wire: VerificationWire = read(Self::TYPE, value)?;
        if !wire.issuer.is_empty() {
            issuer_url("certificateOIDCIssuer", &wire.issuer)?;
        }
        Ok(Self {
            rules: IdentityRules {
                issuer: rule("certificateOIDCIssuer", wire.issuer, &wire.issuer_regexp)?,
                identity: rule("certificateIdentity", wire.identity, &wire.identity_regexp)?,
            },
            log: Log::of_private(wire.private_infrastructure),
        })
    }

    /// Reads only whether a signature by a key must be in a log, for which there need be no rules.
    ///
    /// # Errors
    ///
    /// A field is unknown or malformed.
    pub fn log_from_value(value: &Value) -> Result<Log, ConfigError> {
        let wire: VerificationWire = read(Self::TYPE, value)?;
        Ok(Log::of_private(wire.private_infrastructure))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VerificationWire {
    #[serde(rename = "type")]
    _kind: Option<String>,
    #[serde(default)]
    private_infrastructure: bool,
    #[serde(default, rename = "certificateOIDCIssuer")]
    issuer: String,
    #[serde(default, rename = "certificateOIDCIssuerRegexp")]
    issuer_regexp: String,
    #[serde(default, rename = "certificateIdentity")]
    identity: String,
    #[serde(default, rename = "certificateIdentityRegexp")]
    identity_regexp: String,
}

/// Whether a signature must be in a transparency log.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Log {
    /// It must be, with proof.
    #[default]
    Required,
    /// It need not be. What the bundle says of a log must still fit the signature.
    Ignored,
}

impl Log {
    /// Services of one's own may have no log.
    const fn of_private(infrastructure: bool) -> Self {
        if infrastructure {
            Self::Ignored
        } else {
            Self::Required
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(kind: &'static str, value: &Value) -> Result<T, ConfigError> {
    T::deserialize(value).map_err(|source| ConfigError::Malformed { kind, source })
}

fn set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn rule(field: &'static str, exact: String, regexp: &str) -> Result<Rule, ConfigError> {
    match (exact.is_empty(), regexp.is_empty()) {
        (true, true) => Err(ConfigError::NoRule { field }),
        (false, false) => Err(ConfigError::TwoRules { field }),
        (false, true) => Ok(Rule::Exact(exact)),
        (true, false) => Pattern::parse(regexp)
            .map(Rule::Matches)
            .map_err(|source| ConfigError::Pattern { field, source }),
    }
}

/// Reads the URL of an issuer, which by OpenID Connect has neither query nor fragment.
fn issuer_url(field: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| url.has_host() && url.query().is_none() && url.fragment().is_none());
    url.ok_or_else(|| ConfigError::Issuer {
        field,
        text: text.to_owned(),
    })
}

/// Why a configuration of Sigstore cannot be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "each message names its fields")]
#[non_exhaustive]
pub enum ConfigError {
    /// The configuration has a field that is not known, or of another type.
    #[error("the {kind} is malformed")]
    Malformed {
        kind: &'static str,
        source: serde_json::Error,
    },
    /// Anybody would do.
    #[error("a verification without rule means nothing: set `{field}` or `{field}Regexp`")]
    NoRule { field: &'static str },
    /// One of two rules would be for show.
    #[error("only one of `{field}` and `{field}Regexp` can be set")]
    TwoRules { field: &'static str },
    /// A rule is no regular expression.
    #[error("`{field}Regexp` is malformed")]
    Pattern {
        field: &'static str,
        source: PatternError,
    },
    /// The issuer cannot be one.
    #[error("`{field}` is `{text}`, which is not the URL of an OpenID Connect issuer")]
    Issuer { field: &'static str, text: String },
    /// The algorithm is not one of Sigstore.
    #[error("`signatureAlgorithm` is `{0}`, which is not known; `Sigstore/v1alpha1` is")]
    Algorithm(String),
    /// What a private infrastructure signs says nothing to the public root.
    #[error("`privateInfrastructure` needs the trusted root of that infrastructure")]
    NoOwnRoot,
    /// A document of Sigstore cannot be read.
    #[error("{what} cannot be used: {reason}")]
    Document { what: &'static str, reason: String },
    /// A document is larger than any that is used.
    #[error("{what} has more than {limit} bytes")]
    TooLarge { what: &'static str, limit: usize },
    /// A signing config has no service of a kind that is valid now and speaks a known version.
    #[error("the signing config has no {service} that is valid at {at} and speaks a known version")]
    NoService {
        service: &'static str,
        at: jiff::Timestamp,
    },
    /// A signing config asks for more services than it names, or does not say how many.
    #[error("the signing config does not say which {service} to use, or wants more than it names")]
    Selection { service: &'static str },
    /// A service is not one on the network.
    #[error("the {service} in the signing config is `{url}`, which is not a URL of HTTP")]
    ServiceUrl { service: &'static str, url: String },
    /// A transparency log of the second version has no clock of its own.
    #[error("the signing config has a transparency log of version 2, and no timestamp authority")]
    NoClock,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(value: &Value) -> String {
        let error = VerificationConfiguration::from_value(value).unwrap_err();
        error.to_string()
    }

    #[test]
    fn a_verification_needs_one_rule_for_each() {
        let ok = json!({
            "type": "SigstoreVerificationConfiguration/v1alpha1",
            "certificateOIDCIssuer": "https://id.acme.org",
            "certificateIdentityRegexp": "@acme.org$",
        });
        let config = VerificationConfiguration::from_value(&ok).unwrap();
        assert_eq!(config.log, Log::Required);
        assert!(config.rules.identity.allows("ann@acme.org"));
        let log = VerificationConfiguration::log_from_value;
        let private = json!({"privateInfrastructure": true});
        assert_eq!(log(&private).unwrap(), Log::Ignored);

        assert_eq!(
            fault(&json!({"certificateIdentity": "a"})),
            "a verification without rule means nothing: set `certificateOIDCIssuer` or \
             `certificateOIDCIssuerRegexp`"
        );
        assert_eq!(
            fault(&json!({"certificateOIDCIssuerRegexp": ".*"})),
            "a verification without rule means nothing: set `certificateIdentity` or \
             `certificateIdentityRegexp`"
        );
        assert_eq!(
            fault(&json!({
                "certificateOIDCIssuerRegexp": ".*",
                "certificateIdentity": "a",
                "certificateIdentityRegexp": "a",
            })),
            "only one of `certificateIdentity` and `certificateIdentityRegexp` can be set"
        );
    }

    #[test]
    fn what_is_not_known_is_not_overlooked() {
        let typo = json!({
            "certificateOIDCIssuer": "https://id.acme.org",
            "certificateIdentity": "a",
            "privateInfrastucture": true,
        });
        assert_eq!(
            fault(&typo),
            "the SigstoreVerificationConfiguration is malformed"
        );
        for issuer in [
            "id.acme.org",
            "https://id.acme.org?a",
            "https://id.acme.org#a",
            "/a",
        ] {
            let config = json!({"certificateOIDCIssuer": issuer, "certificateIdentity": "a"});
            assert!(fault(&config).contains(issuer));
        }
    }

    #[test]
    fn a_signing_configuration_may_be_empty() {
        let read = |value| SigningConfiguration::from_value(&value);
        assert_eq!(read(json!({})).unwrap(), SigningConfiguration::default());
        let config = read(json!({
            "type": "SigstoreSigningConfiguration/v1alpha1",
            "signingConfig": "services.json",
            "issuer": "https://id.acme.org",
            "clientID": "ocm",
            "signatureAlgorithm": "Sigstore/v1alpha1",
        }))
        .unwrap();
        assert_eq!(config.client_id.as_deref(), Some("ocm"));
        assert!(read(json!({"signatureAlgorithm": "RSASSA-PSS"})).is_err());
        assert!(read(json!({"issuer": "mailto:ann@acme.org"})).is_err());
    }
}
