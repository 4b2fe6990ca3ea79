//! What goes with component versions that are removed.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_model::{ComponentName, Version};
use ocm_oci::{Descriptor, RepositoryName, Tag};

/// What goes from the repository of a component with some of its versions.
#[derive(Clone, Debug)]
pub struct Removal {
    /// The component.
    pub component: ComponentName,
    /// The versions that go.
    pub versions: BTreeSet<Version>,
    /// The OCI repository.
    pub repository: RepositoryName,
    /// The other tags that go, as what they name goes: aliases such as `latest`, and those under
    /// which registries and tools list what refers to an artifact.
    pub other_tags: BTreeSet<Tag>,
    /// The tags of the versions whose manifest stays, since something else names it, each with that.
    pub tags_alone: BTreeMap<Tag, Digest>,
    /// Lists of what refers to something that stays, under their tags, which name a manifest that
    /// goes. Registries keep them by themselves, or their clients do when they delete.
    pub stale_lists: Vec<(Tag, Digest)>,
    /// The manifests that go, what points before what is pointed to: those of the versions, the
    /// artifacts that only they have, and what refers to these.
    pub manifests: Vec<Descriptor>,
    /// Those manifests, and the blobs that they name and no version that stays, with their sizes in
    /// bytes. What stays otherwise, or in other repositories, may name some of them as well.
    pub content: BTreeMap<Digest, u64>,
}

impl Removal {
    /// Returns the tags that name manifests that go.
    pub fn names(&self) -> impl Iterator<Item = Tag> {
        let versions = self.versions.iter();
        let tags = versions.filter_map(|version| version.to_tag().parse().ok());
        let going = tags.filter(|tag| !self.tags_alone.contains_key(tag));
        going.chain(self.other_tags.iter().cloned())
    }

    /// Returns the size of the content in bytes.
    pub fn bytes(&self) -> u64 {
        let sizes = self.content.values();
        sizes.fold(0, |sum, size| sum.saturating_add(*size))
    }
}
