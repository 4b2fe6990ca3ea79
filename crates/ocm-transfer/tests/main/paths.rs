//! Every way in which content moves keeps the digest and the signatures.

use std::sync::Arc;

use ocm_blob::read_to_end;
use ocm_digest::{Digest, HashAlgorithm};
use ocm_model::{Access, Descriptor, DigestSpec};
use ocm_oci::Fetch as _;
use ocm_repository::Content;
use ocm_transfer::{
    ExecuteOptions, Planner, ResourceCopy, Root, TransferOptions, TransferReport, UploadAs,
};
use serde_json::json;

use crate::world::{
    Build, ID, Internet, Place, REGISTRY, check_only_access_differs, id, image, resource_content,
};

/// A component version with content of every kind.
async fn everything(source: &Place, internet: &Internet) -> Descriptor {
    let elsewhere = image(&internet.registry, "acme/image", "1.0.0", "an image").await;
    let chart = image(&internet.registry, "notes", "1.0.0", "a chart").await;
    let artifact_digest = DigestSpec::oci_artifact(&elsewhere.root.digest);
    let inner = image(&source.store, "somewhere", "1.0.0", "an artifact").await;
    Build::new(source, ID)
        .blob("text", "hello")
        .await
        .artifact("artifact", inner, "acme/artifact:1.0.0")
        .await
        .external(
            "image",
            json!({"type": "ociArtifact/v1", "imageReference": format!("{REGISTRY}/acme/image:1.0.0")}),
            Some(artifact_digest),
        )
        .external(
            "old-image",
            json!({"type": "OCIImage", "imageReference":
                format!("{REGISTRY}/acme/image@{}", elsewhere.root.digest), "own": 1}),
            // What the second Go implementation writes.
            Some(DigestSpec::generic_blob(&elsewhere.root.digest)),
        )
        .external(
            "chart",
            json!({"type": "helm", "helmRepository": "https://charts.acme.org/stable", "helmChart": "notes"}),
            Some(DigestSpec::generic_blob(&Digest::sha256("a chart"))),
        )
        .external(
            "chart-artifact",
            json!({"type": "helm", "helmRepository": "https://charts.acme.org/stable", "helmChart": "notes"}),
            Some(DigestSpec::oci_artifact(&chart.root.digest)),
        )
        .external(
            "page",
            json!({"type": "wget", "url": "https://acme.org/x"}),
            Some(DigestSpec::new(
                &HashAlgorithm::Sha512.digest("https://acme.org/x"),
                DigestSpec::GENERIC_BLOB,
            )),
        )
        .external("nothing", json!({"type": "none"}), None)
        .external("unknown", json!({"type": "acmeOwn/v1", "a": null}), Some(DigestSpec::excluded()))
        .source("code", "fn main")
        .await
        .signed()
        .await
}

async fn transfer(
    source: &Place,
    target: &Place,
    internet: &Internet,
    options: TransferOptions,
) -> TransferReport {
    let planner = Planner::new(Arc::clone(&target.repository))
        .with_options(options)
        .with_access(internet.access());
    let root = Root {
        repository: Arc::clone(&source.repository),
        id: id(ID),
    };
    let planned = planner.plan(vec![root]).await.unwrap();
    planned.execute(&ExecuteOptions::default()).await.unwrap()
}

/// Options under which the one content that nobody can read stays where it is.
fn options(copy: ResourceCopy, upload_as: UploadAs) -> TransferOptions {
    TransferOptions {
        copy_resources: copy,
        upload_as,
        omit_access_types: vec!["acmeOwn".to_owned()],
        ..TransferOptions::default()
    }
}

fn access(descriptor: &Descriptor, name: &str) -> Access {
    let resource = descriptor
        .resources()
        .into_iter()
        .find(|resource| resource.name == name);
    resource.unwrap().access.unwrap()
}

#[tokio::test]
async fn only_local_blobs_move_by_default() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    let before = everything(&source, &internet).await;
    let report = transfer(&source, &target, &internet, TransferOptions::default()).await;
    let after = target.read(ID).await;
    check_only_access_differs(&before, &after);
    for name in [
        "text",
        "artifact",
        "image",
        "old-image",
        "chart",
        "page",
        "nothing",
        "unknown",
    ] {
        assert_eq!(access(&before, name), access(&after, name), "{name}");
    }
    assert_eq!(resource_content(&target, ID, "text").await, b"hello");
    resource_content(&target, ID, "artifact").await;
    assert_eq!((report.added, report.notes.len()), (1, 0));
}

#[tokio::test]
async fn sources_with_local_blobs_move_too() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    everything(&source, &internet).await;
    transfer(&source, &target, &internet, TransferOptions::default()).await;
    let code = target.read(ID).await.sources()[0].access.clone().unwrap();
    let content = target
        .repository
        .local_content(&id(ID), &code)
        .await
        .unwrap();
    let Content::Blob(blob) = content else {
        panic!("no blob");
    };
    assert_eq!(read_to_end(blob.as_ref(), 100).await.unwrap(), "fn main");
}

#[tokio::test]
async fn everything_moves_by_value_as_local_blobs() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    let before = everything(&source, &internet).await;
    let report = transfer(
        &source,
        &target,
        &internet,
        options(ResourceCopy::All, UploadAs::LocalBlob),
    )
    .await;
    let after = target.read(ID).await;
    check_only_access_differs(&before, &after);
    for (name, reference_name) in [
        ("image", "acme/image:1.0.0"),
        ("old-image", "acme/image"),
        ("chart", "stable/notes"),
        ("chart-artifact", "stable/notes"),
        ("page", "page"),
    ] {
        let blob = access(&after, name).as_local_blob().unwrap();
        assert_eq!(
            blob.reference_name.as_deref(),
            Some(reference_name),
            "{name}"
        );
    }
    assert_eq!(
        resource_content(&target, ID, "chart").await,
        b"a chart",
        "the archive it was digested as"
    );
    assert_eq!(
        resource_content(&target, ID, "page").await,
        b"https://acme.org/x"
    );
    for name in ["image", "old-image", "chart-artifact"] {
        let manifest = resource_content(&target, ID, name).await;
        assert_eq!(manifest[0], b'{', "{name}");
    }
    assert_eq!(access(&after, "unknown"), access(&before, "unknown"));
    assert_eq!((report.added, report.notes.len()), (1, 0));
}

#[tokio::test]
async fn what_was_to_be_copied_and_cannot_be_ends_the_transfer_before_it_begins() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    everything(&source, &internet).await;
    let planner = Planner::new(Arc::clone(&target.repository))
        .with_options(TransferOptions {
            copy_resources: ResourceCopy::All,
            ..TransferOptions::default()
        })
        .with_access(internet.access());
    let root = Root {
        repository: Arc::clone(&source.repository),
        id: id(ID),
    };
    let error = planner.plan(vec![root]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "cannot copy resource `name=unknown,version=1.0.0` of {ID}: access type \
             `acmeOwn/v1` cannot be read"
        )
    );
    assert!(target.repository.components().await.unwrap().is_empty());
}

#[tokio::test]
async fn artifacts_get_repositories_of_their_own() {
    let (source, target) = (Place::new(), Place::reachable());
    let internet = Internet::with(&target);
    let before = everything(&source, &internet).await;
    let asked = options(ResourceCopy::All, UploadAs::OciArtifact);
    transfer(&source, &target, &internet, asked.clone()).await;
    let after = target.read(ID).await;
    check_only_access_differs(&before, &after);
    for (name, repository) in [
        ("artifact", "prefix/acme/artifact"),
        ("image", "prefix/acme/image"),
        ("chart-artifact", "prefix/stable/notes"),
    ] {
        let access = access(&after, name);
        let reference = access.as_json()["imageReference"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(
            reference.starts_with(&format!("target.io/{repository}")),
            "{reference}"
        );
        assert!(reference.contains("@sha256:"), "{reference}");
        let image: ocm_oci::ImageReference = reference.parse().unwrap();
        target
            .store
            .manifest(&image.repository, &image.reference().unwrap())
            .await
            .unwrap();
    }
    assert!(access(&after, "text").is_local_blob());

    let again = transfer(&source, &target, &internet, asked).await;
    assert_eq!((again.skipped, again.blobs.copied), (1, 0));
}

#[tokio::test]
async fn copying_by_value_later_brings_what_is_not_there() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    let before = everything(&source, &internet).await;
    transfer(&source, &target, &internet, TransferOptions::default()).await;
    let all = options(ResourceCopy::All, UploadAs::LocalBlob);
    let report = transfer(&source, &target, &internet, all.clone()).await;
    assert_eq!((report.updated, report.skipped), (1, 0));
    let after = target.read(ID).await;
    check_only_access_differs(&before, &after);
    assert!(access(&after, "image").is_local_blob());

    let again = transfer(&source, &target, &internet, all).await;
    assert_eq!((again.updated, again.skipped), (0, 1));
    let less = transfer(&source, &target, &internet, TransferOptions::default()).await;
    assert_eq!(less.skipped, 1);
    assert!(
        access(&target.read(ID).await, "image").is_local_blob(),
        "nothing goes back"
    );
}

#[tokio::test]
async fn old_kinds_of_local_blobs_become_local_blobs() {
    let (source, target, internet) = (Place::new(), Place::new(), Internet::new());
    let digest = Digest::sha256("hello").to_string();
    let file = digest.replace(':', ".");
    // The keeper names the blob in the manifest of the source, as old tools did for each of these.
    Build::new(&source, ID)
        .blob("keeper", "hello")
        .await
        .external("a", json!({"type": "localOciBlob", "digest": digest}), None)
        .external(
            "b",
            json!({"type": "localFilesystemBlob", "fileName": file}),
            None,
        )
        .external(
            "c",
            json!({"type": "localBlob", "localReference": file, "mediaType": ""}),
            None,
        )
        .signed()
        .await;
    transfer(&source, &target, &internet, TransferOptions::default()).await;
    let before = source.read(ID).await;
    check_only_access_differs(&before, &target.read(ID).await);
    for name in ["a", "b", "c"] {
        assert_eq!(
            resource_content(&target, ID, name).await,
            b"hello",
            "{name}"
        );
    }
}
