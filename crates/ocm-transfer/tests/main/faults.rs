//! Content that is not what it should be, and work that is cut short.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use ocm_backends::OciComponentRepository;
use ocm_blob::{Blob, ByteStream, Bytes, Promise, once, verify};
use ocm_ctf::CtfDirectory;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::DigestSpec;
use ocm_oci::StoreRef;
use ocm_repository::{Content, RepositoryRef};
use ocm_transfer::{Error, ExecuteOptions, Policy, TransferOptions};
use serde_json::json;

use crate::watched::Watched;
use crate::world::{
    Build, ID, Place, blob, chain, check_only_access_differs, id, image, notes, plan, recursive,
    transfer,
};

const BASE: &str = "acme.org/base:1.0.0";

/// A blob that was changed in its place: its digest is as it was, its bytes are not.
#[derive(Debug)]
struct Tampered {
    digest: Digest,
}

#[async_trait]
impl Blob for Tampered {
    fn size(&self) -> Option<u64> {
        Some(5)
    }

    fn digest(&self) -> Option<Digest> {
        Some(self.digest)
    }

    async fn open(&self) -> Result<ByteStream, ocm_blob::Error> {
        let promise = Promise {
            size: self.size(),
            digest: Some(self.digest),
        };
        Ok(verify(once(Bytes::from_static(b"hellO")), promise))
    }
}

/// Transfers from a source that hands out changed content, and expects that to be found out.
async fn check_found_out(
    digest: Option<DigestSpec>,
    change: impl Fn(Content) -> Content + Send + Sync + 'static,
) -> Error {
    let (source, target) = (Place::new(), Place::new());
    let mut build = Build::new(&source, ID).blob("text", "hello").await;
    if let Some(digest) = digest {
        build.descriptor.set_resource_digest(0, &digest).unwrap();
    }
    build.signed().await;
    let tampered: RepositoryRef = Arc::new(Watched::changing(&source, change));
    let error = transfer(&tampered, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap_err();
    assert!(error.is_verification(), "{}", chain(&error));
    assert!(
        error
            .to_string()
            .contains("resource `name=text,version=1.0.0` of acme.org/notes:1.0.0"),
        "{error}"
    );
    let there = target.repository.stored_digest(&id(ID)).await.unwrap();
    assert_eq!(there, None, "nothing refers to content that is wrong");
    error
}

#[tokio::test]
async fn a_blob_changed_in_its_place_is_found_out() {
    let digest = Digest::sha256("hello");
    check_found_out(None, move |_| Content::Blob(Arc::new(Tampered { digest }))).await;
}

#[tokio::test]
async fn another_blob_is_found_out_before_it_moves() {
    let error = check_found_out(None, |_| Content::Blob(blob("other", "text/plain"))).await;
    assert!(matches!(error, Error::ContentDigest { .. }));
}

#[tokio::test]
async fn an_artifact_in_place_of_a_blob_is_found_out() {
    let store = ocm_oci::MemoryStore::new();
    let artifact = image(&store, "a", "1", "hellO").await;
    check_found_out(None, move |_| Content::Artifact(Box::new(artifact.clone()))).await;
}

#[tokio::test]
async fn wrong_content_is_found_out_by_another_hash() {
    for expected in ["other", "hello"] {
        let digest = HashAlgorithm::Sha512.digest(expected);
        let spec = DigestSpec::generic_blob(&digest);
        check_found_out(Some(spec), |_| Content::Blob(blob("wrong", "text/plain"))).await;
    }
}

#[tokio::test]
async fn a_reference_to_another_local_blob_is_found_out() {
    let (source, target) = (Place::new(), Place::new());
    let mut build = Build::new(&source, ID)
        .blob("text", "hello")
        .await
        .blob("other", "other")
        .await;
    let other = build.descriptor.resources()[1].access.clone().unwrap();
    build.descriptor.set_resource_access(0, other).unwrap();
    build.signed().await;
    let error = transfer(&source, &target, TransferOptions::default(), &[ID]).await;
    assert!(error.unwrap_err().is_verification());
}

#[tokio::test]
async fn content_known_at_the_target_by_another_hash_is_checked_all_the_same() {
    let (source, target) = (Place::new(), Place::new());
    Build::new(&target, ID).blob("text", "hello").await;
    for (expected, holds) in [("hello", true), ("other", false)] {
        let mut build = Build::new(&source, ID).blob("text", "hello").await;
        let spec = DigestSpec::generic_blob(&HashAlgorithm::Sha512.digest(expected));
        build.descriptor.set_resource_digest(0, &spec).unwrap();
        build.stored().await;
        let options = TransferOptions {
            existing: Policy::Enforce,
            ..TransferOptions::default()
        };
        let result = transfer(&source, &target, options, &[ID]).await;
        assert_eq!(result.is_ok(), holds);
    }
}

#[tokio::test]
async fn content_that_is_excluded_may_be_anything() {
    let (source, target) = (Place::new(), Place::new());
    let mut build = Build::new(&source, ID).blob("text", "hello").await;
    build
        .descriptor
        .set_resource_digest(0, &DigestSpec::excluded())
        .unwrap();
    let before = build.signed().await;
    transfer(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    check_only_access_differs(&before, &target.read(ID).await);
}

#[tokio::test]
async fn missing_content_of_the_source_is_named_when_planning() {
    let source = Place::new();
    let access = json!({"type": "relativeOciReference", "reference": "none:1"});
    Build::new(&source, ID)
        .external("text", access, None)
        .stored()
        .await;
    let error = plan(&source, &Place::new(), TransferOptions::default(), &[ID]).await;
    let error = chain(&error.unwrap_err());
    assert!(error.contains("cannot reach none:1"), "{error}");
}

fn archive(path: &std::path::Path) -> RepositoryRef {
    let store = CtfDirectory::open(path, ocm_ctf::Access::ReadWrite).unwrap();
    let store: StoreRef = Arc::new(store);
    Arc::new(OciComponentRepository::new(store, None))
}

#[tokio::test]
async fn an_archive_with_a_changed_blob_is_found_out() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("shop.ctf");
    let (source, target) = (Place::new(), Place::new());
    let before = notes(&source, "hello").await;
    transfer(&source, &archive(&path), TransferOptions::default(), &[ID])
        .await
        .unwrap();
    transfer(&archive(&path), &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    check_only_access_differs(&before, &target.read(ID).await);

    let file = path
        .join("blobs")
        .join(format!("sha256.{}", Digest::sha256("hello").to_hex()));
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "hellO").unwrap();
    let error = transfer(
        &archive(&path),
        &Place::new(),
        TransferOptions::default(),
        &[ID],
    )
    .await;
    let error = error.unwrap_err();
    assert!(error.is_verification(), "{}", chain(&error));
    assert!(error.to_string().contains("name=text"), "{error}");
}

/// A component version with blobs and an artifact, and one that it refers to.
async fn tree(source: &Place) {
    let inner = image(&source.store, "somewhere", "1.0.0", "an artifact").await;
    let base = Build::new(source, BASE)
        .blob("one", "one")
        .await
        .blob("two", "two")
        .await
        .signed()
        .await;
    Build::new(source, ID)
        .blob("three", "three")
        .await
        .artifact("artifact", inner, "acme/artifact:1")
        .await
        .source("code", "four")
        .await
        .reference("base", BASE, Some(&base))
        .signed()
        .await;
}

#[tokio::test]
async fn an_interrupted_transfer_is_continued_by_doing_it_again() {
    let (source, undisturbed) = (Place::new(), Place::new());
    tree(&source).await;
    let (counting, shared) = Watched::new(&undisturbed).shared();
    transfer(&source, &shared, recursive(), &[ID])
        .await
        .unwrap();
    let writes = counting.writes();
    assert_eq!(writes, 5 + 2, "five contents, two descriptors");

    for number in 0..writes {
        let target = Place::new();
        let (failing, shared) = Watched::failing_at(&target, number).shared();
        transfer(&source, &shared, recursive(), &[ID])
            .await
            .unwrap_err();
        assert_eq!(
            failing.commits.load(Ordering::SeqCst),
            1,
            "what was written is kept"
        );
        // Whatever can be read is whole.
        for text in [ID, BASE] {
            if target
                .repository
                .stored_digest(&id(text))
                .await
                .unwrap()
                .is_some()
            {
                check_only_access_differs(&source.read(text).await, &target.read(text).await);
            }
        }
        let second = transfer(&source, &shared, recursive(), &[ID])
            .await
            .unwrap();
        assert_eq!(second.added + second.skipped, 2, "at write {number}");
        for text in [ID, BASE] {
            let (expected, actual) = (undisturbed.read(text).await, target.read(text).await);
            assert_eq!(expected, actual, "at write {number}");
            let stored = target.repository.stored_digest(&id(text)).await.unwrap();
            assert_eq!(
                stored,
                undisturbed
                    .repository
                    .stored_digest(&id(text))
                    .await
                    .unwrap()
            );
        }
    }
}

#[tokio::test]
async fn a_transfer_that_is_dropped_is_continued_by_doing_it_again() {
    let (source, undisturbed) = (Place::new(), Place::new());
    tree(&source).await;
    transfer(&source, &undisturbed, recursive(), &[ID])
        .await
        .unwrap();
    for number in 0..7 {
        let target = Place::new();
        let hanging = Watched::hanging_at(&target, number);
        let hangs = Arc::clone(&hanging.hangs);
        let shared: RepositoryRef = Arc::new(hanging);
        let planned = plan(&source, &shared, recursive(), &[ID]).await.unwrap();
        let options = ExecuteOptions::default();
        tokio::select! {
            _ = planned.execute(&options) => panic!("it does not end"),
            () = hangs.notified() => {}
        }
        transfer(&source, &target, recursive(), &[ID])
            .await
            .unwrap();
        for text in [ID, BASE] {
            assert_eq!(
                undisturbed.read(text).await,
                target.read(text).await,
                "at write {number}"
            );
        }
    }
}

#[tokio::test]
async fn a_source_that_changed_after_planning_is_not_transferred() {
    let (source, target) = (Place::new(), Place::new());
    notes(&source, "hello").await;
    let planned = plan(&source, &target, TransferOptions::default(), &[ID])
        .await
        .unwrap();
    notes(&source, "other").await;
    let error = planned
        .execute(&ExecuteOptions::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::ChangedSince { .. }));
}

/// Puts an image into a tar, as the first Go tool stores artifacts, and into a component version
/// that states the digest of the image. `change` damages the tar.
async fn packed_artifact(source: &Place, change: impl FnOnce(&mut Vec<u8>, Digest)) {
    let artifact = image(&source.store, "images/app", "1.0.0", "the layer").await;
    let digest = artifact.root.digest;
    let tar = ocm_ctf::write_layout(
        artifact.store.as_ref(),
        &artifact.repository,
        &digest.into(),
        Some("1.0.0"),
        ocm_ctf::ReferrersOf::Nobody,
        &ocm_oci::Selection::all(),
    )
    .await
    .unwrap();
    let mut tar = ocm_blob::read_to_end(&tar, 1 << 20).await.unwrap().to_vec();
    change(&mut tar, digest);
    let media_type = "application/vnd.oci.image.manifest.v1+tar";
    let blob = ocm_blob::MemoryBlob::new(tar).with_media_type(media_type);
    let mut build = Build::new(source, ID);
    let added = source
        .repository
        .add_content(
            &id(ID),
            &Content::Blob(Arc::new(blob)),
            None,
            &ocm_repository::CopyOptions::default(),
        )
        .await
        .unwrap();
    let spec = DigestSpec::oci_artifact(&digest);
    build.push("app", added.access, Some(spec));
    build.signed().await;
}

/// Changes a byte in what a tar says about the layer.
fn flip(tar: &mut [u8], text: &str) {
    let at = tar
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    tar[at.unwrap()] ^= 1;
}

#[tokio::test]
async fn an_artifact_in_a_tar_is_checked_and_stays_one() {
    let (source, target) = (Place::new(), Place::new());
    packed_artifact(&source, |_, _| ()).await;
    for reason in ["it moves", "it is there"] {
        let options = TransferOptions {
            existing: Policy::Enforce,
            ..TransferOptions::default()
        };
        let report = transfer(&source.repository, &target.repository, options, &[ID]).await;
        assert_eq!(report.unwrap().notes, [], "{reason}");
    }
    check_only_access_differs(&source.read(ID).await, &target.read(ID).await);
}

#[tokio::test]
async fn a_changed_manifest_in_a_tar_is_found_out() {
    for part in ["application/vnd.oci.image.config.v1+json", "the layer"] {
        let (source, target) = (Place::new(), Place::new());
        packed_artifact(&source, |tar, _| flip(tar, part)).await;
        let options = TransferOptions::default();
        let error = transfer(&source.repository, &target.repository, options, &[ID]).await;
        let error = error.unwrap_err();
        assert!(error.is_verification(), "{}", chain(&error));
        let text = chain(&error);
        assert!(
            text.starts_with("cannot transfer resource `name=app,version=1.0.0` of acme.org/notes"),
            "{text}"
        );
        let there = target.repository.stored_digest(&id(ID)).await.unwrap();
        assert_eq!(there, None, "nothing refers to content that is wrong");
    }
}

#[tokio::test]
async fn a_tar_of_another_artifact_is_found_out() {
    let (source, target) = (Place::new(), Place::new());
    packed_artifact(&source, |tar, digest| {
        // The index names another artifact; the one that is stated is there all the same.
        let (old, new) = (digest.to_string(), Digest::sha256("{}").to_string());
        let at = tar
            .windows(old.len())
            .position(|window| window == old.as_bytes());
        let at = at.unwrap();
        tar[at..at + new.len()].copy_from_slice(new.as_bytes());
    })
    .await;
    let options = TransferOptions::default();
    let error = transfer(&source.repository, &target.repository, options, &[ID]).await;
    let error = error.unwrap_err();
    assert!(error.is_verification(), "{}", chain(&error));
}
