//! The input `docker`: one image.

use std::path::Path;

use async_trait::async_trait;
use ocm_blob::{OpenFile, gunzip, is_gzip};
use ocm_constructor::input::{InputError, InputResult};
use ocm_constructor::{InputContext, InputMethod, InputSpec};
use ocm_ctf::Scratch;
use ocm_oci::{Error, Tag};
use ocm_repository::Content;

use super::archive::DockerImage;
use super::daemon::DockerDaemon;
use crate::image::{image_reference, reference_name};

/// The input `docker`, with `path` and `repository`.
///
/// `path` is a file that `docker save` has written, compressed or not, or else the name of an image
/// in the daemon. The image becomes an OCI artifact: the same image gives the same digest wherever
/// it comes from. `repository` is the name under which it may be uploaded, below that of the
/// component unless it starts with `/`.
#[derive(Clone, Debug)]
pub struct DockerInput {
    daemon: DockerDaemon,
}

impl DockerInput {
    /// Asks the given daemon for what is no file.
    pub const fn new(daemon: DockerDaemon) -> Self {
        Self { daemon }
    }
}

#[async_trait]
impl InputMethod for DockerInput {
    fn types(&self) -> &[&'static str] {
        &["docker", "Docker"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["path", "repository"])?;
        let path = input.required_text("path")?;
        let image = load(&self.daemon, input, context, "path", &path).await?;
        let reference_name = match &image.name {
            Some(name) => {
                let image = image_reference(input, name)?;
                let repository = image.repository.as_str();
                let repository = repository.strip_prefix("library/").unwrap_or(repository);
                let tag = image.tag.as_ref().map(Tag::as_str);
                reference_name(input, context, repository, tag)?
            }
            None => reference_name(input, context, &context.name, None)?,
        };
        let artifact = image.content.artifact(image.root);
        Ok(InputResult {
            reference_name: Some(reference_name),
            ..Content::Artifact(Box::new(artifact)).into()
        })
    }
}

/// Reads an image from a file if there is one of that name, or else from the daemon.
pub(super) async fn load(
    daemon: &DockerDaemon,
    input: &InputSpec,
    context: &InputContext,
    field: &str,
    name: &str,
) -> Result<DockerImage, InputError> {
    let file = if context.directory.join(name).is_file() {
        let path = context.resolve(input, field, name).await?;
        open(&path).await
    } else {
        daemon.save(name).await
    };
    let failed = |source: Error| {
        InputError::backend(
            input.place_of(field),
            "read",
            format!("image {name}"),
            source,
        )
    };
    let file = file.map_err(failed)?;
    let read = tokio::task::spawn_blocking(move || DockerImage::read(&file)).await;
    let read = read.map_err(|error| {
        let what = format!("image {name}");
        InputError::backend(input.place_of(field), "read", what, error)
    })?;
    let mut image = read.map_err(failed)?;
    if image.name.is_none() && !context.directory.join(name).is_file() {
        image.name = Some(name.to_owned());
    }
    Ok(image)
}

/// Opens an archive; a compressed one is unpacked first.
async fn open(path: &Path) -> Result<OpenFile, Error> {
    let what = || format!("image archive {}", path.display());
    let opened = async {
        let file = OpenFile::open(path)?;
        let size = file.size()?;
        let start = file.read_at(0, usize::try_from(size.min(4)).unwrap_or(4))?;
        if !is_gzip(&start) {
            return Ok(file);
        }
        let stream = ocm_blob::Blob::open(&file.blob(0, size)).await?;
        let scratch = Scratch::default();
        scratch.spool(gunzip(stream, scratch.limit)).await
    };
    opened
        .await
        .map_err(|source| Error::blob("open", what(), source))
}
