//! OCI image layouts, and the artifact sets that came before them.
//!
//! ```text
//! oci-layout                      the version; not in all of them
//! index.json                      or artifact-descriptor.json: what is in it, and under which tags
//! blobs/sha256/<hex>              or blobs/sha256.<hex>
//! ```
//!
//! A layout is a store of one repository. It is read from a directory, a tar, or a compressed tar,
//! in a file or in a blob. OCI image specification, "OCI Image Layout".

mod directory;
mod main_artifact;
mod media_type;
mod passing;
mod write;

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ocm_blob::BlobRef;
use ocm_oci::{Descriptor, Error, ImageIndex, RepositoryName, Store, Tag};
use serde::Deserialize;

use self::directory::LayoutDirectory;
pub use self::media_type::{is_artifact_set, is_oci_layout};
pub use self::passing::check_passing;
pub use self::write::{ReferrersOf, write_layout};
use crate::content::Content;
use crate::facts::FactCache;
use crate::index::{ArtifactIndex, INDEX_LIMIT};
use crate::packed::{Scratch, Tape, TarContent};
use crate::reading::{Archive, impl_read_only, impl_reading};

/// The files that may say what is in a layout, the usual one first.
const INDEX_FILES: [&str; 3] = [
    "index.json",
    "artifact-descriptor.json",
    "artifact-set-descriptor.json",
];

/// The file that says that this is a layout.
const LAYOUT_FILE: &str = "oci-layout";

/// The annotation that names an entry of the index.
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The annotation of an artifact set that lists the tags of an entry, separated by commas.
const TAGS: &str = "software.ocm/tags";

/// A layout, opened for reading. Clones share it.
#[derive(Clone, Debug)]
pub struct OciLayout(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    name: Arc<str>,
    repository: RepositoryName,
    top: ImageIndex,
    index: ArtifactIndex,
    content: Arc<dyn Content>,
    facts: FactCache,
}

/// The files beside the blobs, read whole.
type ReadFile<'a> = &'a dyn Fn(&str) -> Result<Option<Bytes>, ocm_blob::Error>;

impl OciLayout {
    /// Opens a layout in a directory or a file. `repository` is the name by which it is asked.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is nothing, [`Error::Malformed`] if there is no index in it or
    /// a malformed one, [`Error::Blob`] if it cannot be read or is no archive to be trusted.
    pub async fn open(
        path: impl AsRef<Path>,
        repository: RepositoryName,
        scratch: &Scratch,
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        let name: Arc<str> = path.display().to_string().into();
        if path.is_dir() {
            let content = LayoutDirectory::new(path);
            let files = content.clone();
            return Self::new(name, repository, Arc::new(content), &|file| {
                files.file(file, INDEX_LIMIT)
            });
        }
        if !path.exists() {
            return Err(Error::not_found(format!("layout {name}")));
        }
        let failed = |source| Error::blob("open", &*name, source);
        let tape = Tape::open(path, scratch).await.map_err(failed)?;
        let tar = TarContent::scan(tape).await.map_err(failed)?;
        Self::from_tar(name, repository, tar)
    }

    /// Opens a layout that is the content of a blob: a tar, compressed or not. Content that is not
    /// in memory goes to a temporary file, since an archive cannot be read in any order otherwise.
    ///
    /// # Errors
    ///
    /// As [`OciLayout::open`]; `name` is how messages call it.
    pub async fn read(
        blob: &BlobRef,
        name: impl Into<String>,
        repository: RepositoryName,
        scratch: &Scratch,
    ) -> Result<Self, Error> {
        let name: Arc<str> = name.into().into();
        let failed = |source| Error::blob("open", &*name, source);
        let tape = Tape::read(blob, scratch).await.map_err(failed)?;
        let tar = TarContent::scan(tape).await.map_err(failed)?;
        Self::from_tar(name, repository, tar)
    }

    /// Opens a layout that is a tar in memory, not compressed.
    ///
    /// # Errors
    ///
    /// As [`OciLayout::open`].
    pub fn from_bytes(
        bytes: impl Into<Bytes>,
        name: impl Into<String>,
        repository: RepositoryName,
    ) -> Result<Self, Error> {
        let name: Arc<str> = name.into().into();
        let tar = TarContent::scan_now(Tape::Memory(bytes.into()))
            .map_err(|source| Error::blob("open", &*name, source))?;
        Self::from_tar(name, repository, tar)
    }

    /// Returns the name of its one repository.
    pub fn repository(&self) -> &RepositoryName {
        &self.0.repository
    }

    /// Returns what the index points to, with annotations, in its order.
    pub fn entries(&self) -> &[Descriptor] {
        &self.0.top.manifests
    }

    fn from_tar(
        name: Arc<str>,
        repository: RepositoryName,
        tar: TarContent,
    ) -> Result<Self, Error> {
        let tar = Arc::new(tar);
        let content = Arc::clone(&tar) as Arc<dyn Content>;
        Self::new(name, repository, content, &|file| {
            tar.file(file, INDEX_LIMIT)
        })
    }

    fn new(
        name: Arc<str>,
        repository: RepositoryName,
        content: Arc<dyn Content>,
        read: ReadFile<'_>,
    ) -> Result<Self, Error> {
        let read = |file: &str| {
            read(file).map_err(|source| Error::blob("read", format!("{file} of {name}"), source))
        };
        if let Some(bytes) = read(LAYOUT_FILE)? {
            check_version(&bytes, &format!("{LAYOUT_FILE} of {name}"))?;
        }
        let mut found = None;
        for file in INDEX_FILES {
            if let Some(bytes) = read(file)? {
                found = Some((file, bytes));
                break;
            }
        }
        let Some((file, bytes)) = found else {
            return Err(Error::malformed(&*name, "no index.json"));
        };
        let top: ImageIndex = serde_json::from_slice(&bytes)
            .map_err(|error| Error::malformed(format!("{file} of {name}"), error.to_string()))?;
        let index = index_of(&repository, &top);
        Ok(Self(Arc::new(Opened {
            name,
            repository,
            top,
            index,
            content,
            facts: FactCache::default(),
        })))
    }
}

/// Lists the entries of an OCI index under their tags.
fn index_of(repository: &RepositoryName, top: &ImageIndex) -> ArtifactIndex {
    let mut index = ArtifactIndex::default();
    for entry in &top.manifests {
        index.add(repository, None, entry.digest, &entry.media_type);
        for tag in tags_of(entry) {
            index.add(repository, Some(&tag), entry.digest, &entry.media_type);
        }
    }
    index
}

/// Returns the tags of an entry. A reference name may be anything; what is no tag is no tag.
fn tags_of(entry: &Descriptor) -> impl Iterator<Item = Tag> {
    let name = entry.annotations.get(REF_NAME).map(String::as_str);
    let tags = entry.annotations.get(TAGS).map(String::as_str);
    let tags = tags.into_iter().flat_map(|tags| tags.split(','));
    name.into_iter()
        .chain(tags)
        .filter_map(|text| text.trim().parse().ok())
}

fn check_version(bytes: &[u8], what: &str) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Layout {
        image_layout_version: String,
    }
    let layout: Layout =
        serde_json::from_slice(bytes).map_err(|error| Error::malformed(what, error.to_string()))?;
    if layout.image_layout_version.starts_with("1.") {
        Ok(())
    } else {
        let reason = format!("version {} is not known", layout.image_layout_version);
        Err(Error::malformed(what, reason))
    }
}

impl Archive for OciLayout {
    fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    fn content(&self) -> &Arc<dyn Content> {
        &self.0.content
    }

    fn with_index<R>(&self, look: impl FnOnce(&ArtifactIndex) -> R) -> Result<R, Error> {
        Ok(look(&self.0.index))
    }

    fn facts(&self) -> &FactCache {
        &self.0.facts
    }
}

impl_reading!(OciLayout);
impl_read_only!(OciLayout);

impl Store for OciLayout {
    fn location(&self) -> String {
        self.0.name.to_string()
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}
