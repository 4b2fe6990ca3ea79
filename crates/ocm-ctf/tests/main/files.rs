//! Archives of files.

use ocm_blob::read_to_end;
use ocm_ctf::{FileArchive, Scratch};
use ocm_digest::Digest;
use ocm_oci::Error;

use crate::archive::{blob_path, compress, tar};
use crate::support::chain;

/// The same files as directory, tar and compressed tar.
async fn every_packing(place: &std::path::Path) -> Vec<FileArchive> {
    let named = blob_path(b"content");
    let files: [(&str, &[u8]); 3] = [("top", b"top"), (&named, b"content"), ("blobs/x", b"x")];
    std::fs::create_dir_all(place.join("dir/blobs")).unwrap();
    for (path, content) in files {
        std::fs::write(place.join("dir").join(path), content).unwrap();
    }
    let tar = tar(&files);
    std::fs::write(place.join("tar"), &tar).unwrap();
    std::fs::write(place.join("tgz"), compress(tar).await).unwrap();
    let mut opened = Vec::new();
    for name in ["dir", "tar", "tgz"] {
        let archive = FileArchive::open(place.join(name), &Scratch::default()).await;
        opened.push(archive.unwrap());
    }
    opened
}

#[tokio::test]
async fn files_are_found_by_their_paths_in_every_packing() {
    let place = tempfile::tempdir().unwrap();
    let named = blob_path(b"content");
    for archive in every_packing(place.path()).await {
        assert_eq!(archive.read("top", 10).unwrap().unwrap(), "top");
        assert_eq!(archive.read(&named, 10).unwrap().unwrap(), "content");
        assert!(archive.read("other", 10).unwrap().is_none());
        assert!(
            archive
                .blob(&blob_path(b"other"), "", None)
                .unwrap()
                .is_none()
        );
        let too_large = archive.read(&named, 3).unwrap_err();
        assert!(matches!(too_large, Error::TooLarge { limit: 3, .. }));
        for (path, digest) in [
            (named.as_str(), Some(Digest::sha256("content"))),
            ("blobs/x", None),
        ] {
            let blob = archive.blob(path, "text/plain", digest).unwrap().unwrap();
            assert_eq!(
                (blob.digest(), blob.media_type()),
                (digest, Some("text/plain"))
            );
            let content = read_to_end(blob.as_ref(), 100).await.unwrap();
            assert_eq!(Some(content.len() as u64), blob.size());
        }
    }
}

#[tokio::test]
async fn a_file_that_is_not_what_its_digest_says_is_named_with_its_archive() {
    let place = tempfile::tempdir().unwrap();
    for archive in every_packing(place.path()).await {
        let digest = Some(Digest::sha256("y"));
        let blob = archive.blob("blobs/x", "", digest).unwrap().unwrap();
        let error = read_to_end(blob.as_ref(), 100).await.unwrap_err();
        let text = chain(&error);
        assert!(
            text.contains(&format!("blobs/x of {}", archive.name())),
            "{text}"
        );
        assert!(text.contains("digest"), "{text}");
    }
}

#[tokio::test]
async fn nothing_outside_of_a_directory_is_found() {
    let place = tempfile::tempdir().unwrap();
    let archive = every_packing(place.path()).await.remove(0);
    std::fs::write(place.path().join("outside"), "secret").unwrap();
    for path in ["../outside", "blobs/../../outside", "/etc/passwd", ""] {
        let error = archive.read(path, 100).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{path}: {error}");
    }
    let error = archive.read("blobs", 100).unwrap_err();
    assert!(error.to_string().contains("no regular file"), "{error}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        let directory = place.path().join("dir");
        symlink("../outside", directory.join("out")).unwrap();
        symlink("top", directory.join("within")).unwrap();
        let error = archive.read("out", 100).unwrap_err();
        assert!(
            error.to_string().contains("a link out of the archive"),
            "{error}"
        );
        assert_eq!(archive.read("within", 100).unwrap().unwrap(), "top");
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let nothing = FileArchive::open("/nowhere/at/all", &Scratch::default()).await;
    assert!(nothing.unwrap_err().is_not_found());
}
