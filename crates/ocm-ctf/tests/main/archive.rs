//! Archives in one file, read.

use std::fs;
use std::path::{Path, PathBuf};

use ocm_blob::{Blob as _, Bytes, CHUNK, TAR_END, TarBlob, gzip, once, tar_header};
use ocm_ctf::{CtfArchive, INDEX_FILE, Scratch};
use ocm_digest::Digest;
use ocm_oci::{
    Delete as _, Descriptor, Error, Fetch as _, List as _, Push as _, RawManifest, Reference, Store,
};

use crate::support::{by_tag, chain, conformance, memory, noise, read, read_all, repository};

async fn open(path: impl AsRef<Path>) -> Result<CtfArchive, Error> {
    CtfArchive::open(path, &Scratch::default()).await
}

pub(crate) fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (path, content) in files {
        bytes.extend(tar_header(path, content.len() as u64, 0o644).unwrap());
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend(TAR_END);
    bytes
}

pub(crate) async fn compress(bytes: impl Into<Bytes>) -> Bytes {
    let stream = gzip(once(bytes.into()));
    ocm_blob::collect(stream, u64::MAX).await.unwrap()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

fn index_of(entries: &[(&str, &str, Digest)]) -> Vec<u8> {
    let entries: Vec<String> = entries
        .iter()
        .map(|(repository, tag, digest)| {
            format!(r#"{{"repository":"{repository}","tag":"{tag}","digest":"{digest}"}}"#)
        })
        .collect();
    format!(
        r#"{{"schemaVersion":1,"artifacts":[{}]}}"#,
        entries.join(",")
    )
    .into_bytes()
}

pub(crate) fn blob_path(content: &[u8]) -> String {
    format!("blobs/sha256.{}", Digest::sha256(content).to_hex())
}

#[tokio::test]
async fn archives_of_other_tools_are_read_whole() {
    for (path, expected) in [
        ("three-packings/transport-archive.tar", (1, 3)),
        ("three-packings/transport-archive.tar.gz", (1, 3)),
        ("v1-product.tar", (2, 9)),
        ("v1-product.tgz", (2, 9)),
    ] {
        let store = open(conformance("ctf").join(path)).await.unwrap();
        assert_eq!(read_all(&store).await.unwrap(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_content_tells_what_a_file_is_not_its_name() {
    let place = Place::new();
    let plain = fs::read(conformance("ctf/v1-product.tar")).unwrap();
    let packed = fs::read(conformance("ctf/v1-product.tgz")).unwrap();
    for path in [place.file("a.tgz", plain), place.file("a.tar", packed)] {
        assert!(read_all(&open(path).await.unwrap()).await.is_ok());
    }
}

#[tokio::test]
async fn the_order_of_entries_and_dots_before_paths_mean_nothing() {
    let place = Place::new();
    let manifest = br#"{"schemaVersion":2,"manifests":[]}"#;
    let index = index_of(&[("a", "1", Digest::sha256(manifest))]);
    let path = place.file(
        "a.tar",
        tar(&[
            (&format!("./{}", blob_path(manifest)), manifest),
            ("README", b"unknown files do not disturb"),
            ("./artifact-index.json", &index),
        ]),
    );
    let store = open(path).await.unwrap();
    let found = store
        .manifest(&repository("a"), &by_tag("1"))
        .await
        .unwrap();
    assert_eq!(found.bytes(), &manifest[..]);
    assert_eq!(found.media_type(), ocm_oci::media_type::IMAGE_INDEX);
}

#[tokio::test]
async fn a_large_archive_is_opened_by_its_headers() {
    let place = Place::new();
    let path = place.0.path().join("large.tar");
    let file = fs::File::create(&path).unwrap();
    let size = 20 << 30;
    let header = tar_header(&blob_path(b"not this"), size, 0o644).unwrap();
    let index = index_of(&[]);
    let rest = tar(&[(INDEX_FILE, &index)]);
    let write = |bytes: &[u8], at: u64| {
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, at).unwrap();
    };
    write(&header, 0);
    write(&rest, header.len() as u64 + size);
    let store = open(&path).await.unwrap();
    let digest = Digest::sha256("not this");
    let stat = store.stat_blob(&repository("a"), &digest).await.unwrap();
    assert_eq!(stat, Some(size));
}

#[tokio::test]
async fn what_was_opened_stays_where_another_takes_its_name() {
    let place = Place::new();
    let content = noise(CHUNK * 2, 1);
    let path = place.file(
        "a.tar",
        tar(&[
            (INDEX_FILE, &index_of(&[])),
            (&blob_path(&content), &content),
        ]),
    );
    let store = open(&path).await.unwrap();
    fs::rename(place.file("b.tar", tar(&[])), &path).unwrap();
    let descriptor = Descriptor::of("", &content);
    let found = read(&store, &repository("a"), &descriptor).await.unwrap();
    assert_eq!(found, content);
}

#[tokio::test]
async fn damage_is_named_with_archive_and_entry() {
    let place = Place::new();
    let layer = noise(100, 1);
    let index = index_of(&[("a", "1", Digest::sha256(b"missing"))]);
    let path = place.file(
        "a.tar",
        tar(&[(INDEX_FILE, &index), (&blob_path(&layer), &noise(100, 2))]),
    );
    let store = open(&path).await.unwrap();
    let name = repository("a");
    let error = store.manifest(&name, &by_tag("1")).await.unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );

    let error = read(&store, &name, &Descriptor::of("", &layer))
        .await
        .unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    assert!(chain(&error).contains(path.to_str().unwrap()), "{error}");

    let error = store.manifest(&name, &by_tag("2")).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    let missing = Reference::Digest(Digest::sha256(b"x"));
    let error = store.manifest(&name, &missing).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[track_caller]
fn check_message(outcome: Result<CtfArchive, Error>, path: &Path, reason: &str) {
    let text = chain(&outcome.unwrap_err());
    assert!(text.contains(path.to_str().unwrap()), "{text}");
    assert!(text.contains(reason), "{text}");
}

#[tokio::test]
async fn archives_that_are_none_say_why() {
    let place = Place::new();
    let whole = tar(&[(INDEX_FILE, &index_of(&[])), (&blob_path(b"abc"), b"abc")]);
    let packed = compress(whole.clone()).await;
    for (name, content, reason) in [
        ("no-index.tar", tar(&[(&blob_path(b"a"), b"a")]), INDEX_FILE),
        ("broken-index.tar", tar(&[(INDEX_FILE, b"{")]), "malformed"),
        ("cut.tar", whole[..1500].to_vec(), "cut off"),
        ("cut-at-entry.tar", whole[..2048].to_vec(), "cut off"),
        ("cut.tgz", packed[..packed.len() / 2].to_vec(), "cut off"),
        ("no-tar.tgz", compress("text").await.to_vec(), "cut off"),
        ("empty.tar", Vec::new(), "cut off"),
        ("text.tar", vec![b'x'; 2000], "malformed tar"),
    ] {
        let path = place.file(name, content);
        check_message(open(&path).await, &path, reason);
    }
    let missing = place.0.path().join("none.tar");
    assert!(open(missing).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn hostile_entries_are_named() {
    let place = Place::new();
    let file = |path: &str, kind: tar::EntryType, content: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    };
    let index = file(INDEX_FILE, tar::EntryType::Regular, &index_of(&[]));
    for (number, (entry, reason)) in [
        (file("../evil", tar::EntryType::Regular, b""), "../evil"),
        (file("/etc/evil", tar::EntryType::Regular, b""), "/etc/evil"),
        (
            file("blobs/evil", tar::EntryType::Symlink, b""),
            "blobs/evil",
        ),
        (file("blobs/evil", tar::EntryType::Link, b""), "blobs/evil"),
        (file("evil", tar::EntryType::Char, b""), "evil"),
        (index.clone(), "twice"),
    ]
    .into_iter()
    .enumerate()
    {
        let whole = [index.clone(), entry, TAR_END.to_vec()].concat();
        let path = place.file(&format!("{number}.tar"), whole);
        check_message(open(&path).await, &path, reason);
    }
}

#[tokio::test]
async fn a_bomb_is_not_unpacked_beyond_the_limit() {
    let place = Place::new();
    let bomb = tar(&[(INDEX_FILE, &index_of(&[])), ("zeros", &vec![0; CHUNK * 8])]);
    let path = place.file("bomb.tgz", compress(bomb).await);
    let scratch = Scratch {
        directory: Some(place.0.path().to_owned()),
        limit: CHUNK as u64,
    };
    let error = CtfArchive::open(&path, &scratch).await.unwrap_err();
    assert!(chain(&error).contains("limit"), "{error}");
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn an_archive_that_is_read_is_not_written() {
    let store = open(conformance("ctf/v1-product.tar")).await.unwrap();
    let name = repository("a");
    let manifest = RawManifest::new("{}", "");
    for error in [
        store.push_blob(&name, &memory("x")).await.unwrap_err(),
        store
            .push_manifest(&name, &manifest, None)
            .await
            .unwrap_err(),
        store
            .delete_manifest(&name, &by_tag("1"))
            .await
            .unwrap_err(),
        store
            .delete_blob(&name, &Digest::sha256("x"))
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    }
    assert!(store.ingest().is_none());
    store.commit().await.unwrap();
    assert!(store.tags(&name).await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_tar_of_blobs_is_an_archive() {
    let place = Place::new();
    let mut archive = TarBlob::new();
    archive
        .add_file(INDEX_FILE, 0o644, memory(index_of(&[])))
        .unwrap();
    let bytes = ocm_blob::collect(archive.open().await.unwrap(), u64::MAX)
        .await
        .unwrap();
    let store = open(place.file("a.tar", bytes)).await.unwrap();
    assert_eq!(store.repositories().await.unwrap(), []);
}
