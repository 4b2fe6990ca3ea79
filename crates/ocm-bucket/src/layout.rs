//! What is in the bucket.
//!
//! ```text
//! data/<id>                                         the bytes of a blob
//! blobs/sha256/<hex>                                where the bytes with a digest are
//! repositories/<name>/_blobs/sha256/<hex>           the same, for who may see this repository
//! repositories/<name>/_manifests/sha256/<hex>       a manifest, as it is
//! repositories/<name>/_tags/<tag>                   what a tag points to
//! repositories/<name>/_tagged/sha256/<hex>/<tag>    that a tag has pointed to a manifest
//! repositories/<name>/_referrers/sha256/<hex>/sha256/<hex>   subject, and what refers to it
//! catalog/<name with ~ for />                       that there is a repository
//! uploads/<id>                                      how far an upload is
//! condemned/<id>                                    since when nothing names `data/<id>`
//! probes/<id>                                       for finding out what the server can do
//! ```
//!
//! No key is another one with a slash and more behind it, so that servers can keep objects as
//! files. No element of the name of a repository begins with `_`.
//!
//! Bytes get a name of their own before anybody knows their digest; what names them by their digest
//! is written once they have been verified. So a digest never leads to other bytes, not for a
//! moment, and nothing is copied.

use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Error, RepositoryName, Tag};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// How large a document of this layout may be, in bytes. The annotations of a referrer are in it.
pub(crate) const LIMIT: u64 = 8 * 1024 * 1024;

pub(crate) const JSON: &str = "application/json";
pub(crate) const OCTETS: &str = "application/octet-stream";

pub(crate) const BLOBS: &str = "blobs/";
pub(crate) const CATALOG: &str = "catalog/";
pub(crate) const CONDEMNED: &str = "condemned/";
pub(crate) const DATA: &str = "data/";
pub(crate) const PROBES: &str = "probes/";
pub(crate) const REPOSITORIES: &str = "repositories/";
pub(crate) const UPLOADS: &str = "uploads/";

/// Where the bytes of a blob are, and how many.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stored {
    /// The name below `data/`.
    pub(crate) data: String,
    pub(crate) size: u64,
}

pub(crate) fn data(id: &str) -> String {
    format!("{DATA}{id}")
}

pub(crate) fn blob(digest: &Digest) -> String {
    format!("{BLOBS}{}", path_of(digest))
}

pub(crate) fn link(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{REPOSITORIES}{repository}/_blobs/{}", path_of(digest))
}

pub(crate) fn manifests(repository: &RepositoryName) -> String {
    format!("{REPOSITORIES}{repository}/_manifests/")
}

pub(crate) fn manifest(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{}{}", manifests(repository), path_of(digest))
}

pub(crate) fn tags(repository: &RepositoryName) -> String {
    format!("{REPOSITORIES}{repository}/_tags/")
}

pub(crate) fn tag(repository: &RepositoryName, tag: &Tag) -> String {
    format!("{}{tag}", tags(repository))
}

pub(crate) fn tagged(repository: &RepositoryName, digest: &Digest) -> String {
    format!("{REPOSITORIES}{repository}/_tagged/{}/", path_of(digest))
}

pub(crate) fn referrers(repository: &RepositoryName, subject: &Digest) -> String {
    let subject = path_of(subject);
    format!("{REPOSITORIES}{repository}/_referrers/{subject}/")
}

pub(crate) fn referrer(repository: &RepositoryName, subject: &Digest, referrer: &Digest) -> String {
    format!("{}{}", referrers(repository, subject), path_of(referrer))
}

pub(crate) fn catalog(repository: &RepositoryName) -> String {
    format!("{CATALOG}{}", repository.as_str().replace('/', "~"))
}

/// Returns the repository that an entry of the catalogue is about.
pub(crate) fn of_catalog(key: &str) -> Option<RepositoryName> {
    key.strip_prefix(CATALOG)?.replace('~', "/").parse().ok()
}

pub(crate) fn upload(id: &str) -> String {
    format!("{UPLOADS}{id}")
}

pub(crate) fn condemned(id: &str) -> String {
    format!("{CONDEMNED}{id}")
}

/// What a key within a repository is about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Entry {
    Link(Digest),
    Manifest(Digest),
    Tag(Tag),
    Tagged(Digest, Tag),
    /// What refers to another manifest.
    Referrer(Digest),
}

/// Reads a key within a repository. What is none of this layout is nothing.
pub(crate) fn entry(key: &str) -> Option<(RepositoryName, Entry)> {
    let rest = key.strip_prefix(REPOSITORIES)?;
    let (name, rest) = rest.split_once("/_")?;
    let (kind, rest) = rest.split_once('/')?;
    let entry = match kind {
        "blobs" => Entry::Link(digest_of(rest)?),
        "manifests" => Entry::Manifest(digest_of(rest)?),
        "tags" => Entry::Tag(rest.parse().ok()?),
        "tagged" => {
            let (digest, tag) = rest.rsplit_once('/')?;
            Entry::Tagged(digest_of(digest)?, tag.parse().ok()?)
        }
        "referrers" => {
            let (at, _) = rest.match_indices('/').nth(1)?;
            digest_of(&rest[..at])?;
            Entry::Referrer(digest_of(&rest[at + 1..])?)
        }
        _ => return None,
    };
    Some((name.parse().ok()?, entry))
}

/// Reads a digest as it stands in keys.
pub(crate) fn digest_of(path: &str) -> Option<Digest> {
    let (algorithm, value) = path.split_once('/')?;
    let algorithm = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
    ]
    .into_iter()
    .find(|known| known.as_str() == algorithm)?;
    Digest::from_hex(algorithm, value).ok()
}

fn path_of(digest: &Digest) -> String {
    format!("{}/{}", digest.algorithm(), digest.to_hex())
}

/// Writes a document of this layout.
pub(crate) fn to_json(document: &impl Serialize) -> Result<bytes::Bytes, Error> {
    let json = serde_json::to_vec(document);
    let json = json.map_err(|error| Error::malformed("document", error.to_string()))?;
    Ok(json.into())
}

/// Reads a document of this layout.
pub(crate) fn from_json<T: DeserializeOwned>(what: String, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::malformed(what, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        let name: RepositoryName = "acme/a.b_c/x".parse().unwrap();
        let (one, other) = (Digest::sha256(b"1"), HashAlgorithm::Sha512.digest(b"2"));
        let stable: Tag = "v1_0.0-x".parse().unwrap();
        for (key, expected) in [
            (link(&name, &one), Entry::Link(one)),
            (manifest(&name, &other), Entry::Manifest(other)),
            (tag(&name, &stable), Entry::Tag(stable.clone())),
            (
                format!("{}{stable}", tagged(&name, &one)),
                Entry::Tagged(one, stable.clone()),
            ),
            (referrer(&name, &one, &other), Entry::Referrer(other)),
        ] {
            assert_eq!(entry(&key), Some((name.clone(), expected)));
        }
        assert_eq!(of_catalog(&catalog(&name)), Some(name));
    }

    #[test]
    fn foreign_keys_are_nothing() {
        for key in [
            "",
            "data/x",
            "repositories/a",
            "repositories/a/_blobs/sha256/x",
            "repositories/A/_tags/x",
            "repositories/a/_tags/x/y",
            "repositories/a/_other/x",
            "repositories/a/_referrers/sha256/x",
        ] {
            assert_eq!(entry(key), None, "{key}");
        }
    }
}
