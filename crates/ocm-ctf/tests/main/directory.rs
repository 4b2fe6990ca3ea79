//! Archives that are directories.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ocm_blob::{Blob, BlobRef, ByteStream, CHUNK, collect};
use ocm_ctf::{Access, CtfDirectory, INDEX_FILE};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{
    Delete as _, Descriptor, Error, Fetch as _, ImageManifest, Ingest as _, List as _, Outcome,
    Push as _, RawManifest, Reference,
};
use tokio::sync::Semaphore;

use crate::support::{
    LENGTHS, Stream, by_tag, chain, conformance, memory, noise, push_image, read, read_all,
    read_back, repository, tag,
};

pub(crate) fn writable(path: &Path) -> CtfDirectory {
    CtfDirectory::open(path, Access::ReadWrite).unwrap()
}

pub(crate) fn readable(path: &Path) -> CtfDirectory {
    CtfDirectory::open(path, Access::ReadOnly).unwrap()
}

fn blob_files(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path.join("blobs")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn archives_of_other_tools_are_read_whole() {
    for (path, expected) in [
        ("ctf/three-packings/transport-archive", (1, 3)),
        ("ctf/v1-product", (2, 9)),
        ("ctf/v2-product", (5, 11)),
    ] {
        let store = readable(&conformance(path));
        assert_eq!(read_all(&store).await.unwrap(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_manifest_without_media_type_in_the_index_says_its_own() {
    let store = readable(&conformance("ctf/three-packings/transport-archive"));
    let name = repository("component-descriptors/github.com/acme.org/helloworld");
    let manifest = store.manifest(&name, &by_tag("1.0.0")).await.unwrap();
    assert_eq!(manifest.media_type(), ocm_oci::media_type::IMAGE_MANIFEST);
    assert_eq!(
        manifest.digest().to_hex(),
        "6d776ef2c9c156ca260a67b335435f4ef20a1c8e777afee89148b06d5688e753"
    );
}

#[tokio::test]
async fn what_is_pushed_is_read_at_once_and_by_others_after_commit() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("shop.ctf");
    let store = writable(&path);
    let name = repository("acme/shop");
    for (number, len) in LENGTHS.into_iter().enumerate() {
        let content = noise(len, number as u64);
        for blob in [
            Stream::unknown(content.clone()).shared(),
            Stream::sized(content.clone()).shared(),
            Stream::known(content.clone()).shared(),
            memory(content.clone()),
        ] {
            let pushed = store.push_blob(&name, &blob).await.unwrap();
            assert_eq!(pushed.digest, Digest::sha256(&content));
            assert_eq!(pushed.size, len as u64);
        }
        read_back(&store, &name, &content).await;
    }
    let manifest = push_image(&store, &name, "1.0", memory("layer"))
        .await
        .unwrap();
    assert_eq!(
        store.manifest(&name, &by_tag("1.0")).await.unwrap(),
        manifest
    );
    let other = writable(&path);
    assert!(other.tags(&name).await.unwrap_err().is_not_found());
    store.commit().await.unwrap();
    assert_eq!(other.tags(&name).await.unwrap(), [tag("1.0")]);
    assert_eq!(read_all(&readable(&path)).await.unwrap(), (1, 2));
}

#[tokio::test]
async fn the_files_are_those_of_the_format() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let manifest = push_image(&store, &repository("a"), "1.0", memory("layer"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let index = fs::read_to_string(place.path().join(INDEX_FILE)).unwrap();
    assert_eq!(
        index,
        format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"a","tag":"1.0","digest":"{}","mediaType":"application/vnd.oci.image.manifest.v1+json"}}]}}"#,
            manifest.digest()
        )
    );
    let mut expected = [b"{}".to_vec(), b"layer".to_vec(), manifest.bytes().to_vec()]
        .map(|content| format!("sha256.{}", Digest::sha256(content).to_hex()));
    expected.sort();
    assert_eq!(blob_files(place.path()), expected);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let file = place.path().join("blobs").join(&expected[0]);
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o444
        );
    }
}

#[tokio::test]
async fn a_blob_that_is_there_is_not_written_again() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let content = noise(CHUNK * 2, 1);
    let blob = Stream::known(content.clone());
    let outcome = |pushed: ocm_oci::Pushed| pushed.outcome;
    let push = async |blob: Stream| store.push_blob(&name, &blob.shared()).await.map(outcome);
    assert_eq!(push(blob.clone()).await.unwrap(), Outcome::Copied);
    let unreadable = blob.clone().breaking(0);
    assert_eq!(push(unreadable).await.unwrap(), Outcome::Existed);
    assert_eq!(
        push(Stream::unknown(content.clone())).await.unwrap(),
        Outcome::Existed
    );
    let digest = Digest::sha256(&content);
    assert!(
        store
            .mount_blob(&repository("b"), &name, &digest)
            .await
            .unwrap()
    );

    let file = place
        .path()
        .join("blobs")
        .join(&blob_files(place.path())[0]);
    fs::remove_file(&file).unwrap();
    fs::write(&file, "half").unwrap();
    assert_eq!(push(blob).await.unwrap(), Outcome::Copied);
    read_back(&store, &name, &content).await;
}

/// A blob that says when it is opened, and then waits.
#[derive(Debug)]
struct Late {
    blob: Stream,
    opened: Arc<Semaphore>,
    may_go_on: Arc<Semaphore>,
}

#[async_trait]
impl Blob for Late {
    fn size(&self) -> Option<u64> {
        self.blob.size()
    }

    fn digest(&self) -> Option<Digest> {
        self.blob.digest()
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        self.opened.add_permits(1);
        self.may_go_on.acquire().await.unwrap().forget();
        self.blob.open().await
    }
}

#[tokio::test]
async fn of_two_who_bring_a_blob_one_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let blob = Stream::known(noise(3 << 20, 1));
    let (opened, may_go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let late: BlobRef = Arc::new(Late {
        blob: blob.clone(),
        opened: Arc::clone(&opened),
        may_go_on: Arc::clone(&may_go_on),
    });
    let first = async { store.push_blob(&name, &late).await.unwrap() };
    let second = async {
        opened.acquire().await.unwrap().forget();
        let second = store.push_blob(&name, &blob.shared()).await.unwrap();
        may_go_on.add_permits(1);
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.outcome, Outcome::Existed);
    assert_eq!(second.outcome, Outcome::Copied);
    assert_eq!(blob_files(place.path()).len(), 1);
}

#[tokio::test]
async fn nothing_is_kept_of_a_blob_that_failed() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let content = noise(CHUNK * 3, 1);
    let wrong = Stream {
        digest: Some(Digest::sha256("other")),
        ..Stream::sized(content.clone())
    };
    let error = store.push_blob(&name, &wrong.shared()).await.unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    for blob in [
        Stream::unknown(content.clone()).breaking(CHUNK * 2),
        Stream::known(content.slice(..100)).breaking(50),
    ] {
        assert!(store.push_blob(&name, &blob.shared()).await.is_err());
    }
    let mut upload = store.begin(&name, "id").await.unwrap();
    upload.write(content.clone()).await.unwrap();
    let error = upload.finish(Digest::sha256("other")).await.unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    drop(store.begin(&name, "id").await.unwrap());
    assert_eq!(blob_files(place.path()), [""; 0]);
}

#[tokio::test]
async fn an_upload_is_a_blob_once_it_is_finished() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let content = noise(CHUNK * 2 + 5, 7);
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let mut upload = store.begin(&name, "id").await.unwrap();
        for piece in [0..5, 5..CHUNK, CHUNK..content.len()] {
            upload.write(content.slice(piece)).await.unwrap();
        }
        assert_eq!(upload.size(), content.len() as u64);
        let digest = algorithm.digest(&content);
        let pushed = upload.finish(digest).await.unwrap();
        assert_eq!(pushed.outcome, Outcome::Copied);
        let size = store.stat_blob(&name, &digest).await.unwrap();
        assert_eq!(size, Some(content.len() as u64));
    }
}

#[tokio::test]
async fn a_manifest_needs_what_it_points_to() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let config = Descriptor::of("", b"missing");
    let mut image = ImageManifest::new(config.clone(), Vec::new());
    let raw = RawManifest::image(&image);
    let error = store.push_manifest(&name, &raw, None).await.unwrap_err();
    assert!(
        matches!(&error, Error::Dangling { digest, .. } if *digest == config.digest),
        "{error}"
    );
    image.config.urls = vec!["https://example.org".to_owned()];
    let raw = RawManifest::image(&image);
    store.push_manifest(&name, &raw, None).await.unwrap();
    let reference = Reference::Digest(raw.digest());
    assert_eq!(store.manifest(&name, &reference).await.unwrap(), raw);
    let junk = RawManifest::new("{", ocm_oci::media_type::IMAGE_INDEX);
    assert!(store.push_manifest(&name, &junk, None).await.is_err());
    let huge = RawManifest::new(vec![b' '; 5 << 20], ocm_oci::media_type::IMAGE_INDEX);
    let error = store.push_manifest(&name, &huge, None).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn two_writers_lose_nothing_of_each_other() {
    let place = tempfile::tempdir().unwrap();
    let stores = [writable(place.path()), writable(place.path())];
    let name = repository("a");
    for number in 0..20 {
        let work = stores.iter().zip(["x", "y"]).map(async |(store, who)| {
            let version = format!("{number}-{who}");
            push_image(store, &name, &version, memory(version.clone()))
                .await
                .unwrap();
            store.commit().await.unwrap();
        });
        futures::future::join_all(work).await;
    }
    let store = readable(place.path());
    assert_eq!(store.tags(&name).await.unwrap().len(), 40);
    assert_eq!(read_all(&store).await.unwrap(), (40, 80));
}

#[tokio::test]
async fn commits_that_wait_share_one_round() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let work = (0..50).map(async |number| {
        let version = format!("v{number}");
        push_image(&store, &name, &version, memory(version.clone()))
            .await
            .unwrap();
        store.commit().await.unwrap();
        let tags = readable(place.path()).tags(&name).await.unwrap();
        assert!(tags.contains(&tag(&version)), "{version}");
    });
    futures::future::join_all(work).await;
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_by_the_next_one() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let stale = place.path().join("blobs/.tmp-1-0");
    fs::write(&stale, "half").unwrap();
    let second = writable(place.path());
    assert!(
        stale.exists(),
        "another writer is alive, and it may be its file"
    );
    drop((store, second));
    let _third = writable(place.path());
    assert!(!stale.exists());
}

#[tokio::test]
async fn a_new_archive_that_nothing_was_written_to_is_taken_away() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new");
    let store = writable(&path);
    assert!(path.is_dir());
    drop(store);
    assert!(!path.exists());

    let store = writable(&path);
    let second = writable(&path);
    drop(store);
    assert!(path.is_dir(), "another writer is alive");
    drop(second);

    let store = writable(&path);
    let blob = memory("one");
    store.push_blob(&repository("a"), &blob).await.unwrap();
    drop(store);
    assert_eq!(blob_files(&path).len(), 1, "what was written is kept");

    let own = place.path().join("own");
    fs::create_dir(&own).unwrap();
    drop(writable(&own));
    assert!(own.is_dir(), "a directory that was there stays");
    assert!(!own.join("blobs").exists());
}

#[tokio::test]
async fn pushing_without_commit_leaves_the_archive_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let name = repository("a");
    let store = writable(place.path());
    push_image(&store, &name, "1.0", memory("one"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let before = fs::read(place.path().join(INDEX_FILE)).unwrap();
    push_image(&store, &name, "1.0", memory("two"))
        .await
        .unwrap();
    push_image(&store, &name, "2.0", memory("two"))
        .await
        .unwrap();
    drop(store);
    assert_eq!(fs::read(place.path().join(INDEX_FILE)).unwrap(), before);
    assert_eq!(read_all(&readable(place.path())).await.unwrap(), (1, 2));
}

#[tokio::test]
async fn damage_is_named_with_archive_and_digest() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let layer = noise(CHUNK * 2, 3);
    let manifest = push_image(&store, &name, "1.0", memory(layer.clone()))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let archive = place.path().display().to_string();
    let blob = Descriptor::of("", &layer);
    let file = |digest: &Digest| {
        place
            .path()
            .join(format!("blobs/sha256.{}", digest.to_hex()))
    };

    fs::remove_file(file(&blob.digest)).unwrap();
    fs::write(file(&blob.digest), noise(CHUNK * 2, 4)).unwrap();
    let error = read(&store, &name, &blob).await.unwrap_err();
    assert!(error.is_mismatch(), "{error}");
    assert!(chain(&error).contains(&format!("blob {} of {archive}", blob.digest)));

    // For who checks the digest, the size is all that is looked at.
    let stored = store.blob(&name, &blob);
    let passing = stored.open_unchecked().await.unwrap();
    let passed = collect(passing, u64::MAX).await.unwrap();
    assert_eq!(passed, noise(CHUNK * 2, 4));
    fs::remove_file(file(&blob.digest)).unwrap();
    fs::write(file(&blob.digest), noise(CHUNK, 4)).unwrap();
    let passing = stored.open_unchecked().await.unwrap();
    let error = collect(passing, u64::MAX).await.unwrap_err();
    assert!(chain(&error).contains(&format!("blob {} of {archive}", blob.digest)));

    fs::remove_file(file(&blob.digest)).unwrap();
    let error = read(&store, &name, &blob).await.unwrap_err();
    assert!(chain(&error).contains(&format!("blob {} of {archive} not found", blob.digest)));

    fs::remove_file(file(&manifest.digest())).unwrap();
    fs::write(file(&manifest.digest()), "{}").unwrap();
    let error = store.manifest(&name, &by_tag("1.0")).await.unwrap_err();
    assert!(
        error.is_mismatch() && error.to_string().contains(&archive),
        "{error}"
    );
    // What a name points to is known without reading it.
    let found = store.resolve(&name, &by_tag("1.0")).await.unwrap();
    assert_eq!((found.digest, found.size), (manifest.digest(), 2));

    fs::remove_file(file(&manifest.digest())).unwrap();
    let error = store.manifest(&name, &by_tag("1.0")).await.unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");
    let error = store.resolve(&name, &by_tag("1.0")).await.unwrap_err();
    assert!(matches!(error, Error::Dangling { .. }), "{error}");

    fs::write(place.path().join(INDEX_FILE), "{").unwrap();
    let error = CtfDirectory::open(place.path(), Access::ReadOnly).unwrap_err();
    assert!(error.to_string().contains(INDEX_FILE), "{error}");
}

#[tokio::test]
async fn a_tag_that_somebody_puts_on_what_is_being_removed_stays() {
    let place = tempfile::tempdir().unwrap();
    let (store, other) = (writable(place.path()), writable(place.path()));
    let name = repository("a");
    let manifest = push_image(&store, &name, "1.0", memory("one"));
    let manifest = manifest.await.unwrap();
    store.commit().await.unwrap();
    let by_digest = Reference::Digest(manifest.digest());
    store.delete_manifest(&name, &by_digest).await.unwrap();
    other
        .push_manifest(&name, &manifest, Some(&tag("kept")))
        .await
        .unwrap();
    other.commit().await.unwrap();
    store.commit().await.unwrap();
    let reader = readable(place.path());
    assert_eq!(reader.tags(&name).await.unwrap(), [tag("kept")]);
    read_back(&reader, &name, b"one").await;
}

#[tokio::test]
async fn what_is_needed_is_not_removed() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let manifest = push_image(&store, &name, "1.0", memory("one"))
        .await
        .unwrap();
    store.commit().await.unwrap();
    let layer = Digest::sha256("one");
    let error = store.delete_blob(&name, &layer).await.unwrap_err();
    assert!(matches!(error, Error::Denied { .. }), "{error}");

    store.delete_manifest(&name, &by_tag("1.0")).await.unwrap();
    assert!(store.delete_manifest(&name, &by_tag("1.0")).await.is_err());
    let by_digest = Reference::Digest(manifest.digest());
    assert!(store.manifest(&name, &by_digest).await.is_ok());
    store.delete_manifest(&name, &by_digest).await.unwrap();
    assert!(
        store
            .manifest(&name, &by_digest)
            .await
            .unwrap_err()
            .is_not_found()
    );
    store.delete_blob(&name, &layer).await.unwrap();
    assert_eq!(store.stat_blob(&name, &layer).await.unwrap(), None);
    let error = store.delete_blob(&name, &layer).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(blob_files(place.path()).len(), 3, "removed by the commit");

    let pushed = store.push_blob(&name, &memory("one")).await.unwrap();
    assert_eq!(pushed.outcome, Outcome::Existed);
    store.commit().await.unwrap();
    assert_eq!(blob_files(place.path()).len(), 2, "the manifest has gone");
    assert!(store.stat_blob(&name, &layer).await.unwrap().is_some());
}

#[tokio::test]
async fn what_is_opened_for_reading_is_not_written() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("none");
    let error = CtfDirectory::open(&missing, Access::ReadOnly).unwrap_err();
    assert!(error.is_not_found() && !missing.exists(), "{error}");
    let _writer = writable(place.path());
    let store = readable(place.path());
    let name = repository("a");
    let error = store.push_blob(&name, &memory("x")).await.unwrap_err();
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert!(store.begin(&name, "id").await.is_err());
    store.commit().await.unwrap();
}
