//! Inputs of the first Go tool, packed, moved and downloaded again.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Fault, Registry, Run};

use crate::world::{IMPATIENT, LEAF_DATA, empty, packed, registry, signed, stored};

/// Packs a component with one resource.
fn add(cli: &Cli, input: &str) -> Run {
    cli.write(
        "src/app.yaml",
        format!(
            "name: acme.org/app\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: data\n  type: blob\n  input: {{{input}}}\n"
        ),
    );
    cli.run("add cv -r app -f src/app.yaml")
}

/// Moves the component into another archive, and downloads its resource from there.
fn carry(cli: &Cli) {
    cli.ok("transfer cv -r --copy-resources --overwrite app//acme.org/app:1.0.0 far");
    cli.ok("download resource far//acme.org/app:1.0.0 data -O out");
}

#[test]
fn bytes_in_the_constructor_are_packed() {
    let cli = empty();
    let run = add(&cli, "type: binary, data: aGVs bG8=, mediaType: text/plain");
    assert_eq!(run.code, Some(0), "{run}");
    carry(&cli);
    assert_eq!(cli.read("out"), b"hello");
    let run = add(&cli, "type: Binary, data: aGVsbG8, compress: true");
    assert_eq!(run.code, Some(0), "{run}");
    let listed = cli.ok("get resources app//acme.org/app:1.0.0 -o json");
    assert!(listed.contains("application/gzip"), "{listed}");
    assert_snapshot!(add(&cli, "type: binary, data: '?'"), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:31: resources[0].input.data: is not base64: Invalid symbol 63, offset 0
    ");
}

#[test]
fn templates_of_spiff_are_told_what_to_do() {
    assert_snapshot!(add(&empty(), "type: spiff, path: x.yaml"), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:17: resources[0].input.type: input type `spiff` is not supported; process the template with spiff before, and take its output by `file` or `utf8`
    ");
}

/// Returns the name of the image of the product in a registry.
fn image_of_product(cli: &Cli, place: &str) -> String {
    let product = format!("get resources {place}//acme.org/bar/product:1.0.0 -o json");
    let listed = cli.ok(&product);
    let start = listed.find("imageReference\": \"").unwrap() + 18;
    let name = listed[start..].split('"').next().unwrap();
    name.to_owned()
}

#[test]
fn an_image_of_a_registry_is_packed() {
    let (cli, _registry, place) = stored();
    let image = image_of_product(&cli, &place);
    let run = add(&cli, &format!("type: ociArtifact, path: '{image}'"));
    assert_eq!(run.code, Some(0), "{run}");
    carry(&cli);
    assert!(cli.path("out/oci-layout").is_file());
    let listed = cli.ok("get resources far//acme.org/app:1.0.0 -o json");
    assert!(listed.contains("ociArtifactDigest/v1"), "{listed}");
    assert!(listed.contains("acme.org/app/data:1.0.0"), "{listed}");
}

#[test]
fn an_image_that_cannot_be_had_is_named() {
    let mut cli = empty();
    let secret = Registry::with_password("ann", "hunter2");
    cli.name(secret.host(), "host");
    cli.write(".ocmconfig", IMPATIENT);
    let input = format!(
        "type: ociImage, path: 'http://{}/acme/notes:1'",
        secret.host()
    );
    assert_snapshot!(add(&cli, &input), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 5
    --- stderr
    error: src/app.yaml:7:33: resources[0].input.path: cannot read http://<host>/acme/notes:1
      caused by: <host>/acme/notes:1: not authenticated

    hint: log in with `docker login`, or configure credentials for the host in .ocmconfig; docs/guide/credentials.md shows both
    ");
    let (mut other, _) = registry(&mut cli);
    let input = format!(
        "type: ociImage, path: 'http://{}/acme/notes:1'",
        other.host()
    );
    assert_snapshot!(add(&cli, &input), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:7:33: resources[0].input.path: cannot read http://<host>/acme/notes:1
      caused by: <host>/acme/notes:1 not found
    ");
    other.stop();
    assert_eq!(add(&cli, &input).code, Some(7));
}

#[test]
fn a_resource_of_another_component_version_is_packed() {
    let cli = packed();
    let from = |name: &str, path: &str| {
        format!(
            "type: ocm, ocmRepository: {{type: CommonTransportFormat/v1, filePath: shop}}, component: acme.org/bar/product, \
             version: 1.0.0, resourceRef: {{resource: {{name: {name}}}{path}}}"
        )
    };
    let run = add(&cli, &from("data", ", referencePath: [{name: leaf}]"));
    assert_eq!(run.code, Some(0), "{run}");
    carry(&cli);
    assert_eq!(cli.read("out"), b"leaf data");
    let run = add(&cli, &from("image", ""));
    assert_eq!(run.code, Some(0), "{run}");
    assert_snapshot!(add(&cli, &from("none", "")), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: cannot read resource name=none of acme.org/bar/product:1.0.0
      caused by: cannot find resource name=none of acme.org/bar/product:1.0.0
      caused by: no resource has the identity `name=none`; there are `architecture=amd64,name=file,os=linux,version=1.0.0`, `name=tree,version=1.0.0`, `name=image,version=1.0.0`
    ");
    assert_snapshot!(add(&cli, "type: ocm, component: acme.org/none, version: 1.0.0, resourceRef: {resource: {name: x}}"), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 3
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: cannot read resource name=x of acme.org/none:1.0.0
      caused by: component version acme.org/none:1.0.0 not found in <dir>/app
    ");
    assert_snapshot!(add(&cli, "type: ocm, component: acme.org/none"), @r"
    $ ocm add cv -r app -f src/app.yaml
    exit 2
    --- stderr
    error: src/app.yaml:7:10: resources[0].input: field `version` is missing
    ");
}

/// Packs a component whose one resource stands elsewhere.
fn refer(cli: &Cli, access: &str) -> Run {
    cli.write(
        "src/app.yaml",
        format!(
            "name: acme.org/app\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: data\n  type: blob\n  version: 1.0.0\n  access: {{{access}}}\n"
        ),
    );
    cli.run("add cv -r app -f src/app.yaml")
}

#[test]
fn an_access_may_be_a_resource_of_another_component_version() {
    let cli = signed();
    let access = "type: ocm, ocmRepository: {type: CommonTransportFormat/v1, filePath: shop}, \
                  component: acme.org/bar/product, version: 1.0.0, \
                  resourceRef: {resource: {name: data}, referencePath: [{name: leaf}]}";
    let run = refer(&cli, access);
    assert_eq!(run.code, Some(0), "{run}");
    cli.ok("download resource app//acme.org/app:1.0.0 data -O here");
    assert_eq!(cli.read("here"), b"leaf data");
    cli.ok("sign cv -K acme app//acme.org/app:1.0.0");
    carry(&cli);
    let run = cli.run("verify cv -k acme.pub app//acme.org/app:1.0.0");
    assert!(run.stderr.contains("content of 1 of 1 resource"), "{run}");
    std::fs::remove_dir_all(cli.path("shop")).unwrap();
    cli.ok("download resource far//acme.org/app:1.0.0 data -O out");
    let run = cli.run("download resource app//acme.org/app:1.0.0 data");
    assert_eq!(run.code, Some(3), "{run}");
}

#[test]
fn a_circle_of_resources_ends() {
    let cli = empty();
    let access =
        "type: ocm, component: acme.org/app, version: 1.0.0, resourceRef: {resource: {name: data}}";
    let run = refer(
        &cli,
        &format!(
            "{access}}}\n  digest: {{hashAlgorithm: NO-DIGEST, normalisationAlgorithm: EXCLUDE-FROM-SIGNATURE, value: NO-DIGEST"
        ),
    );
    assert_eq!(run.code, Some(0), "{run}");
    let run = cli.run("download resource app//acme.org/app:1.0.0 data");
    assert_eq!(run.code, Some(1), "{run}");
    assert!(run.stderr.contains("too often"), "{run}");
}

#[test]
fn a_resource_without_content_stays_one() {
    let cli = empty();
    for access in ["type: none", "type: None"] {
        let run = refer(&cli, access);
        assert_eq!(run.code, Some(0), "{run}");
    }
    cli.ok("transfer cv --copy-resources app//acme.org/app:1.0.0 far");
    assert_snapshot!(cli.run("download resource far//acme.org/app:1.0.0 data"), @r"
    $ ocm download resource far//acme.org/app:1.0.0 data
    exit 3
    --- stderr
    error: resource name=data,version=1.0.0 of acme.org/app:1.0.0 has no content
    ");
}

#[test]
fn what_only_held_in_its_repository_moves_along() {
    let mut cli = packed();
    let (_registry, place) = registry(&mut cli);
    cli.write(".ocmconfig", IMPATIENT);
    cli.ok(&format!("transfer ctf shop {place}"));
    let image = image_of_product(&cli, &place);
    let relative = image.split_once("//").unwrap().1.split_once('/').unwrap().1;
    cli.write(
        "src/old.yaml",
        format!(
            "name: acme.org/old\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
             - name: data\n  type: ociImage\n  version: 1.0.0\n  \
             access: {{type: relativeOciReference, reference: '{relative}'}}\n"
        ),
    );
    cli.ok(&format!(
        "add cv --skip-reference-digest-processing -r {place} src/old.yaml"
    ));
    cli.ok(&format!(
        "download resource {place}//acme.org/old:1.0.0 data -O here"
    ));
    assert!(cli.path("here/oci-layout").is_file());
    cli.ok(&format!("transfer cv {place}//acme.org/old:1.0.0 far"));
    cli.ok("download resource far//acme.org/old:1.0.0 data -O out");
    assert!(cli.path("out/oci-layout").is_file());
    let listed = cli.ok("get resources far//acme.org/old:1.0.0 -o json");
    assert!(!listed.contains("relativeOciReference"), "{listed}");
}

#[test]
fn a_single_blob_of_a_registry_is_reached() {
    let (cli, registry, place) = stored();
    let leaf = |digest: &str| {
        let name = format!("{place}/component-descriptors/acme.org/bar/leaf");
        format!("type: ociBlob, ref: '{name}', digest: 'sha256:{digest}', size: 9")
    };
    let run = refer(&cli, &leaf(LEAF_DATA));
    assert_eq!(run.code, Some(0), "{run}");
    carry(&cli);
    assert_eq!(cli.read("out"), b"leaf data");
    let run = refer(&cli, &leaf(&"0".repeat(64)));
    assert_eq!(run.code, Some(3), "{run}");
    let download = "download resource app//acme.org/app:1.0.0 data -O again";
    registry.fail(usize::MAX, "GET", "/blobs/", Fault::OtherBytes);
    assert_eq!(cli.run(download).code, Some(4));
    registry.heal();
    registry.fail(usize::MAX, "HEAD", "/blobs/", Fault::Status(401));
    assert_eq!(cli.run(download).code, Some(5));
}

#[test]
fn a_component_without_version_has_that_of_the_command_line() {
    let cli = empty();
    cli.write(
        "app.yaml",
        "name: acme.org/app\nprovider: {name: acme}\nreferences: []\n",
    );
    assert_eq!(cli.run("add cv -r app app.yaml").code, Some(2));
    cli.ok("add cv -r app --version 3.0.0 app.yaml");
    cli.ok("get cv app//acme.org/app:3.0.0");
}
