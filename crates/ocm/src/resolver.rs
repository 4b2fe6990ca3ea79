//! Where referenced components are.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_model::repository::ParseRepositoryError;
use ocm_model::{ComponentName, ComponentVersionId, Constraint, RepositorySpec, TypedSpec};
use ocm_repository::{Error, RepositoryRef, StoredVersion};

use crate::error;
use crate::session::{Ocm, Use};

/// Finds referenced component versions: first where the reference stands, then in the
/// repositories that the configuration names for them, in their order.
#[derive(Clone, Debug)]
pub struct Resolvers {
    ocm: Ocm,
    primary: RepositoryRef,
    entries: Arc<[Entry]>,
    /// What has been opened, so that one place is one repository, however often it is asked.
    opened: Arc<tokio::sync::Mutex<BTreeMap<String, RepositoryRef>>>,
}

/// A repository that serves some components.
#[derive(Clone, Debug)]
struct Entry {
    pattern: Pattern,
    constraint: Option<Constraint>,
    repository: RepositorySpec,
}

/// Which components a repository serves.
#[derive(Clone, Debug)]
enum Pattern {
    /// A glob over the whole name; `*` crosses slashes.
    Glob(String),
    /// Whole segments at the start of the name; empty is every name.
    Prefix(String),
}

impl Pattern {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Glob(pattern) => glob(pattern.as_bytes(), name.as_bytes()),
            Self::Prefix(prefix) => {
                let rest = name.strip_prefix(prefix.as_str());
                prefix.is_empty()
                    || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

/// Reads the repository of a resolver.
fn repository(value: serde_json::Value) -> Result<RepositorySpec, error::Error> {
    let spec = TypedSpec::from_json(value).map_err(ParseRepositoryError::from);
    let repository = spec.and_then(RepositorySpec::try_from);
    Ok(repository.map_err(crate::AddressError::from)?)
}

/// Matches `*` and `?`, without backtracking more than one star: linear in practice.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while position < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, position));
                at += 1;
            }
            Some(&byte) if byte == b'?' || byte == text[position] => {
                at += 1;
                position += 1;
            }
            _ => match &mut star {
                Some((back, from)) => {
                    *from += 1;
                    (at, position) = (*back + 1, *from);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

impl Ocm {
    /// Returns the resolvers for references that stand in a repository.
    ///
    /// # Errors
    ///
    /// The configuration cannot be read, or names a repository that is none.
    pub async fn resolvers(&self, primary: &RepositoryRef) -> Result<Resolvers, error::Error> {
        let config = self.config().await?;
        let mut entries = Vec::new();
        for resolver in config.resolvers()? {
            let constraint = resolver
                .version_constraint
                .as_deref()
                .filter(|text| !text.is_empty());
            let constraint = constraint.map(str::parse).transpose().map_err(|error| {
                let what = "versionConstraint of a resolver".to_owned();
                ocm_oci::Error::malformed(what, format!("{error}"))
            })?;
            let pattern = resolver
                .component_name_pattern
                .unwrap_or_else(|| "*".to_owned());
            let pattern = Pattern::Glob(if pattern.is_empty() {
                "*".to_owned()
            } else {
                pattern
            });
            let repository = repository(resolver.repository)?;
            entries.push(Entry {
                pattern,
                constraint,
                repository,
            });
        }
        let mut prefixes = config.prefix_resolvers()?;
        prefixes.sort_by_key(|resolver| std::cmp::Reverse(resolver.priority));
        for resolver in prefixes {
            let pattern = Pattern::Prefix(resolver.prefix.unwrap_or_default());
            let repository = repository(resolver.repository)?;
            entries.push(Entry {
                pattern,
                constraint: None,
                repository,
            });
        }
        Ok(Resolvers {
            ocm: self.clone(),
            primary: Arc::clone(primary),
            entries: entries.into(),
            opened: Arc::default(),
        })
    }
}

impl Resolvers {
    /// Looks into these repositories as well, after all others.
    #[must_use]
    pub fn and_in(mut self, repositories: &[RepositorySpec]) -> Self {
        let more = repositories.iter().map(|repository| Entry {
            pattern: Pattern::Prefix(String::new()),
            constraint: None,
            repository: repository.clone(),
        });
        let entries = self.entries.iter().cloned();
        self.entries = entries.chain(more).collect();
        self
    }

    /// Finds and reads a component version.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if no repository has it, or a repository fails.
    pub async fn component_version(
        &self,
        id: &ComponentVersionId,
    ) -> Result<(RepositoryRef, StoredVersion), Error> {
        match self.primary.component_version(id).await {
            Ok(stored) => return Ok((Arc::clone(&self.primary), stored)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
        for entry in self.serving(id) {
            let repository = self.open(&entry.repository).await?;
            match repository.component_version(id).await {
                Ok(stored) => return Ok((repository, stored)),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::NotFound {
            id: id.clone(),
            location: self.primary.location(),
        })
    }

    fn serving(&self, id: &ComponentVersionId) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| {
            entry.pattern.matches(id.name.as_str())
                && entry
                    .constraint
                    .as_ref()
                    .is_none_or(|constraint| constraint.matches(&id.version))
        })
    }

    async fn open(&self, spec: &RepositorySpec) -> Result<RepositoryRef, Error> {
        let name = spec.to_string();
        let mut opened = self.opened.lock().await;
        if let Some(repository) = opened.get(&name) {
            return Ok(Arc::clone(repository));
        }
        let repository = self.ocm.open(spec, Use::Read).await;
        let repository =
            repository.map_err(|source| Error::backend("open", name.as_str(), source))?;
        opened.insert(name, Arc::clone(&repository));
        Ok(repository)
    }
}

#[async_trait]
impl ocm_transfer::Resolver for Resolvers {
    async fn repository(&self, id: &ComponentVersionId) -> Result<Option<RepositoryRef>, Error> {
        for entry in self.serving(id) {
            let repository = self.open(&entry.repository).await?;
            if repository.stored_digest(id).await?.is_some() {
                return Ok(Some(repository));
            }
        }
        Ok(None)
    }
}

#[async_trait]
impl ocm_constructor::build::Resolver for Resolvers {
    async fn repositories(&self, component: &ComponentName) -> Result<Vec<RepositoryRef>, Error> {
        let mut repositories = Vec::new();
        for entry in self.entries.iter() {
            if entry.pattern.matches(component.as_str()) {
                repositories.push(self.open(&entry.repository).await?);
            }
        }
        Ok(repositories)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_crosses_slashes() {
        for (pattern, name, matches) in [
            ("*", "acme.org/a/b", true),
            ("acme.org/*", "acme.org/a/b", true),
            ("acme.org/*/b", "acme.org/a/b", true),
            ("acme.org/?", "acme.org/ab", false),
            ("acme.org", "acme.org/a", false),
            ("*a*b*c", "xaybzc", true),
            ("", "a", false),
        ] {
            assert_eq!(
                glob(pattern.as_bytes(), name.as_bytes()),
                matches,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_prefix_is_whole_segments() {
        let prefix = Pattern::Prefix("acme.org/a".to_owned());
        assert!(prefix.matches("acme.org/a/b") && prefix.matches("acme.org/a"));
        assert!(!prefix.matches("acme.org/ab"));
        assert!(Pattern::Prefix(String::new()).matches("x"));
    }
}
