//! The file as it stands on disk: its schema, and its limits.

use std::fmt;
use std::sync::{Arc, OnceLock};

use ocm_digest::Digest;
use ocm_oci::{Error, RepositoryName, Tag};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
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
    let mut out = format!(r#"{{"schemaVersion":{SCHEMA_VERSION},"artifacts":["#);
    for (index, entry) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(entry.written());
    }
    out.push(']');
    for (key, value) in extra {
        out.extend([",", &to_json(key), ":", &to_json(value)]);
    }
    out.push('}');
    out.into_bytes()
}

fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers serialise")
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct File {
    schema_version: u32,
    /// Go writes `null` for an empty list.
    #[serde(default)]
    pub(super) artifacts: Option<Vec<Shared>>,
    #[serde(flatten)]
    pub(super) extra: Map<String, Value>,
}

/// An entry where clones of an index share it, which it is read into, so that it is not moved there.
pub(super) struct Shared(pub(super) Arc<Entry>);

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Entry::deserialize(deserializer).map(|entry| Self(Arc::new(entry)))
    }
}

/// An entry as it stands in the file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    pub(super) repository: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<String>,
    pub(super) digest: Digest,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
    /// How it was written before: a registry writes all entries each time that one is added.
    #[serde(skip)]
    written: OnceLock<Box<str>>,
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
            written: OnceLock::new(),
        }
    }

    pub(super) fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub(super) fn set_tag(&mut self, tag: Option<String>) {
        self.tag = tag;
        self.written = OnceLock::new();
    }

    fn written(&self) -> &str {
        self.written.get_or_init(|| to_json(self).into_boxed_str())
    }

    /// Returns what entries are sorted by. Of two with one tag the first stays the first, since that
    /// is the one which counts.
    pub(super) fn place(&self) -> (&str, Option<&str>, Option<&Digest>) {
        let tag = self.tag();
        (&self.repository, tag, tag.is_none().then_some(&self.digest))
    }
}

/// By hand, since what `flatten` derives keeps all fields of an entry aside before it reads them,
/// which is most of the time that it takes to open an archive with many entries.
impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    Repository,
    Tag,
    Digest,
    MediaType,
    Other(String),
}

struct EntryVisitor;

impl<'de> Visitor<'de> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry with a repository and a digest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let (mut repository, mut digest) = (None, None);
        let (mut tag, mut media_type) = (None, None);
        let mut extra = Map::new();
        while let Some(field) = map.next_key()? {
            match field {
                Field::Repository => once(&mut repository, map.next_value()?, "repository")?,
                Field::Tag => once(&mut tag, text(&mut map)?, "tag")?,
                Field::Digest => once(&mut digest, map.next_value()?, "digest")?,
                Field::MediaType => once(&mut media_type, text(&mut map)?, "mediaType")?,
                Field::Other(name) => drop(extra.insert(name, map.next_value()?)),
            }
        }
        Ok(Entry {
            repository: repository.ok_or_else(|| A::Error::missing_field("repository"))?,
            tag: non_empty(tag),
            digest: digest.ok_or_else(|| A::Error::missing_field("digest"))?,
            media_type: non_empty(media_type),
            extra,
            written: OnceLock::new(),
        })
    }
}

fn once<T, E: serde::de::Error>(
    field: &mut Option<T>,
    value: T,
    name: &'static str,
) -> Result<(), E> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

/// Reads a text; `null` is an empty one.
fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<String, A::Error> {
    let text: Option<String> = map.next_value()?;
    Ok(text.unwrap_or_default())
}

/// Takes an empty text for a field that is not there.
fn non_empty(field: Option<String>) -> Option<String> {
    field.filter(|text| !text.is_empty())
}
