//! `resolvers.config.ocm.software` and its predecessor: which repository has a component.

use serde_json::Value;

use crate::document::Error;
use crate::node::Node;

/// A repository for the components that match a pattern.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolver {
    /// The typed specification of the repository.
    pub repository: Value,
    /// A glob for component names. None and an empty one match all.
    pub component_name_pattern: Option<String>,
    /// A constraint for versions.
    pub version_constraint: Option<String>,
}

/// A repository for the components below a prefix, as `ocm.config.ocm.software` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct PrefixResolver {
    /// The typed specification of the repository.
    pub repository: Value,
    /// Whole path segments that the component name starts with. None matches all.
    pub prefix: Option<String>,
    /// Higher ones are asked first; 10 unless given.
    pub priority: i64,
}

impl Resolver {
    pub(crate) const TYPE: &str = "resolvers.config.ocm.software";

    pub(crate) fn read_all(node: &Node<'_>) -> Result<Vec<Self>, Error> {
        let read = |item: Node<'_>| {
            Ok(Self {
                repository: repository(&item)?,
                component_name_pattern: filled(&item, "componentNamePattern")?,
                version_constraint: filled(&item, "versionConstraint")?,
            })
        };
        node.items("resolvers")?.into_iter().map(read).collect()
    }
}

impl PrefixResolver {
    pub(crate) const TYPE: &str = "ocm.config.ocm.software";

    const DEFAULT_PRIORITY: i64 = 10;

    pub(crate) fn read_all(node: &Node<'_>) -> Result<Vec<Self>, Error> {
        let read = |item: Node<'_>| {
            let priority = item
                .get("priority")
                .map(|node| node.integer())
                .transpose()?;
            Ok(Self {
                repository: repository(&item)?,
                prefix: filled(&item, "prefix")?,
                priority: priority.unwrap_or(Self::DEFAULT_PRIORITY),
            })
        };
        node.items("resolvers")?.into_iter().map(read).collect()
    }
}

fn repository(node: &Node<'_>) -> Result<Value, Error> {
    let field = node.require("repository")?;
    field.object()?;
    field.require("type")?.text()?;
    Ok(field.value.clone())
}

fn filled(node: &Node<'_>, name: &str) -> Result<Option<String>, Error> {
    let text = node.text_field(name)?;
    Ok(text.filter(|text| !text.is_empty()))
}
