//! Downloading the content of a resource.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt as _;
use ocm_blob::{BlobRef, ByteStream, Promise, gunzip, gzip, verify};
use ocm_ctf::{CtfFormat, ReferrersOf, write_layout};
use ocm_digest::Digest;
use ocm_model::element::{Element as _, Resource};
use ocm_model::{ComponentVersionId, Identity};
use ocm_oci::{CopyOptions, Reference, Selection};
use ocm_repository::{Artifact, Content, selection_of};

use crate::address::Located;
use crate::error::Error;
use crate::session::{Ocm, Use};
use crate::stated::as_stated;
use crate::unpack::{self, Packing};

/// What becomes of content that is packed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Extraction {
    /// A tar becomes a directory, and what is compressed is expanded.
    #[default]
    Auto,
    /// Bytes are written as they are.
    Disable,
}

/// Which resource is downloaded, and where to.
#[derive(Clone, Debug)]
pub struct DownloadRequest {
    /// What identifies the resource: its name, and more of its identity where that is not unique.
    pub selector: Identity,
    /// Where the content goes; without it, a file or directory of the resource's name in the
    /// working directory.
    pub output: Option<PathBuf>,
    /// What becomes of archives.
    pub extraction: Extraction,
    /// Who is told how the content is read. The limit is of no matter: there is one stream.
    pub copy: CopyOptions,
}

/// What was downloaded.
#[derive(Clone, Debug)]
pub struct Downloaded {
    /// Where it is.
    pub path: PathBuf,
    /// The digest that was checked, if the descriptor has one.
    pub digest: Option<Digest>,
    /// The media type of the content, if it has one.
    pub media_type: Option<String>,
}

impl Ocm {
    /// Downloads a resource. The content is checked against the digest in the descriptor while it
    /// is read, and the target appears only once it is whole and right.
    ///
    /// An OCI artifact becomes an OCI layout: a directory, or a file if the output is named like
    /// a tar.
    ///
    /// # Errors
    ///
    /// There is no such resource, its content is not what its digest says, or the target cannot
    /// be written.
    pub async fn download(
        &self,
        located: &Located,
        request: &DownloadRequest,
    ) -> Result<Downloaded, Error> {
        let repository = self.open(&located.repository, Use::Read).await?;
        let id = self.one_version(&repository, located).await?;
        let stored = repository.component_version(&id).await?;
        located.check_digest(&id, &stored)?;
        let (_, resource) = stored.descriptor.find_resource(&request.selector)?;
        let access = resource.access.as_ref().filter(|access| !access.is_none());
        let access = access.ok_or_else(|| Error::NoContent {
            id: id.clone(),
            resource: resource.identity(),
        })?;
        let content = if access.is_local() {
            repository.local_content(&id, access).await
        } else {
            self.access_methods(&repository)
                .await?
                .content(access)
                .await
        };
        let path = match &request.output {
            Some(path) => self.path(path),
            None => self.path(&resource.name),
        };
        let task = Task {
            id: &id,
            resource: &resource,
            path,
            extraction: request.extraction,
            copy: &request.copy,
        };
        let content = content.map_err(|error| task.failed(error))?;
        task.run(content).await
    }
}

/// One download, with what its messages name.
struct Task<'a> {
    id: &'a ComponentVersionId,
    resource: &'a Resource,
    path: PathBuf,
    extraction: Extraction,
    copy: &'a CopyOptions,
}

impl Task<'_> {
    async fn run(self, content: Content) -> Result<Downloaded, Error> {
        let spec = self
            .resource
            .digest
            .as_ref()
            .filter(|digest| !digest.is_excluded());
        let expected = spec.and_then(|digest| digest.digest().ok());
        let content = as_stated(content, spec).await?;
        let media_type = content.media_type().map(str::to_owned);
        match content {
            Content::Artifact(artifact) => {
                let selection = self.resource.access.as_ref().map(selection_of);
                let selection = selection.unwrap_or_default();
                self.write_artifact(&artifact, expected, &selection).await?;
            }
            Content::Blob(blob) => {
                let blob = self.watched(&blob);
                let media_type = media_type.as_deref().unwrap_or_default();
                let mut written = self
                    .write_blob(checked(&blob, expected).await, media_type)
                    .await;
                if let Err(ocm_blob::Error::Malformed { .. }) = written {
                    // Who has changed the content is to blame first, if anybody has.
                    written = read_through(&blob, expected).await.and(written);
                }
                written.map_err(|error| self.failed(error))?;
            }
        }
        Ok(Downloaded {
            path: self.path,
            digest: expected,
            media_type,
        })
    }

    /// Returns what is downloaded as a blob that tells how it is read.
    fn watched(&self, blob: &BlobRef) -> BlobRef {
        self.copy.progress().started(blob.size());
        self.copy.watch(blob)
    }

    async fn write_blob(
        &self,
        stream: Result<ByteStream, ocm_blob::Error>,
        media_type: &str,
    ) -> Result<(), ocm_blob::Error> {
        let stream = stream?;
        let packing = match self.extraction {
            Extraction::Auto => Packing::of(media_type),
            Extraction::Disable => Packing {
                tar: false,
                gzip: false,
            },
        };
        let stream = if packing.gzip {
            gunzip(stream, u64::MAX)
        } else {
            stream
        };
        if packing.tar {
            unpack::tree(stream, &self.path).await
        } else {
            let executable = self.resource.r#type == "executable";
            unpack::file(stream, &self.path, executable).await
        }
    }

    /// Writes an artifact as an OCI layout.
    async fn write_artifact(
        &self,
        artifact: &Artifact,
        expected: Option<Digest>,
        selection: &Selection,
    ) -> Result<(), Error> {
        let Artifact {
            store,
            repository,
            root,
        } = artifact;
        if let Some(expected) = expected.filter(|expected| *expected != root.digest) {
            let actual = root.digest;
            return Err(self.failed(ocm_blob::Error::DigestMismatch { expected, actual }));
        }
        let reference = Reference::Digest(root.digest);
        let name = self.resource.version.as_str();
        let layout = write_layout(
            store.as_ref(),
            repository,
            &reference,
            Some(name),
            ReferrersOf::Nobody,
            selection,
        )
        .await
        .map_err(|error| self.failed(error))?;
        let layout = self.watched(&(Arc::new(layout) as BlobRef));
        let stream = layout.open().await.map_err(|error| self.failed(error))?;
        let written = match CtfFormat::of_name(&self.path) {
            CtfFormat::TarGzip => unpack::file(gzip(stream), &self.path, false).await,
            CtfFormat::Directory if self.extraction == Extraction::Auto => {
                unpack::tree(stream, &self.path).await
            }
            CtfFormat::Tar | CtfFormat::Directory => unpack::file(stream, &self.path, false).await,
        };
        written.map_err(|error| self.failed(error))
    }

    fn failed(&self, source: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Download {
            id: self.id.clone(),
            resource: self.resource.identity(),
            source: Box::new(source),
        }
    }
}

/// Opens content so that it is checked. A blob that knows its digest does that by itself.
async fn checked(blob: &BlobRef, expected: Option<Digest>) -> Result<ByteStream, ocm_blob::Error> {
    let stream = blob.open().await?;
    Ok(match expected {
        Some(digest) if blob.digest() != expected => verify(
            stream,
            Promise {
                size: None,
                digest: Some(digest),
            },
        ),
        _ => stream,
    })
}

/// Reads content to its end, only to have it checked.
async fn read_through(blob: &BlobRef, expected: Option<Digest>) -> Result<(), ocm_blob::Error> {
    let mut stream = checked(blob, expected).await?;
    while stream.next().await.transpose()?.is_some() {}
    Ok(())
}
