//! Archives that leave out what the other side has.
//!
//! A delta archive is an archive like any other, with all component descriptors and manifests, but
//! without blobs that are known to be at the place it goes to. What it leaves out stands in a
//! record, an artifact of its own in the archive:
//!
//! ```json
//! {
//!   "type": "delta.ocm.software/v1alpha1",
//!   "base": ["product-1.0.0.tar"],
//!   "leftOut": {
//!     "sha256:…": {"size": 262144, "repositories": ["component-descriptors/acme.org/product"]}
//!   }
//! }
//! ```
//!
//! Of a large blob that the other side lacks, it may have parts. Then the record names a [`Recipe`],
//! by which the blob is put together from ranges of what is there and the bytes that are new.
//!
//! What the other side has is a [`Base`], read from a [`PlaceState`], a list of digests, or another
//! archive. [`DeltaWriter`] is the store through which a delta archive is written, [`Completed`]
//! the one through which it is read together with the place that has the rest.

mod chunked;
mod chunks;
mod completed;
pub(crate) mod preview;
mod reassembled;
mod recipe;
mod state;
mod writer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob, collect};
use ocm_digest::Digest;
use ocm_oci::{
    Descriptor, Document, EMPTY_CONFIG, Error, ImageManifest, RawManifest, Reference,
    RepositoryName, StoreRef, Tag, media_type,
};
use serde::{Deserialize, Serialize};

pub use self::chunks::{ChunkList, MOST_CHUNKS};
pub use self::completed::Completed;
pub use self::preview::Preview;
pub use self::recipe::{Recipe, RecipeStep};
pub use self::state::{PlaceState, StateError};
pub use self::writer::DeltaWriter;

/// The repository of the record in a delta archive. No component is stored there.
const REPOSITORY: &str = "ocm.software/delta";

/// The tag of the record.
const TAG: &str = "record";

/// The media type of the record, and the type of the artifact that holds it.
const MEDIA_TYPE: &str = "application/vnd.ocm.software.delta.v1alpha1+json";

/// The largest record and state that are read, in bytes.
pub const LIMIT: u64 = 64 * 1024 * 1024;

/// The blobs and manifests that the other side has.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Base {
    names: BTreeSet<String>,
    blobs: BTreeMap<Digest, Known>,
    /// The chunks of blobs, where they are known.
    chunks: BTreeMap<Digest, ChunkList>,
}

/// What is known of content at the other side.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Known {
    size: Option<u64>,
    /// The repositories that have it; none where that is not known.
    repositories: BTreeSet<String>,
}

impl Base {
    /// Takes what the state of a place lists; `name` is how messages and records call it.
    pub fn of_state(name: impl Into<String>, state: &PlaceState) -> Self {
        let mut base = Self {
            names: BTreeSet::from([name.into()]),
            ..Self::default()
        };
        for (repository, blobs) in &state.repositories {
            for (digest, size) in blobs {
                let known = base.blobs.entry(*digest).or_default();
                known.size = Some(*size);
                known.repositories.insert(repository.clone());
            }
        }
        base.chunks.clone_from(&state.chunks);
        base
    }

    /// Takes digests of which nothing else is known.
    pub fn of_digests(name: impl Into<String>, digests: impl IntoIterator<Item = Digest>) -> Self {
        let known = |digest| (digest, Known::default());
        Self {
            names: BTreeSet::from([name.into()]),
            blobs: digests.into_iter().map(known).collect(),
            chunks: BTreeMap::new(),
        }
    }

    /// Adds what a delta archive does not have: who has applied it has that, too.
    pub fn add_record(&mut self, record: &DeltaRecord) {
        self.add_left_out(record);
        for (digest, whole) in &record.reassembled {
            self.add_known(*digest, whole.size, &whole.repositories);
        }
    }

    /// Adds what a delta archive leaves out: it is at the other side before.
    fn add_left_out(&mut self, record: &DeltaRecord) {
        for (digest, left) in &record.left_out {
            self.add_known(*digest, left.size, &left.repositories);
        }
    }

    fn add_known(&mut self, digest: Digest, size: u64, repositories: &BTreeSet<String>) {
        let known = self.blobs.entry(digest).or_default();
        known.size = Some(size);
        known.repositories.extend(repositories.iter().cloned());
    }

    /// Adds what another base has.
    pub fn add(&mut self, other: Self) {
        self.names.extend(other.names);
        for (digest, more) in other.blobs {
            let known = self.blobs.entry(digest).or_default();
            known.size = known.size.or(more.size);
            known.repositories.extend(more.repositories);
        }
        self.chunks.extend(other.chunks);
    }

    /// Returns whether the other side has content.
    pub fn has(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    /// Returns the digests of all content, sorted.
    pub fn digests(&self) -> BTreeSet<Digest> {
        self.blobs.keys().copied().collect()
    }

    /// Returns how messages call the base.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        names.join(", ")
    }
}

/// What a delta archive leaves out.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeltaRecord {
    /// Always [`DeltaRecord::TYPE`].
    pub r#type: String,
    /// What was said to be at the other side, as the one who made the archive called it.
    pub base: BTreeSet<String>,
    /// The blobs that are not in the archive.
    pub left_out: BTreeMap<Digest, LeftOut>,
    /// The blobs that are put together from what the other side has and what is in the archive.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reassembled: BTreeMap<Digest, Reassembly>,
    /// The blobs of the other side that it takes for that.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<Digest, LeftOut>,
}

/// A blob that is put together.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reassembly {
    /// Its size in bytes.
    pub size: u64,
    /// How many of these are in the archive.
    pub new_bytes: u64,
    /// The manifest of its [`Recipe`], in the repository of the record.
    pub recipe: Digest,
    /// The repositories in which manifests of the archive name it.
    pub repositories: BTreeSet<String>,
}

/// A blob that is not in a delta archive.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeftOut {
    /// Its size in bytes.
    pub size: u64,
    /// The repositories of the other side in which it may be looked for, below the place of its
    /// components.
    pub repositories: BTreeSet<String>,
}

impl DeltaRecord {
    /// The type of the document.
    pub const TYPE: &str = "delta.ocm.software/v1alpha1";

    fn new(base: BTreeSet<String>) -> Self {
        Self {
            r#type: Self::TYPE.to_owned(),
            base,
            left_out: BTreeMap::new(),
            reassembled: BTreeMap::new(),
            sources: BTreeMap::new(),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// A text that says why the bytes are none.
    pub fn read(bytes: &[u8]) -> Result<Self, StateError> {
        let record: Self = state::parse(bytes)?;
        state::check_type(&record.r#type, Self::TYPE)?;
        let left_out = record.left_out.values().chain(record.sources.values());
        let places = left_out.map(|it| &it.repositories);
        let places = places.chain(record.reassembled.values().map(|it| &it.repositories));
        state::check_repositories(places.flatten())?;
        Ok(record)
    }

    /// Writes the record. The same record is the same bytes.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers can be written")
    }

    /// Returns the record of an archive; `None` if that is no delta archive.
    ///
    /// # Errors
    ///
    /// The record is malformed, or cannot be read.
    pub async fn of(store: &StoreRef) -> Result<Option<Self>, Error> {
        let what = || format!("the delta record of {}", store.location());
        let malformed = |reason: String| Error::malformed(what(), reason);
        let (repository, reference) = address()?;
        let manifest = match store.manifest(&repository, &reference).await {
            Ok(manifest) => manifest,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        let document = manifest.parse()?;
        let Document::Image(image) = &document else {
            return Err(malformed("it is an index".to_owned()));
        };
        let [layer] = image.layers.as_slice() else {
            return Err(malformed("it does not consist of one layer".to_owned()));
        };
        if layer.media_type != MEDIA_TYPE {
            let reason = format!("its media type is `{}`, not {MEDIA_TYPE}", layer.media_type);
            return Err(malformed(reason));
        }
        let failed = |source| Error::blob("read", what(), source);
        let stream = store.blob(&repository, layer).open().await;
        let bytes = collect(stream.map_err(failed)?, LIMIT).await;
        let record = Self::read(&bytes.map_err(failed)?);
        record
            .map(Some)
            .map_err(|error| malformed(error.to_string()))
    }

    /// Stores the record in the archive that it is about, unless it stands there.
    async fn store(&self, store: &StoreRef) -> Result<(), Error> {
        let (repository, reference) = address()?;
        let record = self.write();
        let layer = Descriptor::of(MEDIA_TYPE, &record);
        let config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
        let mut manifest = ImageManifest::new(config, vec![layer]);
        manifest.artifact_type = Some(MEDIA_TYPE.to_owned());
        let manifest = RawManifest::image(&manifest);
        let before = match store.resolve(&repository, &reference).await {
            Ok(known) if known.digest == manifest.digest() => return Ok(()),
            Ok(known) => Some(known.digest),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        for bytes in [EMPTY_CONFIG.to_vec(), record] {
            let blob: BlobRef = Arc::new(MemoryBlob::new(bytes));
            store.push_blob(&repository, &blob).await?;
        }
        let Reference::Tag(tag) = &reference else {
            return Ok(());
        };
        store
            .push_manifest(&repository, &manifest, Some(tag))
            .await?;
        match before {
            Some(before) => remove(store, &repository, before).await,
            None => Ok(()),
        }
    }

    /// Returns the blobs that have to be at the other side.
    pub fn needs(&self) -> BTreeSet<Digest> {
        let whole = self.left_out.keys();
        whole.chain(self.sources.keys()).copied().collect()
    }

    /// Returns how many bytes are left out.
    pub fn size(&self) -> u64 {
        let sizes = self.left_out.values().map(|left| left.size);
        let parts = self.reassembled.values();
        let parts = parts.map(|whole| whole.size.saturating_sub(whole.new_bytes));
        sizes.chain(parts).fold(0, u64::saturating_add)
    }
}

/// Removes a record in whose place another one stands, as far as the archive can.
async fn remove(
    store: &StoreRef,
    repository: &RepositoryName,
    manifest: Digest,
) -> Result<(), Error> {
    let reference = Reference::Digest(manifest);
    let removed = async {
        let document = store.manifest(repository, &reference).await?.parse()?;
        store.delete_manifest(repository, &reference).await?;
        for layer in document.children() {
            if layer.media_type != MEDIA_TYPE {
                continue;
            }
            store.delete_blob(repository, &layer.digest).await?;
        }
        Ok(())
    };
    match removed.await {
        Err(Error::Unsupported { .. }) => Ok(()),
        removed => removed,
    }
}

/// Returns where records stand.
fn address() -> Result<(RepositoryName, Reference), Error> {
    Ok((repository()?, Reference::Tag(tag(TAG)?)))
}

/// Returns the repository of records and recipes.
fn repository() -> Result<RepositoryName, Error> {
    REPOSITORY.parse().map_err(|error| malformed_name(&error))
}

fn tag(text: &str) -> Result<Tag, Error> {
    text.parse().map_err(|error| malformed_name(&error))
}

fn malformed_name(error: &ocm_oci::ParseNameError) -> Error {
    Error::malformed("delta record", error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_is_written() {
        let mut record = DeltaRecord::new(BTreeSet::from(["old.tar".to_owned()]));
        let repositories = BTreeSet::from(["component-descriptors/acme.org/shop".to_owned()]);
        let left = LeftOut {
            size: 7,
            repositories,
        };
        record.left_out.insert(Digest::sha256("layer"), left);
        assert_eq!(DeltaRecord::read(&record.write()).unwrap(), record);
        assert_eq!(record.size(), 7);
    }

    #[test]
    fn records_that_are_none_are_refused() {
        for (text, reason) in [
            ("", "EOF"),
            (
                "{\"type\":\"x\",\"base\":[],\"leftOut\":{}}",
                "its type is `x`",
            ),
            (
                "{\"type\":\"delta.ocm.software/v1alpha1\",\"base\":[],\"leftOut\":{},\"more\":1}",
                "unknown field",
            ),
            (
                "{\"type\":\"delta.ocm.software/v1alpha1\",\"base\":[],\"leftOut\":{\"sha256:0\":{\"size\":1,\"repositories\":[]}}}",
                "digest",
            ),
        ] {
            let error = DeltaRecord::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_store_has_a_record_once_one_was_stored() {
        let store: StoreRef = Arc::new(ocm_oci::MemoryStore::new());
        assert_eq!(DeltaRecord::of(&store).await.unwrap(), None);
        let record = DeltaRecord::new(BTreeSet::new());
        record.store(&store).await.unwrap();
        record.store(&store).await.unwrap();
        assert_eq!(DeltaRecord::of(&store).await.unwrap(), Some(record));
    }
}
