//! Archives that are there already, and writers that come and go.

use std::fs;

use ocm_blob::CHUNK;
use ocm_oci::{Error, Fetch as _, List as _, Push as _, RawManifest};

use super::{NAME, Place, places, push, push_small};
use crate::support::{chain, conformance, memory, noise, push_image, read_all, repository, tag};

#[tokio::test]
async fn an_existing_archive_is_continued() {
    for (place, original) in places().iter().zip(["v1-product.tar", "v1-product.tgz"]) {
        fs::copy(conformance("ctf").join(original), &place.path).unwrap();
        let store = place.writer().await;
        assert_eq!(read_all(&store).await.unwrap(), (2, 9));
        push_small(&store, "1.0").await;
        assert_eq!(read_all(&store).await.unwrap(), (3, 11));
        store.commit().await.unwrap();
        push(&store, "2.0", memory(noise(CHUNK * 3, 1))).await;
        place.check_holds(3, 11).await;
        store.commit().await.unwrap();
        store.commit().await.unwrap();
        place.check_holds(4, 13).await;
        place.check_nothing_else_is_there();
    }
}

#[tokio::test]
async fn pushing_what_is_there_writes_nothing() {
    for place in places() {
        for _ in 0..2 {
            let store = place.writer().await;
            push_small(&store, "1.0").await;
            store.commit().await.unwrap();
        }
        let before = place.modified();
        let store = place.writer().await;
        push_small(&store, "1.0").await;
        store.commit().await.unwrap();
        drop(store);
        assert_eq!(place.modified(), before);
        place.check_nothing_else_is_there();
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_the_archive_as_it_was() {
    for place in places() {
        let store = place.writer().await;
        push_small(&store, "1.0").await;
        store.commit().await.unwrap();
        let before = place.bytes();
        push(&store, "2.0", memory(noise(CHUNK * 3, 1))).await;
        drop(store);
        assert!(place.bytes() == before);
        place.check_nothing_else_is_there();
    }
}

#[tokio::test]
async fn what_a_killed_writer_left_is_taken_over() {
    for place in places() {
        let file = place.path.file_name().unwrap().to_str().unwrap();
        for (ending, seed) in [("partial", 1), ("rewrite", 2)] {
            let left = place.path.with_file_name(format!(".{file}.{ending}"));
            fs::write(left, noise(5000, seed)).unwrap();
        }
        let store = place.writer().await;
        push_small(&store, "1.0").await;
        store.commit().await.unwrap();
        place.check_holds(1, 2).await;
        place.check_nothing_else_is_there();
    }
}

#[tokio::test]
async fn there_is_one_writer_at_a_time() {
    for place in places() {
        let name = repository(NAME);
        let first = place.writer().await;
        let error = place.open().await.unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{}", chain(&error));
        push_small(&first, "1.0").await;
        first.commit().await.unwrap();
        let second = place.writer().await;
        assert!(push_image(&first, &name, "3.0", memory("x")).await.is_err());
        push_small(&second, "2.0").await;
        second.commit().await.unwrap();
        drop(second);
        push_small(&first, "3.0").await;
        first.commit().await.unwrap();
        let tags = place.reader().await.tags(&name).await.unwrap();
        assert_eq!(tags, [tag("1.0"), tag("2.0"), tag("3.0")]);
    }
}

#[tokio::test]
async fn writers_wait_for_each_other() {
    for place in places() {
        let first = place.writer().await;
        push_small(&first, "1.0").await;
        let finish = async {
            // The others are waiting, or about to.
            tokio::task::yield_now().await;
            first.commit().await.unwrap();
        };
        let add = async |version: &str| {
            let store = place.open_after_others().await;
            push_small(&store, version).await;
            store.commit().await.unwrap();
        };
        tokio::join!(add("2.0"), add("3.0"), add("4.0"), finish);
        let tags = place.reader().await.tags(&repository(NAME)).await.unwrap();
        assert_eq!(tags, ["1.0", "2.0", "3.0", "4.0"].map(tag));
    }
}

/// As where there are no locks: somebody replaces the archive while it is written.
#[tokio::test]
async fn what_somebody_else_has_written_is_not_overwritten() {
    for place in places() {
        let name = repository(NAME);
        let original = place.writer().await;
        push_small(&original, "1.0").await;
        original.commit().await.unwrap();
        drop(original);
        let other = Place {
            path: place.path.with_file_name("other"),
            ..Place::new(place.path.file_name().unwrap().to_str().unwrap())
        };
        fs::copy(&place.path, &other.path).unwrap();
        let theirs = other.writer().await;
        push_small(&theirs, "2.0").await;
        theirs.commit().await.unwrap();
        drop(theirs);

        let ours = place.writer().await;
        let manifest = push_small(&ours, "3.0").await;
        fs::rename(&other.path, &place.path).unwrap();
        let error = ours.commit().await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{}", chain(&error));
        assert_eq!(ours.tags(&name).await.unwrap(), [tag("1.0"), tag("2.0")]);
        push_small(&ours, "3.0").await;
        ours.commit().await.unwrap();
        drop(ours);
        let reader = place.reader().await;
        let tags = reader.tags(&name).await.unwrap();
        assert_eq!(tags, [tag("1.0"), tag("2.0"), tag("3.0")]);
        let digest = manifest.digest();
        assert!(reader.stat_blob(&name, &digest).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_tag_is_only_replaced_where_it_points_to_what_is_expected() {
    for place in places() {
        let name = repository(NAME);
        let store = place.writer().await;
        let first = push_small(&store, "1.0").await;
        store.commit().await.unwrap();
        // Somebody else has moved the tag since the first one looked.
        let other = place.writer().await;
        let second = push_image(&other, &name, "1.0", memory("other")).await;
        let second = second.unwrap();
        other.commit().await.unwrap();
        drop(other);
        let set = async |manifest: &RawManifest, expected: Option<&RawManifest>| {
            let expected = expected.map(RawManifest::digest);
            let tag = tag("1.0");
            let replaced = store.replace_manifest(&name, manifest, &tag, expected.as_ref());
            replaced.await
        };
        let error = set(&first, Some(&first)).await.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{}", chain(&error));
        let third = push_small(&store, "3.0").await;
        for expected in [None, Some(&first)] {
            let error = set(&third, expected).await.unwrap_err();
            assert!(matches!(error, Error::Changed { .. }), "{}", chain(&error));
        }
        set(&third, Some(&second)).await.unwrap();
        store.commit().await.unwrap();
        let found = place
            .reader()
            .await
            .resolve(&name, &tag("1.0").into())
            .await;
        assert_eq!(found.unwrap().digest, third.digest());
    }
}
