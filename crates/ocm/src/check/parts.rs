//! Checking the parts of an archive, one by one.

use std::cmp::Reverse;
use std::path::Path;

use ocm_ctf::{ArchivePart, PartList};
use ocm_digest::Digest;
use serde::Serialize;

use super::PartOutcome;
use super::look::outcome_of;
use crate::error::Error;
use crate::kind::Kind;
use crate::session::Ocm;

/// The parts of an archive, and what they were found to be.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartsReport {
    /// The list of the parts, or the part, as it was named.
    pub archive: String,
    /// How many parts the whole has.
    pub of: usize,
    /// The parts that were looked at, in the order of their bytes.
    pub parts: Vec<CheckedPart>,
}

/// A part of an archive that was looked at.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckedPart {
    /// The name of its file.
    pub name: String,
    /// The digest that the list states.
    pub digest: Digest,
    /// What it was found to be.
    #[serde(flatten)]
    pub outcome: PartOutcome,
}

/// Parts of an archive are missing, wrong, or cannot be read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{archive} is not whole: {}", .faults.join(", "))]
pub struct BrokenParts {
    archive: String,
    /// The names of the parts that are not as they should be.
    faults: Vec<String>,
    pub(crate) kind: Kind,
}

impl Ocm {
    /// Reads the parts of an archive, and compares each with the size and digest that the list
    /// states. The list stands for all of them, a part for itself alone, so that parts can be
    /// checked that are not in one place; the list must be beside each. Returns `None` if the path
    /// is about no archive in parts.
    ///
    /// # Errors
    ///
    /// The list cannot be read, or does not have the part. What is wrong with the parts stands in
    /// the report.
    pub async fn check_parts(&self, path: &str) -> Result<Option<PartsReport>, Error> {
        let full = self.path(path);
        let Some(list) = PartList::of(&full) else {
            return Ok(None);
        };
        let failed = |source| ocm_oci::Error::blob("read", path, source);
        let PartList { parts, .. } = PartList::load(&list).map_err(failed)?;
        let of = parts.len();
        let is_meant = |part: &ArchivePart| full == list || full.ends_with(&part.name);
        let mut report = PartsReport {
            archive: path.to_owned(),
            of,
            parts: Vec::new(),
        };
        for part in parts.into_iter().filter(is_meant) {
            let beside = list.clone();
            let ArchivePart { name, digest, .. } = part.clone();
            let work = tokio::task::spawn_blocking(move || outcome(&part, &beside));
            let outcome = work
                .await
                .map_err(|error| Error::Store(failed(ocm_blob::Error::source(&name, error))))?;
            report.parts.push(CheckedPart {
                name,
                digest,
                outcome,
            });
        }
        if report.parts.is_empty() {
            let what = format!("part {} in {}", full.display(), list.display());
            return Err(ocm_oci::Error::not_found(what).into());
        }
        Ok(Some(report))
    }
}

fn outcome(part: &ArchivePart, list: &Path) -> PartOutcome {
    match part.check(list) {
        Ok(()) => PartOutcome::Verified { size: part.size },
        Err(error) => outcome_of(&error),
    }
}

impl PartsReport {
    /// Says whether all that was looked at is there and right.
    ///
    /// # Errors
    ///
    /// Something is not. The severest fault decides its [`Kind`], see [`Kind::severity`].
    pub fn verdict(&self) -> Result<(), BrokenParts> {
        let faults = self.parts.iter();
        let faults = faults.filter_map(|part| Some((part.outcome.fault()?, part.name.clone())));
        let faults: Vec<(Kind, String)> = faults.collect();
        let kinds = faults.iter().map(|(kind, _)| *kind);
        match kinds.min_by_key(|kind| Reverse(kind.severity())) {
            None => Ok(()),
            Some(kind) => Err(BrokenParts {
                archive: self.archive.clone(),
                faults: faults.into_iter().map(|(_, name)| name).collect(),
                kind,
            }),
        }
    }

    /// Returns the bytes of the parts that are right.
    pub fn size(&self) -> u64 {
        let sizes = self.parts.iter().map(|part| part.outcome.size());
        sizes.fold(0, u64::saturating_add)
    }
}
