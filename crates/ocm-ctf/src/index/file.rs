//! The file as it stands on disk: its schema, and its limits.

use ocm_digest::Digest;
use ocm_oci::{Error, RepositoryName, Tag};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::INDEX_LIMIT;

const SCHEMA_VERSION: u32 = 1;

/// Reads a file; one that is empty has no entries. `what` names it in errors.
pub(super) fn read(bytes: &[u8], what: &str) -> Result<File, Error> {
    if bytes.len() as u64 > INDEX_LIMIT {
        return Err(Error::TooLarge {
            what: what.to_owned(),
            limit: INDEX_LIMIT,
        });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(File::default());
    }
    let file: File =
        serde_json::from_slice(bytes).map_err(|error| Error::malformed(what, error.to_string()))?;
    if file.schema_version != SCHEMA_VERSION {
        let reason = format!("schema version is {}, expected 1", file.schema_version);
        return Err(Error::malformed(what, reason));
    }
    Ok(file)
}

/// Writes a file as compact JSON.
pub(super) fn write<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    extra: &Map<String, Value>,
) -> Vec<u8> {
    let file = FileRef {
        schema_version: SCHEMA_VERSION,
        artifacts: entries.collect(),
        extra,
    };
    serde_json::to_vec(&file).expect("texts and numbers serialise")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    schema_version: u32,
    /// Go writes `null` for an empty list.
    #[serde(default)]
    pub(super) artifacts: Option<Vec<Entry>>,
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileRef<'a> {
    schema_version: u32,
    artifacts: Vec<&'a Entry>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

/// An entry as it stands in the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) repository: String,
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) tag: Option<String>,
    pub(super) digest: Digest,
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) media_type: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Entry {
    pub(super) fn new(
        repository: &RepositoryName,
        tag: Option<&Tag>,
        digest: Digest,
        media_type: &str,
    ) -> Self {
        Self {
            repository: repository.as_str().to_owned(),
            tag: tag.map(|tag| tag.as_str().to_owned()),
            digest,
            media_type: Some(media_type.to_owned()).filter(|text| !text.is_empty()),
            extra: Map::new(),
        }
    }

    /// Returns what entries are sorted by.
    pub(super) fn place(&self) -> (&str, Option<&str>, &Digest) {
        (&self.repository, self.tag.as_deref(), &self.digest)
    }
}

fn empty_as_none<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}
