//! What every component repository must do, as tests.
//!
//! Each function takes an empty repository and panics, with the reason, where it does not behave.
//! [`all`] runs them one after the other, each on a repository that `empty` makes.

use std::sync::Arc;

use ocm_blob::{BlobRef, MemoryBlob, read_to_end};
use ocm_digest::Digest;
use ocm_model::access::LocalBlob;
use ocm_model::element::{Element as _, Relation, Resource};
use ocm_model::{Access, ComponentVersionId, Descriptor, DigestSpec, ElementKind, Provider};
use ocm_oci::{
    Descriptor as Entry, ImageManifest, MemoryStore, Push as _, RawManifest, RepositoryName,
    check_graph,
};

use crate::content::{Artifact, Content};
use crate::error::Error;
use crate::repository::{
    AddedContent, ComponentRepository, CopyOptions, Expected, ForeseenBlob, RepositoryRef,
};

/// Runs every test, each on a repository of its own.
///
/// # Panics
///
/// A repository does not behave; the message says how.
pub async fn all<F, R>(empty: F)
where
    F: Fn() -> R,
    R: Future<Output = RepositoryRef>,
{
    what_is_not_there_is_not_found(empty().await.as_ref()).await;
    a_component_version_is_read_as_it_was_written(empty().await.as_ref()).await;
    versions_come_newest_first(empty().await.as_ref()).await;
    a_blob_can_be_read_back(empty().await.as_ref()).await;
    an_artifact_stays_an_artifact(empty().await.as_ref()).await;
    a_missing_local_blob_is_refused(empty().await.as_ref()).await;
    nobody_is_overwritten_by_accident(empty().await.as_ref()).await;
    writing_again_keeps_local_blobs(empty().await.as_ref()).await;
}

/// Returns the identifier of a component version of these tests.
fn id(version: &str) -> ComponentVersionId {
    let name = "acme.org/conformance".parse().expect("a component name");
    ComponentVersionId::new(name, version.parse().expect("a version"))
}

fn descriptor(version: &str) -> Descriptor {
    let id = id(version);
    let text = format!(
        r#"{{"component":{{"componentReferences":[],"labels":[{{"name":"l","value":[1,null],"version":"v1","signing":true}}],
        "name":"{}","provider":"acme.org","repositoryContexts":[],"resources":[],"sources":null,"version":"{}","x-unknown":{{"a":null}}}},
        "meta":{{"schemaVersion":"v2"}},"signatures":[]}}"#,
        id.name, id.version
    );
    Descriptor::read_json(text.as_bytes()).expect("a descriptor")
}

fn with_resource(version: &str, name: &str, added: &AddedContent) -> Descriptor {
    let mut descriptor = Descriptor::new(
        id(version).name,
        id(version).version,
        &Provider::new("acme.org"),
    );
    push(&mut descriptor, name, added.access.clone(), &added.digest);
    descriptor
}

fn push(descriptor: &mut Descriptor, name: &str, access: Access, digest: &DigestSpec) {
    let version = descriptor.version().clone();
    let mut resource = Resource::new(name, version, "blob", Relation::Local, access);
    resource.digest = Some(digest.clone());
    descriptor.push_resource(&resource);
}

fn blob(text: &'static str) -> Content {
    let blob: BlobRef = Arc::new(MemoryBlob::new(text).with_media_type("text/plain"));
    Content::Blob(blob)
}

async fn add(
    repository: &dyn ComponentRepository,
    version: &str,
    content: &Content,
) -> AddedContent {
    let options = CopyOptions::default();
    let added = repository
        .add_content(&id(version), content, None, &options)
        .await;
    added.expect("content is added")
}

async fn what_is_not_there_is_not_found(repository: &dyn ComponentRepository) {
    let id = id("1.0.0");
    assert_eq!(
        repository.stored_digest(&id).await.expect("an answer"),
        None
    );
    let error = repository
        .component_version(&id)
        .await
        .expect_err("there is none");
    assert!(error.is_not_found(), "{error}");
    let error = repository
        .versions(&id.name)
        .await
        .expect_err("there is none");
    assert!(error.is_not_found(), "{error}");
    assert_eq!(repository.components().await.expect("a list"), []);
}

async fn a_component_version_is_read_as_it_was_written(repository: &dyn ComponentRepository) {
    let descriptor = descriptor("1.0.0+build.1");
    let digest = repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect("it is written");
    repository.commit().await.expect("it is durable");
    let stored = repository
        .component_version(descriptor.id())
        .await
        .expect("it is there");
    assert_eq!(
        stored.descriptor.to_document(),
        descriptor.to_document(),
        "nothing is lost"
    );
    assert_eq!(stored.stored_digest, digest);
    let again = repository
        .stored_digest(descriptor.id())
        .await
        .expect("an answer");
    assert_eq!(again, Some(digest));
    let components = repository.components().await.expect("a list");
    assert_eq!(components, [descriptor.name().clone()]);
}

async fn versions_come_newest_first(repository: &dyn ComponentRepository) {
    for version in ["1.0.0", "1.10.0", "1.2.0", "1.2.0-rc.1", "1.2.0+a"] {
        repository
            .put(&descriptor(version), Expected::Absent)
            .await
            .expect("it is written");
    }
    repository.commit().await.expect("it is durable");
    let versions = repository
        .versions(&id("1.0.0").name)
        .await
        .expect("a list");
    let versions: Vec<&str> = versions.iter().map(ocm_model::Version::as_str).collect();
    assert_eq!(
        versions,
        ["1.10.0", "1.2.0+a", "1.2.0", "1.2.0-rc.1", "1.0.0"],
        "none is lost"
    );
}

async fn a_blob_can_be_read_back(repository: &dyn ComponentRepository) {
    let added = add(repository, "1.0.0", &blob("hello")).await;
    assert_eq!(
        added.digest,
        DigestSpec::generic_blob(&Digest::sha256("hello"))
    );
    let descriptor = with_resource("1.0.0", "greeting", &added);
    let foreseen = ForeseenBlob {
        kind: ElementKind::Resource,
        element: descriptor.resources()[0].identity(),
        media_type: "text/plain".to_owned(),
        digest: Digest::sha256("hello"),
        size: 5,
    };
    let foreseen = vec![foreseen];
    let accesses = repository.foreseen_accesses(descriptor.name(), &foreseen);
    let accesses = accesses.map(|all| all.into_iter().map(Access::from).collect::<Vec<_>>());
    assert!(accesses.is_none_or(|accesses| accesses == [added.access.clone()]));
    let stored = repository.foreseen_digest(descriptor.id(), descriptor.write_json(), foreseen);
    let written = repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect("it is written");
    assert!(stored.is_none_or(|stored| stored == written));
    repository.commit().await.expect("it is durable");
    let content = repository
        .local_content(descriptor.id(), &added.access)
        .await;
    let Content::Blob(read) = content.expect("it is there") else {
        panic!("a blob stays a blob")
    };
    assert_eq!(read.media_type(), Some("text/plain"));
    assert_eq!(
        read_to_end(read.as_ref(), 100).await.expect("its bytes"),
        "hello"
    );
}

/// Makes an artifact with one layer in memory.
async fn artifact() -> Artifact {
    let store = MemoryStore::new();
    let repository: RepositoryName = "elsewhere".parse().expect("a name");
    let config: BlobRef = Arc::new(MemoryBlob::new("{}"));
    let layer: BlobRef = Arc::new(MemoryBlob::new("layer"));
    store
        .push_blob(&repository, &config)
        .await
        .expect("memory takes blobs");
    store
        .push_blob(&repository, &layer)
        .await
        .expect("memory takes blobs");
    let image = ImageManifest::new(
        Entry::of("application/vnd.example.config", b"{}"),
        vec![Entry::of("application/vnd.example.layer", b"layer")],
    );
    let manifest = RawManifest::image(&image);
    store
        .push_manifest(&repository, &manifest, None)
        .await
        .expect("memory takes manifests");
    Artifact {
        store: Arc::new(store),
        repository,
        root: manifest.descriptor(),
    }
}

async fn an_artifact_stays_an_artifact(repository: &dyn ComponentRepository) {
    let source = artifact().await;
    let root = source.root.clone();
    let added = add(repository, "1.0.0", &Content::Artifact(Box::new(source))).await;
    assert_eq!(added.digest, DigestSpec::oci_artifact(&root.digest));
    let mut descriptor = with_resource("1.0.0", "image", &added);
    let text = add(repository, "1.0.0", &blob("beside it")).await;
    push(&mut descriptor, "text", text.access.clone(), &text.digest);
    repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect("it is written");
    repository.commit().await.expect("it is durable");
    let content = repository
        .local_content(descriptor.id(), &added.access)
        .await;
    let Content::Artifact(read) = content.expect("it is there") else {
        panic!("an artifact stays an artifact")
    };
    assert_eq!(read.root.digest, root.digest);
    let options = CopyOptions::default();
    let report = check_graph(&read.store, &read.repository, &read.root, &options).await;
    assert_eq!(report.expect("it is whole").blobs, 2);
    read.store
        .manifest(&read.repository, &root.digest.into())
        .await
        .expect("any client finds it by its digest");
    let content = repository
        .local_content(descriptor.id(), &text.access)
        .await;
    assert!(
        matches!(content, Ok(Content::Blob(_))),
        "the blob beside it is there too"
    );
}

async fn a_missing_local_blob_is_refused(repository: &dyn ComponentRepository) {
    let digest = Digest::sha256("nobody has this");
    let mut descriptor = descriptor("1.0.0");
    let access = Access::local_blob(&LocalBlob::new(&digest, "text/plain"));
    push(
        &mut descriptor,
        "lost",
        access.clone(),
        &DigestSpec::generic_blob(&digest),
    );
    let error = repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect_err("it is not whole");
    assert!(matches!(error, Error::NoLocalBlob { .. }), "{error}");
    assert_eq!(
        repository
            .stored_digest(descriptor.id())
            .await
            .expect("an answer"),
        None
    );

    let descriptor = self::descriptor("1.0.0");
    repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect("it is written");
    let error = repository
        .local_content(descriptor.id(), &access)
        .await
        .expect_err("not there");
    assert!(matches!(error, Error::NoLocalBlob { .. }), "{error}");
}

async fn nobody_is_overwritten_by_accident(repository: &dyn ComponentRepository) {
    let mut changed = descriptor("1.0.0");
    let first = repository
        .put(&changed, Expected::Absent)
        .await
        .expect("it is written");
    let error = repository
        .put(&changed, Expected::Absent)
        .await
        .expect_err("it is there");
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    changed.set_creation_time("2026-01-01T00:00:00Z");
    let second = repository
        .put(&changed, Expected::Stored(first))
        .await
        .expect("it is written");
    let error = repository
        .put(&changed, Expected::Stored(first))
        .await
        .expect_err("it changed");
    assert!(matches!(error, Error::Changed { .. }), "{error}");
    let third = repository
        .put(&changed, Expected::Anything)
        .await
        .expect("it is written");
    assert_eq!(
        second, third,
        "the same descriptor is stored in the same form"
    );
}

async fn writing_again_keeps_local_blobs(repository: &dyn ComponentRepository) {
    let added = add(repository, "1.0.0", &blob("kept")).await;
    let mut descriptor = with_resource("1.0.0", "text", &added);
    let stored = repository
        .put(&descriptor, Expected::Absent)
        .await
        .expect("it is written");
    descriptor.set_creation_time("2026-01-01T00:00:00Z");
    repository
        .put(&descriptor, Expected::Stored(stored))
        .await
        .expect("it is written again");
    let content = repository
        .local_content(descriptor.id(), &added.access)
        .await;
    assert!(content.is_ok(), "the blob is still there");
}
