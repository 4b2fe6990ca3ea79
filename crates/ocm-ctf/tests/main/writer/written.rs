//! What is written is read back, by the writer and by others.

use std::fs;

use ocm_blob::CHUNK;
use ocm_ctf::{Access, INDEX_FILE, Scratch, open};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Descriptor, Fetch as _, Ingest as _, List as _, Outcome, Push as _, Referrers as _};

use super::{NAME, Place, places, push, push_small};
use crate::support::{
    LENGTHS, Stream, by_tag, chain, memory, noise, push_image, read, read_all, read_back,
    repository, tag,
};

#[tokio::test]
async fn what_is_pushed_is_read_at_once_and_by_others_after_commit() {
    for place in places() {
        let store = place.writer().await;
        let name = repository("acme/shop");
        for (number, len) in LENGTHS.into_iter().enumerate() {
            for (kind, blob) in [Stream::unknown, Stream::sized, Stream::known]
                .into_iter()
                .enumerate()
            {
                let content = noise(len, (number * 3 + kind) as u64);
                for expected in [Outcome::Copied, Outcome::Existed] {
                    let blob = blob(content.clone()).shared();
                    let pushed = store.push_blob(&name, &blob).await.unwrap();
                    assert_eq!(pushed.digest, Digest::sha256(&content));
                    assert_eq!(pushed.size, len as u64);
                    assert!(len == 0 || pushed.outcome == expected, "{len} {kind}");
                }
                read_back(&store, &name, &content).await;
            }
        }
        let layer = memory("layer");
        let manifest = push_image(&store, &name, "1.0", layer).await.unwrap();
        assert_eq!(
            store.manifest(&name, &by_tag("1.0")).await.unwrap(),
            manifest
        );
        assert!(!place.path.exists());
        store.commit().await.unwrap();
        for (number, len) in LENGTHS.into_iter().enumerate() {
            let content = noise(len, (number * 3) as u64);
            read_back(&store, &name, &content).await;
            read_back(&place.reader().await, &name, &content).await;
        }
        assert_eq!(read_all(&store).await.unwrap(), (1, 2));
        place.check_holds(1, 2).await;
    }
}

#[tokio::test]
async fn the_index_is_the_first_entry_and_other_readers_agree() {
    for place in places() {
        let store = place.writer().await;
        let manifest = push(&store, "1.0", memory(noise(CHUNK * 2, 1))).await;
        store.commit().await.unwrap();
        let mut archive = place.tar();
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o644);
            entry.path().unwrap().to_str().unwrap().to_owned()
        });
        let expected = [
            INDEX_FILE.to_owned(),
            format!(
                "blobs/sha256.{}",
                Digest::sha256(noise(CHUNK * 2, 1)).to_hex()
            ),
            format!("blobs/sha256.{}", Digest::sha256("{}").to_hex()),
            format!("blobs/sha256.{}", manifest.digest().to_hex()),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn the_same_pushes_give_the_same_bytes() {
    let twice = places().into_iter().zip(places());
    for (first, second) in twice {
        for place in [&first, &second] {
            let store = place.writer().await;
            for version in ["1.0", "2.0"] {
                let layer = Stream::known(noise(CHUNK * 2, 1)).shared();
                push(&store, version, layer).await;
            }
            store.commit().await.unwrap();
        }
        assert!(first.bytes() == second.bytes(), "{first:?}");
    }
}

/// Tells whether the first entry is the index, in the first member.
fn index_is_first(place: &Place) -> bool {
    let mut first = [0; 100];
    let mut file = fs::File::open(&place.path).unwrap();
    if place.is_compressed() {
        file_start(&mut flate2::read::GzDecoder::new(file), &mut first);
    } else {
        file_start(&mut file, &mut first);
    }
    first.starts_with(INDEX_FILE.as_bytes())
}

fn file_start(reader: &mut impl std::io::Read, start: &mut [u8]) {
    // An empty member is the end of what a reader of one member finds.
    let _ = reader.read_exact(start);
}

#[tokio::test]
async fn a_large_archive_has_its_index_first_as_long_as_it_fits() {
    let large = [1, 2].map(|seed| noise(17 << 20, seed));
    for place in places() {
        let store = place.writer().await;
        let name = repository("a/repository/with/a/long/name");
        let mut last = None;
        for content in &large {
            let layer = Stream::known(content.clone()).shared();
            let version = last.as_ref().map_or("first", |_| "second");
            last = Some(push_image(&store, &name, version, layer).await.unwrap());
        }
        store.commit().await.unwrap();
        assert!(index_is_first(&place));
        let archive = place.reader().await;
        assert_eq!(read_all(&archive).await.unwrap(), (2, 4));

        let raw = last.unwrap();
        for number in 0..7000 {
            let tag = tag(&Digest::sha256(number.to_string()).to_hex());
            store.push_manifest(&name, &raw, Some(&tag)).await.unwrap();
        }
        store.commit().await.unwrap();
        assert_eq!(index_is_first(&place), !place.is_compressed());
        let archive = place.reader().await;
        assert_eq!(archive.tags(&name).await.unwrap().len(), 7002);
        assert_eq!(
            archive.manifest(&name, &by_tag("second")).await.unwrap(),
            raw
        );
        read_back(&archive, &name, &large[1]).await;
    }
}

#[tokio::test]
async fn many_small_blobs_are_read_back() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let size = 100_000;
        for number in 0..250 {
            let pushed = store.push_blob(&name, &memory(noise(size, number))).await;
            assert_eq!(pushed.unwrap().outcome, Outcome::Copied);
        }
        for number in (0..250).step_by(7) {
            read_back(&store, &name, &noise(size, number)).await;
        }
        let raw = push_small(&store, "1.0").await;
        assert_eq!(store.manifest(&name, &by_tag("1.0")).await.unwrap(), raw);
        store.commit().await.unwrap();
        let archive = place.reader().await;
        read_back(&archive, &name, &noise(size, 249)).await;
    }
}

#[tokio::test]
async fn an_upload_is_a_blob_once_it_is_finished() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let content = noise(CHUNK * 2 + 5, 7);
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let mut upload = store.begin(&name, "id").await.unwrap();
            for piece in [0..5, 5..CHUNK, CHUNK..content.len()] {
                upload.write(content.slice(piece)).await.unwrap();
            }
            let digest = algorithm.digest(&content);
            assert_eq!(
                upload.finish(digest).await.unwrap().outcome,
                Outcome::Copied
            );
            let mut descriptor = Descriptor::of("", &content);
            descriptor.digest = digest;
            let found = read(&store, &name, &descriptor).await.unwrap();
            assert_eq!(found, content);
        }
        let upload = store.begin(&name, "id").await.unwrap();
        let error = upload.finish(Digest::sha256("x")).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");
        store.commit().await.unwrap();
        let archive = place.reader().await;
        let digest = HashAlgorithm::Sha512.digest(&content);
        let size = archive.stat_blob(&name, &digest).await.unwrap();
        assert_eq!(size, Some(content.len() as u64));
    }
}

#[tokio::test]
async fn referrers_are_found_while_writing() {
    for place in places() {
        let store = place.writer().await;
        let name = repository(NAME);
        let subject = push_small(&store, "1.0").await;
        let none = store.referrers(&name, &subject.digest()).await.unwrap();
        assert_eq!(none, []);
        let config = Descriptor::of("", b"{}");
        let mut image = ocm_oci::ImageManifest::new(config, Vec::new());
        image.subject = Some(subject.descriptor());
        let raw = ocm_oci::RawManifest::image(&image);
        store.push_manifest(&name, &raw, None).await.unwrap();
        let found = store.referrers(&name, &subject.digest()).await.unwrap();
        assert_eq!(found[0].digest, raw.digest());
    }
}

#[tokio::test]
async fn the_form_is_told_by_what_is_there_and_then_by_the_name() {
    let place = tempfile::tempdir().unwrap();
    let scratch = Scratch::default();
    for file in ["a.tar", "a.tgz", "a.tar.gz", "a.ctf"] {
        let path = place.path().join(file);
        let missing = open(&path, Access::ReadOnly, &scratch).await.unwrap_err();
        assert!(missing.is_not_found(), "{missing}");
        let store = open(&path, Access::ReadWrite, &scratch).await.unwrap();
        push_small(store.as_ref(), "1.0").await;
        store.commit().await.unwrap();
        drop(store);
        assert_eq!(path.is_dir(), file == "a.ctf");
        let renamed = place.path().join(format!("{file}-renamed"));
        fs::rename(&path, &renamed).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let store = open(&renamed, access, &scratch).await.unwrap();
            assert_eq!(read_all(store.as_ref()).await.unwrap(), (1, 2));
        }
    }
}

#[tokio::test]
async fn directories_that_lead_to_an_archive_are_created() {
    let place = tempfile::tempdir().unwrap();
    for file in ["tar/new/a.tar", "tgz/new/a.tgz", "directory/new/a"] {
        let path = place.path().join(file);
        let scratch = Scratch::default();
        let store = open(&path, Access::ReadWrite, &scratch).await.unwrap();
        push_small(store.as_ref(), "1.0").await;
        store.commit().await.unwrap();
        assert!(path.exists(), "{file}");
    }
    let file = place.path().join("file");
    fs::write(&file, "").unwrap();
    let error = open(file.join("a.tar"), Access::ReadWrite, &Scratch::default()).await;
    let error = chain(&error.unwrap_err());
    assert!(error.contains("cannot create"), "{error}");
}
