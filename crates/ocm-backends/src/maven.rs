//! Artifacts of Maven repositories: access and input `maven`.
//!
//! An artifact is a set of files, which a repository keeps in one directory:
//!
//! ```text
//! <repository>/<group, its dots as slashes>/<artifact>/<version>/
//!    <artifact>-<version>[-<classifier>].<extension>
//!    <artifact>-<version>[-<classifier>].<extension>.sha512, .sha256, .sha1 or .md5
//! ```
//!
//! With classifier (which may be empty) and extension, an access means one file. Otherwise it
//! means all that fit, as a compressed tar; which there are, the listing of the directory says.

mod coordinates;
mod listing;
mod repository;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use ocm_blob::{BlobRef, GzipBlob, TarBlob};
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_model::Access;
use ocm_model::access::{AccessKind, Maven};
use ocm_oci::Error;
use ocm_repository::{AccessMethod, Content};

use self::coordinates::Coordinates;
pub use self::listing::listed_files;
use self::repository::Repository;
use crate::access::unsupported;
use crate::http::{HttpSource, without_query};

/// The media type of several files.
const ARCHIVE: &str = "application/x-tgz";

/// How many files of one artifact are looked up at a time.
const PARALLEL: usize = 4;

/// The mode of files in an archive, as the first generation of the tools writes it.
const MODE: u32 = 0o777;

/// Reaches artifacts of Maven repositories on web servers: access type `maven`.
///
/// Each file is checked against the strongest checksum that the repository has of it.
#[derive(Clone, Debug)]
pub struct MavenAccess {
    http: HttpSource,
}

impl MavenAccess {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

#[async_trait]
impl AccessMethod for MavenAccess {
    fn handles(&self, access: &Access) -> bool {
        matches!(access.kind(), Ok(AccessKind::Maven(_)))
    }

    async fn content(&self, access: &Access) -> Result<Content, ocm_repository::Error> {
        let Ok(AccessKind::Maven(maven)) = access.kind() else {
            return Err(unsupported(access));
        };
        let what = format!(
            "artifact {}:{}:{} of {}",
            maven.group_id,
            maven.artifact_id,
            maven.version,
            without_query(&maven.repo_url)
        );
        let open = async {
            let repository = Repository::on_web(&self.http, &maven.repo_url, &maven.group_id)?;
            artifact(&repository, &Coordinates::new(&maven)?).await
        };
        let blob = open.await;
        let blob = blob.map_err(|source| ocm_repository::Error::backend("read", what, source))?;
        Ok(Content::Blob(blob))
    }
}

/// The input `maven`, with `repoUrl` or `path`, and with `groupId`, `artifactId`, `version`,
/// `classifier`, `extension` and `mediaType`.
///
/// `path` is a repository in the directory of the constructor file, as is a `repoUrl` that begins
/// with `file://`.
#[derive(Clone, Debug)]
pub struct MavenInput {
    http: HttpSource,
}

impl MavenInput {
    /// Makes requests by the given client.
    pub const fn new(http: HttpSource) -> Self {
        Self { http }
    }
}

const FIELDS: [&str; 8] = [
    "repoUrl",
    "path",
    "groupId",
    "artifactId",
    "version",
    "classifier",
    "extension",
    "mediaType",
];

#[async_trait]
impl InputMethod for MavenInput {
    fn types(&self) -> &[&'static str] {
        &["maven", "Maven"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&FIELDS)?;
        let address = input.text("repoUrl")?.filter(|text| !text.is_empty());
        let directory = directory(input, context, address.as_deref()).await?;
        let maven = Maven {
            repo_url: address.unwrap_or_default(),
            group_id: input.required_text("groupId")?,
            artifact_id: input.required_text("artifactId")?,
            version: input.required_text("version")?,
            classifier: input.text("classifier")?,
            extension: input.text("extension")?,
            media_type: input.text("mediaType")?,
        };
        let name = format!("{}:{}:{}", maven.group_id, maven.artifact_id, maven.version);
        let what = format!("artifact {name}");
        let open = async {
            let coordinates = Coordinates::new(&maven)?;
            let repository = match directory {
                Some(directory) => Repository::in_directory(directory),
                None => Repository::on_web(&self.http, &maven.repo_url, &maven.group_id)?,
            };
            let blob = artifact(&repository, &coordinates).await?;
            // The name by which the first generation of the tools uploads it.
            let reference_name = coordinates.is_package().then_some(name);
            Ok::<_, Error>((blob, reference_name))
        };
        let (blob, reference_name) = open
            .await
            .map_err(|source| InputError::backend(input.place.clone(), "read", what, source))?;
        Ok(InputResult {
            reference_name,
            ..Content::Blob(blob).into()
        })
    }
}

/// Returns the directory that an input names as repository, if it does.
async fn directory(
    input: &InputSpec,
    context: &InputContext,
    address: Option<&str>,
) -> Result<Option<PathBuf>, InputError> {
    let path = input.text("path")?.filter(|text| !text.is_empty());
    let local = address.and_then(|address| address.strip_prefix("file://"));
    let (field, path) = match (path, local, address) {
        (Some(_), _, Some(_)) => {
            let reason = "is given beside `repoUrl`; only one of them can be";
            return Err(InputError::unusable(input.place_of("path"), reason));
        }
        (Some(path), _, None) => ("path", path),
        (None, Some(local), _) => {
            let path = local.strip_prefix("localhost").unwrap_or(local);
            ("repoUrl", path.to_owned())
        }
        (None, None, Some(_)) => return Ok(None),
        (None, None, None) => {
            let reason = "has neither `repoUrl` nor `path`";
            return Err(InputError::unusable(input.place.clone(), reason));
        }
    };
    let found = context.resolve(input, field, &path).await?;
    if !found.is_dir() {
        return Err(InputError::unusable(
            input.place_of(field),
            "is no directory",
        ));
    }
    Ok(Some(found))
}

/// Opens what the coordinates mean: one file, or several in an archive.
async fn artifact(repository: &Repository, coordinates: &Coordinates) -> Result<BlobRef, Error> {
    if let Some(file) = coordinates.file() {
        return repository
            .file(coordinates, &file, &coordinates.media_type())
            .await;
    }
    let listed = repository.list(coordinates).await?;
    let mut names = listed.clone();
    names.retain(|name| coordinates.includes(name));
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return Err(Error::not_found(coordinates.to_string()));
    }
    let listed = &listed;
    let files = stream::iter(names)
        .map(|name| async move {
            let blob = repository.member(coordinates, &name, listed).await?;
            Ok::<_, Error>((name, blob))
        })
        .buffered(PARALLEL)
        .try_collect::<Vec<_>>()
        .await?;
    let mut archive = TarBlob::new();
    for (name, blob) in files {
        archive
            .add_file(&name, MODE, blob)
            .map_err(|source| Error::blob("pack", coordinates.to_string(), source))?;
    }
    let archive = GzipBlob::new(Arc::new(archive)).with_media_type(ARCHIVE);
    Ok(Arc::new(archive))
}
