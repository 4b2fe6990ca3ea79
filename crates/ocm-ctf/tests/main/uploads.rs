//! Uploads to a directory that go on after the process that took them in.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ocm_blob::CHUNK;
use ocm_ctf::{Access, CtfDirectory};
use ocm_digest::{Digest, HashAlgorithm};
use ocm_oci::{Error, Ingest as _};

use crate::support::{noise, repository};

const HOUR: Duration = Duration::from_hours(1);

fn writable(path: &Path) -> CtfDirectory {
    CtfDirectory::open(path, Access::ReadWrite).unwrap()
}

/// Returns the names in a directory of the archive.
fn files(path: &Path, directory: &str) -> Vec<String> {
    let entries = fs::read_dir(path.join(directory)).into_iter().flatten();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn set_time(path: &Path, time: SystemTime) {
    let file = fs::File::open(path).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn a_saved_upload_is_gone_on_with_by_another_process() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha512] {
        let place = tempfile::tempdir().unwrap();
        let name = repository("acme/shop");
        let content = noise(CHUNK * 9 + 5, 7);
        let mut come = 0;
        for piece in [CHUNK + 1, 5, CHUNK * 6] {
            // Each store stands for a process that is killed.
            let store = writable(place.path());
            let mut upload = match store.resume(&name, "id").await.unwrap() {
                Some(upload) => upload,
                None if come == 0 => store.begin(&name, "id").await.unwrap(),
                None => panic!("the upload is lost after {come} bytes"),
            };
            assert_eq!(upload.size(), come as u64);
            upload
                .write(content.slice(come..come + piece))
                .await
                .unwrap();
            upload.save().await.unwrap();
            come += piece;
        }
        let store = writable(place.path());
        let mut upload = store.resume(&name, "id").await.unwrap().unwrap();
        upload.write(content.slice(come..)).await.unwrap();
        let digest = algorithm.digest(&content);
        let pushed = upload.finish(digest).await.unwrap();
        assert_eq!((pushed.digest, pushed.size), (digest, content.len() as u64));
        assert_eq!(files(place.path(), ".uploads"), [""; 0]);
        let [file] = files(place.path(), "blobs").try_into().unwrap();
        let file = place.path().join("blobs").join(file);
        assert!(fs::read(&file).unwrap() == content);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o444);
        }
    }
}

#[tokio::test]
async fn what_has_come_is_hashed_again_before_it_is_a_blob() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let mut upload = store.begin(&name, "id").await.unwrap();
    upload.write("hello, ".into()).await.unwrap();
    upload.save().await.unwrap();
    drop(upload);
    // As after a power failure.
    let saved = place
        .path()
        .join(".uploads")
        .join(&files(place.path(), ".uploads")[0]);
    fs::write(saved, [0; 7]).unwrap();
    let mut upload = store.resume(&name, "id").await.unwrap().unwrap();
    upload.write("world".into()).await.unwrap();
    let error = upload.finish(Digest::sha256("hello, world")).await;
    assert!(error.unwrap_err().is_mismatch());
    for directory in ["blobs", ".uploads"] {
        assert_eq!(files(place.path(), directory), [""; 0]);
    }
}

#[tokio::test]
async fn an_upload_is_found_by_its_repository_and_name_alone() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let mut upload = store.begin(&repository("a"), "id").await.unwrap();
    upload.write("x".into()).await.unwrap();
    upload.save().await.unwrap();
    let busy = store.resume(&repository("a"), "id").await.unwrap_err();
    assert!(matches!(busy, Error::Busy { .. }), "{busy}");
    drop(upload);
    for (name, id) in [("b", "id"), ("a", "di"), ("a", "../x"), ("a", "")] {
        let found = store.resume(&repository(name), id).await.unwrap();
        assert!(found.is_none(), "{name} {id}");
    }
    let upload = store.resume(&repository("a"), "id").await.unwrap();
    upload.unwrap().cancel().await.unwrap();
    assert_eq!(files(place.path(), ".uploads"), [""; 0]);
    assert!(
        store
            .resume(&repository("a"), "id")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn uploads_that_nobody_goes_on_with_go() {
    let place = tempfile::tempdir().unwrap();
    let store = writable(place.path());
    let name = repository("a");
    let now = fs::metadata(place.path()).unwrap().modified().unwrap();
    store.expire(now).await.unwrap();
    let mut open = None;
    for id in ["old", "young", "of the future", "open"] {
        let mut upload = store.begin(&name, id).await.unwrap();
        upload.write(id.to_owned().into()).await.unwrap();
        upload.save().await.unwrap();
        open = Some(upload);
    }
    for saved in files(place.path(), ".uploads") {
        let path = place.path().join(".uploads").join(saved);
        match fs::read_to_string(&path).unwrap().as_str() {
            "young" => set_time(&path, now - HOUR / 2),
            "of the future" => set_time(&path, now + HOUR),
            _ => set_time(&path, now - HOUR * 2),
        }
    }
    store.expire(now - HOUR).await.unwrap();
    drop(open);
    let mut there = Vec::new();
    for id in ["old", "young", "of the future", "open"] {
        if store.resume(&name, id).await.unwrap().is_some() {
            there.push(id);
        }
    }
    assert_eq!(there, ["young", "of the future", "open"]);
}

#[tokio::test]
async fn a_directory_in_which_nothing_came_to_be_is_taken_away_with_its_uploads() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("new");
    let store = writable(&path);
    let mut upload = store.begin(&repository("a"), "id").await.unwrap();
    upload.save().await.unwrap();
    upload.cancel().await.unwrap();
    drop(store);
    assert!(!path.exists());
}
