//! Archives that are there already, and writers that come and go.

use std::fs;

use ocm_blob::CHUNK;
use ocm_oci::{List as _, Push as _};

use super::{NAME, places, push, push_small};
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
        let text = chain(&place.open().await.unwrap_err());
        assert!(
            text.contains("somebody else is writing this archive"),
            "{text}"
        );
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
