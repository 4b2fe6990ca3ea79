//! Component archives: one component version as files, as the first Go implementation and its
//! predecessor made them.
//!
//! ```text
//! component-descriptor.yaml       the component descriptor
//! blobs/sha256.<hex>              local blobs, by the file names that their accesses state
//! ```
//!
//! A directory, a tar, or a compressed tar. They are read, and never written: what is transferred
//! becomes a component version of the target, whose local blobs are known by their digests.

use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use ocm_ctf::{FileArchive, INDEX_FILE, Scratch};
use ocm_digest::Digest;
use ocm_model::access::LocalBlob;
use ocm_model::descriptor::MAX_SIZE;
use ocm_model::{Access, ComponentName, ComponentVersionId, Descriptor, Version};
use ocm_oci::CopyOptions;
use ocm_repository::{AddedContent, ComponentRepository, Content, Error, Expected, StoredVersion};

/// The file with the component descriptor.
const DESCRIPTOR_FILE: &str = "component-descriptor.yaml";

/// The directory with the local blobs.
const BLOBS: &str = "blobs";

/// A component archive: a repository with one component version, which cannot be written.
#[derive(Clone, Debug)]
pub struct ComponentArchive {
    files: FileArchive,
    location: String,
    stored: StoredVersion,
}

impl ComponentArchive {
    /// Tells whether a directory is a component archive, and no CTF.
    pub fn is_directory(path: &Path) -> bool {
        path.join(DESCRIPTOR_FILE).is_file() && !path.join(INDEX_FILE).exists()
    }

    /// Opens a component archive; what it is is told by its content. `location` is how messages
    /// name it. Returns `None` if there is no component descriptor in it, so that it is something
    /// else.
    ///
    /// # Errors
    ///
    /// There is nothing, it is no archive to be trusted, or its component descriptor is malformed.
    pub async fn open(
        path: impl AsRef<Path>,
        location: impl Into<String>,
        scratch: &Scratch,
    ) -> Result<Option<Self>, Error> {
        let location = location.into();
        let files = FileArchive::open(path, scratch).await;
        let files = files.map_err(|source| Error::backend("open", location.as_str(), source))?;
        Self::read(files, location)
    }

    /// Takes the files of a component archive, as [`ComponentArchive::open`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn read(files: FileArchive, location: impl Into<String>) -> Result<Option<Self>, Error> {
        let location = location.into();
        let bytes = files
            .read(DESCRIPTOR_FILE, MAX_SIZE as u64)
            .map_err(|source| Error::backend("open", location.as_str(), source))?;
        let Some(bytes) = bytes else {
            return Ok(None);
        };
        let stored = parse(&bytes, &location)?;
        Ok(Some(Self {
            files,
            location,
            stored,
        }))
    }

    /// Returns the one component version.
    pub fn id(&self) -> &ComponentVersionId {
        self.stored.descriptor.id()
    }

    fn check_id(&self, id: &ComponentVersionId) -> Result<(), Error> {
        if id == self.id() {
            return Ok(());
        }
        Err(Error::NotFound {
            id: id.clone(),
            location: self.location(),
        })
    }

    fn read_only<T>(&self) -> Result<T, Error> {
        Err(Error::ReadOnly {
            location: self.location(),
        })
    }
}

fn parse(bytes: &Bytes, location: &str) -> Result<StoredVersion, Error> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|error| Error::Malformed {
        what: DESCRIPTOR_FILE.to_owned(),
        location: location.to_owned(),
        reason: error.to_string(),
    })?;
    let what = || format!("{DESCRIPTOR_FILE} of {location}");
    let descriptor = Descriptor::read_yaml(text);
    Ok(StoredVersion {
        descriptor: descriptor.map_err(|source| Error::backend("read", what(), source))?,
        stored_digest: Digest::sha256(bytes),
        yaml: Some(text.into()),
    })
}

/// Returns the path of a local blob: its file name, or the one that its digest has.
fn path_of(blob: &LocalBlob) -> Result<String, &'static str> {
    let name = match blob.local_reference.parse::<Digest>() {
        Ok(digest) => format!("{}.{}", digest.algorithm(), digest.to_hex()),
        Err(_) => blob.local_reference.clone(),
    };
    if name.contains(|c: char| c.is_control() || c == '\\') {
        return Err("its file name has characters that are not allowed");
    }
    // A file in a directory below is as good as any other, one elsewhere is not.
    let leads_out = |part: &str| matches!(part, "" | "." | "..") || part.contains(':');
    if name.split('/').any(leads_out) {
        return Err("its file name leads out of the archive");
    }
    Ok(format!("{BLOBS}/{name}"))
}

#[async_trait]
impl ComponentRepository for ComponentArchive {
    fn location(&self) -> String {
        self.location.clone()
    }

    async fn components(&self) -> Result<Vec<ComponentName>, Error> {
        Ok(vec![self.id().name.clone()])
    }

    async fn versions(&self, component: &ComponentName) -> Result<Vec<Version>, Error> {
        if *component == self.id().name {
            return Ok(vec![self.id().version.clone()]);
        }
        Err(Error::NoComponent {
            name: component.clone(),
            location: self.location(),
        })
    }

    async fn stored_digest(&self, id: &ComponentVersionId) -> Result<Option<Digest>, Error> {
        Ok((id == self.id()).then_some(self.stored.stored_digest))
    }

    async fn component_version(&self, id: &ComponentVersionId) -> Result<StoredVersion, Error> {
        self.check_id(id)?;
        Ok(self.stored.clone())
    }

    async fn local_content(
        &self,
        id: &ComponentVersionId,
        access: &Access,
    ) -> Result<Content, Error> {
        self.check_id(id)?;
        let blob = access
            .as_local_blob()
            .ok_or_else(|| Error::UnsupportedAccess {
                access_type: access.type_text().to_owned(),
                operation: "reading a local blob",
            })?;
        let path = path_of(&blob).map_err(|reason| Error::Malformed {
            what: format!("local blob `{}`", blob.local_reference.escape_debug()),
            location: self.location(),
            reason: reason.to_owned(),
        })?;
        // The name is all that says what the file must be; who has a digest checks that, too.
        let digest = blob.digest();
        let found = self
            .files
            .blob(&path, &blob.media_type, digest)
            .map_err(|source| Error::backend("read a local blob of", id.to_string(), source))?;
        let found = found.ok_or_else(|| Error::NoLocalBlob {
            id: id.clone(),
            reference: blob.local_reference.clone(),
        })?;
        Ok(Content::Blob(found))
    }

    async fn add_content(
        &self,
        _: &ComponentVersionId,
        _: &Content,
        _: Option<&str>,
        _: &CopyOptions,
    ) -> Result<AddedContent, Error> {
        self.read_only()
    }

    async fn put(&self, _: &Descriptor, _: Expected) -> Result<Digest, Error> {
        self.read_only()
    }

    async fn commit(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(reference: &str) -> Result<String, &'static str> {
        let mut blob = LocalBlob::new(&Digest::sha256("x"), "text/plain");
        blob.local_reference = reference.to_owned();
        path_of(&blob)
    }

    #[test]
    fn a_local_blob_is_the_file_of_its_name_or_of_its_digest() {
        let digest = Digest::sha256("x");
        let file = format!("blobs/sha256.{}", digest.to_hex());
        assert_eq!(path(&digest.to_string()), Ok(file.clone()));
        assert_eq!(path(&format!("sha256.{}", digest.to_hex())), Ok(file));
        assert_eq!(path("data.txt"), Ok("blobs/data.txt".to_owned()));
        assert_eq!(path("a/data"), Ok("blobs/a/data".to_owned()));
    }

    #[test]
    fn file_names_that_lead_out_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "../x",
            "a/../../x",
            "/etc/passwd",
            "a//b",
            "a\\..\\b",
            "C:/x",
            "a\0",
            "a\nb",
        ] {
            assert!(path(name).is_err(), "{name:?}");
        }
    }
}
