//! What refers to an artifact comes with it.

use ocm_model::Identity;
use ocm_oci::{Referrers as _, RepositoryName};
use ocm_repository::{OWNER_NAME, OWNERSHIP};
use ocm_transfer::{TransferOptions, UploadAs};

use crate::world::{Build, Place, id, image, transfer};

const ID: &str = "acme.org/notes:1.0.0";

/// Puts a component version with an image that it owns into a place.
async fn owned(source: &Place) -> ocm_digest::Digest {
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

async fn check_owned(place: &Place, repository: &str, artifact: ocm_digest::Digest) {
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
