//! OCI artifacts that the first Go tool has packed into blobs become artifacts again, unless their
//! digest is that of the blob.

use std::sync::Arc;

use ocm_blob::{Bytes, MemoryBlob, TAR_END, once, tar_header};
use ocm_digest::Digest;
use ocm_model::{Descriptor, DigestSpec};
use ocm_oci::{
    Descriptor as Entry, EMPTY_CONFIG, Fetch as _, ImageIndex, ImageManifest, RawManifest,
    media_type,
};
use ocm_repository::{Content, CopyOptions};
use ocm_transfer::{TransferOptions, UploadAs};

use crate::world::{Build, ID, Place, check_only_access_differs, id, resource_content, transfer};

const SET: &str = "application/vnd.oci.image.manifest.v1+tar";
const SET_GZIP: &str = "application/vnd.oci.image.manifest.v1+tar+gzip";

/// The files of a form of artifact set.
#[derive(Clone, Copy, Debug)]
struct Form {
    index: &'static str,
    marker: bool,
    separator: char,
}

/// All forms that have been written: the first one of its own, and two that OCI layouts have.
const FORMS: [Form; 3] = [
    Form {
        index: "artifact-descriptor.json",
        marker: false,
        separator: '.',
    },
    Form {
        index: "index.json",
        marker: true,
        separator: '.',
    },
    Form {
        index: "index.json",
        marker: true,
        separator: '/',
    },
];

/// An image with one layer, as the blobs it consists of.
struct Image {
    manifest: RawManifest,
    layer: &'static str,
}

impl Image {
    fn new(layer: &'static str) -> Self {
        let config = Entry::of(media_type::IMAGE_CONFIG, EMPTY_CONFIG);
        let layers = vec![Entry::of(media_type::LAYER_TAR_GZIP, layer.as_bytes())];
        let manifest = RawManifest::image(&ImageManifest::new(config, layers));
        Self { manifest, layer }
    }
}

/// Packs images; the first one is the main one, under two tags.
fn pack(form: Form, images: &[Image]) -> Bytes {
    let entries = images.iter().enumerate().map(|(number, image)| {
        let entry = image.manifest.descriptor();
        if number == 0 {
            entry.with_annotation("software.ocm/tags", "1.0.0,latest")
        } else {
            entry
        }
    });
    let mut index = ImageIndex::new(entries.collect());
    let main = images[0].manifest.digest().to_string();
    index
        .annotations
        .insert("software.ocm/main".to_owned(), main);
    let index = RawManifest::index(&index);
    let mut files = vec![(form.index.to_owned(), index.bytes().to_vec())];
    if form.marker {
        let marker = br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec();
        files.push(("oci-layout".to_owned(), marker));
    }
    let mut blobs = vec![EMPTY_CONFIG.to_vec()];
    for image in images {
        blobs.push(image.layer.as_bytes().to_vec());
        blobs.push(image.manifest.bytes().to_vec());
    }
    for blob in blobs {
        let hex = Digest::sha256(&blob).to_hex();
        files.push((format!("blobs/sha256{}{hex}", form.separator), blob));
    }
    let mut tar = Vec::new();
    for (path, content) in files {
        tar.extend(tar_header(&path, content.len() as u64, 0o644).unwrap());
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.extend(TAR_END);
    tar.into()
}

async fn gzip(bytes: Bytes) -> Bytes {
    let packed = ocm_blob::gzip(once(bytes));
    ocm_blob::collect(packed, 1 << 20).await.unwrap()
}

/// Puts a component version into a place whose resource `app` is a packed artifact.
async fn packed(
    source: &Place,
    bytes: Bytes,
    media_type: &str,
    digest: Option<DigestSpec>,
) -> Descriptor {
    let blob = MemoryBlob::new(bytes).with_media_type(media_type);
    let mut build = Build::new(source, ID);
    let content = Content::Blob(Arc::new(blob));
    let options = CopyOptions::default();
    let name = Some("acme/app:1.0.0");
    let target = &source.repository;
    let added = target.add_content(&id(ID), &content, name, &options).await;
    build.push("app", added.unwrap().access, digest);
    build.signed().await
}

fn local_media_type(descriptor: &Descriptor) -> String {
    let access = descriptor.resources().remove(0).access.unwrap();
    access.as_local_blob().unwrap().media_type
}

#[tokio::test]
async fn an_artifact_set_of_any_form_becomes_the_artifact_that_it_holds() {
    for form in FORMS {
        for compressed in [false, true] {
            let (source, target) = (Place::new(), Place::new());
            let image = Image::new("the layer");
            let manifest = image.manifest.clone();
            let mut bytes = pack(form, &[image]);
            let mut media_type = SET;
            if compressed {
                (bytes, media_type) = (gzip(bytes).await, SET_GZIP);
            }
            let digest = DigestSpec::oci_artifact(&manifest.digest());
            let before = packed(&source, bytes, media_type, Some(digest)).await;
            let options = TransferOptions::default();
            let report = transfer(&source, &target, options.clone(), &[ID]).await;
            assert_eq!(report.unwrap().notes, [], "{form:?}");

            let after = target.read(ID).await;
            check_only_access_differs(&before, &after);
            let access = after.resources().remove(0).access.unwrap();
            let blob = access.as_local_blob().unwrap();
            assert_eq!(blob.media_type, media_type::IMAGE_MANIFEST);
            assert_eq!(blob.digest(), Some(manifest.digest()));
            assert_eq!(blob.reference_name.as_deref(), Some("acme/app:1.0.0"));
            let content = resource_content(&target, ID, "app").await;
            assert_eq!(content, manifest.bytes().to_vec(), "{form:?}");
            // Any client can pull it.
            let repository = format!("component-descriptors/{}", id(ID).name);
            let repository = repository.parse().unwrap();
            let reference = manifest.digest().into();
            let found = target.store.manifest(&repository, &reference);
            assert_eq!(found.await.unwrap().bytes(), manifest.bytes());

            let again = transfer(&source, &target, options, &[ID]).await.unwrap();
            assert_eq!(again.skipped, 1, "it is there");
        }
    }
}

#[tokio::test]
async fn a_blob_whose_own_digest_is_stated_stays_that_blob() {
    let (source, target) = (Place::new(), Place::reachable());
    let bytes = gzip(pack(FORMS[0], &[Image::new("the layer")])).await;
    let digest = DigestSpec::generic_blob(&Digest::sha256(&bytes));
    let before = packed(&source, bytes.clone(), SET_GZIP, Some(digest)).await;
    let options = TransferOptions {
        upload_as: UploadAs::OciArtifact,
        ..TransferOptions::default()
    };
    let report = transfer(&source, &target, options, &[ID]).await.unwrap();
    assert_eq!(report.notes.len(), 1);
    let after = target.read(ID).await;
    check_only_access_differs(&before, &after);
    assert_eq!(local_media_type(&after), SET_GZIP);
    assert_eq!(resource_content(&target, ID, "app").await, bytes);
}

#[tokio::test]
async fn a_set_of_several_artifacts_loses_none() {
    let (source, target) = (Place::new(), Place::new());
    let images = [Image::new("the layer"), Image::new("another")];
    let digest = DigestSpec::oci_artifact(&images[0].manifest.digest());
    let bytes = pack(FORMS[1], &images);
    packed(&source, bytes.clone(), SET, Some(digest)).await;
    let options = TransferOptions::default();
    transfer(&source, &target, options, &[ID]).await.unwrap();
    assert_eq!(local_media_type(&target.read(ID).await), SET);
    assert_eq!(resource_content(&target, ID, "app").await, bytes);
}

#[tokio::test]
async fn an_artifact_set_is_uploaded_by_its_reference_name() {
    let image = Image::new("the layer");
    let stated = DigestSpec::oci_artifact(&image.manifest.digest());
    for digest in [Some(stated), None] {
        let (source, target) = (Place::new(), Place::reachable());
        let bytes = pack(FORMS[2], &[Image::new("the layer")]);
        let before = packed(&source, bytes, SET, digest).await;
        let options = TransferOptions {
            upload_as: UploadAs::OciArtifact,
            ..TransferOptions::default()
        };
        let report = transfer(&source, &target, options, &[ID]).await.unwrap();
        assert_eq!(report.notes, []);
        let after = target.read(ID).await;
        check_only_access_differs(&before, &after);
        let access = after.resources().remove(0).access.unwrap();
        let expected = format!(
            "target.io/prefix/acme/app:1.0.0@{}",
            image.manifest.digest()
        );
        assert_eq!(access.as_json()["imageReference"], expected);
        let repository = "prefix/acme/app".parse().unwrap();
        let tag: ocm_oci::Tag = "1.0.0".parse().unwrap();
        let found = target.store.manifest(&repository, &tag.into()).await;
        assert_eq!(found.unwrap().digest(), image.manifest.digest());
    }
}

#[tokio::test]
async fn a_set_of_another_artifact_is_found_out() {
    let (source, target) = (Place::new(), Place::new());
    let digest = DigestSpec::oci_artifact(&Digest::sha256("another"));
    let bytes = pack(FORMS[1], &[Image::new("the layer")]);
    packed(&source, bytes, SET, Some(digest)).await;
    let error = transfer(&source, &target, TransferOptions::default(), &[ID]).await;
    assert!(error.unwrap_err().is_verification());
}
