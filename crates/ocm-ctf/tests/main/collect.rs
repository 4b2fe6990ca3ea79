//! What nothing needs goes from a directory, and what goes on beside that.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ocm_ctf::{Access, CtfDirectory, INDEX_FILE};
use ocm_digest::Digest;
use ocm_oci::{
    Collect as _, Collected, Delete as _, Descriptor, Error, Fetch as _, ImageIndex, Ingest as _,
    Outcome, Push as _, RawManifest, Reference, RepositoryName, Store as _, media_type,
};

use crate::support::{
    by_tag, image, memory, noise, push_image, read_all, read_back, repository, tag,
};

const GRACE: Duration = Duration::from_hours(1);

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self { root };
        fs::create_dir(place.path()).unwrap();
        let nothing = r#"{"schemaVersion":1,"artifacts":[]}"#;
        fs::write(place.path().join(INDEX_FILE), nothing).unwrap();
        place
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("shop.ctf")
    }

    fn open(&self) -> CtfDirectory {
        CtfDirectory::open(self.path(), Access::ReadWrite).unwrap()
    }

    fn file(&self, directory: &str, digest: &Digest) -> PathBuf {
        let name = format!("sha256.{}", digest.to_hex());
        self.path().join(directory).join(name)
    }

    fn has(&self, directory: &str, content: &[u8]) -> bool {
        self.file(directory, &Digest::sha256(content)).exists()
    }

    /// Makes all files twice the grace time older.
    fn age(&self) {
        for directory in ["blobs", ".condemned", ".uploads"] {
            for file in files(&self.path().join(directory)) {
                let modified = fs::metadata(&file).unwrap().modified().unwrap();
                set_modified(&file, modified - GRACE * 2);
            }
        }
    }

    /// Lets twice the grace time pass, and collects.
    async fn later(&self, store: &CtfDirectory) -> Collected {
        self.age();
        store.collect(GRACE).await.unwrap()
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn set_modified(file: &Path, time: SystemTime) {
    File::open(file).unwrap().set_modified(time).unwrap();
}

fn condemned(number: u64) -> Collected {
    Collected {
        condemned: number,
        ..Collected::default()
    }
}

fn removed(blobs: u64, bytes: usize) -> Collected {
    Collected {
        blobs,
        bytes: bytes as u64,
        ..Collected::default()
    }
}

#[tokio::test]
async fn what_is_needed_stays_however_old() {
    let place = Place::new();
    let store = place.open();
    for (at, name) in ["acme/a", "acme/a/b", "b"].into_iter().enumerate() {
        let layer = memory(noise(1000, at as u64));
        push_image(&store, &repository(name), "1.0", layer)
            .await
            .unwrap();
    }
    // An index whose image the index of the archive does not list, as older tools leave it.
    let name = repository("old");
    let child = image(&store, &name, "2.0", memory(noise(1000, 9)))
        .await
        .unwrap();
    store
        .push_blob(&name, &memory(child.bytes().clone()))
        .await
        .unwrap();
    let index = RawManifest::index(&ImageIndex::new(vec![child.descriptor()]));
    store
        .push_manifest(&name, &index, Some(&tag("2.0")))
        .await
        .unwrap();
    // Nobody else sees that yet.
    assert_eq!(place.later(&store).await, Collected::default());
    store.commit().await.unwrap();
    let before = files(&place.path().join("blobs"));
    for _ in 0..3 {
        assert_eq!(place.later(&store).await, Collected::default());
    }
    assert_eq!(files(&place.path().join("blobs")), before);
    read_all(&store).await.unwrap();
    read_back(&store, &name, &noise(1000, 9)).await;
}

#[tokio::test]
async fn what_nothing_needs_is_set_aside_and_then_removed() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    push_image(&store, &name, "kept", memory(noise(1000, 1)))
        .await
        .unwrap();
    let gone = push_image(&store, &name, "gone", memory(noise(2000, 2)))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let by_digest = Reference::Digest(gone.digest());
    store.delete_manifest(&name, &by_digest).await.unwrap();
    store.commit().await.unwrap();

    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    assert_eq!(place.later(&store).await, condemned(1));
    let layer = Digest::sha256(noise(2000, 2));
    assert_eq!(store.stat_blob(&name, &layer).await.unwrap(), None);
    assert!(place.has(".condemned", &noise(2000, 2)));
    // It has just been set aside, however old it is.
    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    assert_eq!(place.later(&store).await, removed(1, 2000));
    assert!(!place.has(".condemned", &noise(2000, 2)));
    assert_eq!(place.later(&store).await, Collected::default());
    read_all(&store).await.unwrap();
}

#[tokio::test]
async fn a_blob_that_has_just_come_waits_for_its_manifest() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let name = repository("acme/a");
    let manifest = image(&store, &name, "1.0", memory(noise(1000, 1)))
        .await
        .unwrap();
    assert_eq!(other.collect(GRACE).await.unwrap(), Collected::default());
    store
        .push_manifest(&name, &manifest, Some(&tag("1.0")))
        .await
        .unwrap();
    store.commit().await.unwrap();
    read_back(&other, &name, &noise(1000, 1)).await;
}

/// A push finds old blobs that nothing needs. Wherever the collection comes in between, the push
/// succeeds, and what it has pushed is whole.
#[tokio::test]
async fn a_push_keeps_what_it_has_found_wherever_a_collection_comes() {
    for collected_at in 0..4 {
        let place = Place::new();
        let (store, other) = (place.open(), place.open());
        let name = repository("acme/a");
        let content = noise(1000, 1);
        let manifest = image(&store, &name, "1.0", memory(content.clone()))
            .await
            .unwrap();
        store
            .push_blob(&name, &memory(manifest.bytes().clone()))
            .await
            .unwrap();
        store.commit().await.unwrap();
        place.age();
        let mut set_aside = Collected::default();
        let mut step = 0;
        let mut pass = async || {
            if step == collected_at {
                set_aside = other.collect(GRACE).await.unwrap();
            }
            step += 1;
        };
        pass().await;
        let pushed = store
            .push_blob(&name, &memory(content.clone()))
            .await
            .unwrap();
        let found = if collected_at == 0 {
            Outcome::Copied
        } else {
            Outcome::Existed
        };
        assert_eq!(pushed.outcome, found);
        pass().await;
        store
            .push_manifest(&name, &manifest, Some(&tag("1.0")))
            .await
            .unwrap();
        pass().await;
        store.commit().await.unwrap();
        pass().await;
        let expected = if collected_at < 3 {
            condemned(3)
        } else {
            Collected::default()
        };
        assert_eq!(set_aside, expected, "at {collected_at}");
        assert_eq!(read_all(&other).await.unwrap(), (1, 2), "at {collected_at}");
        for _ in 0..3 {
            place.later(&other).await;
        }
        assert_eq!(read_all(&other).await.unwrap(), (1, 2), "at {collected_at}");
    }
}

#[tokio::test]
async fn a_child_that_nothing_lists_comes_back_with_its_layers() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let name = repository("acme/a");
    let child = image(&store, &name, "1.0", memory(noise(1000, 1)))
        .await
        .unwrap();
    store
        .push_blob(&name, &memory(child.bytes().clone()))
        .await
        .unwrap();
    let index = RawManifest::index(&ImageIndex::new(vec![child.descriptor()]));
    store
        .push_manifest(&name, &index, Some(&tag("1.0")))
        .await
        .unwrap();
    place.age();
    // The index itself has just been written; what it needs is old.
    assert_eq!(other.collect(GRACE).await.unwrap(), condemned(4));
    store.commit().await.unwrap();
    read_back(&other, &name, &noise(1000, 1)).await;
    other.manifest(&name, &by_tag("1.0")).await.unwrap();
    let by_digest = Reference::Digest(child.digest());
    other.manifest(&name, &by_digest).await.unwrap();
}

/// Pushes an image, whose blobs are collected by another before it is listed.
async fn push_slowly(
    place: &Place,
    store: &CtfDirectory,
    other: &CtfDirectory,
    name: &RepositoryName,
) -> RawManifest {
    let late = image(store, name, "late", memory(noise(1000, 1))).await;
    let late = late.unwrap();
    let pushed = store.push_manifest(name, &late, Some(&tag("late"))).await;
    pushed.unwrap();
    place.later(other).await;
    assert_eq!(place.later(other).await.blobs, 3);
    late
}

#[tokio::test]
async fn a_manifest_whose_blobs_are_gone_is_refused_and_nothing_else() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let name = repository("acme/a");
    push_slowly(&place, &store, &other, &name).await;
    push_image(&store, &name, "good", memory(noise(1000, 2)))
        .await
        .unwrap();
    let error = store.commit().await.unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");
    store.commit().await.unwrap();
    let error = other.manifest(&name, &by_tag("late")).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(read_all(&other).await.unwrap(), (1, 2));
}

#[tokio::test]
async fn of_several_who_collect_the_one_who_grants_most_time_decides() {
    let place = Place::new();
    let (server, other) = (place.open(), place.open());
    let name = repository("acme/a");
    push_image(&server, &name, "1.0", memory("layer"))
        .await
        .unwrap();
    server.commit().await.unwrap();
    server
        .push_blob(&name, &memory(noise(1000, 1)))
        .await
        .unwrap();
    server.announce(GRACE * 3).await.unwrap();
    server.announce(GRACE).await.unwrap();
    // It is twice the grace time old, and four times, and has been set aside for as long.
    assert_eq!(place.later(&other).await, Collected::default());
    assert_eq!(place.later(&other).await, condemned(1));
    assert_eq!(place.later(&other).await, Collected::default());
    assert_eq!(place.later(&other).await, removed(1, 1000));
    // Who writes later is not bound by those who do not any more.
    server
        .push_blob(&name, &memory(noise(1000, 1)))
        .await
        .unwrap();
    drop((server, other));
    let later = place.open();
    assert_eq!(place.later(&later).await, condemned(1));
}

#[tokio::test]
async fn nothing_goes_where_nobody_knows_the_grace_time() {
    let place = Place::new();
    let (store, other) = (place.open(), place.open());
    let name = repository("acme/a");
    push_image(&store, &name, "1.0", memory("layer"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    store.push_blob(&name, &memory("blob")).await.unwrap();
    place.age();
    for text in ["", "soon", "-1", "99999999999999999999999"] {
        fs::write(place.path().join(".grace"), text).unwrap();
        other.collect(GRACE).await.unwrap_err();
        assert!(place.has("blobs", b"blob"));
    }
}

/// Whoever comes first to write for all.
#[tokio::test]
async fn each_of_several_who_push_at_once_hears_of_its_own_manifest() {
    for unlucky_is_first in [true, false] {
        let place = Place::new();
        let (store, other) = (place.open(), place.open());
        let name = repository("acme/a");
        let late = push_slowly(&place, &store, &other, &name).await;
        let good = push_image(&store, &name, "good", memory(noise(1000, 2)))
            .await
            .unwrap();
        let (late, good) = (late.digest(), good.digest());
        if !unlucky_is_first {
            store.commit_own(Some((&name, &good))).await.unwrap();
        }
        // Somebody who has pushed no manifest.
        store.commit_own(None).await.unwrap();
        for _ in 0..2 {
            let error = store.commit_own(Some((&name, &late))).await.unwrap_err();
            assert!(matches!(error, Error::Dangling { .. }), "{error}");
            assert!(error.to_string().contains(&late.to_string()), "{error}");
        }
        store.commit_own(Some((&name, &good))).await.unwrap();
        assert_eq!(read_all(&other).await.unwrap(), (1, 2));
        // It can be pushed again.
        push_image(&store, &name, "late", memory(noise(1000, 1)))
            .await
            .unwrap();
        store.commit_own(Some((&name, &late))).await.unwrap();
        assert_eq!(read_all(&other).await.unwrap(), (2, 4));
    }
}

/// Tools that do not know of collections list what they have found.
#[tokio::test]
async fn what_another_tool_lists_is_brought_back() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let manifest = push_image(&store, &name, "1.0", memory(noise(1000, 1)))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let index = place.path().join(INDEX_FILE);
    let listed = fs::read(&index).unwrap();
    let by_digest = Reference::Digest(manifest.digest());
    store.delete_manifest(&name, &by_digest).await.unwrap();
    store.commit().await.unwrap();
    let manifest = memory(manifest.bytes().clone());
    store.push_blob(&name, &manifest).await.unwrap();
    assert_eq!(place.later(&store).await, condemned(3));
    fs::write(&index, listed).unwrap();
    assert_eq!(place.later(&store).await, Collected::default());
    assert_eq!(read_all(&store).await.unwrap(), (1, 2));
}

#[tokio::test]
async fn nothing_goes_where_a_manifest_cannot_be_understood() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    store
        .push_blob(&name, &memory(noise(1000, 1)))
        .await
        .unwrap();
    let strange = store.push_blob(&name, &memory("strange")).await.unwrap();
    let index = format!(
        r#"{{"schemaVersion":1,"artifacts":[{{"repository":"UPPER","digest":"{}"}}]}}"#,
        strange.digest
    );
    fs::write(place.path().join(INDEX_FILE), index).unwrap();
    place.age();
    let error = store.collect(GRACE).await.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }), "{error}");
    assert!(place.has("blobs", &noise(1000, 1)));
    assert!(store.collect_alone().await.is_err());
    assert!(place.has("blobs", &noise(1000, 1)));
}

#[tokio::test]
async fn uploads_and_parts_that_nobody_goes_on_with_go() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let mut open = store.begin(&name, "open").await.unwrap();
    open.write(noise(1000, 1)).await.unwrap();
    open.save().await.unwrap();
    let mut left = store.begin(&name, "left").await.unwrap();
    left.write(noise(1000, 2)).await.unwrap();
    left.save().await.unwrap();
    drop(left);
    let part = place.path().join("blobs/.part-sha256.00");
    fs::write(&part, "half").unwrap();
    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    assert!(part.exists());
    assert_eq!(place.later(&store).await.uploads, 1);
    assert!(!part.exists());
    assert!(store.resume(&name, "left").await.unwrap().is_none());
    let pushed = open.finish(Digest::sha256(noise(1000, 1))).await.unwrap();
    assert_eq!(pushed.size, 1000);
}

#[tokio::test]
async fn who_is_alone_removes_everything_at_once() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    push_image(&store, &name, "kept", memory(noise(1000, 1)))
        .await
        .unwrap();
    store
        .push_blob(&name, &memory(noise(2000, 2)))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let other = place.open();
    let error = store.collect_alone().await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    drop(other);
    assert_eq!(store.collect_alone().await.unwrap(), removed(1, 2000));
    assert_eq!(store.collect_alone().await.unwrap(), Collected::default());
    assert_eq!(read_all(&store).await.unwrap(), (1, 2));
    // Others may write again.
    push_image(&place.open(), &name, "more", memory("more"))
        .await
        .unwrap();
}

/// The first Go tool writes the index in place.
#[tokio::test]
async fn nothing_goes_while_somebody_writes_the_index_in_place() {
    let place = Place::new();
    let store = place.open();
    push_image(&store, &repository("a"), "1.0", memory("layer"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    drop(store);
    place.age();
    let index = place.path().join(INDEX_FILE);
    let text = fs::read(&index).unwrap();
    fs::write(&index, "").unwrap();
    let store = place.open();
    assert_eq!(store.collect(GRACE).await.unwrap(), Collected::default());
    assert_eq!(store.collect_alone().await.unwrap(), Collected::default());
    assert!(place.has("blobs", b"layer"));
    fs::write(&index, text).unwrap();
    assert_eq!(read_all(&store).await.unwrap(), (1, 2));
}

#[tokio::test]
async fn what_is_called_a_manifest_and_is_none_keeps_nothing_from_going() {
    let place = Place::new();
    let store = place.open();
    let name = repository("a");
    store.push_blob(&name, &memory("hello")).await.unwrap();
    let entry = Descriptor::of(media_type::IMAGE_MANIFEST, b"hello");
    let index = RawManifest::index(&ImageIndex::new(vec![entry]));
    let pushed = store.push_manifest(&name, &index, Some(&tag("1.0"))).await;
    pushed.unwrap();
    store.push_blob(&name, &memory("nobody's")).await.unwrap();
    store.commit().await.unwrap();
    place.age();
    assert_eq!(store.collect(GRACE).await.unwrap(), condemned(1));
    assert!(place.has("blobs", b"hello"));
    assert!(!place.has("blobs", b"nobody's"));
}

#[tokio::test]
async fn nothing_goes_where_nothing_was_ever_listed() {
    let place = Place::new();
    fs::remove_file(place.path().join(INDEX_FILE)).unwrap();
    let store = place.open();
    store
        .push_blob(&repository("a"), &memory("blob"))
        .await
        .unwrap();
    assert_eq!(place.later(&store).await, Collected::default());
    assert_eq!(store.collect_alone().await.unwrap(), Collected::default());
    assert!(place.has("blobs", b"blob"));
}

#[test]
fn an_archive_that_is_read_is_not_collected() {
    let place = Place::new();
    assert!(place.open().collector().is_some());
    let readable = CtfDirectory::open(place.path(), Access::ReadOnly).unwrap();
    assert!(readable.collector().is_none());
}
