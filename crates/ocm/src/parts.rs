//! Archives in parts, written.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;

use ocm_backends::OciComponentRepository;
use ocm_ctf::{CtfFormat, Elsewhere, Obstacle, PartList, Scratch, open_in_parts};
use ocm_model::RepositorySpec;
use ocm_model::repository::CtfRepository;
use ocm_oci::StoreRef;
use ocm_repository::RepositoryRef;

use crate::error::Error;
use crate::session::{Ocm, form};

impl Ocm {
    /// Opens an archive to write it in parts of at most `size` bytes. One that is complete can only
    /// be read.
    ///
    /// # Errors
    ///
    /// [`Error::NoParts`] if it is no tar, [`Error::InTheWay`] if there is something else under one
    /// of its names, [`Error::PartsAway`] if it was begun and what is finished is not there; it
    /// cannot be opened.
    pub async fn parts_target(
        &self,
        spec: &RepositorySpec,
        size: NonZeroU64,
    ) -> Result<RepositoryRef, Error> {
        let store = self.parts_store(spec, size, Elsewhere::default()).await?;
        Ok(Arc::new(OciComponentRepository::new(store, None)))
    }

    /// Opens an archive in parts whose manifests may name blobs of `elsewhere`.
    pub(crate) async fn parts_store(
        &self,
        spec: &RepositorySpec,
        size: NonZeroU64,
        elsewhere: Elsewhere,
    ) -> Result<StoreRef, Error> {
        let path = self.tar_of(spec).ok_or_else(|| Error::NoParts {
            location: spec.to_string(),
        })?;
        if path.exists() {
            return Err(Error::InTheWay { path });
        }
        let obstacle = Obstacle::find(&path, size);
        let obstacle = obstacle.map_err(|source| {
            ocm_oci::Error::blob("look for parts of", path.display().to_string(), source)
        })?;
        match obstacle {
            Some(Obstacle::Foreign(path)) => return Err(Error::InTheWay { path }),
            Some(Obstacle::Away(parts)) => return Err(Error::PartsAway { path, parts }),
            None => {}
        }
        Ok(open_in_parts(&path, size, elsewhere, &Scratch::default()).await?)
    }

    /// Returns what an archive is when it is there in parts: the list of these, as a place to read
    /// from.
    pub fn in_parts(&self, spec: &RepositorySpec) -> Option<RepositorySpec> {
        let list = PartList::beside(&self.tar_of(spec)?);
        let place = || RepositorySpec::Ctf(CtfRepository::new(&list.to_string_lossy()));
        list.is_file().then(place)
    }

    fn tar_of(&self, spec: &RepositorySpec) -> Option<PathBuf> {
        let RepositorySpec::Ctf(ctf) = spec else {
            return None;
        };
        let path = self.path(&ctf.path);
        let named = ctf.format.map(form);
        let is_tar = named.is_none_or(|named| named == CtfFormat::Tar);
        (is_tar && CtfFormat::of_name(&path) == CtfFormat::Tar).then_some(path)
    }
}
