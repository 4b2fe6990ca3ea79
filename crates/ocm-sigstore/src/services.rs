//! Which services make a signature.

use jiff::Timestamp;
use sigstore_trust_root::{
    SIGSTORE_PRODUCTION_SIGNING_CONFIG, SUPPORTED_FULCIO_VERSIONS, SUPPORTED_REKOR_VERSIONS,
    SUPPORTED_TSA_VERSIONS, ServiceConfiguration, ServiceEndpoint, ServiceSelector, SigningConfig,
};
use url::Url;

use crate::config::ConfigError;

/// The most bytes of a signing config.
pub const MAX_SIGNING_CONFIG_SIZE: usize = 1 << 20;

/// The services that make signatures at some time: who certifies, who logs, who stamps.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Services {
    /// The certificate authority (Fulcio), if the signing config has one.
    pub authority: Option<Url>,
    /// The transparency logs (Rekor).
    pub logs: Vec<TransparencyLog>,
    /// The timestamp authorities (RFC 3161).
    pub clocks: Vec<Url>,
    /// The OpenID Connect issuer for who has no token, if the signing config has one.
    pub issuer: Option<Url>,
}

/// A transparency log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TransparencyLog {
    /// Where it is.
    pub url: Url,
    /// How one speaks to it.
    pub version: LogVersion,
}

/// The protocol of a transparency log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogVersion {
    /// Rekor, which also testifies the time.
    V1,
    /// Rekor on tiles, which does not, so that it takes a timestamp authority besides.
    V2,
}

impl Services {
    /// Returns the services of the public instance of Sigstore.
    ///
    /// # Errors
    ///
    /// None of those that this program knows is valid any more.
    pub fn public(at: Timestamp) -> Result<Self, ConfigError> {
        Self::read(SIGSTORE_PRODUCTION_SIGNING_CONFIG.as_bytes(), at)
    }

    /// Reads a signing config, in JSON (`application/vnd.dev.sigstore.signingconfig.v0.2+json`),
    /// and chooses as it says: the newest services of the highest known version that are valid.
    ///
    /// # Errors
    ///
    /// The document is too large or malformed, or what it asks for is not there.
    pub fn read(json: &[u8], at: Timestamp) -> Result<Self, ConfigError> {
        const WHAT: &str = "the signing config";
        let limit = MAX_SIGNING_CONFIG_SIZE;
        if json.len() > limit {
            return Err(ConfigError::TooLarge { what: WHAT, limit });
        }
        let document = |reason| ConfigError::Document { what: WHAT, reason };
        let text = std::str::from_utf8(json).map_err(|error| document(error.to_string()))?;
        let config = SigningConfig::from_json(text).map_err(|error| document(error.to_string()))?;

        let one = ServiceConfiguration::default();
        let choose = |service, endpoints: &[ServiceEndpoint], versions, rule| {
            Choice {
                service,
                at,
                versions,
            }
            .choose(endpoints, rule)
        };
        let authorities = choose(
            "certificate authority",
            &config.ca_urls,
            SUPPORTED_FULCIO_VERSIONS,
            &one,
        )?;
        let issuers = choose("issuer", &config.oidc_urls, &[1], &one)?;
        let logs = choose(
            "transparency log",
            &config.rekor_tlog_urls,
            SUPPORTED_REKOR_VERSIONS,
            &config.rekor_tlog_config,
        )?;
        let clocks = choose(
            "timestamp authority",
            &config.tsa_urls,
            SUPPORTED_TSA_VERSIONS,
            &config.tsa_config,
        )?;
        let services = Self {
            authority: first(authorities),
            logs: logs
                .into_iter()
                .map(|(url, version)| TransparencyLog {
                    url,
                    version: if version == 1 {
                        LogVersion::V1
                    } else {
                        LogVersion::V2
                    },
                })
                .collect(),
            clocks: clocks.into_iter().map(|(url, _)| url).collect(),
            issuer: first(issuers),
        };
        services.check()?;
        Ok(services)
    }

    /// Checks that what these services make can be verified.
    fn check(&self) -> Result<(), ConfigError> {
        let is_timeless = |log: &TransparencyLog| log.version == LogVersion::V2;
        if self.clocks.is_empty() && self.logs.iter().any(is_timeless) {
            return Err(ConfigError::NoClock);
        }
        Ok(())
    }
}

fn first(chosen: Vec<(Url, u32)>) -> Option<Url> {
    chosen.into_iter().next().map(|(url, _)| url)
}

/// Chooses services of a kind.
struct Choice<'a> {
    service: &'static str,
    at: Timestamp,
    versions: &'a [u32],
}

impl Choice<'_> {
    /// Of the highest version that anybody speaks, the newest service of each operator, as many as
    /// the rule says. A kind of which the document names none is not used.
    fn choose(
        &self,
        endpoints: &[ServiceEndpoint],
        rule: &ServiceConfiguration,
    ) -> Result<Vec<(Url, u32)>, ConfigError> {
        if endpoints.is_empty() {
            return Ok(Vec::new());
        }
        let service = self.service;
        let mut usable: Vec<&ServiceEndpoint> = endpoints
            .iter()
            .filter(|it| it.valid_for.contains(self.at))
            .filter(|it| self.versions.contains(&it.major_api_version))
            .collect();
        usable.sort_by_key(|it| std::cmp::Reverse((it.major_api_version, it.valid_for.start)));
        let Some(highest) = usable.first().map(|it| it.major_api_version) else {
            let at = self.at;
            return Err(ConfigError::NoService { service, at });
        };
        usable.retain(|it| it.major_api_version == highest);
        let mut operators = std::collections::BTreeSet::new();
        usable.retain(|it| operators.insert(it.operator.clone()));
        let wanted = match (rule.selector, rule.count) {
            (ServiceSelector::Any, _) => 1,
            (ServiceSelector::All, _) => usable.len(),
            (ServiceSelector::Exact, Some(count)) => usize::try_from(count).unwrap_or(usize::MAX),
            _ => 0,
        };
        if wanted == 0 || wanted > usable.len() {
            return Err(ConfigError::Selection { service });
        }
        usable.truncate(wanted);
        usable.into_iter().map(|it| self.url(it)).collect()
    }

    fn url(&self, endpoint: &ServiceEndpoint) -> Result<(Url, u32), ConfigError> {
        let url = Url::parse(&endpoint.url).ok();
        let url = url.filter(|url| matches!(url.scheme(), "https" | "http") && url.has_host());
        match url {
            Some(url) => Ok((url, endpoint.major_api_version)),
            None => Err(ConfigError::ServiceUrl {
                service: self.service,
                url: endpoint.url.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn endpoint(url: &str, version: u32, start: &str, operator: &str) -> Value {
        json!({
            "url": url,
            "majorApiVersion": version,
            "validFor": {"start": start},
            "operator": operator,
        })
    }

    fn config(logs: &[Value], selection: &Value) -> Vec<u8> {
        let tsa = endpoint(
            "https://tsa.acme.org/api",
            1,
            "2024-01-01T00:00:00Z",
            "acme",
        );
        let config = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "rekorTlogUrls": logs,
            "rekorTlogConfig": selection,
            "tsaUrls": [tsa],
            "tsaConfig": {"selector": "ANY"},
        });
        config.to_string().into_bytes()
    }

    fn logs(json: &[u8]) -> Result<Vec<String>, ConfigError> {
        let services = Services::read(json, at("2026-01-01T00:00:00Z"))?;
        Ok(services
            .logs
            .iter()
            .map(|log| log.url.to_string())
            .collect())
    }

    #[test]
    fn the_public_services_are_known() {
        let services = Services::public(at("2026-11-01T00:00:00Z")).unwrap();
        let authority = services.authority.unwrap();
        assert_eq!(authority.as_str(), "https://fulcio.sigstore.dev/");
        assert!(!services.logs.is_empty() && !services.clocks.is_empty());
        assert!(services.issuer.is_some());
    }

    #[test]
    fn the_newest_of_the_highest_version_is_chosen() {
        let all = [
            endpoint("https://old.acme.org/", 1, "2020-01-01T00:00:00Z", "acme"),
            endpoint("https://two.acme.org/", 2, "2024-01-01T00:00:00Z", "acme"),
            endpoint("https://new.acme.org/", 2, "2025-01-01T00:00:00Z", "acme"),
            endpoint("https://next.acme.org/", 2, "2027-01-01T00:00:00Z", "acme"),
            endpoint("https://far.acme.org/", 9, "2020-01-01T00:00:00Z", "acme"),
            endpoint("https://b.org/", 2, "2023-01-01T00:00:00Z", "b"),
        ];
        let any = json!({"selector": "ANY"});
        assert_eq!(
            logs(&config(&all, &any)).unwrap(),
            ["https://new.acme.org/"]
        );
        let both = ["https://new.acme.org/", "https://b.org/"];
        let every = json!({"selector": "ALL"});
        assert_eq!(logs(&config(&all, &every)).unwrap(), both);
        let two = json!({"selector": "EXACT", "count": 2});
        assert_eq!(logs(&config(&all, &two)).unwrap(), both);
        for bad in [
            json!({"selector": "EXACT", "count": 3}),
            json!({"selector": "EXACT"}),
            json!({"selector": "SERVICE_SELECTOR_UNDEFINED"}),
        ] {
            let error = logs(&config(&all, &bad)).unwrap_err();
            assert!(matches!(error, ConfigError::Selection { .. }), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        let any = json!({"selector": "ANY"});
        let later = endpoint("https://a.org/", 2, "2027-01-01T00:00:00Z", "a");
        let error = logs(&config(&[later], &any)).unwrap_err();
        assert!(matches!(error, ConfigError::NoService { .. }), "{error}");
        let file = endpoint("file:///etc/passwd", 1, "2020-01-01T00:00:00Z", "a");
        let error = logs(&config(&[file], &any)).unwrap_err();
        assert!(matches!(error, ConfigError::ServiceUrl { .. }), "{error}");
        let clockless = json!({
            "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
            "rekorTlogUrls": [endpoint("https://a.org/", 2, "2020-01-01T00:00:00Z", "a")],
            "rekorTlogConfig": {"selector": "ANY"},
        });
        let error = logs(clockless.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, ConfigError::NoClock), "{error}");
        for json in [&b"{}"[..], b"", b"{", b"\xff"] {
            assert!(matches!(logs(json), Err(ConfigError::Document { .. })));
        }
    }
}
