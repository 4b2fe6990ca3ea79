//! `ocm transfer --platform`: some images of an index, whose digest stays what was signed.

use std::sync::Arc;

use insta::assert_snapshot;
use ocm::blob::{BlobRef, MemoryBlob, read_to_end};
use ocm::ctf::{ReferrersOf, write_layout};
use ocm::digest::Digest;
use ocm::oci::{
    Descriptor, ImageIndex, ImageManifest, MemoryStore, Platform, Push as _, RawManifest,
    Reference, RepositoryName, Selection, media_type,
};
use ocm_testkit::Cli;

use crate::world::{empty, registry};

const COMPONENT: &str = "acme.org/multi:1.0.0";

const CONSTRUCTOR: &str = r"components:
- name: acme.org/multi
  version: 1.0.0
  provider: {name: acme.org}
  resources:
  - name: image
    type: ociImage
    input:
      type: file
      path: image.tar
      mediaType: application/vnd.ocm.software.oci.layout.v1+tar
";

/// An index with an image for each of three platforms, and a record of how one was built.
async fn layout() -> Vec<u8> {
    let store = MemoryStore::new();
    let name: RepositoryName = "a".parse().unwrap();
    let mut entries = Vec::new();
    for (architecture, variant) in [("amd64", None), ("arm64", Some("v8")), ("s390x", None)] {
        let (config, layer) = (
            format!("config {architecture}"),
            format!("layer {architecture}"),
        );
        let mut parts = Vec::new();
        for text in [config, layer] {
            let blob: BlobRef = Arc::new(MemoryBlob::new(text.clone()));
            store.push_blob(&name, &blob).await.unwrap();
            parts.push(Descriptor::of("application/octet-stream", text.as_bytes()));
        }
        let image = ImageManifest::new(parts.remove(0), parts);
        let raw = RawManifest::image(&image);
        store.push_manifest(&name, &raw, None).await.unwrap();
        let mut entry = raw.descriptor();
        entry.platform = Some(Platform {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..Platform::default()
        });
        entries.push(entry);
    }
    let index = RawManifest::index(&ImageIndex::new(entries));
    store.push_manifest(&name, &index, None).await.unwrap();
    let root = Reference::Digest(index.digest());
    let all = Selection::all();
    let layout = write_layout(&store, &name, &root, Some("1"), ReferrersOf::Nobody, &all).await;
    let layout: BlobRef = Arc::new(layout.unwrap());
    assert_eq!(index.descriptor().media_type, media_type::IMAGE_INDEX);
    read_to_end(layout.as_ref(), 1 << 20)
        .await
        .unwrap()
        .to_vec()
}

/// A directory with the signed component version in the archive `all`.
fn signed() -> Cli {
    let cli = empty();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    cli.write("image.tar", runtime.block_on(layout()));
    cli.write("component-constructor.yaml", CONSTRUCTOR);
    cli.ok("add cv -r all component-constructor.yaml");
    cli.ok("create keypair acme --bits 2048");
    cli.ok(&format!("sign cv -K acme all//{COMPONENT}"));
    cli
}

#[track_caller]
fn check_copy(cli: &Cli, place: &str) {
    let component = format!("{place}//{COMPONENT}");
    cli.ok(&format!("verify cv -k acme.pub {component}"));
    cli.ok(&format!("check --content {component}"));
}

/// Returns which of the layers an archive has.
fn layers(cli: &Cli, archive: &str) -> Vec<&'static str> {
    let mut layers = vec!["amd64", "arm64", "s390x"];
    layers.retain(|architecture| {
        let digest = Digest::sha256(format!("layer {architecture}"));
        cli.path(format!("{archive}/blobs/sha256.{}", digest.to_hex()))
            .exists()
    });
    layers
}

#[test]
fn one_image_travels_and_the_signature_holds() {
    let cli = signed();
    assert_snapshot!(cli.run(&format!("transfer cv --platform linux/arm64 all//{COMPONENT} some")), @r"
    $ ocm transfer cv --platform linux/arm64 all//acme.org/multi:1.0.0 some
    exit 0
    --- stdout
    COMPONENT VERSION     OUTCOME
    acme.org/multi:1.0.0  added
    --- stderr
    transferred to some: 1 component version added, 0 updated, 0 replaced, 0 skipped; 2 blobs copied, 0 mounted, 0 there already; 23 B moved in <n> s
    ");
    check_copy(&cli, "some");
    assert_eq!(layers(&cli, "some"), ["arm64"]);
    let run = cli.run(&format!("get cv -o json some//{COMPONENT}"));
    assert!(run.stdout.contains("\"platforms\": [\n"), "{run}");
    assert!(run.stdout.contains("\"linux/arm64\""), "{run}");
    let again = cli.run(&format!(
        "transfer cv --platform linux/arm64 all//{COMPONENT} some"
    ));
    assert!(again.stderr.contains("skipped"), "{again}");
}

#[test]
fn what_was_left_out_comes_when_it_is_asked_for() {
    let cli = signed();
    cli.ok(&format!(
        "transfer cv --platform linux/arm64 all//{COMPONENT} some"
    ));
    cli.ok(&format!(
        "transfer cv --platform linux/amd64,linux/arm64 all//{COMPONENT} some"
    ));
    assert_eq!(layers(&cli, "some"), ["amd64", "arm64"]);
    check_copy(&cli, "some");
    cli.ok(&format!("transfer cv all//{COMPONENT} some"));
    assert_eq!(layers(&cli, "some"), ["amd64", "arm64", "s390x"]);
    check_copy(&cli, "some");
    let run = cli.run(&format!("get cv -o json some//{COMPONENT}"));
    assert!(!run.stdout.contains("platforms"), "{run}");
}

#[test]
fn a_copy_of_some_images_is_copied_on() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    cli.ok(&format!(
        "transfer cv --platform linux/arm64 all//{COMPONENT} some.tar"
    ));
    check_copy(&cli, "some.tar");
    cli.ok(&format!("transfer cv some.tar//{COMPONENT} {place}"));
    check_copy(&cli, &place);
    cli.ok("transfer ctf some.tar again.tgz");
    check_copy(&cli, "again.tgz");
    cli.ok(&format!("transfer cv {place}//{COMPONENT} back"));
    check_copy(&cli, "back");
    cli.ok(&format!(
        "download resource back//{COMPONENT} -O image name=image"
    ));
}

#[test]
fn a_copy_of_some_images_is_signed_too() {
    let cli = signed();
    cli.ok(&format!(
        "transfer cv --platform linux/arm64 all//{COMPONENT} some"
    ));
    cli.ok(&format!("sign cv -K acme -s second some//{COMPONENT}"));
    cli.ok(&format!(
        "verify cv -k acme.pub -s second some//{COMPONENT}"
    ));
}

#[test]
fn a_copy_of_some_images_is_brought_only_once() {
    let cli = signed();
    cli.ok(&format!(
        "transfer cv --platform linux/arm64,linux/amd64 all//{COMPONENT} some"
    ));
    let transfer = format!("transfer cv --platform linux/arm64 some//{COMPONENT} fewer");
    cli.ok(&transfer);
    check_copy(&cli, "fewer");
    assert_eq!(layers(&cli, "fewer"), ["arm64"]);
    let again = cli.run(&transfer);
    assert!(again.stderr.contains("0 updated"), "{again}");
    assert!(again.stderr.contains("1 skipped"), "{again}");
}

#[test]
fn an_image_that_is_missing_although_it_was_wanted_is_found_out() {
    let cli = signed();
    cli.ok(&format!(
        "transfer cv --platform linux/arm64 all//{COMPONENT} some"
    ));
    let layer = Digest::sha256("layer arm64").to_hex();
    std::fs::remove_file(cli.path(format!("some/blobs/sha256.{layer}"))).unwrap();
    let run = cli.run(&format!("check some//{COMPONENT}"));
    assert_eq!(run.code, Some(3), "{run}");
}

#[test]
fn a_platform_that_no_image_has_is_refused_with_those_that_there_are() {
    let cli = signed();
    assert_snapshot!(cli.run(&format!("transfer cv --platform windows/amd64 all//{COMPONENT} some")), @r"
    $ ocm transfer cv --platform windows/amd64 all//acme.org/multi:1.0.0 some
    exit 3
    --- stderr
    error: cannot transfer resource `name=image,version=1.0.0` of acme.org/multi:1.0.0
      caused by: cannot copy artifact sha256:<digest>
      caused by: index sha256:<digest> has no image for windows/amd64; it has linux/amd64, linux/arm64/v8, linux/s390x
    ");
    assert_snapshot!(cli.run(&format!("transfer cv --platform arm64 all//{COMPONENT} some")), @r"
    $ ocm transfer cv --platform arm64 all//acme.org/multi:1.0.0 some
    exit 2
    --- stderr
    error: invalid value 'arm64' for '--platform <OS/ARCH[/VARIANT]>': `arm64` is no platform; one is written `os/architecture` or `os/architecture/variant`, such as `linux/arm64`

    For more information, try '--help'.
    ");
}

#[test]
fn a_delta_archive_of_some_platforms_needs_nothing_of_the_others() {
    let cli = signed();
    let next = CONSTRUCTOR.replace("version: 1.0.0", "version: 1.1.0");
    cli.write("component-constructor.yaml", next);
    cli.ok("add cv -r new component-constructor.yaml");
    cli.ok("transfer ctf all far --platform linux/amd64");
    // The base has more than the place that the archive goes to, but nothing of it is needed.
    cli.ok("transfer ctf new delta.tar --since all --platform linux/amd64");
    cli.ok("transfer ctf delta.tar far");
    cli.ok("check --only-local far//acme.org/multi:1.1.0");
}

#[test]
fn layers_of_images_beside_components_are_left_out_of_deltas() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer ctf all {place} --upload-as ociArtifact"));
    cli.ok(&format!("state export {place} -o far.json"));
    let state = String::from_utf8(cli.read("far.json")).unwrap();
    for architecture in ["amd64", "arm64", "s390x"] {
        let layer = Digest::sha256(format!("layer {architecture}"));
        assert_eq!(state.matches(&layer.to_string()).count(), 1, "{state}");
    }
    let next = CONSTRUCTOR.replace("version: 1.0.0", "version: 1.1.0");
    cli.write("component-constructor.yaml", next);
    cli.ok("add cv -r new component-constructor.yaml");
    cli.ok("transfer ctf new delta --since far.json");
    assert_eq!(layers(&cli, "delta"), <[&str; 0]>::default());
    cli.ok(&format!(
        "transfer ctf delta {place} --upload-as ociArtifact"
    ));
    cli.ok(&format!("check --content {place}//acme.org/multi:1.1.0"));
}
