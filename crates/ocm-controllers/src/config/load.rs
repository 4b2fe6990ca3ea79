//! Reads the secrets and config maps that count for an object.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use ocm::config::{Config, Origin};
use ocm::digest::Digest;
use ocm::model::json;
use ocm_kube::ApiError;
use serde_json::Value;

use super::grant::{Refusal, Rules};
use super::sections::{self, SectionError};
use crate::api::EffectiveConfig;

/// The entry with a configuration.
const OCM: &str = ".ocmconfig";

/// The entry with a Docker configuration, in a secret.
const DOCKER: &str = ".dockerconfigjson";

/// A configuration, and where it is from.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// What counts of all sources, the last the strongest.
    pub config: Arc<Config>,
    /// The SHA-256 of what counts, as hexadecimal digits; empty where nothing does.
    pub hash: String,
    /// What has been read.
    pub sources: Vec<Source>,
}

/// A secret or config map.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Source {
    /// Which of them.
    pub kind: SourceKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Secret or config map.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SourceKind {
    /// A config map.
    ConfigMap,
    /// A secret.
    Secret,
}

impl Source {
    /// Returns what messages call it.
    fn label(&self) -> String {
        let kind = match self.kind {
            SourceKind::ConfigMap => "config map",
            SourceKind::Secret => "secret",
        };
        format!("{kind} {}/{}", self.namespace, self.name)
    }
}

/// Reads the configuration for an object of a namespace, or for one that is in none.
///
/// # Errors
///
/// A source is missing, may not be used, or has no configuration.
pub async fn load(
    client: &Client,
    rules: Rules,
    user: Option<&str>,
    entries: &[EffectiveConfig],
) -> Result<Loaded, LoadError> {
    let sources = entries.iter().map(|entry| source(entry, user));
    let sources = sources.collect::<Result<Vec<_>, _>>()?;
    let read = sources
        .iter()
        .map(|source| read(client, rules, user, source));
    let read = try_join_all(read).await?;
    let mut documents = Vec::new();
    let mut counting = Vec::new();
    for (source, entries) in sources.iter().zip(read) {
        counting.extend(entries.iter().cloned());
        let origin = Origin::named(source.label());
        let document = sections::document(entries, origin);
        documents.push(document.map_err(|error| LoadError::section(source, error))?);
    }
    let hash = if counting.is_empty() {
        String::new()
    } else {
        Digest::sha256(json::canonical(&Value::from(counting))).to_hex()
    };
    Ok(Loaded {
        config: Arc::new(Config::new(documents)),
        hash,
        sources,
    })
}

fn source(entry: &EffectiveConfig, user: Option<&str>) -> Result<Source, LoadError> {
    let kind = match entry.kind.as_str() {
        "Secret" => SourceKind::Secret,
        "ConfigMap" => SourceKind::ConfigMap,
        other => {
            let kind = other.to_owned();
            return Err(LoadError::Kind { kind });
        }
    };
    let namespace = entry.namespace.as_deref().or(user);
    let namespace = namespace.ok_or_else(|| LoadError::NoNamespace {
        name: entry.name.clone(),
    })?;
    Ok(Source {
        kind,
        namespace: namespace.to_owned(),
        name: entry.name.clone(),
    })
}

async fn read(
    client: &Client,
    rules: Rules,
    user: Option<&str>,
    source: &Source,
) -> Result<Vec<Value>, LoadError> {
    let answer = match source.kind {
        SourceKind::Secret => {
            let api = Api::<Secret>::namespaced(client.clone(), &source.namespace);
            api.get_opt(&source.name).await.map(|found| {
                found.map(|it| {
                    let data = it.data.unwrap_or_default();
                    let data = data.into_iter().map(|(key, value)| (key, value.0));
                    (it.metadata, data.collect())
                })
            })
        }
        SourceKind::ConfigMap => {
            let api = Api::<ConfigMap>::namespaced(client.clone(), &source.namespace);
            api.get_opt(&source.name).await.map(|found| {
                found.map(|it| {
                    let data = it.data.unwrap_or_default();
                    let data = data.into_iter().map(|(key, text)| (key, text.into_bytes()));
                    (it.metadata, data.collect())
                })
            })
        }
    };
    let found = answer.map_err(|error| LoadError::Read {
        what: source.label(),
        source: error.into(),
    })?;
    let allowed = found.as_ref().is_some_and(|(metadata, _)| {
        rules.allow(user, &source.namespace, metadata.annotations.as_ref())
    });
    match (found, user) {
        (Some((_, data)), _) if allowed => entries(source, &data),
        (_, Some(user)) if user != source.namespace => Err(LoadError::Refused(Refusal {
            what: source.label(),
            user: user.to_owned(),
        })),
        _ => Err(LoadError::Missing {
            what: source.label(),
        }),
    }
}

/// Returns what counts of the data of a source.
fn entries(source: &Source, data: &BTreeMap<String, Vec<u8>>) -> Result<Vec<Value>, LoadError> {
    let docker = match source.kind {
        SourceKind::Secret => data.get(DOCKER),
        SourceKind::ConfigMap => None,
    };
    let (key, bytes) = match (data.get(OCM), docker) {
        (Some(bytes), _) => (OCM, bytes),
        (None, Some(bytes)) => (DOCKER, bytes),
        (None, None) => {
            return Err(LoadError::NoEntry {
                what: source.label(),
            });
        }
    };
    let text = std::str::from_utf8(bytes).map_err(|_| LoadError::Text {
        what: source.label(),
        key,
    })?;
    let origin = Origin::named(source.label());
    let entries = match key {
        OCM => sections::read(text, &origin),
        _ => sections::of_docker(text, &origin),
    };
    entries.map_err(|error| LoadError::section(source, error))
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum LoadError {
    /// A source is not there.
    #[error("{what} does not exist")]
    Missing { what: String },
    /// A source cannot be read.
    #[error("cannot read {what}")]
    Read { what: String, source: ApiError },
    /// A source may not be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A source has none of the entries that are looked for.
    #[error("{what} has neither .ocmconfig nor, as a secret, .dockerconfigjson")]
    NoEntry { what: String },
    /// An entry is no text.
    #[error("{key} of {what} is not UTF-8")]
    Text { what: String, key: &'static str },
    /// What an entry has is not used.
    #[error("cannot use the configuration of {what}")]
    Section { what: String, source: SectionError },
    /// Objects of this kind have no configuration.
    #[error("unsupported reference kind: {kind}")]
    Kind { kind: String },
    /// It is not known where the source is.
    #[error("configuration {name} needs a namespace, as this object has none")]
    NoNamespace { name: String },
}

impl LoadError {
    fn section(source: &Source, error: SectionError) -> Self {
        Self::Section {
            what: source.label(),
            source: error,
        }
    }

    /// Tells whether the same may succeed without anything being changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Read { source, .. } if source.is_transient())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Source {
        Source {
            kind: SourceKind::Secret,
            namespace: "a".to_owned(),
            name: "s".to_owned(),
        }
    }

    #[test]
    fn a_configuration_wins_over_a_docker_configuration() {
        let docker = (DOCKER.to_owned(), b"{}".to_vec());
        let ocm = (
            OCM.to_owned(),
            b"type: resolvers.config.ocm.software".to_vec(),
        );
        let both = BTreeMap::from([docker.clone(), ocm]);
        let found = entries(&secret(), &both).expect("a configuration");
        assert_eq!(found[0]["type"], "resolvers.config.ocm.software");

        let one = BTreeMap::from([docker]);
        let found = entries(&secret(), &one).expect("a docker configuration");
        assert_eq!(
            found[0]["repositories"][0]["repository"]["type"],
            "DockerConfig/v1"
        );
    }

    #[test]
    fn a_config_map_has_no_docker_configuration() {
        let source = Source {
            kind: SourceKind::ConfigMap,
            ..secret()
        };
        let data = BTreeMap::from([(DOCKER.to_owned(), b"{}".to_vec())]);
        let error = entries(&source, &data).expect_err("nothing to use");
        assert_eq!(
            error.to_string(),
            "config map a/s has neither .ocmconfig nor, as a secret, .dockerconfigjson"
        );
    }

    #[test]
    fn malformed_entries_name_their_object() {
        for bytes in [&b"\xff"[..], b"{", b"[]", b"a: b"] {
            let data = BTreeMap::from([(OCM.to_owned(), bytes.to_vec())]);
            let error = entries(&secret(), &data).expect_err("malformed");
            assert!(error.to_string().contains("secret a/s"), "{error}");
        }
    }
}
