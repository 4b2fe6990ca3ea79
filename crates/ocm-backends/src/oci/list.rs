//! Which components there are, and which tags of a repository are versions of its component.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_digest::Digest;
use ocm_model::{ComponentName, Version};
use ocm_oci::{RepositoryName, Tag};
use ocm_repository::{ComponentRepository as _, Error};

use super::removal::is_note;
use super::{COMPONENTS, OciComponentRepository, read};

/// How many tags are looked at at a time.
const PARALLEL: usize = 8;

impl OciComponentRepository {
    /// Returns the components, by the names of repositories.
    pub(super) async fn list_components(&self) -> Result<Vec<ComponentName>, Error> {
        let repositories = self
            .store
            .repositories()
            .await
            .map_err(|source| Error::backend("list", self.location(), source))?;
        let start = self.below_prefix(COMPONENTS)?;
        let names = repositories.iter().filter_map(|name| {
            let name = name.as_str().strip_prefix(start.as_str())?;
            name.strip_prefix('/')?.parse().ok()
        });
        Ok(names.collect())
    }

    /// Returns all versions of a component, also those that differ in build metadata alone, newest
    /// first.
    ///
    /// A tag that is a semantic version is one. Any other may be an alias such as `latest`, which
    /// is no version of its own (OCM specification, "OCI storage backend", aliases), or a version
    /// of old times: what it names tells. What names no component version is reported.
    pub(super) async fn list_versions(
        &self,
        component: &ComponentName,
    ) -> Result<Vec<Version>, Error> {
        let repository = self.repository(component)?;
        let tags = match self.store.tags(&repository).await {
            Ok(tags) => tags,
            Err(error) if error.is_not_found() => Vec::new(),
            Err(source) => {
                let what = component.as_str();
                return Err(Error::backend("list the versions of", what, source));
            }
        };
        let tags = tags
            .into_iter()
            .filter(|tag| !keeps_referrers(tag) && !is_note(tag));
        let tags = tags.filter_map(|tag| Some((Version::from_tag(tag.as_str()).ok()?, tag)));
        let (mut versions, others): (Vec<_>, Vec<_>) =
            tags.partition(|(version, _)| version.is_semver());
        let others = stream::iter(others).map(|(version, tag)| {
            let repository = &repository;
            async move {
                let is_version = self
                    .is_version(component, repository, &version, &tag)
                    .await?;
                Ok::<_, Error>(is_version.then_some((version, tag)))
            }
        });
        let others: Vec<_> = others.buffered(PARALLEL).try_collect().await?;
        versions.extend(others.into_iter().flatten());
        if versions.is_empty() {
            return Err(Error::NoComponent {
                name: component.clone(),
                location: self.location(),
            });
        }
        let mut versions: Vec<Version> = versions.into_iter().map(|(version, _)| version).collect();
        versions.sort_by(|a, b| b.cmp(a));
        Ok(versions)
    }

    /// Tells whether a tag that is no semantic version names the component version of that text.
    async fn is_version(
        &self,
        component: &ComponentName,
        repository: &RepositoryName,
        version: &Version,
        tag: &Tag,
    ) -> Result<bool, Error> {
        let read = async {
            let manifests = read::manifests(&self.store, repository, tag).await?;
            let (descriptor, _) = read::descriptor(&self.store, repository, &manifests).await?;
            Ok::<_, read::Error>(descriptor.id().clone())
        };
        match read.await {
            Ok(id) => Ok(id.name == *component && id.version == *version),
            Err(error) if error.is_about_content() => {
                tracing::warn!(
                    "tag {tag} of {component} in {} names no component version",
                    self.location()
                );
                Ok(false)
            }
            Err(error) => {
                let source = error.into_source();
                Err(Error::backend(
                    "look at",
                    format!("tag {tag} of {component}"),
                    source,
                ))
            }
        }
    }
}

/// Returns whether a tag lists what refers to a manifest: the fallback of registries without the
/// API, and what cosign derives from it.
fn keeps_referrers(tag: &Tag) -> bool {
    subject_of(tag).is_some()
}

/// Returns the manifest of which a tag lists what refers to it.
pub(super) fn subject_of(tag: &Tag) -> Option<Digest> {
    let (algorithm, rest) = tag.as_str().split_once('-')?;
    let hex = rest.split('.').next()?;
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_for_referrers_are_told_apart() {
        let tag = Tag::for_referrers(&Digest::sha256("x"));
        assert!(keeps_referrers(&tag));
        assert!(keeps_referrers(&format!("{tag}.sig").parse().unwrap()));
        for other in ["latest", "sha256-abc", "1.0.0-0123", "sha256"] {
            assert!(!keeps_referrers(&other.parse().unwrap()), "{other}");
        }
    }
}
