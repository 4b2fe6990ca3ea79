//! Writing an artifact as an OCI layout.

use std::collections::BTreeSet;
use std::sync::Arc;

use ocm_blob::{MemoryBlob, TarBlob};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, Document, Error, ImageIndex, RawManifest, Reference, RepositoryName, Selection,
    Store,
};

use super::{INDEX_FILES, LAYOUT_FILE, REF_NAME};

/// The permissions of all files.
const MODE: u32 = 0o644;

/// How many manifests one artifact may consist of.
const MANIFEST_LIMIT: usize = 10_000;

/// Whether what refers to an artifact belongs into its layout.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ReferrersOf {
    /// Nothing but the artifact.
    Nobody,
    /// Also the manifests that refer to it or to parts of it, such as signatures, with their own.
    Everything,
}

/// Returns an artifact of a store as an OCI layout: a tar, written when it is read, whose size is
/// known and whose bytes are always the same.
///
/// The index is first; then come the blobs, each manifest after what it points to. `name` is the
/// reference name of the artifact in the index. What is not selected of an index is left out.
///
/// # Errors
///
/// [`Error::NotFound`] if the artifact, or a manifest it consists of, is not there.
/// [`Error::Dangling`] if a blob is not.
pub async fn write_layout(
    store: &dyn Store,
    repository: &RepositoryName,
    root: &Reference,
    name: Option<&str>,
    referrers: ReferrersOf,
    selection: &Selection,
) -> Result<TarBlob, Error> {
    let mut writer = Writer {
        store,
        repository,
        selection,
        blobs: Vec::new(),
        seen: BTreeSet::new(),
        found: Vec::new(),
    };
    let raw = store.manifest(repository, root).await?;
    let mut entry = raw.descriptor();
    if let Some(name) = name {
        entry = entry.with_annotation(REF_NAME, name);
    }
    writer.add_graph(raw).await?;
    let mut entries = vec![entry];
    if referrers == ReferrersOf::Everything {
        entries.extend(writer.add_referrers().await?);
    }
    writer.finish(entries)
}

struct Writer<'a> {
    store: &'a dyn Store,
    repository: &'a RepositoryName,
    selection: &'a Selection,
    /// What will be in the archive, in its order.
    blobs: Vec<(Digest, ocm_blob::BlobRef)>,
    seen: BTreeSet<Digest>,
    /// The manifests of which referrers have not been asked for.
    found: Vec<Digest>,
}

/// A step of a walk that writes a manifest after its children.
enum Step {
    Enter(Box<Descriptor>),
    Leave(RawManifest),
}

impl Writer<'_> {
    async fn add_graph(&mut self, root: RawManifest) -> Result<(), Error> {
        let mut todo = Vec::new();
        self.enter(root, &mut todo).await?;
        while let Some(step) = todo.pop() {
            match step {
                Step::Enter(child) => {
                    let reference = Reference::Digest(child.digest);
                    let raw = self.store.manifest(self.repository, &reference).await?;
                    self.enter(raw, &mut todo).await?;
                }
                Step::Leave(raw) => {
                    let blob = MemoryBlob::new(raw.bytes().clone());
                    self.blobs.push((raw.digest(), Arc::new(blob)));
                }
            }
        }
        Ok(())
    }

    /// Adds the blobs of a manifest, and plans its children and then itself.
    async fn enter(&mut self, raw: RawManifest, todo: &mut Vec<Step>) -> Result<(), Error> {
        if !self.seen.insert(raw.digest()) {
            return Ok(());
        }
        self.found.push(raw.digest());
        if self.found.len() > MANIFEST_LIMIT {
            let reason = format!("more than {MANIFEST_LIMIT} manifests");
            return Err(Error::malformed(
                format!("manifest {}", raw.digest()),
                reason,
            ));
        }
        let document = raw.parse()?;
        let digest = raw.digest();
        todo.push(Step::Leave(raw));
        match document {
            Document::Index(index) => {
                let what = || format!("index {digest}");
                let children = self.selection.choose(what, index.manifests)?;
                let children = children.into_iter().rev();
                todo.extend(children.map(|child| Step::Enter(Box::new(child))));
            }
            Document::Image(_) => {
                for child in document.children() {
                    self.add_blob(child).await?;
                }
            }
        }
        Ok(())
    }

    async fn add_blob(&mut self, blob: &Descriptor) -> Result<(), Error> {
        if !self.seen.insert(blob.digest) {
            return Ok(());
        }
        let size = self.store.stat_blob(self.repository, &blob.digest).await?;
        match size {
            Some(_) => {
                let content = self.store.blob(self.repository, blob);
                self.blobs.push((blob.digest, content));
                Ok(())
            }
            // Layers with addresses of their own need not be anywhere else.
            None if !blob.urls.is_empty() => Ok(()),
            None => Err(Error::Dangling {
                what: format!(
                    "an artifact of {} in {}",
                    self.repository,
                    self.store.location()
                ),
                digest: blob.digest,
            }),
        }
    }

    /// Adds what refers to the manifests found so far, and to those found by that.
    async fn add_referrers(&mut self) -> Result<Vec<Descriptor>, Error> {
        let mut entries = Vec::new();
        let mut asked = 0;
        while let Some(subject) = self.found.get(asked).copied() {
            asked += 1;
            let mut referrers = self.store.referrers(self.repository, &subject).await?;
            referrers.sort_by_key(|referrer| referrer.digest);
            for referrer in referrers {
                if self.seen.contains(&referrer.digest) {
                    continue;
                }
                let reference = Reference::Digest(referrer.digest);
                let raw = self.store.manifest(self.repository, &reference).await?;
                entries.push(raw.descriptor());
                self.add_graph(raw).await?;
            }
        }
        Ok(entries)
    }

    fn finish(self, entries: Vec<Descriptor>) -> Result<TarBlob, Error> {
        let index = RawManifest::index(&ImageIndex::new(entries));
        let version = MemoryBlob::new(&br#"{"imageLayoutVersion":"1.0.0"}"#[..]);
        let mut tar = TarBlob::new();
        let failed = |source| Error::blob("write", "an OCI layout", source);
        tar.add_file(LAYOUT_FILE, MODE, Arc::new(version))
            .map_err(failed)?;
        let index = MemoryBlob::new(index.bytes().clone());
        tar.add_file(INDEX_FILES[0], MODE, Arc::new(index))
            .map_err(failed)?;
        for (digest, blob) in self.blobs {
            let path = format!("blobs/{}/{}", digest.algorithm(), digest.to_hex());
            tar.add_file(&path, MODE, blob).map_err(failed)?;
        }
        Ok(tar)
    }
}
