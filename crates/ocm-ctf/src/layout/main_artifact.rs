//! Which of its entries a layout is about.

use std::collections::BTreeSet;

use ocm_digest::Digest;
use ocm_oci::{Descriptor, Document, Error, RawManifest, Reference};

use super::{OciLayout, REF_NAME};
use crate::reading;

/// The annotation of an artifact set's index that names its main artifact.
pub(super) const MAIN: &str = "software.ocm/main";

impl OciLayout {
    /// Returns the artifact that the layout is about: the one that the index names as such, or the
    /// only entry that neither belongs to another entry nor refers to one. Where several are left,
    /// one with a name beats those without.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if there is no such entry, or more than one.
    pub fn main_artifact(&self) -> Result<Descriptor, Error> {
        if let Some(text) = self.0.top.annotations.get(MAIN) {
            return self.named_main(text);
        }
        let entries = self.distinct();
        let candidates = if entries.len() == 1 {
            entries
        } else {
            self.roots(entries)?
        };
        if let [only] = candidates.as_slice() {
            return self.typed(only);
        }
        let named: Vec<&Descriptor> = candidates
            .iter()
            .copied()
            .filter(|entry| self.has_name(&entry.digest))
            .collect();
        match named.as_slice() {
            [only] => self.typed(only),
            _ => Err(Error::malformed(
                &*self.0.name,
                format!("{} artifacts could be the main one", candidates.len()),
            )),
        }
    }

    /// Returns whether the layout holds another artifact beside its main one: one that is neither
    /// part of that, nor refers to anything.
    ///
    /// # Errors
    ///
    /// As [`OciLayout::main_artifact`].
    pub fn holds_more(&self) -> Result<bool, Error> {
        let main = self.main_artifact()?;
        let roots = self.roots(self.distinct())?;
        Ok(roots.iter().any(|root| root.digest != main.digest))
    }

    /// Returns the entries, each manifest once.
    fn distinct(&self) -> Vec<&Descriptor> {
        let mut seen = BTreeSet::new();
        let entries = self.entries().iter();
        entries.filter(|entry| seen.insert(entry.digest)).collect()
    }

    fn named_main(&self, text: &str) -> Result<Descriptor, Error> {
        let malformed = |reason: &str| {
            let reason = format!("its main artifact `{text}` {reason}");
            Error::malformed(&*self.0.name, reason)
        };
        let digest: Digest = text.parse().map_err(|_| malformed("is no digest"))?;
        match self.entries().iter().find(|entry| entry.digest == digest) {
            Some(entry) => self.typed(entry),
            None => Err(malformed("is not in its index")),
        }
    }

    /// Leaves out what refers to another artifact, and what belongs to one.
    fn roots<'a>(&self, entries: Vec<&'a Descriptor>) -> Result<Vec<&'a Descriptor>, Error> {
        let mut dependent = BTreeSet::new();
        for entry in &entries {
            let Ok(document) = self.raw(entry)?.parse() else {
                continue;
            };
            if document.subject().is_some() || Self::is_fallback_tag(entry) {
                dependent.insert(entry.digest);
            } else if let Document::Index(index) = document {
                dependent.extend(index.manifests.iter().map(|child| child.digest));
            }
        }
        let roots = entries.into_iter();
        Ok(roots
            .filter(|entry| !dependent.contains(&entry.digest))
            .collect())
    }

    /// Returns whether an entry is the list of referrers that registries without the API keep.
    fn is_fallback_tag(entry: &Descriptor) -> bool {
        let name = entry.annotations.get(REF_NAME);
        let digest = name.and_then(|name| name.split_once('-'));
        digest
            .is_some_and(|(algorithm, hex)| format!("{algorithm}:{hex}").parse::<Digest>().is_ok())
    }

    fn has_name(&self, digest: &Digest) -> bool {
        let mut same = self
            .entries()
            .iter()
            .filter(|entry| entry.digest == *digest);
        same.any(|entry| entry.annotations.contains_key(REF_NAME))
    }

    /// Returns an entry with the media type that its manifest has.
    fn typed(&self, entry: &Descriptor) -> Result<Descriptor, Error> {
        let mut typed = entry.clone();
        if typed.media_type.is_empty() {
            self.raw(entry)?
                .media_type()
                .clone_into(&mut typed.media_type);
        }
        Ok(typed)
    }

    fn raw(&self, entry: &Descriptor) -> Result<RawManifest, Error> {
        let reference = Reference::Digest(entry.digest);
        reading::manifest(self, &self.0.repository, &reference)
    }
}
