//! `ocm diff`: what differs between two component versions.

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::hostile::{entry, tar};
use crate::world::{PRODUCT, empty, stored};

/// Returns a directory with two versions of a component in the archive `shop`.
fn two_versions() -> Cli {
    let cli = empty();
    for (version, text, extra) in [
        ("1.0.0", "alpha\nbeta\ngamma\n", ""),
        (
            "1.1.0",
            "alpha\nBETA\ngamma\n",
            "  - {name: new, type: blob, input: {type: utf8, text: new}}\n",
        ),
    ] {
        cli.write(format!("{version}/notes.txt"), text);
        cli.write(format!("{version}/tree/same.txt"), "same");
        cli.write(format!("{version}/tree/changed.txt"), version.repeat(3));
        cli.write(format!("{version}/tree/only-{version}/file"), "x");
        cli.write(
            format!("{version}/data.bin"),
            [0, version.as_bytes()[2], 255],
        );
        let constructor = format!(
            "components:
- name: acme.org/leaf
  version: {version}
  provider: {{name: acme}}
- name: acme.org/shop
  version: {version}
  provider: {{name: acme}}
  labels:
  - {{name: acme.org/stage, value: s{version}}}
  componentReferences:
  - {{name: leaf, componentName: acme.org/leaf, version: {version}}}
  resources:
  - {{name: same, type: blob, version: 1.0.0, input: {{type: utf8, text: same}}}}
  - {{name: notes, type: blob, input: {{type: file, path: notes.txt, mediaType: text/plain}}}}
  - {{name: data, type: blob, input: {{type: file, path: data.bin}}}}
  - {{name: tree, type: directoryTree, input: {{type: dir, path: tree, compress: true}}}}
{extra}"
        );
        cli.write(format!("{version}/shop.yaml"), constructor);
        cli.ok(&format!("add cv -r shop {version}/shop.yaml"));
    }
    cli
}

const OLD: &str = "shop//acme.org/shop:1.0.0";
const NEW: &str = "shop//acme.org/shop:1.1.0";

#[test]
fn descriptors_and_content_are_compared() {
    let cli = two_versions();
    assert_snapshot!(cli.run(&format!("diff cv {OLD} {NEW}")), @r"
    $ ocm diff cv shop//acme.org/shop:1.0.0 shop//acme.org/shop:1.1.0
    exit 0
    --- stdout
    --- <dir>/shop//acme.org/shop:1.0.0
    +++ <dir>/shop//acme.org/shop:1.1.0
    ~ label acme.org/stage
        value: s1.0.0 -> s1.1.0
    ~ reference name=leaf
        version: 1.0.0 -> 1.1.0
        digest: 680fb48bc9cf2d4b… -> 17cf0b918c6eb48c…
    ~ resource name=notes
        version: 1.0.0 -> 1.1.0
        digest: 4fdbc441ea7b5461… -> b0d5fcac7492427d…
        @@ -1,3 +1,3 @@
         alpha
        -beta
        +BETA
         gamma
    ~ resource name=data
        version: 1.0.0 -> 1.1.0
        digest: d5186a0d45f84642… -> c99dbdd5e8dd8bf0…
        content: 3 B -> 3 B
    ~ resource name=tree
        version: 1.0.0 -> 1.1.0
        digest: 4dbe331391ef1d70… -> 426367e7d9046e5c…
        ~ changed.txt: 15 B 644 -> 15 B 644
        - only-1.0.0: directory
        - only-1.0.0/file: 1 B 644
        + only-1.1.0: directory
        + only-1.1.0/file: 1 B 644
        = 1 in both
    + resource name=new
    ");
}

#[test]
fn descriptors_alone_are_compared_as_data() {
    let cli = two_versions();
    assert_snapshot!(cli.run(&format!("diff cv --skip-content -o json {NEW} {OLD}")), @r#"
    $ ocm diff cv --skip-content -o json shop//acme.org/shop:1.1.0 shop//acme.org/shop:1.0.0
    exit 0
    --- stdout
    [
      {
        "from": {
          "component": "acme.org/shop:1.1.0",
          "repository": "<dir>/shop"
        },
        "to": {
          "component": "acme.org/shop:1.0.0",
          "repository": "<dir>/shop"
        },
        "changes": [
          {
            "part": "label",
            "name": "acme.org/stage",
            "change": "changed",
            "fields": [
              {
                "field": "value",
                "from": "s1.1.0",
                "to": "s1.0.0"
              }
            ]
          },
          {
            "part": "reference",
            "name": "name=leaf",
            "change": "changed",
            "fields": [
              {
                "field": "version",
                "from": "1.1.0",
                "to": "1.0.0"
              },
              {
                "field": "digest",
                "from": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "jsonNormalisation/v4alpha1",
                  "value": "<digest>"
                },
                "to": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "jsonNormalisation/v4alpha1",
                  "value": "<digest>"
                }
              }
            ]
          },
          {
            "part": "resource",
            "name": "name=notes",
            "change": "changed",
            "fields": [
              {
                "field": "version",
                "from": "1.1.0",
                "to": "1.0.0"
              },
              {
                "field": "digest",
                "from": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                },
                "to": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                }
              }
            ]
          },
          {
            "part": "resource",
            "name": "name=data",
            "change": "changed",
            "fields": [
              {
                "field": "version",
                "from": "1.1.0",
                "to": "1.0.0"
              },
              {
                "field": "digest",
                "from": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                },
                "to": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                }
              }
            ]
          },
          {
            "part": "resource",
            "name": "name=tree",
            "change": "changed",
            "fields": [
              {
                "field": "version",
                "from": "1.1.0",
                "to": "1.0.0"
              },
              {
                "field": "digest",
                "from": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                },
                "to": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                }
              }
            ]
          },
          {
            "part": "resource",
            "name": "name=new",
            "change": "removed",
            "fields": [
              {
                "field": "name",
                "from": "new"
              },
              {
                "field": "version",
                "from": "1.1.0"
              },
              {
                "field": "type",
                "from": "blob"
              },
              {
                "field": "relation",
                "from": "local"
              },
              {
                "field": "access",
                "from": {
                  "localReference": "sha256:<digest>",
                  "mediaType": "text/plain",
                  "type": "LocalBlob/v1"
                }
              },
              {
                "field": "digest",
                "from": {
                  "hashAlgorithm": "SHA-256",
                  "normalisationAlgorithm": "genericBlobDigest/v1",
                  "value": "<digest>"
                }
              }
            ]
          }
        ]
      }
    ]
    "#);
}

#[test]
fn the_exit_code_tells_where_that_is_asked_for() {
    let cli = two_versions();
    let run = cli.run(&format!("diff cv --exit-code -o ndjson {OLD} {NEW}"));
    assert_eq!((run.code, run.stderr.as_str()), (Some(1), ""), "{run}");
    let run = cli.run(&format!("diff cv --exit-code {OLD} {OLD}"));
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (Some(0), "", "no differences\n")
    );
    assert_eq!(cli.run(&format!("diff cv {OLD} {NEW}9")).code, Some(3));
}

#[test]
fn a_copy_in_a_registry_does_not_differ() {
    let (cli, _registry, place) = stored();
    let copy = format!("{place}//acme.org/bar/product:1.0.0");
    let run = cli.run(&format!("diff cv {PRODUCT} {copy}"));
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (Some(0), "no differences\n"),
        "{run}"
    );
    let run = cli.run(&format!("diff cv --accesses --exit-code {PRODUCT} {copy}"));
    assert_eq!(run.code, Some(1), "{run}");
}

#[test]
fn of_an_archive_that_would_not_be_unpacked_size_and_reason_are_shown() {
    let cli = empty();
    for (version, kind) in [("1.0.0", b'0'), ("1.1.0", b'1')] {
        cli.write("files.tar", tar(&[entry("file", kind, 0, b"")]));
        cli.write(
            "shop.yaml",
            format!(
                "name: acme.org/shop
version: {version}
provider: {{name: acme}}
resources:
- {{name: files, type: blob, version: 1.0.0, input: {{type: file, path: files.tar, mediaType: application/x-tar}}}}
"
            ),
        );
        cli.ok("add cv -r shop shop.yaml");
    }
    assert_snapshot!(cli.run(&format!("diff cv {OLD} {NEW}")), @r"
    $ ocm diff cv shop//acme.org/shop:1.0.0 shop//acme.org/shop:1.1.0
    exit 0
    --- stdout
    --- <dir>/shop//acme.org/shop:1.0.0
    +++ <dir>/shop//acme.org/shop:1.1.0
    ~ resource name=files
        digest: 3ff0e6906b385d6e… -> 2c001ded313cba6b…
        content: 1.5 KiB -> 1.5 KiB
        files not compared: the new archive: malformed tar: entry `file` is a hard link
    ");
    let run = cli.run(&format!("diff cv -o json {OLD} {NEW}"));
    let reason = r#""reason": "the new archive: malformed tar: entry `file` is a hard link""#;
    assert!(run.stdout.contains(reason), "{run}");
}
