//! Archives in one file, written.

use std::fs;
use std::path::{Path, PathBuf};

use ocm_blob::{CHUNK, TarBlob};
use ocm_ctf::{Access, CtfArchive, CtfArchiveWriter, CtfFormat, INDEX_FILE, Scratch, open};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{
    Delete as _, Descriptor, Error, Fetch as _, Ingest as _, List as _, Outcome, Push as _,
    Reference, Referrers as _,
};

use crate::support::{
    LENGTHS, Stream, by_tag, chain, conformance, memory, noise, push_image, read_all, read_back,
    repository, tag,
};

const FORMATS: [(CtfFormat, &str); 2] = [
    (CtfFormat::Tar, "shop.tar"),
    (CtfFormat::TarGzip, "shop.tgz"),
];

async fn writable(path: &Path) -> Result<CtfArchiveWriter, Error> {
    let format = CtfFormat::of_name(path);
    CtfArchiveWriter::open(path, format, &Scratch::default()).await
}

async fn readable(path: &Path) -> Result<CtfArchive, Error> {
    CtfArchive::open(path, &Scratch::default()).await
}

fn place() -> (tempfile::TempDir, [PathBuf; 2]) {
    let place = tempfile::tempdir().unwrap();
    let paths = FORMATS.map(|(_, name)| place.path().join(name));
    (place, paths)
}

fn names_in(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_is_pushed_is_read_at_once_and_by_others_after_commit() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
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
        let manifest = push_image(&store, &name, "1.0", memory("layer"))
            .await
            .unwrap();
        assert_eq!(
            store.manifest(&name, &by_tag("1.0")).await.unwrap(),
            manifest
        );
        assert!(!path.exists());
        store.commit().await.unwrap();
        for (number, len) in LENGTHS.into_iter().enumerate() {
            let content = noise(len, (number * 3) as u64);
            read_back(&store, &name, &content).await;
            read_back(&readable(&path).await.unwrap(), &name, &content).await;
        }
        assert_eq!(read_all(&store).await.unwrap(), (1, 2));
        assert_eq!(
            read_all(&readable(&path).await.unwrap()).await.unwrap(),
            (1, 2)
        );
    }
}

#[tokio::test]
async fn the_index_is_the_first_entry_and_other_readers_agree() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let manifest = push_image(&store, &repository("a"), "1.0", memory(noise(CHUNK * 2, 1)))
            .await
            .unwrap();
        store.commit().await.unwrap();
        let file = fs::File::open(&path).unwrap();
        let reader: Box<dyn std::io::Read> = if path.extension().unwrap() == "tgz" {
            Box::new(flate2::read::MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        };
        let mut archive = tar::Archive::new(reader);
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            assert_eq!(entry.header().mode().unwrap(), 0o644);
            entry.path().unwrap().to_str().unwrap().to_owned()
        });
        let expected = [
            INDEX_FILE.to_owned(),
            format!("blobs/sha256.{}", Digest::sha256("{}").to_hex()),
            format!(
                "blobs/sha256.{}",
                Digest::sha256(noise(CHUNK * 2, 1)).to_hex()
            ),
            format!("blobs/sha256.{}", manifest.digest().to_hex()),
        ];
        assert_eq!(entries.collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn the_same_pushes_give_the_same_bytes() {
    let (place, _) = place();
    for (_, file) in FORMATS {
        let mut written = Vec::new();
        for number in 0..2 {
            let path = place.path().join(format!("{number}-{file}"));
            let store = writable(&path).await.unwrap();
            for version in ["1.0", "2.0"] {
                let layer = Stream::known(noise(CHUNK * 2, 1)).shared();
                push_image(&store, &repository("a"), version, layer)
                    .await
                    .unwrap();
            }
            store.commit().await.unwrap();
            written.push(fs::read(&path).unwrap());
        }
        assert!(written[0] == written[1], "{file}");
    }
}

#[tokio::test]
async fn an_existing_archive_is_continued() {
    let (place, paths) = place();
    for (path, original) in paths.iter().zip(["v1-product.tar", "v1-product.tgz"]) {
        fs::copy(conformance("ctf").join(original), path).unwrap();
        let store = writable(path).await.unwrap();
        assert_eq!(read_all(&store).await.unwrap(), (2, 9));
        let name = repository("a");
        push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
        assert_eq!(read_all(&store).await.unwrap(), (3, 11));
        store.commit().await.unwrap();
        push_image(&store, &name, "2.0", memory(noise(CHUNK * 3, 1)))
            .await
            .unwrap();
        assert_eq!(
            read_all(&readable(path).await.unwrap()).await.unwrap(),
            (3, 11)
        );
        store.commit().await.unwrap();
        store.commit().await.unwrap();
        assert_eq!(
            read_all(&readable(path).await.unwrap()).await.unwrap(),
            (4, 13)
        );
    }
    assert_eq!(names_in(place.path()), ["shop.tar", "shop.tgz"]);
}

#[tokio::test]
async fn pushing_what_is_there_writes_nothing() {
    let (place, paths) = place();
    for path in paths {
        let name = repository("a");
        for _ in 0..2 {
            let store = writable(&path).await.unwrap();
            push_image(&store, &name, "1.0", memory("one"))
                .await
                .unwrap();
            store.commit().await.unwrap();
        }
        let before = fs::metadata(&path).unwrap().modified().unwrap();
        let store = writable(&path).await.unwrap();
        push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
        store.commit().await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    }
    assert_eq!(names_in(place.path()), ["shop.tar", "shop.tgz"]);
}

#[tokio::test]
async fn a_writer_that_is_dropped_leaves_the_archive_as_it_was() {
    let (place, paths) = place();
    for path in paths {
        let name = repository("a");
        let store = writable(&path).await.unwrap();
        push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
        store.commit().await.unwrap();
        let before = fs::read(&path).unwrap();
        push_image(&store, &name, "2.0", memory(noise(CHUNK * 3, 1)))
            .await
            .unwrap();
        drop(store);
        assert!(fs::read(&path).unwrap() == before);
    }
    assert_eq!(names_in(place.path()), ["shop.tar", "shop.tgz"]);
}

#[tokio::test]
async fn what_a_killed_writer_left_is_taken_over() {
    let (place, paths) = place();
    for path in paths {
        let file = path.file_name().unwrap().to_str().unwrap();
        fs::write(
            place.path().join(format!(".{file}.partial")),
            noise(5000, 1),
        )
        .unwrap();
        fs::write(
            place.path().join(format!(".{file}.rewrite")),
            noise(5000, 2),
        )
        .unwrap();
        let store = writable(&path).await.unwrap();
        push_image(&store, &repository("a"), "1.0", memory("one"))
            .await
            .unwrap();
        store.commit().await.unwrap();
        assert_eq!(
            read_all(&readable(&path).await.unwrap()).await.unwrap(),
            (1, 2)
        );
    }
    assert_eq!(names_in(place.path()), ["shop.tar", "shop.tgz"]);
}

#[tokio::test]
async fn there_is_one_writer_at_a_time() {
    let (_place, paths) = place();
    for path in paths {
        let name = repository("a");
        let first = writable(&path).await.unwrap();
        let text = chain(&writable(&path).await.unwrap_err());
        assert!(
            text.contains("somebody else is writing this archive"),
            "{text}"
        );
        push_image(&first, &name, "1.0", memory("one"))
            .await
            .unwrap();
        first.commit().await.unwrap();
        let second = writable(&path).await.unwrap();
        assert!(push_image(&first, &name, "3.0", memory("x")).await.is_err());
        push_image(&second, &name, "2.0", memory("two"))
            .await
            .unwrap();
        second.commit().await.unwrap();
        drop(second);
        push_image(&first, &name, "3.0", memory("three"))
            .await
            .unwrap();
        first.commit().await.unwrap();
        let tags = readable(&path).await.unwrap().tags(&name).await.unwrap();
        assert_eq!(tags, [tag("1.0"), tag("2.0"), tag("3.0")]);
    }
}

#[tokio::test]
async fn nothing_is_kept_of_a_blob_that_failed() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let content = noise(CHUNK * 3, 1);
        let short = Stream {
            size: Some(CHUNK as u64 * 4),
            ..Stream::unknown(content.clone())
        };
        let wrong = Stream {
            digest: Some(Digest::sha256("other")),
            ..Stream::sized(content.clone())
        };
        for blob in [short, wrong] {
            let error = store.push_blob(&name, &blob.shared()).await.unwrap_err();
            assert!(error.is_mismatch(), "{error}");
        }
        for blob in [Stream::known, Stream::sized, Stream::unknown] {
            let blob = blob(content.clone()).breaking(CHUNK * 2).shared();
            assert!(store.push_blob(&name, &blob).await.is_err());
        }
        push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
        let broken = Stream::known(content.clone()).breaking(CHUNK).shared();
        assert!(store.push_blob(&name, &broken).await.is_err());
        push_image(&store, &name, "2.0", Stream::known(content).shared())
            .await
            .unwrap();
        store.commit().await.unwrap();
        let whole = fs::metadata(&path).unwrap().len();
        assert!(whole < CHUNK as u64 * 4, "{whole}");
        assert_eq!(
            read_all(&readable(&path).await.unwrap()).await.unwrap(),
            (2, 4)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pushes_at_the_same_time_all_arrive_once() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let work = (0..40_u64).map(async |number| {
            let content = noise(CHUNK + 1000, number / 4);
            let blob = match number % 4 {
                0 => Stream::unknown(content),
                1 => Stream::sized(content),
                2 => Stream::known(content),
                _ => Stream::known(content).breaking(CHUNK / 2),
            };
            let pushed = store.push_blob(&name, &blob.shared()).await;
            assert!(number % 4 == 3 || pushed.is_ok());
            push_image(&store, &name, &number.to_string(), memory("same"))
                .await
                .unwrap();
        });
        futures::future::join_all(work).await;
        store.commit().await.unwrap();
        let archive = readable(&path).await.unwrap();
        assert_eq!(read_all(&archive).await.unwrap(), (40, 80));
        for number in 0..10 {
            read_back(&archive, &name, &noise(CHUNK + 1000, number)).await;
        }
        let size = fs::metadata(&path).unwrap().len();
        assert!(size < 10 * (CHUNK as u64 + 1000) + 200_000, "{size}");
    }
}

#[tokio::test]
async fn a_push_that_is_given_up_leaves_nothing() {
    use futures::FutureExt as _;
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
        for seed in 0..8 {
            let blob = Stream::known(noise(CHUNK * 8, seed)).shared();
            let mut push = Box::pin(store.push_blob(&name, &blob));
            for _ in 0..seed {
                if push.as_mut().now_or_never().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        let kept = noise(CHUNK * 8, 100);
        push_image(&store, &name, "2.0", Stream::known(kept).shared())
            .await
            .unwrap();
        store.commit().await.unwrap();
        assert_eq!(
            read_all(&readable(&path).await.unwrap()).await.unwrap(),
            (2, 4)
        );
    }
}

/// Whether the first entry is the index, in the first member.
fn index_is_first(path: &Path) -> bool {
    let mut first = [0; 100];
    let mut file = fs::File::open(path).unwrap();
    if path.extension().unwrap() == "tgz" {
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
    let (_place, paths) = place();
    let large = [1, 2].map(|seed| noise(17 << 20, seed));
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a/repository/with/a/long/name");
        let mut last = None;
        for content in &large {
            let layer = Stream::known(content.clone()).shared();
            let version = last.as_ref().map_or("first", |_| "second");
            last = Some(push_image(&store, &name, version, layer).await.unwrap());
        }
        store.commit().await.unwrap();
        assert!(index_is_first(&path));
        let archive = readable(&path).await.unwrap();
        assert_eq!(read_all(&archive).await.unwrap(), (2, 4));

        let raw = last.unwrap();
        for number in 0..7000 {
            let tag = tag(&Digest::sha256(number.to_string()).to_hex());
            store.push_manifest(&name, &raw, Some(&tag)).await.unwrap();
        }
        store.commit().await.unwrap();
        assert_eq!(index_is_first(&path), path.extension().unwrap() == "tar");
        let archive = readable(&path).await.unwrap();
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
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let size = 100_000;
        for number in 0..250 {
            let pushed = store.push_blob(&name, &memory(noise(size, number))).await;
            assert_eq!(pushed.unwrap().outcome, Outcome::Copied);
        }
        for number in (0..250).step_by(7) {
            read_back(&store, &name, &noise(size, number)).await;
        }
        let raw = push_image(&store, &name, "1.0", memory("x")).await.unwrap();
        assert_eq!(store.manifest(&name, &by_tag("1.0")).await.unwrap(), raw);
        store.commit().await.unwrap();
        let archive = readable(&path).await.unwrap();
        read_back(&archive, &name, &noise(size, 249)).await;
    }
}

#[tokio::test]
async fn an_upload_is_a_blob_once_it_is_finished() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let content = noise(CHUNK * 2 + 5, 7);
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
            let mut upload = store.begin(&name).await.unwrap();
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
            let found = crate::support::read(&store, &name, &descriptor)
                .await
                .unwrap();
            assert_eq!(found, content);
        }
        let upload = store.begin(&name).await.unwrap();
        let error = upload.finish(Digest::sha256("x")).await.unwrap_err();
        assert!(error.is_mismatch(), "{error}");
        store.commit().await.unwrap();
        let archive = readable(&path).await.unwrap();
        let digest = HashAlgorithm::Sha512.digest(&content);
        let size = archive.stat_blob(&name, &digest).await.unwrap();
        assert_eq!(size, Some(content.len() as u64));
    }
}

#[tokio::test]
async fn content_is_removed_from_a_tar_and_names_from_both() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let layer = noise(CHUNK * 2, 1);
        let raw = push_image(&store, &name, "1.0", memory(layer.clone()))
            .await
            .unwrap();
        store.commit().await.unwrap();
        let before = fs::metadata(&path).unwrap().len();
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
        let removed = store.delete_manifest(&name, &by_digest).await;
        if path.extension().unwrap() == "tgz" {
            assert!(matches!(removed, Err(Error::Unsupported { .. })));
            store.commit().await.unwrap();
            let archive = readable(&path).await.unwrap();
            assert_eq!(archive.tags(&name).await.unwrap(), []);
            continue;
        }
        removed.unwrap();
        store.delete_blob(&name, &digest).await.unwrap();
        assert_eq!(store.stat_blob(&name, &digest).await.unwrap(), None);
        store.commit().await.unwrap();
        let archive = readable(&path).await.unwrap();
        assert_eq!(archive.repositories().await.unwrap(), []);
        assert!(fs::metadata(&path).unwrap().len() < before - CHUNK as u64 * 2);
    }
}

#[tokio::test]
async fn a_broken_blob_is_replaced_in_a_tar() {
    let (place, [tar, tgz]) = place();
    let name = repository("a");
    let content = noise(CHUNK * 2, 1);
    let mut broken = TarBlob::new();
    let path = format!("blobs/sha256.{}", Digest::sha256(&content).to_hex());
    let index = r#"{"schemaVersion":1,"artifacts":[]}"#;
    broken.add_file(INDEX_FILE, 0o644, memory(index)).unwrap();
    broken.add_file(&path, 0o644, memory("half")).unwrap();
    broken.add_file("README", 0o600, memory("kept")).unwrap();
    let bytes = ocm_blob::read_to_end(&broken, u64::MAX).await.unwrap();
    for path in [&tar, &tgz] {
        fs::write(path, &bytes).unwrap();
    }
    let blob = Stream::known(content.clone()).shared();
    let store = writable(&tar).await.unwrap();
    let pushed = store.push_blob(&name, &blob).await.unwrap();
    assert_eq!(pushed.outcome, Outcome::Copied);
    store.commit().await.unwrap();
    read_back(&readable(&tar).await.unwrap(), &name, &content).await;
    let file = fs::File::open(&tar).unwrap();
    let mut archive = tar::Archive::new(file);
    let mut entries = archive.entries().unwrap();
    assert!(entries.any(|entry| entry.unwrap().path().unwrap() == Path::new("README")));

    let store = writable(&tgz).await.unwrap();
    let error = store.push_blob(&name, &blob).await.unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    drop(store);
    assert_eq!(names_in(place.path()), ["shop.tar", "shop.tgz"]);
}

#[tokio::test]
async fn referrers_are_found_while_writing() {
    let (_place, paths) = place();
    for path in paths {
        let store = writable(&path).await.unwrap();
        let name = repository("a");
        let subject = push_image(&store, &name, "1.0", memory("one"))
            .await
            .unwrap();
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
    let name = repository("a");
    for file in ["a.tar", "a.tgz", "a.tar.gz", "a.ctf"] {
        let path = place.path().join(file);
        let missing = open(&path, Access::ReadOnly, &scratch).await.unwrap_err();
        assert!(missing.is_not_found(), "{missing}");
        let store = open(&path, Access::ReadWrite, &scratch).await.unwrap();
        push_image(store.as_ref(), &name, "1.0", memory("one"))
            .await
            .unwrap();
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
