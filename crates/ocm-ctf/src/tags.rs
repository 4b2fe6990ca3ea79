//! Tags that are set only where they point to what is expected.

use ocm_digest::Digest;
use ocm_oci::{Error, Reference, RepositoryName, Tag};

use crate::index::ArtifactIndex;

/// What a tag may point to that is set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Replaces {
    Anything,
    /// This, or nothing.
    Only(Option<Digest>),
}

impl Replaces {
    /// Tells whether a tag that points here may be set.
    pub(crate) fn admits(self, current: Option<Digest>) -> bool {
        match self {
            Self::Anything => true,
            Self::Only(expected) => current == expected,
        }
    }
}

/// Returns what a tag points to.
pub(crate) fn tagged(
    index: &ArtifactIndex,
    repository: &RepositoryName,
    tag: &Tag,
) -> Option<Digest> {
    let reference = Reference::Tag(tag.clone());
    index
        .resolve(repository, &reference)
        .map(|entry| entry.digest)
}

/// Returns the error of a tag that somebody else has set meanwhile.
pub(crate) fn changed(name: &str, repository: &RepositoryName, tag: &Tag) -> Error {
    Error::Changed {
        what: format!("{repository}:{tag} in {name}"),
    }
}
