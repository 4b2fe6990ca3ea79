//! The input `file`: the bytes of one file.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::{BlobRef, FileBlob};
use ocm_repository::Content;

use super::{InputContext, InputError, InputMethod, InputResult};
use crate::compress::compressed;
use crate::constructor::InputSpec;
use crate::sniff;

/// The input `file`, with `path`, `mediaType` and `compress`.
///
/// Without a media type it is told from the first bytes. An OCI layout whose media type says so is
/// handed on as it is; the repository stores the artifact that it holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileInput;

#[async_trait]
impl InputMethod for FileInput {
    fn types(&self) -> &[&'static str] {
        &["file", "File"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&["path", "mediaType", "compress"])?;
        let path = input.required_text("path")?;
        let path = context.resolve(input, "path", &path).await?;
        let media_type = input.text("mediaType")?.filter(|text| !text.is_empty());
        let blob = open(input, path, media_type).await?;
        Ok(Content::Blob(compressed(blob, input.flag("compress")?)).into())
    }

    async fn size(&self, input: &InputSpec, context: &InputContext) -> Option<u64> {
        if input.flag("compress").ok()? {
            return None;
        }
        let path = input.required_text("path").ok()?;
        let path = context.resolve(input, "path", &path).await.ok()?;
        let metadata = tokio::fs::metadata(path).await.ok()?;
        metadata.is_file().then_some(metadata.len())
    }
}

/// Opens a file that has been resolved; without a media type it is guessed.
pub(super) async fn open(
    input: &InputSpec,
    path: PathBuf,
    media_type: Option<String>,
) -> Result<BlobRef, InputError> {
    let place = input.place_of("path");
    let named = path.display().to_string();
    let opened = tokio::task::spawn_blocking(move || {
        let blob = FileBlob::open_path(&path)?;
        let media_type = match media_type {
            Some(media_type) => media_type,
            None => guess(&blob)?.to_owned(),
        };
        Ok::<_, ocm_blob::Error>(blob.with_media_type(media_type))
    });
    let failed = |source| InputError::backend(place.clone(), "use", named.clone(), source);
    let blob = opened
        .await
        .map_err(|error| failed(Box::new(error) as Box<dyn std::error::Error + Send + Sync>))?
        .map_err(|error| failed(Box::new(error)))?;
    Ok(Arc::new(blob))
}

fn guess(blob: &FileBlob) -> Result<&'static str, ocm_blob::Error> {
    let range = blob.file_range();
    let mut head = Vec::with_capacity(sniff::HEAD);
    std::fs::File::open(&range.path)
        .and_then(|file| file.take(sniff::HEAD as u64).read_to_end(&mut head))
        .map_err(|source| ocm_blob::Error::file("read", &range.path, source))?;
    Ok(sniff::media_type(&head, head.len() as u64 == range.len))
}
