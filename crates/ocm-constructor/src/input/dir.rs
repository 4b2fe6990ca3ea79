//! The input `dir`: a directory as tar.

mod scan;
mod tree;

use std::path::{Component, Path};
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::BlobRef;
use ocm_repository::Content;

use self::scan::{Scan, scan};
use self::tree::TreeBlob;
use super::{InputContext, InputError, InputMethod, InputResult, file};
use crate::compress::compressed;
use crate::constructor::InputSpec;
use crate::glob::Pattern;

/// The input `dir`, with `path`, `mediaType`, `compress`, `preserveDir`, `followSymlinks`,
/// `includeFiles`, `excludeFiles` and `reproducible`.
///
/// The entries stand in the order of their names, each directory before its content, with `./` for
/// the root; with `preserveDir` names start with that of the directory. They belong to nobody and
/// have no time, so that the same files give the same bytes everywhere, unless `reproducible` is
/// `false`; then they have the times of the files.
///
/// A pattern is one of Go's `filepath.Match` and must match the whole path of a file below the
/// directory. Directories are entered whatever is included, but left out with everything in them
/// if excluded. Symbolic links are errors, or with `followSymlinks` stand for what they point to,
/// which must be inside of the directory of the constructor file.
///
/// A path to a file gives its bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct DirInput;

const FIELDS: [&str; 8] = [
    "path",
    "mediaType",
    "compress",
    "preserveDir",
    "followSymlinks",
    "includeFiles",
    "excludeFiles",
    "reproducible",
];

#[async_trait]
impl InputMethod for DirInput {
    fn types(&self) -> &[&'static str] {
        &["dir", "Dir"]
    }

    async fn process(
        &self,
        input: &InputSpec,
        context: &InputContext,
    ) -> Result<InputResult, InputError> {
        input.check_fields(&FIELDS)?;
        let path = input.required_text("path")?;
        let root = context.resolve(input, "path", &path).await?;
        let include = patterns(input, "includeFiles")?;
        let exclude = patterns(input, "excludeFiles")?;
        let media_type = input.text("mediaType")?.filter(|text| !text.is_empty());
        let blob: BlobRef = if root.is_file() {
            if !include.is_empty() || !exclude.is_empty() {
                let reason = "is a file, for which nothing can be included or excluded";
                return Err(InputError::unusable(input.place_of("path"), reason));
            }
            let media_type = media_type.unwrap_or_else(|| "application/octet-stream".to_owned());
            file::open(input, root, Some(media_type)).await?
        } else {
            let base = context.resolve(input, "path", ".").await?;
            let preserve = input.flag("preserveDir")?;
            let scanned = Scan {
                prefix: preserve.then(|| name_of(&path, &root)),
                root,
                follow_into: input.flag("followSymlinks")?.then_some(base),
                with_times: input.spec.field("reproducible").is_some()
                    && !input.flag("reproducible")?,
                include,
                exclude,
                place: input.place_of("path"),
            };
            let entries = tokio::task::spawn_blocking(move || scan(&scanned));
            let entries = entries.await.map_err(|error| {
                InputError::backend(input.place_of("path"), "read", &path, error)
            })??;
            let media_type = media_type.unwrap_or_else(|| "application/x-tar".to_owned());
            Arc::new(TreeBlob::new(entries, media_type))
        };
        Ok(Content::Blob(compressed(blob, input.flag("compress")?)).into())
    }
}

fn patterns(input: &InputSpec, field: &str) -> Result<Vec<Pattern>, InputError> {
    let parse = |text: &String| {
        Pattern::parse(text).ok_or_else(|| {
            let reason = format!("`{text}` is not a well-formed pattern");
            InputError::unusable(input.place_of(field), reason)
        })
    };
    input.list(field)?.iter().map(parse).collect()
}

/// The name that a directory has in the path as it was written, or else its own.
fn name_of(path: &str, root: &Path) -> String {
    let written = match Path::new(path).components().next_back() {
        Some(Component::Normal(name)) => Some(name),
        _ => root.file_name(),
    };
    written.map_or_else(
        || ".".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}
