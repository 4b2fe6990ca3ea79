//! Taking manifests out of an archive while others use it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ocm_ctf::{Access, CtfArchiveWriter, CtfDirectory, CtfFormat, LeftOut, Scratch, Shrinking};
use ocm_digest::Digest;
use ocm_oci::{
    Document, Error, Fetch as _, ImageIndex, Push as _, RawManifest, Reference, RepositoryName,
    Store, StoreRef, Tag,
};

use crate::support::{by_tag, image, memory, noise, push_image, read_back, repository, tag};

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        Self { root }
    }

    fn path(&self) -> PathBuf {
        self.root.path().join("shop")
    }

    fn open(&self) -> CtfDirectory {
        CtfDirectory::open(self.path(), Access::ReadWrite).unwrap()
    }

    async fn shrinking(&self) -> Shrinking {
        let shrinking = Shrinking::open(self.path(), &Scratch::default()).await;
        shrinking.unwrap()
    }
}

/// A list of what refers to something, under its tag.
struct List {
    tag: Tag,
    entries: Vec<RawManifest>,
}

impl List {
    fn manifest(&self) -> RawManifest {
        let entries = self.entries.iter().map(RawManifest::descriptor);
        RawManifest::index(&ImageIndex::new(entries.collect()))
    }

    async fn push(&self, store: &dyn Store, name: &RepositoryName) -> Digest {
        let list = self.manifest();
        store
            .push_manifest(name, &list, Some(&self.tag))
            .await
            .unwrap();
        list.digest()
    }
}

/// Brings an artifact and a list of what refers to it: content 1 and 2, which only the list names, as
/// older tools leave it.
async fn listed(store: &dyn Store, name: &RepositoryName) -> List {
    let subject = push_image(store, name, "1.0", memory(noise(500, 0)));
    let subject = subject.await.unwrap();
    let mut list = List {
        tag: Tag::for_referrers(&subject.digest()),
        entries: Vec::new(),
    };
    for content in [1, 2] {
        list.entries.push(referrer(store, name, content).await);
    }
    list.push(store, name).await;
    store.commit().await.unwrap();
    list
}

async fn referrer(store: &dyn Store, name: &RepositoryName, content: u64) -> RawManifest {
    let raw = image(store, name, "referrer", memory(noise(1000, content)));
    let raw = raw.await.unwrap();
    let bytes = memory(raw.bytes().clone());
    store.push_blob(name, &bytes).await.unwrap();
    raw
}

fn without_first(name: &RepositoryName, list: &List) -> LeftOut {
    let place = (name.clone(), list.tag.clone());
    LeftOut {
        manifests: BTreeSet::from([(name.clone(), list.entries[0].digest())]),
        lists: BTreeMap::from([(place, list.manifest().digest())]),
        ..LeftOut::default()
    }
}

async fn entries(store: &dyn Store, name: &RepositoryName, tag: &Tag) -> Vec<Digest> {
    let reference = Reference::Tag(tag.clone());
    let list = store.manifest(name, &reference).await.unwrap();
    let Document::Index(index) = list.parse().unwrap() else {
        panic!("{list:?}");
    };
    let entries = index.manifests.iter();
    entries.map(|entry| entry.digest).collect()
}

#[tokio::test]
async fn a_tag_that_names_something_else_meanwhile_stays() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let old = push_image(&store, &name, "1.0", memory("old"))
        .await
        .unwrap();
    store
        .push_manifest(&name, &old, Some(&tag("kept")))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let left_out = LeftOut {
        tags: BTreeMap::from([((name.clone(), tag("1.0")), old.digest())]),
        ..LeftOut::default()
    };
    let shrinking = place.shrinking().await;
    let new = push_image(&store, &name, "1.0", memory("new"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    shrinking.leave_out(&left_out).await.unwrap();
    let found = store.manifest(&name, &by_tag("1.0")).await.unwrap();
    assert_eq!(found.digest(), new.digest());
    // What it was meant for goes.
    let left_out = LeftOut {
        tags: BTreeMap::from([((name.clone(), tag("1.0")), new.digest())]),
        ..LeftOut::default()
    };
    shrinking.leave_out(&left_out).await.unwrap();
    let error = store.manifest(&name, &by_tag("1.0")).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_manifest_that_is_about_to_be_named_stays() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let raw = image(&store, &name, "1.0", memory("layer")).await.unwrap();
    store.push_manifest(&name, &raw, None).await.unwrap();
    store.commit().await.unwrap();
    let shrinking = place.shrinking().await;
    let nameless = shrinking.unnamed().unwrap();
    assert_eq!(nameless, BTreeSet::from([(name.clone(), raw.digest())]));
    let left_out = LeftOut {
        nameless,
        ..LeftOut::default()
    };
    let by_digest = Reference::Digest(raw.digest());
    let listed = async || {
        let reader = CtfDirectory::open(place.path(), Access::ReadOnly).unwrap();
        reader.resolve(&name, &by_digest).await.is_ok()
    };

    // Somebody else writes.
    let removed = shrinking.leave_out(&left_out).await.unwrap();
    assert!(removed.is_shared);
    assert_eq!(removed.young, 1);
    assert!(listed().await);
    // It has a name now, and nobody else writes.
    store
        .push_manifest(&name, &raw, Some(&tag("1.0")))
        .await
        .unwrap();
    store.commit().await.unwrap();
    drop(store);
    shrinking.leave_out(&left_out).await.unwrap();
    assert!(listed().await);
    // It has none.
    let store = place.open();
    ocm_oci::Delete::delete_manifest(&store, &name, &by_tag("1.0"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    drop(store);
    let removed = shrinking.leave_out(&left_out).await.unwrap();
    assert_eq!((removed.young, removed.unneeded.blobs), (0, 3));
    assert!(!listed().await);
}

#[tokio::test]
async fn what_somebody_adds_to_a_list_meanwhile_stays_in_it() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let mut list = listed(&store, &name).await;
    let left_out = without_first(&name, &list);
    let shrinking = place.shrinking().await;
    list.entries.push(referrer(&store, &name, 3).await);
    list.push(&store, &name).await;
    store.commit().await.unwrap();
    shrinking.leave_out(&left_out).await.unwrap();
    let expected: Vec<_> = list.entries[1..].iter().map(RawManifest::digest).collect();
    assert_eq!(entries(&store, &name, &list.tag).await, expected);
    for content in [0, 2, 3] {
        let len = if content == 0 { 500 } else { 1000 };
        read_back(&store, &name, &noise(len, content)).await;
    }
}

#[tokio::test]
async fn a_list_goes_with_the_last_that_is_in_it() {
    let place = Place::new();
    let store = place.open();
    let name = repository("acme/a");
    let list = listed(&store, &name).await;
    drop(store);
    let mut left_out = without_first(&name, &list);
    left_out
        .manifests
        .insert((name.clone(), list.entries[1].digest()));
    let removed = place.shrinking().await.leave_out(&left_out).await;
    // The list, two manifests and their content.
    assert_eq!(removed.unwrap().unneeded.blobs, 5);
    let store = place.open();
    let tag = Reference::Tag(list.tag.clone());
    let error = store.manifest(&name, &tag).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    read_back(&store, &name, &noise(500, 0)).await;
}

/// Also where only the list names it.
#[tokio::test]
async fn what_stays_in_a_list_stays_in_the_archive_and_no_preview_counts_it() {
    for format in [None, Some(CtfFormat::Tar), Some(CtfFormat::TarGzip)] {
        let place = Place::new();
        let name = repository("acme/a");
        let list = match format {
            None => listed(&place.open(), &name).await,
            Some(format) => {
                let scratch = Scratch::default();
                let writer = CtfArchiveWriter::open(place.path(), format, &scratch);
                listed(&writer.await.unwrap(), &name).await
            }
        };
        let left_out = without_first(&name, &list);
        let shrinking = place.shrinking().await;
        let sizes = BTreeMap::new();
        let preview = shrinking.preview(&left_out, &sizes).await.unwrap();
        // The list as it was, a manifest, and its content.
        assert_eq!(preview.blobs, 3, "{format:?}");
        let removed = shrinking.leave_out(&left_out).await.unwrap();
        assert_eq!(removed.unneeded, preview, "{format:?}");
        let store = place.shrinking().await.store();
        let expected = [list.entries[1].digest()];
        assert_eq!(entries(&*store, &name, &list.tag).await, expected);
        read_back(&*store, &name, &noise(1000, 2)).await;
    }
}

/// Whatever is to be removed with one name stays whole under another, which nobody has looked at.
#[tokio::test]
async fn what_has_got_another_name_meanwhile_stays_under_that() {
    for format in [None, Some(CtfFormat::Tar)] {
        let place = Place::new();
        let name = repository("acme/a");
        let store: StoreRef = match format {
            None => Arc::new(place.open()),
            Some(format) => {
                let scratch = Scratch::default();
                let writer = CtfArchiveWriter::open(place.path(), format, &scratch);
                Arc::new(writer.await.unwrap())
            }
        };
        let content = noise(1000, 1);
        let raw = push_image(&*store, &name, "1.0", memory(content.clone()));
        let raw = raw.await.unwrap();
        let kept = tag("kept");
        store.push_manifest(&name, &raw, Some(&kept)).await.unwrap();
        store.commit().await.unwrap();
        drop(store);
        let left_out = LeftOut {
            manifests: BTreeSet::from([(name.clone(), raw.digest())]),
            names: BTreeSet::from([(name.clone(), tag("1.0"))]),
            ..LeftOut::default()
        };
        let shrinking = place.shrinking().await;
        let preview = shrinking.preview(&left_out, &BTreeMap::new()).await;
        assert_eq!(preview.unwrap().blobs, 0, "{format:?}");
        shrinking.leave_out(&left_out).await.unwrap();
        let store = place.shrinking().await.store();
        assert_eq!(store.tags(&name).await.unwrap(), [kept], "{format:?}");
        read_back(&*store, &name, &content).await;
        // With all of its names, it goes.
        let mut left_out = left_out;
        left_out.names.insert((name.clone(), tag("kept")));
        let removed = place.shrinking().await.leave_out(&left_out).await;
        assert_eq!(removed.unwrap().unneeded.blobs, 3, "{format:?}");
        let store = place.shrinking().await.store();
        assert!(store.repositories().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn nothing_is_taken_out_of_an_archive_that_has_taken_the_place_of_another() {
    for format in [CtfFormat::Tar, CtfFormat::TarGzip] {
        let place = Place::new();
        let name = repository("acme/a");
        let scratch = Scratch::default();
        let open = || CtfArchiveWriter::open(place.path(), format, &scratch);
        let store = open().await.unwrap();
        let old = push_image(&store, &name, "1.0", memory("old"));
        let old = old.await.unwrap();
        store.commit().await.unwrap();
        drop(store);
        let shrinking = place.shrinking().await;
        let store = open().await.unwrap();
        let new = push_image(&store, &name, "2.0", memory("new"));
        new.await.unwrap();
        store.commit().await.unwrap();
        drop(store);
        let before = std::fs::read(place.path()).unwrap();
        let left_out = LeftOut {
            manifests: BTreeSet::from([(name.clone(), old.digest())]),
            names: BTreeSet::from([(name.clone(), tag("1.0"))]),
            ..LeftOut::default()
        };
        let refused = shrinking.leave_out(&left_out).await;
        assert!(matches!(refused, Err(Error::Changed { .. })), "{refused:?}");
        assert!(std::fs::read(place.path()).unwrap() == before);
        let files = std::fs::read_dir(place.root.path()).unwrap();
        assert_eq!(files.count(), 1, "nothing is left beside it");
        place.shrinking().await.leave_out(&left_out).await.unwrap();
        let store = place.shrinking().await.store();
        assert_eq!(store.tags(&name).await.unwrap(), [tag("2.0")]);
        read_back(&*store, &name, b"new").await;
    }
}
