//! What is being removed, noted in the repository as long as that takes.
//!
//! Once a version is gone, nothing names the artifacts that only it had. So a removal that has more
//! to do than that first leaves a note: a manifest under the tag [`TAG`], without content, whose
//! annotation [`REMOVAL`] has the digests of what is going to be without a name. It does not point to
//! them, as registries keep what something points to. The note goes last; where it is found, somebody
//! has been interrupted.

use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor as Entry, Document, EMPTY_CONFIG, Error, ImageManifest, RawManifest, Reference,
    RepositoryName, StoreRef, Tag, media_type,
};

/// The tag of the note.
const TAG: &str = "ocm-removal";

/// The artifact type of the note.
const ARTIFACT_TYPE: &str = "application/vnd.ocm.software.removal.v1alpha1";

/// The annotation with the digests, separated by commas, what points before what is pointed to.
const REMOVAL: &str = "software.ocm.removal";

/// How many manifests a note names: as many as a manifest has room for. Those behind stay without
/// a name where a removal breaks off.
const MOST: usize = 40_000;

/// What is being removed from a repository.
#[derive(Debug)]
pub(super) struct Note {
    manifest: RawManifest,
    /// Manifests that have no name by then.
    pub(super) digests: Vec<Digest>,
}

impl Note {
    /// Makes a note of manifests.
    pub(super) fn new(digests: impl IntoIterator<Item = Digest>) -> Self {
        let digests: Vec<Digest> = digests.into_iter().take(MOST).collect();
        let text: Vec<String> = digests.iter().map(Digest::to_string).collect();
        let empty = Entry::of(media_type::EMPTY, EMPTY_CONFIG);
        let mut manifest = ImageManifest::new(empty.clone(), vec![empty]);
        manifest.artifact_type = Some(ARTIFACT_TYPE.to_owned());
        manifest
            .annotations
            .insert(REMOVAL.to_owned(), text.join(","));
        Self {
            manifest: RawManifest::image(&manifest),
            digests,
        }
    }

    /// Reads the note of a repository, if there is one. What else has its tag is none.
    pub(super) async fn read(
        store: &StoreRef,
        repository: &RepositoryName,
    ) -> Result<Option<Self>, Error> {
        let manifest = match store.manifest(repository, &Reference::Tag(tag()?)).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(Document::Image(image)) = manifest.parse() else {
            return Ok(None);
        };
        let text = image.annotations.get(REMOVAL);
        let is_note = image.artifact_type.as_deref() == Some(ARTIFACT_TYPE);
        Ok(text.filter(|_| is_note).map(|text| {
            // What is no digest names nothing that could be removed.
            let digests = text.split(',').filter_map(|digest| digest.parse().ok());
            Self {
                digests: digests.take(MOST).collect(),
                manifest,
            }
        }))
    }

    /// Returns what points to the note itself.
    pub(super) fn entry(&self) -> Entry {
        self.manifest.descriptor()
    }

    /// Leaves the note in a repository.
    pub(super) async fn leave(
        &self,
        store: &StoreRef,
        repository: &RepositoryName,
    ) -> Result<(), Error> {
        let empty: BlobRef = Arc::new(MemoryBlob::new(EMPTY_CONFIG));
        store.push_blob(repository, &empty).await?;
        let tag = tag()?;
        store
            .push_manifest(repository, &self.manifest, Some(&tag))
            .await
    }

    /// Takes the note away. It need not be there.
    pub(super) async fn take_away(
        &self,
        store: &StoreRef,
        repository: &RepositoryName,
    ) -> Result<(), Error> {
        let reference = Reference::Digest(self.manifest.digest());
        match store.delete_manifest(repository, &reference).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Returns whether a tag is that of notes.
pub(in super::super) fn is_note(tag: &Tag) -> bool {
    tag.as_str() == TAG
}

fn tag() -> Result<Tag, Error> {
    TAG.parse()
        .map_err(|error: ocm_oci::ParseNameError| Error::malformed("tag", error.to_string()))
}

#[cfg(test)]
mod tests {
    use ocm_oci::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_note_is_read_as_it_was_left_and_goes() {
        let store: StoreRef = Arc::new(MemoryStore::new());
        let repository: RepositoryName = "component-descriptors/acme.org/x".parse().unwrap();
        assert!(Note::read(&store, &repository).await.unwrap().is_none());
        let digests = ["b", "a", "c"].map(Digest::sha256);
        let note = Note::new(digests);
        note.take_away(&store, &repository).await.unwrap();
        note.leave(&store, &repository).await.unwrap();
        let read = Note::read(&store, &repository).await.unwrap().unwrap();
        assert_eq!(read.digests, digests);
        assert_eq!(read.entry(), note.entry());
        read.take_away(&store, &repository).await.unwrap();
        assert!(Note::read(&store, &repository).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn what_is_no_note_names_nothing() {
        let store: StoreRef = Arc::new(MemoryStore::new());
        let repository: RepositoryName = "component-descriptors/acme.org/x".parse().unwrap();
        Note::new([]).leave(&store, &repository).await.unwrap();
        let note = Note::read(&store, &repository).await.unwrap().unwrap();
        assert!(note.digests.is_empty());
        let empty = Entry::of(media_type::EMPTY, EMPTY_CONFIG);
        let mut other = ImageManifest::new(empty.clone(), vec![empty]);
        let wrong = format!("sha256:0,,latest,{}", Digest::sha256("x"));
        other.annotations.insert(REMOVAL.to_owned(), wrong);
        for (artifact_type, expected) in [(None, None), (Some(ARTIFACT_TYPE), Some(1))] {
            other.artifact_type = artifact_type.map(str::to_owned);
            let manifest = RawManifest::image(&other);
            let tag = tag().unwrap();
            let pushed = store.push_manifest(&repository, &manifest, Some(&tag));
            pushed.await.unwrap();
            let read = Note::read(&store, &repository).await.unwrap();
            assert_eq!(read.map(|note| note.digests.len()), expected);
        }
    }
}
