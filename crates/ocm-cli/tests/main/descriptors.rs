//! Component descriptors that are malformed, hostile, or say what is not known here.

use std::fmt::Write as _;

use insta::assert_snapshot;

use crate::world::{empty, names, odd};

/// Returns the descriptor of `acme.org/odd:1.0.0`, with more in its component.
fn descriptor(more: &str) -> String {
    format!(
        r#"{{"meta":{{"schemaVersion":"v2"}},"component":{{"name":"acme.org/odd","version":"1.0.0","provider":"acme","repositoryContexts":[],"sources":[],"componentReferences":[]{more}}}}}"#
    )
}

/// Returns the descriptor with one resource that has this access.
fn with_access(access: &str) -> String {
    descriptor(&format!(
        r#","resources":[{{"name":"data","version":"1.0.0","type":"blob","relation":"external","access":{access}}}]"#
    ))
}

#[test]
fn a_malformed_descriptor_is_refused() {
    let cli = empty();
    let deep = descriptor(&format!(
        r#","resources":[],"deep":{}"#,
        "[".repeat(100_000)
    ));
    let cases = [
        (
            "a key twice",
            descriptor(r#","resources":[],"name":"acme.org/even""#),
        ),
        ("100,000 levels", deep),
        ("cut off", descriptor("")[..60].to_owned()),
        (
            "a wrong type",
            descriptor(r#","resources":{"name":"data"}"#),
        ),
        ("no version of the format", r#"{"component":{}}"#.to_owned()),
        ("a later format", descriptor("").replace("\"v2\"", "\"v9\"")),
        (
            "another component",
            descriptor(r#","resources":[]"#).replace("odd", "even"),
        ),
        ("no JSON", "name: acme.org/odd".to_owned()),
    ];
    let mut seen = String::new();
    for (what, text) in cases {
        odd(&cli, &text);
        let run = cli.run("get cv odd//acme.org/odd:1.0.0");
        writeln!(seen, "# {what}\n{run}").unwrap();
        let transfer = cli.run("transfer ctf odd far");
        assert_eq!(transfer.code, run.code, "{transfer}");
        assert!(
            !cli.run("list far").stdout.contains("acme.org"),
            "{transfer}"
        );
    }
    assert_snapshot!(seen, @r"
    # a key twice
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor is not well-formed JSON: line 1, column 185, at `component.name`: key appears twice in one object

    # 100,000 levels
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor is not well-formed JSON: line 1, column 312, at `component.deep[0][0][0][0][0][0][0][0][0][0][0][0][0][0]…`: recursion limit exceeded

    # cut off
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor is not well-formed JSON: line 1, column 60, at `component.name`: EOF while parsing a string

    # a wrong type
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor has another shape than its schema asks for: component.resources: must be a list, not an object

    # no version of the format
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor has another shape than its schema asks for: meta.schemaVersion: is missing

    # a later format
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor has the unknown schema version `v9`

    # another component
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its descriptor is that of acme.org/even:1.0.0

    # no JSON
    $ ocm get cv odd//acme.org/odd:1.0.0
    exit 1
    --- stderr
    error: component version acme.org/odd:1.0.0 in <dir>/odd is malformed: its component descriptor cannot be read: component descriptor is not well-formed JSON: line 1, column 2: expected ident
    ");
}

#[test]
fn an_access_type_that_is_not_known_is_kept() {
    let cli = empty();
    odd(
        &cli,
        &with_access(r#"{"type":"moonBase/v7","crater":"Tycho"}"#),
    );
    assert_snapshot!(cli.run("get resources odd//acme.org/odd:1.0.0 -o wide"), @r"
    $ ocm get resources odd//acme.org/odd:1.0.0 -o wide
    exit 0
    --- stdout
    NAME  VERSION  IDENTITY  TYPE  RELATION  ACCESS       DIGEST
    data  1.0.0    -         blob  external  moonBase/v7
    ");
    assert_snapshot!(cli.run("transfer ctf odd far"), @r"
    $ ocm transfer ctf odd far
    exit 0
    --- stdout
    COMPONENT VERSION   OUTCOME
    acme.org/odd:1.0.0  added
    --- stderr
    transferred to far: 1 component version added, 0 updated, 0 replaced, 0 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
    assert!(cli.ok("get cv far -o json").contains("Tycho"));
}

#[test]
fn an_access_type_that_is_not_known_cannot_be_followed() {
    let cli = empty();
    odd(
        &cli,
        &with_access(r#"{"type":"moonBase/v7","crater":"Tycho"}"#),
    );
    assert_snapshot!(cli.run("download resource odd//acme.org/odd:1.0.0 data"), @r"
    $ ocm download resource odd//acme.org/odd:1.0.0 data
    exit 1
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/odd:1.0.0
      caused by: access type `moonBase/v7` is not supported for reading
    ");
    assert_snapshot!(cli.run("transfer ctf odd far --copy-resources"), @r"
    $ ocm transfer ctf odd far --copy-resources
    exit 1
    --- stderr
    error: cannot copy resource `name=data,version=1.0.0` of acme.org/odd:1.0.0: access type `moonBase/v7` cannot be read

    hint: leave it where it is with --omit-access-types moonBase/v7
    ");
    assert!(!cli.path("far").exists());
    assert_snapshot!(cli.run("transfer ctf odd far --copy-resources --omit-access-types moonBase"), @r"
    $ ocm transfer ctf odd far --copy-resources --omit-access-types moonBase
    exit 0
    --- stdout
    COMPONENT VERSION   OUTCOME
    acme.org/odd:1.0.0  added
    --- stderr
    transferred to far: 1 component version added, 0 updated, 0 replaced, 0 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
    assert_snapshot!(cli.run("list far"), @r"
    $ ocm list far
    exit 0
    --- stdout
    COMPONENT     LATEST  VERSIONS
    acme.org/odd  1.0.0   1
    ");
}

#[test]
fn a_local_blob_that_nobody_has_is_named() {
    let cli = empty();
    let digest = "0".repeat(64);
    odd(
        &cli,
        &with_access(&format!(
            r#"{{"type":"localBlob","localReference":"sha256:{digest}","mediaType":"text/plain"}}"#
        )),
    );
    assert_snapshot!(cli.run("download resource odd//acme.org/odd:1.0.0 data"), @r"
    $ ocm download resource odd//acme.org/odd:1.0.0 data
    exit 4
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/odd:1.0.0
      caused by: component version acme.org/odd:1.0.0 has no local blob sha256:<digest>
    ");
    assert_snapshot!(cli.run("transfer ctf odd far"), @r"
    $ ocm transfer ctf odd far
    exit 4
    --- stderr
    error: cannot read acme.org/odd:1.0.0 in <dir>/odd
      caused by: component version acme.org/odd:1.0.0 has no local blob sha256:<digest>
    ");
}

#[test]
fn who_is_strict_refuses_what_breaks_the_schema() {
    let cli = empty();
    let resource =
        r#""version":"latest","type":"blob","relation":"local","access":{"type":"none"}"#;
    odd(
        &cli,
        &descriptor(&format!(r#","resources":[{{"name":"Data",{resource}}}]"#)),
    );
    cli.ok("get cv odd//acme.org/odd:1.0.0");
    assert_snapshot!(cli.run("get cv odd//acme.org/odd:1.0.0 --strict"), @r"
    $ ocm get cv odd//acme.org/odd:1.0.0 --strict
    exit 1
    --- stderr
    error: the component descriptor of acme.org/odd:1.0.0 breaks rules of its schema
      caused by: component.resources[0].name: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; component.resources[0].version: `latest` is not a semantic version
    ");
}

/// A component archive whose descriptor is YAML, with two broken rules.
const LOOSE: &str = "\
meta: {schemaVersion: v2}
component:
  name: acme.org/loose
  version: 1.0.0
  provider: acme.org
  repositoryContexts: []
  sources: []
  componentReferences: []
  resources:
  - name: Data
    version: latest
    type: blob
    relation: local
    access: {type: none}
signatures: []
";

#[test]
fn a_transfer_warns_of_what_breaks_the_schema_with_its_place_in_yaml() {
    let cli = empty();
    cli.write("loose/component-descriptor.yaml", LOOSE);
    assert_snapshot!(cli.run("transfer cv ./loose far --quiet"), @r"
    $ ocm transfer cv ./loose far --quiet
    exit 0
    --- stdout
    COMPONENT VERSION     OUTCOME
    acme.org/loose:1.0.0  added
    --- stderr
    warning: the component descriptor of acme.org/loose:1.0.0 breaks rules of its schema: line 10, column 11, at `component.resources[0].name`: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; line 11, column 14, at `component.resources[0].version`: `latest` is not a semantic version
    ");
    assert_snapshot!(cli.run("transfer ctf ./loose away --strict"), @r"
    $ ocm transfer ctf ./loose away --strict
    exit 1
    --- stderr
    error: acme.org/loose:1.0.0 is not transferred
      caused by: the component descriptor of acme.org/loose:1.0.0 breaks rules of its schema
      caused by: line 10, column 11, at `component.resources[0].name`: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; line 11, column 14, at `component.resources[0].version`: `latest` is not a semantic version
    ");
    let archive = cli.run("transfer ctf ./loose away --strict");
    let version = cli.run("transfer cv ./loose away --strict");
    assert_eq!(
        (version.code, version.stderr),
        (archive.code, archive.stderr)
    );
    assert_snapshot!(cli.run("get cv ./loose --strict"), @r"
    $ ocm get cv ./loose --strict
    exit 1
    --- stderr
    error: the component descriptor of acme.org/loose:1.0.0 breaks rules of its schema
      caused by: line 10, column 11, at `component.resources[0].name`: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; line 11, column 14, at `component.resources[0].version`: `latest` is not a semantic version
    ");
    assert_eq!(names(&cli), ["far", "loose"]);
}

#[test]
fn verification_warns_of_what_breaks_the_schema_and_refuses_it_if_that_is_wanted() {
    let cli = empty();
    cli.write("loose/component-descriptor.yaml", LOOSE);
    cli.ok("transfer cv ./loose far");
    cli.ok("create keypair acme --bits 2048");
    cli.ok("sign cv -K acme far//acme.org/loose:1.0.0");
    assert_snapshot!(cli.run("verify cv -k acme.pub far//acme.org/loose:1.0.0"), @r"
    $ ocm verify cv -k acme.pub far//acme.org/loose:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION     WHAT                  OUTCOME
    signature  acme.org/loose:1.0.0  default (RSASSA-PSS)  verified, by key sha256:<digest>
    content    acme.org/loose:1.0.0  Data                  not covered
    --- stderr
    warning: the component descriptor of acme.org/loose:1.0.0 breaks rules of its schema: component.resources[0].name: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; component.resources[0].version: `latest` is not a semantic version
    verified acme.org/loose:1.0.0: 1 signature, 0 references, content of 0 of 1 resource (0 B)
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub far//acme.org/loose:1.0.0 --strict"), @r"
    $ ocm verify cv -k acme.pub far//acme.org/loose:1.0.0 --strict
    exit 1
    --- stderr
    error: far//acme.org/loose:1.0.0 is not verified
      caused by: the component descriptor of acme.org/loose:1.0.0 breaks rules of its schema
      caused by: component.resources[0].name: `Data` is not two or more lower-case letters, digits, `-`, `_` and `+` that start and end with a letter or digit; component.resources[0].version: `latest` is not a semantic version
    ");
}
