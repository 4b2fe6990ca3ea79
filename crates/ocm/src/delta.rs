//! Delta archives: what a place has, writing what it lacks, and reading both together.

mod placed;

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use ocm_backends::{ComponentArchive, OciComponentRepository};
use ocm_ctf::{Elsewhere, PartList, Scratch, open_to_write};
use ocm_digest::Digest;
use ocm_model::{ComponentVersionId, RepositorySpec};
use ocm_oci::{CopyOptions, Descriptor, RepositoryName, StoreRef};
use ocm_repository::{Artifact, RepositoryRef};
use ocm_transfer::Root;
use ocm_transfer::delta::{
    Base, ChunkList, Completed, DeltaRecord, DeltaWriter, LIMIT, MOST_CHUNKS, PlaceState,
};

use self::placed::{Found, placed};
use crate::error::{Error, count};
use crate::session::{Ocm, Use, form};

/// How a delta archive is written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DeltaOptions {
    /// The size of parts, for an archive that consists of them.
    pub part_size: Option<NonZeroU64>,
    /// Leave out parts of large blobs, too, of which the base has the chunks.
    pub chunks: bool,
}

/// How many component versions are looked at at a time.
const PARALLEL: usize = 4;

impl Ocm {
    /// Lists what a place has of component versions, or of all that it has: blobs and manifests,
    /// by their digests. Each is asked for; what a manifest names and is missing is not listed. With
    /// `chunks`, large blobs are read for their chunks, unless they are compressed.
    ///
    /// # Errors
    ///
    /// The place cannot be opened, cannot list, or does not have one of `versions`.
    pub async fn state(
        &self,
        spec: &RepositorySpec,
        versions: Option<Vec<ComponentVersionId>>,
        chunks: bool,
        copy: &CopyOptions,
    ) -> Result<PlaceState, Error> {
        let repository = self.open(spec, Use::Read).await?;
        let versions = if let Some(versions) = versions {
            versions
        } else {
            let all = Root::all(&repository).await?;
            all.into_iter().map(|root| root.id).collect()
        };
        let prefix = prefix_of(spec);
        let (repository, prefix) = (&repository, prefix.as_str());
        let mut looked = stream::iter(versions)
            .map(|id| async move {
                let (digest, found) = placed(repository, &id, prefix, copy).await?;
                Ok::<_, Error>((id, digest, found))
            })
            .buffered(PARALLEL);
        let mut state = PlaceState::new(spec.to_string());
        let mut count = 0;
        while let Some((id, digest, found)) = looked.try_next().await? {
            state.component_versions.insert(id.to_string(), digest);
            for found in found {
                if chunks {
                    count = add_chunks(&mut state, count, &found, copy).await?;
                }
                let Found { below, blobs, .. } = found;
                state.repositories.entry(below).or_default().extend(blobs);
            }
        }
        Ok(state)
    }

    /// Reads what the other side of a transfer has: the file of a [`PlaceState`], a file with a
    /// list of digests, or else an archive or a registry, which is looked at, and read with `chunks`.
    ///
    /// # Errors
    ///
    /// [`Error::NoBase`] if a file is none of these; as [`Ocm::state`].
    pub async fn base(&self, text: &str, chunks: bool, copy: &CopyOptions) -> Result<Base, Error> {
        let path = self.path(text);
        let no_base = |source| Error::NoBase {
            what: text.to_owned(),
            source,
        };
        let name = || {
            let name = path.file_name().filter(|_| path.exists());
            name.map_or(text.to_owned(), |name| name.to_string_lossy().into_owned())
        };
        match list_in(&path)? {
            Some(List::State(bytes)) => {
                let state = PlaceState::read(&bytes).map_err(no_base)?;
                return Ok(Base::of_state(name(), &state));
            }
            Some(List::Digests(bytes)) => {
                let digests = PlaceState::read_digests(&bytes).map_err(no_base)?;
                return Ok(Base::of_digests(name(), digests));
            }
            // No registry has such a name, and no archive.
            None if is_name_of_list(&path) && !path.exists() => {
                return Err(Error::File {
                    action: "read",
                    path,
                    source: ErrorKind::NotFound.into(),
                });
            }
            None => {}
        }
        let spec = self.repository(text)?;
        let mut base = Base::of_state(name(), &self.state(&spec, None, chunks, copy).await?);
        if let Some(record) = self.delta_record(&spec).await? {
            base.add_record(&record);
        }
        Ok(base)
    }

    /// Opens an archive to write what is not in a base. An archive that is there must be a delta
    /// archive, which grows unless it is in parts.
    ///
    /// # Errors
    ///
    /// [`Error::NoDelta`] if it is another archive, or no archive; as [`Ocm::parts_target`]; it
    /// cannot be opened.
    pub async fn delta_target(
        &self,
        spec: &RepositorySpec,
        base: Base,
        options: &DeltaOptions,
    ) -> Result<(RepositoryRef, Arc<DeltaWriter>), Error> {
        let no_delta = || Error::NoDelta {
            location: spec.to_string(),
        };
        let RepositorySpec::Ctf(ctf) = spec else {
            return Err(no_delta());
        };
        let path = self.path(&ctf.path);
        let DeltaOptions { part_size, chunks } = *options;
        let in_parts = part_size.and_then(|_| self.in_parts(spec));
        let standing = in_parts.as_ref().unwrap_or(spec);
        let before = self.delta_record(standing).await?;
        if before.is_none() && (path.exists() || in_parts.is_some()) {
            let there = self.open(standing, Use::Read).await?;
            if !there.components().await?.is_empty() {
                return Err(no_delta());
            }
        }
        let mut elsewhere = base.digests();
        if let Some(record) = &before {
            elsewhere.extend(record.left_out.keys().chain(record.reassembled.keys()));
        }
        let elsewhere = Elsewhere::new(elsewhere);
        let store = if let Some(size) = part_size {
            self.parts_store(spec, size, elsewhere.clone()).await?
        } else {
            let named = ctf.format.map(form);
            open_to_write(&path, named, elsewhere.clone(), &Scratch::default()).await?
        };
        let mut writer = DeltaWriter::new(store, base, before);
        if chunks {
            writer = writer.with_chunks(elsewhere);
        }
        let writer = Arc::new(writer);
        let store: StoreRef = Arc::<DeltaWriter>::clone(&writer);
        Ok((Arc::new(OciComponentRepository::new(store, None)), writer))
    }

    /// Opens a place that a transfer to `target` reads. What a delta archive leaves out is read
    /// from the target, and looked for there before anything else is done.
    ///
    /// # Errors
    ///
    /// [`Error::BaseMissing`] if the target lacks something that the archive leaves out; as
    /// [`Ocm::open`].
    pub async fn open_source(
        &self,
        spec: &RepositorySpec,
        target: &RepositorySpec,
    ) -> Result<RepositoryRef, Error> {
        let RepositorySpec::Ctf(ctf) = spec else {
            return self.open(spec, Use::Read).await;
        };
        let path = self.path(&ctf.path);
        if ComponentArchive::is_directory(&path) {
            return self.open(spec, Use::Read).await;
        }
        let Ok(archive) = self.archive(&ctf.path, Use::Read).await else {
            // It is an archive of another sort, or opening says what is wrong.
            return self.open(spec, Use::Read).await;
        };
        let Some(record) = DeltaRecord::of(&archive).await? else {
            return Ok(Arc::new(OciComponentRepository::new(archive, None)));
        };
        let missing = |digests: Vec<Digest>| Error::BaseMissing {
            delta: spec.to_string(),
            target: target.to_string(),
            base: record.base.iter().cloned().collect::<Vec<_>>().join(", "),
            missing: digests,
        };
        let (base, prefix) = match self.store_of(target).await? {
            Some(place) => place,
            // Nothing is looked for.
            None if record.needs().is_empty() => (Arc::clone(&archive), None),
            None => return Err(missing(record.needs().into_iter().collect())),
        };
        let completed = Completed::new(archive, &record, base, prefix.as_ref()).await?;
        let store: StoreRef = Arc::new(completed.map_err(missing)?);
        Ok(Arc::new(OciComponentRepository::new(store, None)))
    }

    /// Returns what an archive says that it leaves out; `None` if it is no delta archive, or not
    /// there.
    ///
    /// # Errors
    ///
    /// The archive cannot be opened, or what it says is malformed.
    pub async fn delta_record(&self, spec: &RepositorySpec) -> Result<Option<DeltaRecord>, Error> {
        let RepositorySpec::Ctf(ctf) = spec else {
            return Ok(None);
        };
        if !self.path(&ctf.path).exists() {
            return Ok(None);
        }
        match self.archive(&ctf.path, Use::Read).await {
            Ok(store) => Ok(DeltaRecord::of(&store).await?),
            // Component archives are no stores; whatever else is wrong, opening says.
            Err(_) => Ok(None),
        }
    }

    /// Says in the log that an archive is a delta archive, for commands that read it alone.
    pub async fn warn_of_delta(&self, archive: &StoreRef) {
        // Who reads what is malformed is told so then.
        if let Ok(Some(record)) = DeltaRecord::of(archive).await {
            let base: Vec<&str> = record.base.iter().map(String::as_str).collect();
            let lacking = record.left_out.len() + record.reassembled.len();
            tracing::warn!(
                "{} is a delta archive: it leaves out {} ({} bytes), which {} has; a transfer to \
                 where that is completes it",
                archive.location(),
                count(lacking, "blob"),
                record.size(),
                base.join(", ")
            );
        }
    }

    /// Returns the store of a place, and the path below which its components stand; `None` if
    /// there is nothing yet.
    async fn store_of(
        &self,
        spec: &RepositorySpec,
    ) -> Result<Option<(StoreRef, Option<RepositoryName>)>, Error> {
        match spec {
            RepositorySpec::Ctf(ctf) if self.path(&ctf.path).exists() => {
                Ok(Some((self.archive(&ctf.path, Use::Read).await?, None)))
            }
            RepositorySpec::Oci(oci) => {
                let place = self.registry_place(spec, oci).await?;
                Ok(Some((place.store, place.prefix)))
            }
            _ => Ok(None),
        }
    }
}

/// Lists the chunks of large blobs. `count` are listed; returns how many are then.
async fn add_chunks(
    state: &mut PlaceState,
    mut count: usize,
    found: &Found,
    copy: &CopyOptions,
) -> Result<usize, Error> {
    let large = found.blobs.iter().filter(|it| ChunkList::is_for(*it.1));
    for (digest, size) in large {
        if count > MOST_CHUNKS || state.chunks.contains_key(digest) {
            continue;
        }
        let list = chunks_of(&found.artifact, digest, *size, copy).await?;
        count += list.as_ref().map_or(0, ChunkList::len);
        if count > MOST_CHUNKS {
            tracing::warn!("{} has more chunks than can be listed", state.place);
            continue;
        }
        state.chunks.extend(list.map(|list| (*digest, list)));
    }
    Ok(count)
}

/// Reads a blob of an artifact for its chunks; `None` if it is compressed.
async fn chunks_of(
    artifact: &Artifact,
    digest: &Digest,
    size: u64,
    copy: &CopyOptions,
) -> Result<Option<ChunkList>, Error> {
    let descriptor = Descriptor::new("", *digest, size);
    let blob = artifact.store.blob(&artifact.repository, &descriptor);
    let list = ChunkList::of(&copy.watch(&blob)).await;
    list.map_err(|source| ocm_oci::Error::blob("read", format!("blob {digest}"), source).into())
}

/// Returns what stands before the names of repositories at a place.
fn prefix_of(spec: &RepositorySpec) -> String {
    match spec {
        RepositorySpec::Oci(oci) if !oci.sub_path.is_empty() => format!("{}/", oci.sub_path),
        _ => String::new(),
    }
}

/// A file that lists what is somewhere.
enum List {
    State(Vec<u8>),
    Digests(Vec<u8>),
}

/// Reads a file that lists digests; `None` if it is something else, or not there.
fn list_in(path: &Path) -> Result<Option<List>, Error> {
    if !path.is_file() || PartList::of(path).is_some() {
        return Ok(None);
    }
    let failed = |source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    let mut file = file.take(LIMIT + 1);
    (&mut file)
        .take(16)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    let start = bytes.trim_ascii_start();
    let is_state = start.starts_with(b"{");
    let is_list = start.is_empty() || start.starts_with(b"#") || start.starts_with(b"sha");
    if !is_state && !is_list {
        return Ok(None);
    }
    file.read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(if is_state {
        List::State(bytes)
    } else {
        List::Digests(bytes)
    }))
}

/// Tells whether a name is one that files with states and digests have.
fn is_name_of_list(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json" || extension == "txt")
}
