//! What a place has, as a file that travels: digests only.

use std::collections::{BTreeMap, BTreeSet};

use ocm_digest::Digest;
use ocm_oci::RepositoryName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::LIMIT;
use super::chunks::ChunkList;

/// The content of a place: of each repository, the digests and sizes of blobs and manifests.
///
/// ```json
/// {
///   "type": "placeState.ocm.software/v1alpha1",
///   "place": "registry.internal/mirror",
///   "componentVersions": {"acme.org/product:1.0.0": "sha256:…"},
///   "repositories": {"component-descriptors/acme.org/product": {"sha256:…": 262144}}
/// }
/// ```
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlaceState {
    /// Always [`PlaceState::TYPE`].
    pub r#type: String,
    /// The place, as messages name it.
    pub place: String,
    /// The component versions that were looked at, with what names their stored forms.
    pub component_versions: BTreeMap<String, Digest>,
    /// The repositories, below the place of its components.
    pub repositories: BTreeMap<String, BTreeMap<Digest, u64>>,
    /// The chunks of large blobs that are not compressed, if they were asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub chunks: BTreeMap<Digest, ChunkList>,
}

/// Why bytes are no state of a place, no list of digests, or no record.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct StateError {
    reason: String,
}

impl StateError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl PlaceState {
    /// The type of the document.
    pub const TYPE: &str = "placeState.ocm.software/v1alpha1";

    /// Starts with nothing.
    pub fn new(place: impl Into<String>) -> Self {
        Self {
            r#type: Self::TYPE.to_owned(),
            place: place.into(),
            component_versions: BTreeMap::new(),
            repositories: BTreeMap::new(),
            chunks: BTreeMap::new(),
        }
    }

    /// Reads a state.
    ///
    /// # Errors
    ///
    /// The bytes are none, or too many.
    pub fn read(bytes: &[u8]) -> Result<Self, StateError> {
        let state: Self = parse(bytes)?;
        check_type(&state.r#type, Self::TYPE)?;
        check_repositories(state.repositories.keys())?;
        let mut sizes: BTreeMap<Digest, BTreeSet<u64>> = BTreeMap::new();
        if !state.chunks.is_empty() {
            for (digest, size) in state.repositories.values().flatten() {
                sizes.entry(*digest).or_default().insert(*size);
            }
        }
        for (digest, chunks) in &state.chunks {
            if sizes.get(digest) != Some(&BTreeSet::from([chunks.size()])) {
                let reason =
                    format!("the chunks of {digest} are not those of a blob that is there");
                return Err(StateError::new(reason));
            }
        }
        Ok(state)
    }

    /// Writes the state, sorted, a digest a line.
    pub fn write(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(self).expect("texts and numbers can be written");
        text.push('\n');
        text
    }

    /// Reads a list of digests, one a line. Empty lines, and what follows a `#`, do not count.
    ///
    /// # Errors
    ///
    /// The bytes are no text, too many, or a line is no digest.
    pub fn read_digests(bytes: &[u8]) -> Result<Vec<Digest>, StateError> {
        check_size(bytes)?;
        let text =
            std::str::from_utf8(bytes).map_err(|error| StateError::new(error.to_string()))?;
        let mut digests = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let digest = line.parse();
            digests.push(digest.map_err(|_| {
                StateError::new(format!(
                    "line {} is no digest such as `sha256:…`",
                    index + 1
                ))
            })?);
        }
        Ok(digests)
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StateError> {
    check_size(bytes)?;
    serde_json::from_slice(bytes).map_err(|error| StateError::new(error.to_string()))
}

fn check_size(bytes: &[u8]) -> Result<(), StateError> {
    if bytes.len() as u64 > LIMIT {
        return Err(StateError::new(format!("it has more than {LIMIT} bytes")));
    }
    Ok(())
}

pub(super) fn check_type(actual: &str, expected: &str) -> Result<(), StateError> {
    if actual == expected {
        return Ok(());
    }
    let reason = format!("its type is `{actual}`, not `{expected}`");
    Err(StateError::new(reason))
}

pub(super) fn check_repositories<'a>(
    names: impl Iterator<Item = &'a String>,
) -> Result<(), StateError> {
    for name in names {
        let parsed: Result<RepositoryName, _> = name.parse();
        parsed.map_err(|error| StateError::new(error.to_string()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_it_is_written() {
        let mut state = PlaceState::new("there");
        let blobs = BTreeMap::from([(Digest::sha256("a"), 1), (Digest::sha256("b"), 2)]);
        state.repositories.insert("a/b".to_owned(), blobs);
        let id = "acme.org/shop:1.0.0".to_owned();
        state.component_versions.insert(id, Digest::sha256("c"));
        assert_eq!(PlaceState::read(state.write().as_bytes()).unwrap(), state);
    }

    #[test]
    fn states_that_are_none_are_refused() {
        for (text, reason) in [
            ("[]", "invalid"),
            (
                r#"{"type":"placeState.ocm.software/v2","place":"","componentVersions":{},"repositories":{}}"#,
                "its type is",
            ),
            (
                r#"{"type":"placeState.ocm.software/v1alpha1","place":"","componentVersions":{},"repositories":{"../up":{}}}"#,
                "../up",
            ),
        ] {
            let error = PlaceState::read(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_has_a_digest_a_line() {
        let digest = Digest::sha256("a");
        let text = format!("# what is there\n\n {digest} # a\r\n");
        assert_eq!(PlaceState::read_digests(text.as_bytes()).unwrap(), [digest]);
        let error = PlaceState::read_digests(b"\nsha256:12\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is no digest such as `sha256:…`");
    }
}
