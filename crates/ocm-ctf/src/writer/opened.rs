//! What an archive has before anything is written.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ocm_blob::CHUNK;
use ocm_oci::Error;

use super::packing::{EntryName, Hold, LOOSE_BEHIND, Packing, UNFINISHED};
use super::partial::Partial;
use super::parts;
use crate::archive::CtfArchive;
use crate::content::digest_of_path;
use crate::packed::Scratch;
use crate::parts::PartList;
use crate::sink::blocking;

/// An archive that was locked and read, before anything is written.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) partial: Partial,
    pub(super) base: Option<CtfArchive>,
}

impl Opened {
    /// Locks an archive, or one in parts, and opens what is there of it.
    pub(super) async fn new(
        target: &Path,
        name: &Arc<str>,
        is_in_parts: bool,
        scratch: &Scratch,
        patience: Duration,
    ) -> Result<Self, Error> {
        let partial = Partial::create(target, patience).await;
        let partial = partial.map_err(|source| Error::blob("open", &**name, source))?;
        let partial = partial.ok_or_else(|| Error::Busy {
            what: name.to_string(),
        })?;
        let mut archive = target.to_owned();
        if is_in_parts {
            let failed = |source| Error::blob("open", &**name, source);
            parts::complete(&partial).map_err(failed)?;
            archive = PartList::beside(target);
        }
        let base = match CtfArchive::open(&archive, scratch).await {
            Ok(base) => Some(base),
            Err(error) if error.is_not_found() => None,
            Err(error) => return Err(error),
        };
        Ok(Self { partial, base })
    }
}

/// Copies everything that is wanted but the index, as it is and in its order. Small entries stay
/// where they are until the archive is complete.
pub(super) async fn copy_entries(
    base: &CtfArchive,
    packing: &Arc<dyn Packing>,
    mut is_wanted: impl FnMut(&EntryName, u64) -> bool,
) -> Result<(), ocm_blob::Error> {
    let hold: Hold = Arc::new(());
    let mut is_loose = false;
    for (name, extent) in base.tar().entries() {
        if !is_wanted(&name, extent.1) {
            continue;
        }
        let unfinished = match &name {
            EntryName::File(path) => path.strip_prefix(UNFINISHED),
            EntryName::Blob(_) => None,
        };
        let file = base.tar().file_of_extents();
        if let Some(unfinished) = unfinished {
            is_loose |= unfinished == LOOSE_BEHIND;
            let digest = digest_of_path(&format!("blobs/{unfinished}"));
            if let (Some(digest), Some(file)) = (digest, file.cloned()) {
                let packing = Arc::clone(packing);
                blocking(move || packing.take_over(&digest, (&file, extent))).await?;
            }
        } else if let Some(file) = file.filter(|_| is_loose || extent.1 <= CHUNK as u64) {
            packing.loose().adopt(name, file, extent);
        } else {
            let blob = base.tar().blob_at(extent)?;
            packing.append(name, extent.1, &blob, &hold).await?;
        }
    }
    Ok(())
}
