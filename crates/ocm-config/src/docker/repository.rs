//! `DockerConfig/v1`: a Docker configuration as a repository of credentials.

use std::sync::Arc;

use serde_json::Value;

use super::{DockerConfigFile, Error};
use crate::credentials::{Bases, Credentials};
use crate::document;
use crate::environment::Environment;
use crate::identity::ConsumerIdentity;
use crate::node::Node;

/// Where the configuration is.
#[derive(Clone, Debug)]
pub(crate) enum DockerRepository {
    /// In the document itself.
    Inline(DockerConfigFile),
    /// In a file that the document names.
    File { path: String, bases: Arc<Bases> },
    /// Where Docker and podman keep it.
    Default,
}

impl DockerRepository {
    pub(crate) const TYPE: &str = "DockerConfig";

    /// Reads the specification of a repository.
    pub(crate) fn read(node: &Node<'_>, bases: Arc<Bases>) -> Result<Self, document::Error> {
        if let Some(path) = filled(node, "dockerConfigFile")? {
            return Ok(Self::File { path, bases });
        }
        let Some(field) = node.get("dockerConfig") else {
            return Ok(Self::Default);
        };
        let text = match field.value {
            Value::String(text) if text.is_empty() => return Ok(Self::Default),
            Value::String(text) => text.clone(),
            Value::Object(_) => field.value.to_string(),
            _ => return Err(field.unexpected("a docker configuration")),
        };
        DockerConfigFile::parse(&text, node.source.origin.clone())
            .map(Self::Inline)
            .map_err(|_| field.invalid("expected a docker configuration in JSON"))
    }

    /// Finds the credentials for a registry.
    ///
    /// The files are read each time, so that a login in between counts. Of the default files, one
    /// that is broken is no concern of a registry that another one knows.
    pub(crate) async fn resolve(
        &self,
        registry: &ConsumerIdentity,
        env: &Environment,
    ) -> Result<Option<Credentials>, Error> {
        let paths = match self {
            Self::Inline(file) => return file.resolve(registry, env).await,
            Self::File { path, bases } => vec![bases.locate(path).await],
            Self::Default => DockerConfigFile::default_paths(env),
        };
        let mut broken = None;
        for path in paths {
            let found = match DockerConfigFile::open(&path).await {
                Ok(file) => file.resolve(registry, env).await,
                Err(error) => Err(error),
            };
            match found {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) => broken = broken.or(Some(error)),
            }
        }
        broken.map_or(Ok(None), Err)
    }
}

fn filled(node: &Node<'_>, name: &str) -> Result<Option<String>, document::Error> {
    let text = node.text_field(name)?;
    Ok(text.filter(|text| !text.is_empty()))
}
