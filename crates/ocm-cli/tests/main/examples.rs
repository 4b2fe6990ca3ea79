//! The examples of the Go project work as they are.

use std::path::Path;

use ocm_testkit::{Cli, Registry};

use crate::world::{conformance, empty};

/// The prefix of all components of the controller's examples.
const COMPONENTS: &str = "ocm.software/ocm-k8s-toolkit/examples";

/// Examples of the controller, and the component versions that each of them packs below the
/// prefix.
const CONTROLLER: [(&str, &[&str]); 12] = [
    (
        "applyset-pruning/component-constructor.yaml",
        &["applyset-pruning:1.0.0"],
    ),
    (
        "applyset-pruning/component-constructor-2.yaml",
        &["applyset-pruning:2.0.0"],
    ),
    (
        "helm-configuration-localization/component-constructor.yaml",
        &["helm-configuration-localization:1.0.0"],
    ),
    (
        "helm-nested/component-constructor.yaml",
        &[
            "helm-nested:1.0.0",
            "helm-nested/chart:1.0.0",
            "helm-nested/rgd:1.0.0",
        ],
    ),
    (
        "helm-nested-signed/component-constructor.yaml",
        &[
            "helm-nested-signed:1.0.0",
            "helm-nested-signed/chart:1.0.0",
            "helm-nested-signed/extended:1.0.0",
            "helm-nested-signed/rgd:1.0.0",
        ],
    ),
    (
        "helm-signing/component-constructor.yaml",
        &["helm-signing:1.0.0"],
    ),
    (
        "helm-simple/component-constructor.yaml",
        &["helm-simple:1.0.0"],
    ),
    (
        "helm-simple-nested-status/component-constructor.yaml",
        &["helm-simple-nested-status:1.0.0"],
    ),
    (
        "k8s-manifest-simple/component-constructor.yaml",
        &["k8s-manifest-simple:1.0.0"],
    ),
    (
        "kustomize-configuration-localization/component-constructor.yaml",
        &["kustomize-configuration-localization:1.0.0"],
    ),
    (
        "kustomize-simple/component-constructor.yaml",
        &["kustomize-simple:1.0.0"],
    ),
    (
        "replication-simple/component-constructor.yaml",
        &["replication-simple:1.0.0"],
    ),
];

const BUILT: &str = "name: acme.org/built
version: 1.0.0
provider: {name: acme.org}
resources:
- name: image
  type: ociImage
  input:
    type: file
    path: layout.tar.gz
    mediaType: application/vnd.ocm.software.oci.layout.v1+tar+gzip
";

/// Returns a directory with the examples, and the OCI layout that one of them wants to be built.
fn examples() -> Cli {
    let cli = empty();
    for name in ["controller", "sovereign"] {
        cli.copy(conformance("examples").join(name), name);
    }
    let archive = conformance("oci-layout/oci-layout.tar.gz");
    cli.copy(archive, "built/layout.tar.gz");
    cli.write("built/component-constructor.yaml", BUILT);
    cli.ok("add cv -r built/archive -c built/component-constructor.yaml");
    cli.ok(
        "download resource built/archive//acme.org/built:1.0.0 image \
         -O controller/kustomize-configuration-localization/oci-layout",
    );
    cli
}

/// Puts an artifact into a registry.
fn publish(cli: &Cli, registry: &str, name: &str, version: &str) {
    let chart = Path::new(name).file_name().unwrap().to_str().unwrap();
    cli.write(
        format!("published/{chart}/Chart.yaml"),
        format!("apiVersion: v2\nname: {chart}\nversion: {version}\n"),
    );
    cli.write(
        "published/component-constructor.yaml",
        format!(
            "name: acme.org/published\nversion: {version}\nprovider: {{name: acme.org}}\n\
             resources:\n- name: artifact\n  type: ociArtifact\n  \
             input: {{type: helm, path: {chart}, repository: {name}}}\n"
        ),
    );
    cli.ok("add cv --force -r published/archive -c published/component-constructor.yaml");
    cli.ok(&format!(
        "transfer cv -q --enforce --upload-as ociArtifact \
         published/archive//acme.org/published:{version} {registry}"
    ));
}

/// Returns a constructor that finds images at another host, whatever their digests are.
fn published_at(constructor: &str, host: &str) -> String {
    let mut parts = constructor.split("@sha256:");
    let start = parts.next().unwrap().to_owned();
    let text = parts.fold(start, |text, part| text + &part[64..]);
    text.replace("ghcr.io", host)
}

#[test]
fn every_example_of_the_controller_is_packed() {
    let cli = examples();
    for (number, (path, expected)) in CONTROLLER.iter().enumerate() {
        cli.ok(&format!(
            "add cv --skip-reference-digest-processing -r archive{number} -c controller/{path}"
        ));
        let found = cli.ok(&format!("get cv archive{number}"));
        for version in *expected {
            let (name, version) = version.split_once(':').unwrap();
            let wanted = [format!("{COMPONENTS}/{name}"), version.to_owned()];
            assert!(
                (found.lines()).any(|line| line.split_whitespace().take(2).eq(&wanted)),
                "{path} should pack {wanted:?}:\n{found}"
            );
        }
        assert_eq!(found.lines().count(), expected.len() + 1, "{path}\n{found}");
    }
}

#[test]
fn examples_with_content_elsewhere_are_packed_signed_and_carried_away() {
    let cli = examples();
    let registry = Registry::start();
    let host = format!("http://{}", registry.host());
    for name in ["stefanprodan/charts/podinfo", "stefanprodan/podinfo"] {
        publish(&cli, &host, name, "6.9.1");
    }
    cli.ok("create keypair key --bits 2048");
    let mut carried = Vec::new();
    for (number, (path, expected)) in CONTROLLER.iter().enumerate() {
        let path = format!("controller/{path}");
        let text = String::from_utf8(cli.read(&path)).unwrap();
        if !text.contains("ghcr.io") {
            continue;
        }
        cli.write(&path, published_at(&text, &host));
        let source = format!("archive{number}");
        cli.ok(&format!("add cv -r {source} -c {path}"));
        let version = format!("{COMPONENTS}/{}", expected[0]);
        cli.ok(&format!("sign cv -K key {source}//{version}"));
        let target = format!("carried{number}.tar");
        cli.ok(&format!(
            "transfer cv --recursive --copy-resources {source}//{version} {target}"
        ));
        carried.push(format!("{target}//{version}"));
    }
    drop(registry);
    assert_eq!(carried.len(), 7);
    for reference in carried {
        let report = cli.ok(&format!("verify cv -k key.pub {reference}"));
        for line in report.lines().skip(1) {
            assert!(line.contains(" verified"), "{reference}\n{report}");
        }
    }
}

#[test]
fn the_sovereign_product_is_packed_signed_and_verified_by_the_commands_of_its_scenario() {
    let mut cli = examples();
    let registry = Registry::start();
    let host = format!("http://{}", registry.host());
    publish(&cli, &host, "library/postgres", "18.1.0");
    let postgres = "sovereign/components/postgres/component-constructor.yaml";
    let text = String::from_utf8(cli.read(postgres)).unwrap();
    cli.write(postgres, text.replace("docker.io", &host));
    cli.copy(
        conformance("oci-layout/oci-layout.tar.gz"),
        "sovereign/components/notes/deploy/notes.tar.gz",
    );
    std::fs::create_dir_all(cli.path("sovereign/tmp/keys")).unwrap();
    cli.ok(
        "create keypair --bits 2048 sovereign/tmp/keys/acme-private.pem \
         sovereign/tmp/keys/acme-public.pem",
    );
    for (name, value) in [
        ("VERSION", "1.0.0"),
        ("POSTGRES_VERSION", "18.1.0"),
        ("OCI_LAYOUT", "./deploy/notes.tar.gz"),
    ] {
        cli.set(name, value);
    }
    // As the scenario does, the same is packed again while it is worked on.
    for component in ["notes", "postgres", "product", "product"] {
        cli.set("NAME", &format!("acme.org/sovereign/{component}"));
        cli.ok(&format!(
            "add componentversion --working-directory sovereign/components/{component} \
             --repository ../../tmp/ctf --component-version-conflict-policy=replace \
             --constructor component-constructor.yaml"
        ));
    }
    let product = "../../tmp/ctf//acme.org/sovereign/product:1.0.0";
    let place = "--working-directory sovereign/components/product";
    cli.set("OCM_CONFIG", "./config/sign.yaml");
    cli.ok(&format!("sign componentversion {place} {product}"));
    cli.set("OCM_CONFIG", "./config/verify.yaml");
    let report = cli.ok(&format!("verify componentversion {place} {product}"));
    assert_eq!(report.matches(" verified").count(), 1 + 2 + 7, "{report}");
}

#[test]
fn content_that_cannot_be_reached_is_named() {
    let cli = examples();
    let registry = Registry::start();
    let path = "controller/helm-simple/component-constructor.yaml";
    let text = String::from_utf8(cli.read(path)).unwrap();
    let host = format!("http://{}", registry.host());
    cli.write(path, published_at(&text, &host));
    let run = cli.run(&format!("add cv -r archive -c {path}"));
    let shown = run.to_string();
    assert!(shown.contains("exit 3"), "{shown}");
    assert!(
        shown.contains("component-constructor.yaml:7:9: components[0].resources[0]: cannot find the content of `helm-resource`"),
        "{shown}"
    );
    assert!(
        shown.contains("hint: --skip-reference-digest-processing"),
        "{shown}"
    );
}
