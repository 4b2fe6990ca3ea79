//! What differs between two component versions, which may be at two places: what their descriptors
//! say, and the content of resources whose digests differ.

mod artifact;
mod text;
mod tree;

use futures::stream::{self, StreamExt as _};
use ocm_blob::BlobRef;
use ocm_model::element::Resource;
use ocm_model::{ComponentVersionId, Descriptor};
use ocm_oci::CopyOptions;
use ocm_repository::{AccessMethods, Content, RepositoryRef};
use ocm_transfer::diff::{Accesses, Change, ChangeKind, Part, diff};
use serde::Serialize;

use crate::address::Located;
use crate::error::Error;
use crate::kind::reason_of;
use crate::serialise::display;
use crate::session::{Ocm, Use};
use crate::stated::as_stated;
use crate::unpack::Packing;

pub use self::artifact::{ArtifactChange, ArtifactPart};
pub use self::tree::{PathChange, PathState};

/// What is compared.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Leave content alone: compare descriptors only.
    pub skip_content: bool,
    /// Whether it counts where content lies.
    pub accesses: Accesses,
    /// How many resources are read at a time.
    pub copy: CopyOptions,
}

/// What differs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DiffReport {
    /// The old component version.
    pub from: Side,
    /// The new one.
    pub to: Side,
    /// What differs, in the order of the descriptors.
    pub changes: Vec<Difference>,
}

/// One of the two component versions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Its name and version.
    #[serde(serialize_with = "display")]
    pub component: ComponentVersionId,
    /// Where it is.
    pub repository: String,
}

/// A part that differs.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// What the descriptors say.
    #[serde(flatten)]
    pub change: Change,
    /// What differs in the content, if it is other content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<ContentDiff>,
}

/// What differs in the content of a resource.
#[derive(Clone, Debug, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "kind"
)]
#[non_exhaustive]
pub enum ContentDiff {
    /// Both are OCI artifacts: the manifests, configurations and layers that differ.
    Artifact {
        /// Those that only one has.
        parts: Vec<ArtifactChange>,
        /// How many both have.
        unchanged: usize,
    },
    /// Both are archives: the paths that differ.
    Tree {
        /// Those that only one has, or that are something else.
        paths: Vec<PathChange>,
        /// How many are the same in both.
        unchanged: usize,
    },
    /// Both are short texts.
    Text {
        /// A unified diff.
        unified: String,
    },
    /// Both are the same, whatever the descriptors say.
    Same,
    /// Nothing more can be said than how large they are.
    Bytes {
        /// The bytes of the old one, if they are known.
        from_size: Option<u64>,
        /// The bytes of the new one, if they are known.
        to_size: Option<u64>,
        /// Why the files in them are not compared, if they are archives.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Content cannot be read.
    Unread {
        /// Why.
        reason: String,
    },
}

/// A component version that is compared.
struct Loaded {
    id: ComponentVersionId,
    repository: RepositoryRef,
    methods: AccessMethods,
    descriptor: Descriptor,
}

impl Ocm {
    /// Compares two component versions.
    ///
    /// # Errors
    ///
    /// One of them cannot be read. Content that cannot be read is reported as such.
    pub async fn diff(
        &self,
        from: &Located,
        to: &Located,
        options: &DiffOptions,
    ) -> Result<DiffReport, Error> {
        let (old, new) = (self.load(from).await?, self.load(to).await?);
        let changes = diff(&old.descriptor, &new.descriptor, options.accesses);
        let (old, new) = (&old, &new);
        let changes = stream::iter(changes).map(|change| async move {
            let content = if options.skip_content {
                None
            } else {
                content_of(&change, old, new).await
            };
            Difference { change, content }
        });
        Ok(DiffReport {
            from: old.side(),
            to: new.side(),
            changes: changes.buffered(options.copy.parallel()).collect().await,
        })
    }

    async fn load(&self, located: &Located) -> Result<Loaded, Error> {
        let repository = self.open(&located.repository, Use::Read).await?;
        let id = self.one_version(&repository, located).await?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)?;
        Ok(Loaded {
            id,
            methods: self.access_methods(&repository).await?,
            repository,
            descriptor: stored.descriptor,
        })
    }
}

impl Loaded {
    fn side(&self) -> Side {
        Side {
            component: self.id.clone(),
            repository: self.repository.location(),
        }
    }

    async fn content(&self, resource: &Resource) -> Result<Option<Content>, ocm_repository::Error> {
        let Some(access) = resource.access.as_ref().filter(|access| !access.is_none()) else {
            return Ok(None);
        };
        let content = self
            .methods
            .content_of(&self.repository, &self.id, access)
            .await?;
        as_stated(content, resource.digest.as_ref()).await.map(Some)
    }
}

/// Compares the content of a resource that both have, unless their digests say that it is the same.
async fn content_of(change: &Change, old: &Loaded, new: &Loaded) -> Option<ContentDiff> {
    let says_other = |field: &str| change.fields.iter().any(|it| it.field == field);
    let is_other = says_other("digest") || says_other("access");
    let (Part::Resource, ChangeKind::Changed, true) = (change.part, change.change, is_other) else {
        return None;
    };
    let (old_resource, new_resource) = (
        &old.descriptor.resource(change.positions.0?)?,
        &new.descriptor.resource(change.positions.1?)?,
    );
    if old_resource.digest.is_some() && old_resource.digest == new_resource.digest {
        return None;
    }
    let compared = async {
        let from = old.content(old_resource).await?;
        let to = new.content(new_resource).await?;
        match (from, to) {
            (Some(from), Some(to)) => compare(&from, &to).await.map(Some),
            _ => Ok(None),
        }
    };
    match compared.await {
        Ok(compared) => compared,
        Err(error) => Some(ContentDiff::Unread {
            reason: reason_of(error.as_ref()),
        }),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn compare(from: &Content, to: &Content) -> Result<ContentDiff, Failure> {
    if from.digest().is_some() && from.digest() == to.digest() {
        return Ok(ContentDiff::Same);
    }
    match (from, to) {
        (Content::Artifact(from), Content::Artifact(to)) => Ok(artifact::compare(from, to).await?),
        (Content::Blob(from), Content::Blob(to)) => compare_blobs(from, to).await,
        _ => Ok(ContentDiff::Bytes {
            from_size: size_of(from),
            to_size: size_of(to),
            reason: None,
        }),
    }
}

async fn compare_blobs(from: &BlobRef, to: &BlobRef) -> Result<ContentDiff, Failure> {
    let packing = |blob: &BlobRef| Packing::of(blob.media_type().unwrap_or_default());
    let (old_packing, new_packing) = (packing(from), packing(to));
    if old_packing.tar && new_packing.tar {
        return Ok(tree::compare((from, old_packing), (to, new_packing)).await?);
    }
    if let Some(unified) = text::compare(from, to).await? {
        return Ok(ContentDiff::Text { unified });
    }
    Ok(ContentDiff::Bytes {
        from_size: from.size(),
        to_size: to.size(),
        reason: None,
    })
}

fn size_of(content: &Content) -> Option<u64> {
    match content {
        Content::Blob(blob) => blob.size(),
        Content::Artifact(_) => None,
    }
}
