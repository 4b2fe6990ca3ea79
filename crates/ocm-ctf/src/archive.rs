//! Archives in one file, read.
//!
//! ```text
//! artifact-index.json     anywhere in the archive
//! blobs/sha256.<hex>
//! ```
//!
//! A tar is read in place: opening it reads the headers and the index, whatever the size of the
//! blobs. A compressed tar is unpacked into a temporary file when it is opened, in one pass, since
//! what is asked for first may stand last; the file has no name and goes with the store.

use std::path::Path;
use std::sync::Arc;

use ocm_oci::{Error, Store};
use tokio::task::spawn_blocking;

use crate::content::Content;
use crate::facts::FactCache;
use crate::index::{ArtifactIndex, INDEX_FILE, INDEX_LIMIT};
use crate::packed::{Entry, Extent, Scratch, Tape, TarContent};
use crate::reading::{Archive, impl_read_only, impl_reading};
use crate::sink::{Panicked, blocking};

/// An archive in one file, opened for reading. Clones share it.
///
/// What was opened stays the same archive, also where another one takes its name.
#[derive(Clone, Debug)]
pub struct CtfArchive(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    name: Arc<str>,
    index: ArtifactIndex,
    tar: Arc<TarContent>,
    content: Arc<dyn Content>,
    facts: FactCache,
}

impl CtfArchive {
    /// Opens an archive, compressed or not: what it is is told by its first bytes, not its name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`] if there is no such file, [`Error::Malformed`] if there is no index in
    /// it or a malformed one, [`Error::Blob`] if it cannot be read or is no archive to be trusted.
    pub async fn open(path: impl AsRef<Path>, scratch: &Scratch) -> Result<Self, Error> {
        let path = path.as_ref();
        let name: Arc<str> = path.display().to_string().into();
        if !path.exists() {
            return Err(Error::not_found(format!("archive {name}")));
        }
        let failed = |source| Error::blob("open", &*name, source);
        let tape = Tape::open(path, scratch).await.map_err(failed)?;
        let headers = tape.clone();
        let entries = blocking(move || headers.entries()).await.map_err(failed)?;
        let extent = entries.iter().find_map(|entry| match entry {
            Entry::File(path, extent) if path == INDEX_FILE => Some(*extent),
            Entry::File(..) | Entry::Blob(..) => None,
        });
        let extent = extent.ok_or_else(|| Error::malformed(&*name, format!("no {INDEX_FILE}")))?;
        // Of an archive with thousands of component versions, both take their time.
        let content = tape.clone();
        let content = spawn_blocking(move || TarContent::new(content, entries));
        let index = read_index(&tape, extent, &name)?;
        let tar = content
            .await
            .map_err(|error| failed(Panicked::from(error).into()))?;
        let tar = Arc::new(tar);
        Ok(Self(Arc::new(Opened {
            name,
            index,
            content: Arc::clone(&tar) as Arc<dyn Content>,
            tar,
            facts: FactCache::default(),
        })))
    }

    pub(crate) fn index(&self) -> &ArtifactIndex {
        &self.0.index
    }

    pub(crate) fn tar(&self) -> &TarContent {
        &self.0.tar
    }
}

fn read_index(tape: &Tape, extent: Extent, name: &str) -> Result<ArtifactIndex, Error> {
    let what = format!("{INDEX_FILE} of {name}");
    let bytes = tape.bytes_within(extent, INDEX_LIMIT);
    let bytes = bytes.map_err(|source| Error::blob("read", &what, source))?;
    ArtifactIndex::read(&bytes, &what)
}

impl Archive for CtfArchive {
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

impl_reading!(CtfArchive);
impl_read_only!(CtfArchive);

impl Store for CtfArchive {
    fn location(&self) -> String {
        self.0.name.to_string()
    }

    fn is_at_hand(&self) -> bool {
        true
    }
}
