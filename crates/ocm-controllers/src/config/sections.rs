//! What of a configuration counts for the controllers.
//!
//! A configuration is written by who may write in a namespace, and is used by a process that serves
//! all of them. So it can say where components are, how they are transferred, and state
//! credentials; it cannot change the process, have it read files, or start programs.

use ocm::config::{ConfigDocument, ConfigEntry, DocumentError, Origin};
use ocm::model::{RepositorySpec, TypedSpec, json};
use serde_json::{Map, Value};

/// The types that count, and the version that each may state.
const ALLOWED: &[(&str, &str)] = &[
    ("ocm.config.ocm.software", "v1"),
    (CREDENTIALS, "v1"),
    ("resolvers.config.ocm.software", "v1alpha1"),
    ("transfer.config.ocm.software", "v1alpha1"),
];

const CREDENTIALS: &str = "credentials.config.ocm.software";

/// Reads a document in YAML or JSON, of which only what is allowed stays.
pub(super) fn read(text: &str, origin: &Origin) -> Result<Vec<Value>, SectionError> {
    let document = ConfigDocument::parse(text, origin.clone())?;
    let entries = document.entries().iter().filter(|entry| {
        let is_allowed = is_allowed(entry);
        if !is_allowed {
            tracing::debug!(kind = entry.kind(), %origin, "left out of the configuration");
        }
        is_allowed
    });
    entries
        .map(|entry| {
            let mut value = entry.exposed().clone();
            let refused = match entry.name() {
                CREDENTIALS => files(&value).or_else(|| helpers(&value)),
                _ => archives(&value),
            };
            if let Some(part) = refused {
                let at = entry.location().to_string();
                return Err(SectionError::Machine { at, part });
            }
            // Names for repositories are of the command line.
            if let Some(fields) = value.as_object_mut() {
                fields.shift_remove("aliases");
            }
            Ok(value)
        })
        .collect()
}

/// Returns the configuration that says what a Docker configuration says.
pub(super) fn of_docker(docker: &str, origin: &Origin) -> Result<Vec<Value>, SectionError> {
    let at = || format!("{origin}: .dockerconfigjson");
    // In its parsed form the file is looked into, so that it cannot name helpers.
    let config = json::parse(docker.as_bytes()).map_err(|source| SectionError::Docker {
        at: at(),
        source: Box::new(source),
    })?;
    let repository = object([("type", "DockerConfig/v1".into()), ("dockerConfig", config)]);
    let entry = object([
        ("type", format!("{CREDENTIALS}/v1").into()),
        (
            "repositories",
            vec![object([("repository", repository)])].into(),
        ),
    ]);
    match helpers(&entry) {
        Some(part) => Err(SectionError::Machine { at: at(), part }),
        None => Ok(vec![entry]),
    }
}

/// Puts entries into one document.
pub(super) fn document(
    entries: Vec<Value>,
    origin: Origin,
) -> Result<ConfigDocument, SectionError> {
    let container = object([
        ("type", "generic.config.ocm.software/v1".into()),
        ("configurations", entries.into()),
    ]);
    Ok(ConfigDocument::from_value(&container, origin)?)
}

fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value));
    Value::Object(Map::from_iter(fields))
}

fn is_allowed(entry: &ConfigEntry) -> bool {
    let version = entry.kind().strip_prefix(entry.name()).unwrap_or_default();
    ALLOWED.iter().any(|(name, allowed)| {
        *name == entry.name() && (version.is_empty() || version.strip_prefix('/') == Some(*allowed))
    })
}

/// Returns the name of a field, at any depth, that names a file.
fn files(value: &Value) -> Option<String> {
    let is_file = |name: &str, value: &Value| {
        let names_file = name.ends_with("File") && value.as_str().is_some_and(|it| !it.is_empty());
        names_file.then(|| name.to_owned())
    };
    find(value, &is_file)
}

/// Returns what, in a Docker configuration at any depth, names a program; also in one that is
/// written as a text.
fn helpers(value: &Value) -> Option<String> {
    let is_helper = |name: &str, value: &Value| match (name, value) {
        ("credsStore", Value::String(helper)) if !helper.is_empty() => Some(name.to_owned()),
        ("credHelpers", Value::Object(helpers)) if !helpers.is_empty() => Some(name.to_owned()),
        ("dockerConfig", Value::String(text)) => {
            let docker = json::parse(text.as_bytes()).ok()?;
            helpers(&docker)
        }
        _ => None,
    };
    find(value, &is_helper)
}

/// Returns the type of a repository among the resolvers that is a file.
fn archives(value: &Value) -> Option<String> {
    let resolvers = value.get("resolvers").and_then(Value::as_array);
    resolvers.into_iter().flatten().find_map(|resolver| {
        let spec = TypedSpec::from_json(resolver.get("repository")?.clone()).ok()?;
        let kind = spec.type_text().to_owned();
        match RepositorySpec::try_from(spec) {
            Ok(RepositorySpec::Ctf(_) | RepositorySpec::ComponentArchive(_)) => Some(kind),
            _ => None,
        }
    })
}

/// Looks at each field at any depth.
fn find(value: &Value, wanted: &dyn Fn(&str, &Value) -> Option<String>) -> Option<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| wanted(name, value).or_else(|| find(value, wanted))),
        Value::Array(items) => items.iter().find_map(|item| find(item, wanted)),
        _ => None,
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each message names its fields")]
pub enum SectionError {
    /// It is none.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A Docker configuration is no JSON.
    #[error("{at} is no docker configuration")]
    Docker {
        at: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It would have the controllers read a file or run a program.
    #[error("{at}: `{part}` is of no use here: files and programs of the controllers are not used")]
    Machine { at: String, part: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<String> {
        let entries = read(text, &Origin::named("test")).expect("a configuration");
        let kinds = entries.iter().map(|it| it["type"].as_str());
        kinds.map(|it| it.unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn only_allowed_types_and_versions_stay_also_out_of_containers() {
        let text = "
type: generic.config.ocm.software/v1
configurations:
- {type: http.config.ocm.software/v1alpha1}
- {type: credentials.config.ocm.software}
- {type: resolvers.config.ocm.software/v1}
- type: generic.config.ocm.software/v1
  configurations:
  - {type: resolvers.config.ocm.software/v1alpha1}
  - {type: plugin.config.ocm.software/v1}
";
        let expected = [
            "credentials.config.ocm.software",
            "resolvers.config.ocm.software/v1alpha1",
        ];
        assert_eq!(kinds(text), expected);
    }

    #[test]
    fn a_bare_document_of_credentials_is_not_silently_empty() {
        let text = "{type: credentials.config.ocm.software/v1, consumers: []}";
        assert_eq!(kinds(text), ["credentials.config.ocm.software/v1"]);
    }

    #[test]
    fn aliases_are_of_the_command_line() {
        let text =
            "{type: ocm.config.ocm.software, aliases: {a: {type: OCIRegistry}}, resolvers: []}";
        let entries = read(text, &Origin::named("test")).expect("a configuration");
        assert!(entries[0].get("aliases").is_none());
        assert!(entries[0].get("resolvers").is_some());
    }

    #[test]
    fn files_and_programs_of_the_controllers_are_refused() {
        let repository = |fields: &str| {
            format!(
                "{{type: credentials.config.ocm.software, repositories: [{{repository: \
                 {{type: DockerConfig/v1, {fields}}}}}]}}"
            )
        };
        for (text, part) in [
            (
                repository("dockerConfigFile: /root/.docker"),
                "dockerConfigFile",
            ),
            (repository("dockerConfig: {credsStore: x}"), "credsStore"),
            (
                repository(r#"dockerConfig: '{"credHelpers": {"a": "b"}}'"#),
                "credHelpers",
            ),
            (
                "{type: resolvers.config.ocm.software, resolvers: [{repository: \
                 {type: CommonTransportFormat/v1, filePath: /etc}}]}"
                    .to_owned(),
                "CommonTransportFormat/v1",
            ),
            (
                "{type: credentials.config.ocm.software, consumers: [{identity: {type: RSA}, \
                 credentials: [{type: Credentials/v1, properties: {tokenFile: /var/run/token}}]}]}"
                    .to_owned(),
                "tokenFile",
            ),
        ] {
            let error = read(&text, &Origin::named("test")).expect_err("refused");
            assert!(error.to_string().contains(part), "{error}");
        }
        let docker = r#"{"auths": {}, "credsStore": "pass"}"#;
        of_docker(docker, &Origin::named("test")).expect_err("a program");
    }
}
