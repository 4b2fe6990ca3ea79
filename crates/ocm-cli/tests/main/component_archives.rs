//! Component archives, which the first Go tool wrote: read, verified, and moved on.

use insta::assert_snapshot;
use ocm::digest::Digest;
use ocm_testkit::Cli;

use crate::world::{conformance, empty, registry};

const PACKINGS: [&str; 3] = ["parts", "parts.tar", "parts.tgz"];

/// Returns a directory with the archives of the Go tool, and the key that verifies them.
fn archives() -> Cli {
    let cli = empty();
    for name in PACKINGS {
        cli.copy(conformance(&format!("component-archive/{name}")), name);
    }
    let key = conformance("component-archive/public.pem");
    cli.copy(key, "public.pem");
    cli
}

/// Writes the component archive `made` with one resource of an access, and content in a file.
fn made(cli: &Cli, access: &str, file: &str) -> String {
    let digest = Digest::sha256("content").to_hex();
    cli.write(
        "made/component-descriptor.yaml",
        format!(
            "meta: {{schemaVersion: v2}}
component:
  name: acme.org/made
  version: 1.0.0
  provider: acme.org
  repositoryContexts: []
  sources: []
  componentReferences: []
  resources:
  - name: data
    version: 1.0.0
    type: plainText
    relation: local
    access: {access}
    digest:
      hashAlgorithm: SHA-256
      normalisationAlgorithm: genericBlobDigest/v1
      value: {digest}
"
        ),
    );
    cli.write(format!("made/{file}"), "content");
    digest
}

#[test]
fn a_component_archive_is_named_by_its_path() {
    let cli = archives();
    assert_snapshot!(cli.run("get cv ./parts"), @r"
    $ ocm get cv ./parts
    exit 0
    --- stdout
    COMPONENT       VERSION  PROVIDER
    acme.org/parts  1.0.0    acme.org
    ");
    assert_snapshot!(cli.run("get resources parts.tgz -o wide"), @r"
    $ ocm get resources parts.tgz -o wide
    exit 0
    --- stdout
    NAME   VERSION  IDENTITY  TYPE           RELATION  ACCESS     DIGEST
    note   1.0.0    -         blob           local     localBlob  <digest>
    tree   1.0.0    -         directoryTree  local     localBlob  <digest>
    chart  0.1.0    -         helmChart      local     localBlob  <digest>
    ");
    for text in [
        "parts.tar",
        "ca::parts.tar",
        "ComponentArchive::./parts.tar",
        "ca+tar::parts.tar",
        "parts.tar//acme.org/parts",
        "ca::parts.tar//acme.org/parts:1.0.0",
        "{\"type\":\"ComponentArchive/v1\",\"filePath\":\"parts.tar\",\"fileFormat\":\"tar\"}//acme.org/parts:1.0.0",
    ] {
        let run = cli.run_with(&["get", "cv", text, "-o", "table"]);
        assert_eq!(run.code, Some(0), "{run}");
        assert!(run.stdout.contains("acme.org/parts  1.0.0"), "{run}");
    }
    assert_snapshot!(cli.run("list parts.tar"), @r"
    $ ocm list parts.tar
    exit 0
    --- stdout
    COMPONENT       LATEST  VERSIONS
    acme.org/parts  1.0.0   1
    ");
}

#[test]
fn signatures_and_content_of_component_archives_verify() {
    let cli = archives();
    for name in PACKINGS {
        let run = cli.run(&format!("verify cv -k public.pem {name}"));
        let expected = "verified acme.org/parts:1.0.0: 1 signature, 0 references, content of 3 \
                        of 3 resources";
        assert!(run.stderr.contains(expected), "{run}");
    }
    let blob = Digest::sha256("hello component archive\n").to_hex();
    cli.write(
        format!("parts/blobs/sha256.{blob}"),
        "Hello component archive\n",
    );
    assert_snapshot!(cli.run("verify cv -k public.pem ./parts"), @r"
    $ ocm verify cv -k public.pem ./parts
    exit 4
    --- stderr
    error: ./parts is not verified
      caused by: resource name=note,version=1.0.0 of acme.org/parts:1.0.0 is not what was signed
      caused by: cannot read blobs/sha256.<digest> of <dir>/parts
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
}

#[test]
fn what_is_in_a_component_archive_is_downloaded() {
    let cli = archives();
    cli.ok("download resource ./parts note -O note.txt");
    assert_eq!(cli.read("note.txt"), b"hello component archive\n");
    cli.ok("download resource parts.tgz tree -O tree");
    assert!(cli.path("tree/sub/b").is_file());
    cli.ok("download resource parts.tar chart -O chart");
    assert!(cli.path("chart/oci-layout").is_file());
}

#[test]
fn a_component_archive_becomes_a_component_version_of_its_target() {
    let mut cli = archives();
    let (_registry, place) = registry(&mut cli);
    for (number, name) in PACKINGS.into_iter().enumerate() {
        for target in [
            format!("new{number}"),
            format!("new{number}.tgz"),
            format!("{place}{number}"),
        ] {
            cli.ok(&format!("transfer cv {name} {target}"));
            let product = format!("{target}//acme.org/parts:1.0.0");
            cli.ok(&format!("verify cv -k public.pem {product}"));
            // The names of files are digests there, and the chart is an artifact.
            let json = cli.ok(&format!("get cv {product} -o json"));
            assert!(!json.contains("sha256."), "{json}");
            assert!(
                json.contains("application/vnd.oci.image.manifest.v1+json"),
                "{json}"
            );
        }
    }
    assert_snapshot!(cli.run("transfer cv parts.tar new1"), @r"
    $ ocm transfer cv parts.tar new1
    exit 0
    --- stdout
    COMPONENT VERSION     OUTCOME
    acme.org/parts:1.0.0  skipped
    --- stderr
    transferred to new1: 0 component versions added, 0 updated, 0 replaced, 1 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
    assert_snapshot!(cli.run("transfer ctf parts again"), @r"
    $ ocm transfer ctf parts again
    exit 0
    --- stdout
    COMPONENT VERSION     OUTCOME
    acme.org/parts:1.0.0  added
    --- stderr
    transferred to again: 1 component version added, 0 updated, 0 replaced, 0 skipped; 4 blobs copied, 0 mounted, 1 there already; 3.9 KiB moved in <n> s
    ");
}

#[test]
fn files_of_any_name_are_local_blobs() {
    for (access, file) in [
        (
            "{type: localFilesystemBlob, fileName: data, mediaType: text/plain}",
            "blobs/data",
        ),
        ("{type: localFilesystemBlob, filename: data}", "blobs/data"),
        (
            "{type: localBlob, localReference: a/data, mediaType: text/plain}",
            "blobs/a/data",
        ),
    ] {
        let cli = empty();
        let digest = made(&cli, access, file);
        cli.ok("transfer cv ./made target");
        let json = cli.ok("get cv target//acme.org/made:1.0.0 -o json");
        assert!(
            json.contains(&format!("\"localReference\": \"sha256:{digest}\"")),
            "{json}"
        );
        cli.ok("download resource target//acme.org/made:1.0.0 data -O data.txt");
        assert_eq!(cli.read("data.txt"), b"content");
        cli.write(format!("made/{file}"), "contenT");
        let run = cli.run("transfer cv ./made other");
        assert_eq!(run.code, Some(4), "{run}");
    }
}

#[test]
fn file_names_that_lead_out_are_refused() {
    for name in ["../component-descriptor.yaml", "/etc/hostname", "a/../../x"] {
        let cli = empty();
        let access =
            format!("{{type: localFilesystemBlob, fileName: \"{name}\", mediaType: text/plain}}");
        made(&cli, &access, "blobs/data");
        for command in [
            "transfer cv ./made target",
            "download resource ./made data -O data.txt",
        ] {
            let run = cli.run(command);
            assert_ne!(run.code, Some(0), "{run}");
            assert!(
                run.stderr
                    .contains("its file name leads out of the archive"),
                "{run}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_link_out_of_the_archive_is_refused() {
    let cli = empty();
    made(
        &cli,
        "{type: localFilesystemBlob, fileName: link}",
        "blobs/data",
    );
    cli.write("outside", "content");
    std::os::unix::fs::symlink(cli.path("outside"), cli.path("made/blobs/link")).unwrap();
    assert_snapshot!(cli.run("transfer cv ./made target"), @r"
    $ ocm transfer cv ./made target
    exit 1
    --- stderr
    error: cannot read acme.org/made:1.0.0 in ./made
      caused by: cannot read a local blob of acme.org/made:1.0.0
      caused by: blobs/link of <dir>/made is malformed: it is a link out of the archive
    ");
}

#[test]
fn a_component_archive_is_not_written() {
    let cli = archives();
    cli.ok("create keypair acme --bits 2048");
    let before = cli.read("parts/component-descriptor.yaml");
    assert_snapshot!(cli.run("sign cv -K acme ./parts"), @r"
    $ ocm sign cv -K acme ./parts
    exit 6
    --- stderr
    error: ./parts can only be read
    ");
    let run = cli.run("transfer cv --overwrite parts.tar ./parts");
    assert_eq!(run.code, Some(6), "{run}");
    assert!(run.stderr.contains("./parts can only be read"), "{run}");
    assert_eq!(cli.read("parts/component-descriptor.yaml"), before);
    assert!(!cli.path("parts/artifact-index.json").exists());
}

#[test]
fn what_is_no_component_archive_says_so() {
    let cli = empty();
    cli.write(
        "broken/component-descriptor.yaml",
        "meta: {schemaVersion: v2}\ncomponent: [\n",
    );
    cli.write("empty/x", "");
    assert_snapshot!(cli.run("get cv ./broken"), @r"
    $ ocm get cv ./broken
    exit 1
    --- stderr
    error: cannot read component-descriptor.yaml of ./broken
      caused by: component descriptor is not well-formed YAML
      caused by: line 2, column 12: unclosed bracket '['
    ");
    assert_snapshot!(cli.run("get cv ca::empty"), @r"
    $ ocm get cv ca::empty
    exit 2
    --- stderr
    error: empty is no component archive: it has no component-descriptor.yaml
    ");
    assert_snapshot!(cli.run("get cv ca::nothing"), @r"
    $ ocm get cv ca::nothing
    exit 3
    --- stderr
    error: there is no repository at nothing
    ");
}
