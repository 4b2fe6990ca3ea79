//! Removing content, and replacing what is broken.

use std::fs;
use std::path::Path;

use ocm_blob::{CHUNK, TarBlob};
use ocm_ctf::INDEX_FILE;
use ocm_digest::Digest;
use ocm_oci::{Delete as _, Error, Fetch as _, List as _, Outcome, Push as _, Reference};

use super::{NAME, places, push};
use crate::support::{Stream, by_tag, memory, noise, read_back, repository};

#[tokio::test]
async fn content_is_removed_from_a_tar_and_names_from_both() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let layer = noise(CHUNK * 2, 1);
        let raw = push(&store, "1.0", memory(layer.clone())).await;
        store.commit().await.unwrap();
        let before = place.size();
        let digest = Digest::sha256(&layer);
        let by_digest = Reference::Digest(raw.digest());
        let error = store.delete_blob(&name, &digest).await.unwrap_err();
        assert!(matches!(error, Error::Denied { .. }), "{error}");
        store.delete_manifest(&name, &by_tag("1.0")).await.unwrap();
        let error = store
            .delete_manifest(&name, &by_tag("1.0"))
            .await
            .unwrap_err();
        assert!(error.is_not_found(), "{error}");
        store.delete_manifest(&name, &by_digest).await.unwrap();
        let removed = store.delete_blob(&name, &digest).await;
        if place.is_compressed() {
            assert!(matches!(removed, Err(Error::Unsupported { .. })));
        } else {
            removed.unwrap();
            assert_eq!(store.stat_blob(&name, &digest).await.unwrap(), None);
        }
        store.commit().await.unwrap();
        let archive = place.reader().await;
        assert_eq!(archive.repositories().await.unwrap(), []);
        let left = place.size() + CHUNK as u64 * 2 < before;
        assert_eq!(left, !place.is_compressed());
    }
}

#[tokio::test]
async fn a_broken_blob_is_replaced() {
    let name = repository(NAME);
    let content = noise(CHUNK * 2, 1);
    let path = format!("blobs/sha256.{}", Digest::sha256(&content).to_hex());
    let index = r#"{"schemaVersion":1,"artifacts":[]}"#;
    for broken in [4, CHUNK * 3] {
        let mut archive = TarBlob::new();
        archive.add_file(INDEX_FILE, 0o644, memory(index)).unwrap();
        archive
            .add_file(&path, 0o644, memory(noise(broken, 2)))
            .unwrap();
        archive.add_file("README", 0o600, memory("kept")).unwrap();
        let bytes = ocm_blob::read_to_end(&archive, u64::MAX).await.unwrap();
        for place in places() {
            fs::write(&place.path, &bytes).unwrap();
            let blob = Stream::known(content.clone()).shared();
            let store = place.writer().await;
            let pushed = store.push_blob(&name, &blob).await;
            if place.is_compressed() && broken > CHUNK {
                // It stands in the stream and cannot be taken out.
                assert!(pushed.unwrap_err().is_mismatch());
            } else {
                assert_eq!(pushed.unwrap().outcome, Outcome::Copied);
                store.commit().await.unwrap();
                read_back(&place.reader().await, &name, &content).await;
                let mut archive = place.tar();
                let mut entries = archive.entries().unwrap();
                assert!(entries.any(|entry| entry.unwrap().path().unwrap() == Path::new("README")));
            }
            drop(store);
            place.check_nothing_else_is_there();
        }
    }
}
