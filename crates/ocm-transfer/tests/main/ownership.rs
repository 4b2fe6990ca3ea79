//! What refers to an artifact comes with it.

use ocm_digest::Digest;
use ocm_model::Identity;
use ocm_oci::{
    Delete as _, Descriptor as Entry, Fetch as _, ImageIndex, ImageManifest, Push as _,
    RawManifest, Reference, Referrers as _, RepositoryName, Tag,
};
use ocm_repository::{AccessMethods, Artifact, OWNER_NAME, OWNERSHIP};
use ocm_transfer::{
    Error, ExecuteOptions, Planner, Root, Transfer, TransferOptions, TransferReport, UploadAs,
};

use crate::world::{Build, Internet, Place, blob, id, image, plan, transfer};

const ID: &str = "acme.org/notes:1.0.0";

/// Puts a component version with an image that it owns into a place.
async fn owned(source: &Place) -> Digest {
    let artifact = image(&source.store, "images/app", "1.0.0", "the layer").await;
    let digest = artifact.root.digest;
    let build = Build::new(source, ID).artifact("app", artifact, "acme/app:1.0.0");
    let descriptor = build.await.stored().await;
    let access = descriptor.resources()[0].access.clone().unwrap();
    let resource: Identity = "name=app,version=1.0.0".parse().unwrap();
    let others = source
        .repository
        .add_ownership(&id(ID), &access, &resource)
        .await;
    assert_eq!(others.unwrap(), [""; 0]);
    digest
}

/// Takes a plan that has been carried out for one about another target.
fn at_another(planned: &Transfer, source: &Place, target: &Place) -> Transfer {
    let sources = [("memory".to_owned(), source.repository.clone())];
    Transfer::from_plan(
        planned.plan().clone(),
        target.repository.clone(),
        sources.into(),
        AccessMethods::new(),
    )
    .unwrap()
}

#[track_caller]
fn check_incomplete(checked: Result<(), Error>, reason: &str) {
    let error = checked.unwrap_err();
    assert!(error.is_verification(), "{error}");
    assert!(error.to_string().contains(reason), "{error}");
}

#[tokio::test]
async fn a_copy_is_checked_with_all_that_refers_to_it() {
    let (source, target) = (Place::new(), Place::new());
    owned(&source).await;
    let planned = plan(&source, &target, TransferOptions::default(), &[ID]);
    let planned = planned.await.unwrap();
    check_incomplete(
        planned.check_copy().await,
        "the component version is missing",
    );
    planned.execute(&ExecuteOptions::default()).await.unwrap();
    planned.check_copy().await.unwrap();

    // The same component version, to whose artifact nothing refers.
    let poorer = Place::new();
    let artifact = image(&poorer.store, "images/app", "1.0.0", "the layer").await;
    let build = Build::new(&poorer, ID).artifact("app", artifact, "acme/app:1.0.0");
    build.await.stored().await;
    let planned = at_another(&planned, &source, &poorer);
    check_incomplete(planned.check_copy().await, "which refers to name=app");

    let other = Place::new();
    Build::new(&other, ID)
        .blob("app", "other")
        .await
        .stored()
        .await;
    let planned = at_another(&planned, &source, &other);
    check_incomplete(planned.check_copy().await, "its digest is");
}

#[tokio::test]
async fn a_blob_that_the_target_has_lost_is_noticed() {
    let (source, target) = (Place::new(), Place::new());
    let build = Build::new(&source, ID).blob("app", "the content").await;
    build.source("code", "the code").await.stored().await;
    let planned = plan(&source, &target, TransferOptions::default(), &[ID]);
    let planned = planned.await.unwrap();
    planned.execute(&ExecuteOptions::default()).await.unwrap();
    planned.check_copy().await.unwrap();
    let lost = Digest::sha256("the content");
    let repository: RepositoryName = "component-descriptors/acme.org/notes".parse().unwrap();
    target.store.delete_blob(&repository, &lost).await.unwrap();
    check_incomplete(planned.check_copy().await, &lost.to_string());
}

async fn check_owned(place: &Place, repository: &str, artifact: Digest) {
    let repository: RepositoryName = repository.parse().unwrap();
    let known = place.store.referrers(&repository, &artifact).await.unwrap();
    let [record] = known.as_slice() else {
        panic!("{known:?}");
    };
    assert_eq!(record.artifact_type.as_deref(), Some(OWNERSHIP));
    assert_eq!(record.annotations[OWNER_NAME], "acme.org/notes");
}

#[tokio::test]
async fn ownership_is_kept_by_a_transfer() {
    let (source, target) = (Place::new(), Place::new());
    let artifact = owned(&source).await;
    let options = TransferOptions::default();
    let moved = transfer(&source.repository, &target.repository, options, &[ID]).await;
    moved.unwrap();
    check_owned(&target, "component-descriptors/acme.org/notes", artifact).await;
}

#[tokio::test]
async fn ownership_is_kept_where_an_artifact_is_uploaded() {
    let (source, target) = (Place::new(), Place::reachable());
    let artifact = owned(&source).await;
    let options = TransferOptions {
        upload_as: UploadAs::OciArtifact,
        ..TransferOptions::default()
    };
    let moved = transfer(&source.repository, &target.repository, options, &[ID]).await;
    moved.unwrap();
    check_owned(&target, "prefix/acme/app", artifact).await;
}

/// Returns where cosign keeps the signatures of a manifest.
fn signatures_of(digest: &Digest) -> Tag {
    let listing = Tag::for_referrers(digest);
    format!("{}.sig", listing.as_str()).parse().unwrap()
}

/// Puts a component version with an index into a place, and what cosign makes of its signatures
/// under tags. Returns the digests of the index and of its image.
async fn signed_index(source: &Place) -> [Digest; 2] {
    let image_of = |content| image(&source.store, "images/app", "1.0.0", content);
    let signature = image_of("the signatures").await;
    let app = image_of("the layer").await;
    let index = RawManifest::index(&ImageIndex::new(vec![app.root.clone()]));
    let (store, repository) = (&source.store, &app.repository);
    store.push_manifest(repository, &index, None).await.unwrap();
    let reference = Reference::Digest(signature.root.digest);
    let signature = store.manifest(repository, &reference).await.unwrap();
    let digests = [index.digest(), app.root.digest];
    for digest in &digests {
        let tag = signatures_of(digest);
        let pushed = store.push_manifest(repository, &signature, Some(&tag));
        pushed.await.unwrap();
    }
    let artifact = Artifact {
        root: index.descriptor(),
        ..app
    };
    let build = Build::new(source, ID).artifact("app", artifact, "acme/app:1.0.0");
    build.await.stored().await;
    digests
}

#[tokio::test]
async fn what_cosign_keeps_under_tags_comes_with_artifacts_and_what_is_in_them() {
    let (source, target) = (Place::new(), Place::new());
    let digests = signed_index(&source).await;
    let planned = plan(&source, &target, TransferOptions::default(), &[ID]);
    let planned = planned.await.unwrap();
    planned.execute(&ExecuteOptions::default()).await.unwrap();
    planned.check_copy().await.unwrap();
    let repository: RepositoryName = "component-descriptors/acme.org/notes".parse().unwrap();
    // What is found last is taken away first.
    for digest in digests.iter().rev() {
        let tag = signatures_of(digest);
        let removed = Reference::Tag(tag.clone());
        let removed = target.store.delete_manifest(&repository, &removed);
        removed.await.unwrap();
        let missing = format!("{}, which refers to name=app", tag.as_str());
        check_incomplete(planned.check_copy().await, &missing);
    }
}

#[tokio::test]
async fn what_cosign_keeps_under_tags_comes_where_an_artifact_is_uploaded() {
    let (source, target) = (Place::new(), Place::reachable());
    let digests = signed_index(&source).await;
    let options = TransferOptions {
        upload_as: UploadAs::OciArtifact,
        ..TransferOptions::default()
    };
    let moved = transfer(&source.repository, &target.repository, options, &[ID]).await;
    moved.unwrap();
    let repository: RepositoryName = "prefix/acme/app".parse().unwrap();
    for digest in &digests {
        let tag = Reference::Tag(signatures_of(digest));
        target.store.manifest(&repository, &tag).await.unwrap();
    }
}

/// Makes a manifest with one layer for each text.
async fn manifest_of(
    place: &Place,
    repository: &RepositoryName,
    texts: &[&str],
    subject: Option<Entry>,
) -> RawManifest {
    let mut entries = Vec::new();
    for text in ["{}"].iter().chain(texts) {
        let pushed = blob(text, "application/octet-stream");
        place.store.push_blob(repository, &pushed).await.unwrap();
        entries.push(Entry::of("application/octet-stream", text.as_bytes()));
    }
    let mut image = ImageManifest::new(entries.remove(0), entries);
    image.subject = subject;
    RawManifest::image(&image)
}

fn counts(report: &TransferReport) -> (u64, u64) {
    (report.updated, report.skipped)
}

#[tokio::test]
async fn what_is_attached_later_comes_with_the_next_transfer() {
    let local = "component-descriptors/acme.org/notes";
    for (upload_as, repository) in [
        (UploadAs::LocalBlob, local),
        (UploadAs::OciArtifact, "acme/app"),
    ] {
        let (source, target) = (Place::new(), Place::reachable());
        let [_, image] = signed_index(&source).await;
        let again = || async {
            let options = TransferOptions {
                upload_as,
                ..TransferOptions::default()
            };
            let planner = Planner::new(target.repository.clone())
                .with_options(options)
                .with_access(Internet::with(&target).access());
            let root = Root {
                repository: source.repository.clone(),
                id: id(ID),
            };
            let planned = planner.plan(vec![root]).await.unwrap();
            planned.execute(&ExecuteOptions::default()).await.unwrap()
        };
        assert_eq!(again().await.added, 1);
        assert_eq!(counts(&again().await), (0, 1));

        let here: RepositoryName = local.parse().unwrap();
        let there: RepositoryName = format!("prefix/{repository}").parse().unwrap();
        let reference = Reference::Digest(image);
        let subject = source.store.resolve(&here, &reference).await.unwrap();
        let materials = manifest_of(&source, &here, &["materials"], Some(subject)).await;
        let pushed = source.store.push_manifest(&here, &materials, None);
        pushed.await.unwrap();
        assert_eq!(counts(&again().await), (1, 0));
        let known = target.store.referrers(&there, &image).await.unwrap();
        assert_eq!(known[0].digest, materials.digest());
        assert_eq!(counts(&again().await), (0, 1));

        // cosign replaces what it keeps under its tag.
        let tag = signatures_of(&image);
        let at_target = || async {
            let reference = Reference::Tag(tag.clone());
            let found = target.store.resolve(&there, &reference).await;
            found.unwrap().digest
        };
        let signatures = ["the signatures", "another"];
        let more = manifest_of(&source, &here, &signatures, None).await;
        let pushed = source.store.push_manifest(&here, &more, Some(&tag));
        pushed.await.unwrap();
        assert_eq!(counts(&again().await), (1, 0));
        assert_eq!(at_target().await, more.digest());
        assert_eq!(counts(&again().await), (0, 1));

        // What only the target has is no news, and stays.
        let signatures = ["the signatures", "another", "of the target"];
        let most = manifest_of(&target, &there, &signatures, None).await;
        let pushed = target.store.push_manifest(&there, &most, Some(&tag));
        pushed.await.unwrap();
        assert_eq!(counts(&again().await), (0, 1));
        assert_eq!(at_target().await, most.digest());
    }
}
