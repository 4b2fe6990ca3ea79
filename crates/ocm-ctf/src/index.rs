//! `artifact-index.json`: the names in an archive.
//!
//! ```json
//! {"schemaVersion":1,"artifacts":[
//!   {"repository":"component-descriptors/acme.org/shop","tag":"1.0.0",
//!    "digest":"sha256:6d77…","mediaType":"application/vnd.oci.image.manifest.v1+json"}]}
//! ```
//!
//! Entries stay in their order, and unknown fields stay where they are. An entry without tag is a
//! manifest that is reached by digest only. OCM spec, "Common Transport Format".

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::{Occupied, Vacant};

use ocm_digest::Digest;
use ocm_oci::{Error, Reference, RepositoryName, Tag};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The name of the file in an archive.
pub const INDEX_FILE: &str = "artifact-index.json";

/// The size beyond which an index is refused, in bytes.
pub const INDEX_LIMIT: u64 = 64 * 1024 * 1024;

const SCHEMA_VERSION: u32 = 1;

/// The names in an archive: which repositories there are, with which manifests and tags.
#[derive(Clone, Debug, Default)]
pub struct ArtifactIndex {
    /// In the order of the file; removed entries leave a gap.
    entries: Vec<Option<Entry>>,
    repositories: BTreeMap<RepositoryName, Names>,
    extra: Map<String, Value>,
    generation: u64,
}

/// Where the entries of a repository stand.
#[derive(Clone, Debug, Default)]
struct Names {
    tags: BTreeMap<Tag, usize>,
    digests: BTreeMap<Digest, Vec<usize>>,
}

/// A manifest that the index lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listed<'a> {
    /// The digest of the manifest.
    pub digest: Digest,
    /// Its media type, if the entry says so. Archives of older tools never do.
    pub media_type: Option<&'a str>,
}

impl ArtifactIndex {
    /// Reads an index. An empty file is an empty index; `what` names it in errors.
    ///
    /// Repository names and tags that OCI does not allow are kept, but cannot be asked for.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] if it is no JSON, has another schema version or a malformed digest;
    /// [`Error::TooLarge`] beyond [`INDEX_LIMIT`].
    pub fn read(bytes: &[u8], what: &str) -> Result<Self, Error> {
        if bytes.len() as u64 > INDEX_LIMIT {
            return Err(Error::TooLarge {
                what: what.to_owned(),
                limit: INDEX_LIMIT,
            });
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let file: File = serde_json::from_slice(bytes)
            .map_err(|error| Error::malformed(what, error.to_string()))?;
        if file.schema_version != SCHEMA_VERSION {
            let reason = format!("schema version is {}, expected 1", file.schema_version);
            return Err(Error::malformed(what, reason));
        }
        let mut index = Self {
            extra: file.extra,
            ..Self::default()
        };
        for entry in file.artifacts.unwrap_or_default() {
            index.append(entry);
        }
        Ok(index)
    }

    /// Writes the index as compact JSON.
    pub fn write(&self) -> Vec<u8> {
        let file = FileRef {
            schema_version: SCHEMA_VERSION,
            artifacts: self.entries.iter().flatten().collect(),
            extra: &self.extra,
        };
        serde_json::to_vec(&file).expect("texts and numbers serialise")
    }

    /// Returns the names of the repositories, sorted.
    pub fn repositories(&self) -> impl Iterator<Item = &RepositoryName> {
        self.repositories.keys()
    }

    /// Returns the tags of a repository, sorted, or `None` if there is no such repository.
    pub fn tags(&self, repository: &RepositoryName) -> Option<impl Iterator<Item = &Tag>> {
        Some(self.repositories.get(repository)?.tags.keys())
    }

    /// Returns whether there is such a repository.
    pub fn has_repository(&self, repository: &RepositoryName) -> bool {
        self.repositories.contains_key(repository)
    }

    /// Returns the manifests of a repository, sorted by digest.
    pub fn manifests(&self, repository: &RepositoryName) -> impl Iterator<Item = Listed<'_>> {
        let names = self.repositories.get(repository);
        let positions = names
            .into_iter()
            .flat_map(|names| names.digests.values())
            .filter_map(|positions| positions.first());
        positions.filter_map(|&position| self.listed(position))
    }

    /// Returns the manifest that a reference names.
    pub fn resolve(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Option<Listed<'_>> {
        let names = self.repositories.get(repository)?;
        match reference {
            Reference::Tag(tag) => self.listed(*names.tags.get(tag)?),
            Reference::Digest(digest) => self.listed(*names.digests.get(digest)?.first()?),
        }
    }

    /// Returns whether any repository lists a manifest.
    pub fn lists(&self, digest: &Digest) -> bool {
        self.repositories
            .values()
            .any(|names| names.digests.contains_key(digest))
    }

    /// Returns a number that grows with each change.
    pub(crate) const fn generation(&self) -> u64 {
        self.generation
    }

    /// Continues the count of changes of the index that this one replaces.
    pub(crate) const fn supersede(&mut self, old: &Self) {
        self.generation = old.generation + 1;
    }

    /// Lists a manifest, under a tag if one is given.
    ///
    /// An entry that had the tag keeps its manifest without it; an entry without tag takes it.
    /// Listing the same again changes nothing. Returns whether the index changed.
    pub fn add(
        &mut self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        digest: Digest,
        media_type: &str,
    ) -> bool {
        let names = self.repositories.entry(repository.clone()).or_default();
        let same = names.digests.get(&digest);
        let Some(tag) = tag else {
            if same.is_some() {
                return false;
            }
            self.append(Entry::new(repository, None, digest, media_type));
            return true;
        };
        let untagged = same.and_then(|positions| {
            positions.iter().copied().find(
                |&position| matches!(&self.entries[position], Some(entry) if entry.tag.is_none()),
            )
        });
        if let Some(&position) = names.tags.get(tag) {
            if matches!(&self.entries[position], Some(entry) if entry.digest == digest) {
                return false;
            }
            self.remove_tag(repository, tag);
        }
        match untagged {
            Some(position) => self.set_tag(repository, position, tag),
            None => self.append(Entry::new(repository, Some(tag), digest, media_type)),
        }
        true
    }

    /// Removes a tag; its manifest stays. Returns whether there was one.
    pub fn remove_tag(&mut self, repository: &RepositoryName, tag: &Tag) -> bool {
        let Some(names) = self.repositories.get_mut(repository) else {
            return false;
        };
        let Some(position) = names.tags.remove(tag) else {
            return false;
        };
        self.generation += 1;
        if let Some(entry) = &mut self.entries[position] {
            entry.tag = None;
            let same = names.digests.entry(entry.digest).or_default();
            // The manifest is listed once more, under another tag or under none.
            if same.len() > 1 {
                same.retain(|&other| other != position);
                self.entries[position] = None;
            }
        }
        true
    }

    /// Removes a manifest and its tags. Returns whether it was listed.
    pub fn remove_manifest(&mut self, repository: &RepositoryName, digest: &Digest) -> bool {
        let Some(names) = self.repositories.get_mut(repository) else {
            return false;
        };
        let Some(positions) = names.digests.remove(digest) else {
            return false;
        };
        names
            .tags
            .retain(|_, position| !positions.contains(position));
        if names.digests.is_empty() {
            self.repositories.remove(repository);
        }
        for position in positions {
            self.entries[position] = None;
        }
        self.generation += 1;
        true
    }

    fn listed(&self, position: usize) -> Option<Listed<'_>> {
        let entry = self.entries.get(position)?.as_ref()?;
        Some(Listed {
            digest: entry.digest,
            media_type: entry.media_type.as_deref(),
        })
    }

    fn append(&mut self, mut entry: Entry) {
        self.generation += 1;
        let position = self.entries.len();
        if let Ok(repository) = entry.repository.parse::<RepositoryName>() {
            let names = self.repositories.entry(repository).or_default();
            names
                .digests
                .entry(entry.digest)
                .or_default()
                .push(position);
            if let Some(tag) = entry.tag.as_deref().and_then(|tag| tag.parse::<Tag>().ok()) {
                // Of two entries with one tag the first one counts, as for the other tools.
                match names.tags.entry(tag) {
                    Occupied(_) => entry.tag = None,
                    Vacant(place) => {
                        place.insert(position);
                    }
                }
            }
        }
        self.entries.push(Some(entry));
    }

    fn set_tag(&mut self, repository: &RepositoryName, position: usize, tag: &Tag) {
        self.generation += 1;
        if let (Some(entry), Some(names)) = (
            &mut self.entries[position],
            self.repositories.get_mut(repository),
        ) {
            entry.tag = Some(tag.as_str().to_owned());
            names.tags.insert(tag.clone(), position);
        }
    }
}

/// An entry as it stands in the file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    repository: String,
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    tag: Option<String>,
    digest: Digest,
    #[serde(
        default,
        deserialize_with = "empty_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    media_type: Option<String>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

impl Entry {
    fn new(
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    schema_version: u32,
    /// Go writes `null` for an empty list.
    #[serde(default)]
    artifacts: Option<Vec<Entry>>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FileRef<'a> {
    schema_version: u32,
    artifacts: Vec<&'a Entry>,
    #[serde(flatten)]
    extra: &'a Map<String, Value>,
}

fn empty_as_none<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn tag(text: &str) -> Tag {
        text.parse().unwrap()
    }

    fn digest(text: &str) -> Digest {
        Digest::sha256(text)
    }

    /// Adds `(tag, digest)` pairs to one repository, `""` being no tag, and returns what is left.
    fn after(pairs: &[(&str, &str)]) -> Vec<(String, Digest)> {
        let mut index = ArtifactIndex::default();
        for (text, content) in pairs {
            let tag = (!text.is_empty()).then(|| tag(text));
            index.add(&name("repo"), tag.as_ref(), digest(content), "");
        }
        let again = ArtifactIndex::read(&index.write(), "index").unwrap();
        let entries = again.entries.into_iter().flatten();
        entries
            .map(|entry| (entry.tag.unwrap_or_default(), entry.digest))
            .collect()
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected
            .iter()
            .map(|(tag, content)| ((*tag).to_owned(), digest(content)))
            .collect();
        assert_eq!(after(pairs), expected);
    }

    #[test]
    fn the_same_entry_twice_is_one_entry() {
        check(&[("v1", "a"), ("v1", "a")], &[("v1", "a")]);
        check(&[("", "a"), ("", "a")], &[("", "a")]);
        check(&[("v1", "a"), ("", "a")], &[("v1", "a")]);
    }

    #[test]
    fn a_moved_tag_leaves_its_old_manifest_untagged() {
        check(&[("v1", "a"), ("v1", "b")], &[("", "a"), ("v1", "b")]);
    }

    #[test]
    fn a_tag_fills_an_untagged_entry() {
        check(&[("", "a"), ("v1", "a")], &[("v1", "a")]);
        check(
            &[("", "new"), ("latest", "old"), ("latest", "new")],
            &[("latest", "new"), ("", "old")],
        );
    }

    #[test]
    fn a_manifest_may_have_many_tags() {
        check(
            &[("v1", "a"), ("latest", "a"), ("latest", "b")],
            &[("v1", "a"), ("latest", "b")],
        );
    }

    #[test]
    fn a_release_workflow_keeps_every_version() {
        let mut pairs = Vec::new();
        for (version, content) in [("v1", "a"), ("v2", "b"), ("v3", "c")] {
            pairs.extend([("", content), (version, content), ("latest", content)]);
        }
        check(
            &pairs,
            &[("v1", "a"), ("v2", "b"), ("v3", "c"), ("latest", "c")],
        );
    }

    #[test]
    fn repositories_do_not_disturb_each_other() {
        let mut index = ArtifactIndex::default();
        assert!(index.add(&name("a"), Some(&tag("v1")), digest("x"), ""));
        assert!(index.add(&name("b"), Some(&tag("v1")), digest("y"), ""));
        let found = index.resolve(&name("a"), &tag("v1").into()).unwrap();
        assert_eq!(found.digest, digest("x"));
        assert_eq!(index.repositories().count(), 2);
    }

    #[test]
    fn removing_a_tag_keeps_the_manifest_and_removing_the_manifest_removes_its_tags() {
        let mut index = ArtifactIndex::default();
        let repository = name("a");
        for text in ["v1", "v2"] {
            index.add(&repository, Some(&tag(text)), digest("x"), "");
        }
        assert!(index.remove_tag(&repository, &tag("v1")));
        assert!(!index.remove_tag(&repository, &tag("v1")));
        assert!(index.resolve(&repository, &digest("x").into()).is_some());
        assert!(index.remove_manifest(&repository, &digest("x")));
        assert!(index.resolve(&repository, &tag("v2").into()).is_none());
        assert!(!index.has_repository(&repository));
        assert_eq!(index.write(), br#"{"schemaVersion":1,"artifacts":[]}"#);
    }

    #[test]
    fn unknown_fields_and_strange_names_are_kept() {
        let text = format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"UPPER","tag":"a+b","digest":"{0}"}},{{"repository":"a","digest":"{0}","mediaType":"m","x":[1]}}],"y":2}}"#,
            digest("x")
        );
        let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
        assert_eq!(String::from_utf8(index.write()).unwrap(), text);
        assert_eq!(index.repositories().count(), 1);
    }

    #[test]
    fn of_two_entries_with_one_tag_the_first_counts() {
        let text = format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"a","tag":"t","digest":"{}"}},{{"repository":"a","tag":"t","digest":"{}"}}]}}"#,
            digest("first"),
            digest("second")
        );
        let mut index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
        let resolve = |index: &ArtifactIndex| {
            let found = index.resolve(&name("a"), &tag("t").into());
            found.map(|listed| listed.digest)
        };
        assert_eq!(resolve(&index), Some(digest("first")));
        index.add(&name("a"), Some(&tag("t")), digest("second"), "");
        let again = ArtifactIndex::read(&index.write(), "index").unwrap();
        assert_eq!(resolve(&again), Some(digest("second")));
    }

    #[test]
    fn an_empty_file_is_an_empty_index() {
        for text in ["", " \n", r#"{"schemaVersion":1,"artifacts":null}"#] {
            let index = ArtifactIndex::read(text.as_bytes(), "index").unwrap();
            assert_eq!(index.repositories().count(), 0);
        }
    }

    #[test]
    fn malformed_indexes_name_the_file() {
        for (text, reason) in [
            ("{", "EOF"),
            ("[]", "invalid type"),
            (
                r#"{"schemaVersion":2,"artifacts":[]}"#,
                "schema version is 2",
            ),
            (r#"{"artifacts":[]}"#, "schemaVersion"),
            (
                r#"{"schemaVersion":1,"artifacts":[{"repository":"a","digest":"sha256:12"}]}"#,
                "hexadecimal",
            ),
        ] {
            let error = ArtifactIndex::read(text.as_bytes(), "./x/artifact-index.json")
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with("./x/artifact-index.json is malformed"),
                "{error}"
            );
            assert!(error.contains(reason), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert!(ArtifactIndex::read(deep.as_bytes(), "index").is_err());
    }

    #[test]
    fn ten_thousand_entries_are_added_and_found_by_lookup() {
        let mut index = ArtifactIndex::default();
        let repository = name("a");
        for number in 0..10_000_u32 {
            let version = tag(&format!("1.0.{number}"));
            index.add(&repository, None, digest(version.as_str()), "m");
            index.add(&repository, Some(&version), digest(version.as_str()), "m");
        }
        let again = ArtifactIndex::read(&index.write(), "index").unwrap();
        assert_eq!(again.tags(&repository).unwrap().count(), 10_000);
        assert_eq!(again.manifests(&repository).count(), 10_000);
    }
}
