//! `ocm check`: what of a component version is there.

use insta::assert_snapshot;
use ocm::digest::Digest;
use ocm_testkit::Cli;
use serde_json::{Value, json};

use crate::world::{LEAF_DATA, PRODUCT, conformance, empty, odd, registry, signed, stored, tamper};

#[test]
fn everything_is_there() {
    let cli = signed();
    assert_snapshot!(cli.run(&format!("check --only-local {PRODUCT}")), @r"
    $ ocm check --only-local shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                                 OUTCOME
    signature  acme.org/bar/product:1.0.0  default                                              present
    reference  acme.org/bar/product:1.0.0  acme.org/bar/leaf:1.0.0                              present
    resource   acme.org/bar/product:1.0.0  architecture=amd64,name=file,os=linux,version=1.0.0  present, 6 B
    resource   acme.org/bar/product:1.0.0  name=tree,version=1.0.0                              present, 4.0 KiB
    resource   acme.org/bar/product:1.0.0  name=image,version=1.0.0                             present, 675 B
    source     acme.org/bar/product:1.0.0  name=code,version=1.0.0                              elsewhere
    resource   acme.org/bar/leaf:1.0.0     name=data,version=1.0.0                              present, 9 B
    --- stderr
    acme.org/bar/product:1.0.0 is complete in <dir>/shop: 7 parts, 4.7 KiB
    ");
    let there = cli.run(&format!("check --only-local {PRODUCT}"));
    let read = cli.run(&format!("check --only-local --content {PRODUCT}"));
    assert_eq!(read.code, Some(0), "{read}");
    assert_eq!(read.stderr, there.stderr);
    assert!(read.stdout.contains("verified, 9 B"), "{read}");
    assert_eq!(read.stdout, there.stdout.replace("present, ", "verified, "));
}

#[test]
fn an_image_elsewhere_is_looked_for_unless_it_is_left_alone() {
    let mut cli = empty();
    let (registry, _) = registry(&mut cli);
    let descriptor = format!(
        r#"{{"meta":{{"schemaVersion":"v2"}},"component":{{"name":"acme.org/odd","version":"1.0.0",
        "provider":"acme","repositoryContexts":[],"sources":[],"componentReferences":[],"resources":[{{
        "name":"image","version":"1.0.0","type":"ociImage","relation":"external","access":{{
        "type":"ociArtifact","imageReference":"http://{}/none:1"}}}}]}}}}"#,
        registry.host()
    );
    odd(&cli, &descriptor);
    let run = cli.run("check odd//acme.org/odd:1.0.0");
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.stdout.contains("MISSING"), "{run}");
    cli.ok("check --only-local odd//acme.org/odd:1.0.0");
}

#[test]
fn a_blob_that_is_missing_is_named() {
    let cli = signed();
    std::fs::remove_file(cli.path(format!("shop/blobs/sha256.{LEAF_DATA}"))).unwrap();
    assert_snapshot!(cli.run(&format!("check --only-local {PRODUCT}")), @r"
    $ ocm check --only-local shop//acme.org/bar/product:1.0.0
    exit 3
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                                 OUTCOME
    signature  acme.org/bar/product:1.0.0  default                                              present
    reference  acme.org/bar/product:1.0.0  acme.org/bar/leaf:1.0.0                              present
    resource   acme.org/bar/product:1.0.0  architecture=amd64,name=file,os=linux,version=1.0.0  present, 6 B
    resource   acme.org/bar/product:1.0.0  name=tree,version=1.0.0                              present, 4.0 KiB
    resource   acme.org/bar/product:1.0.0  name=image,version=1.0.0                             present, 675 B
    source     acme.org/bar/product:1.0.0  name=code,version=1.0.0                              elsewhere
    resource   acme.org/bar/leaf:1.0.0     name=data,version=1.0.0                              MISSING: blob sha256:<digest> of component-descriptors/acme.org/bar/leaf not found
    --- stderr
    error: component version acme.org/bar/product:1.0.0 is not complete in <dir>/shop: 1 of 7 parts
    ");
    assert_snapshot!(cli.run(&format!("check --only-local -o json {PRODUCT}")), @r#"
    $ ocm check --only-local -o json shop//acme.org/bar/product:1.0.0
    exit 3
    --- stdout
    [
      {
        "component": "acme.org/bar/product:1.0.0",
        "repository": "<dir>/shop",
        "parts": [
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "signature",
            "name": "default",
            "outcome": "present"
          },
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "reference",
            "name": "acme.org/bar/leaf:1.0.0",
            "outcome": "present"
          },
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "resource",
            "name": "architecture=amd64,name=file,os=linux,version=1.0.0",
            "outcome": "present",
            "size": 6
          },
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "resource",
            "name": "name=tree,version=1.0.0",
            "outcome": "present",
            "size": 4096
          },
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "resource",
            "name": "name=image,version=1.0.0",
            "outcome": "present",
            "size": 675
          },
          {
            "component": "acme.org/bar/product:1.0.0",
            "kind": "source",
            "name": "name=code,version=1.0.0",
            "outcome": "elsewhere"
          },
          {
            "component": "acme.org/bar/leaf:1.0.0",
            "kind": "resource",
            "name": "name=data,version=1.0.0",
            "outcome": "missing",
            "reason": "blob sha256:<digest> of component-descriptors/acme.org/bar/leaf not found"
          }
        ]
      }
    ]
    --- stderr
    error: component version acme.org/bar/product:1.0.0 is not complete in <dir>/shop: 1 of 7 parts
    "#);
}

#[test]
fn content_that_was_changed_shows_when_it_is_read() {
    let cli = signed();
    tamper(&cli, &format!("shop/blobs/sha256.{LEAF_DATA}"), "leaf");
    cli.ok(&format!("check --only-local {PRODUCT}"));
    assert_snapshot!(cli.run(&format!("check --only-local --content {PRODUCT}")), @r"
    $ ocm check --only-local --content shop//acme.org/bar/product:1.0.0
    exit 4
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                                 OUTCOME
    signature  acme.org/bar/product:1.0.0  default                                              present
    reference  acme.org/bar/product:1.0.0  acme.org/bar/leaf:1.0.0                              present
    resource   acme.org/bar/product:1.0.0  architecture=amd64,name=file,os=linux,version=1.0.0  verified, 6 B
    resource   acme.org/bar/product:1.0.0  name=tree,version=1.0.0                              verified, 4.0 KiB
    resource   acme.org/bar/product:1.0.0  name=image,version=1.0.0                             verified, 675 B
    source     acme.org/bar/product:1.0.0  name=code,version=1.0.0                              elsewhere
    resource   acme.org/bar/leaf:1.0.0     name=data,version=1.0.0                              WRONG: cannot read blob sha256:<digest> of <dir>/shop: content has digest sha256:<digest>, expected sha256:<digest>
    --- stderr
    error: component version acme.org/bar/product:1.0.0 is not complete in <dir>/shop: 1 of 7 parts
    ");
}

#[test]
fn a_blob_of_another_size_shows_without_reading_it() {
    let cli = signed();
    cli.write(format!("shop/blobs/sha256.{LEAF_DATA}"), "leaf");
    let run = cli.run(&format!("check --only-local {PRODUCT}"));
    assert_eq!(run.code, Some(4), "{run}");
}

#[test]
fn what_is_attached_to_an_image_by_a_tag_is_looked_at_and_copied() {
    let cli = signed();
    let component: Value =
        serde_json::from_str(&cli.ok(&format!("get cv {PRODUCT} -o json"))).unwrap();
    let resources = component[0]["component"]["resources"].as_array().unwrap();
    let image = resources.iter().find(|it| it["name"] == "image").unwrap();
    let image = image["access"]["localReference"].as_str().unwrap();
    // As cosign keeps the signatures of an image.
    let tag = format!("{}.sig", image.replace(':', "-"));
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let put = |media_type: &str, content: &str| {
        let digest = Digest::sha256(content).to_string();
        let file = digest.replace(':', ".");
        cli.write(format!("shop/blobs/{file}"), content);
        json!({"mediaType": media_type, "digest": digest, "size": content.len()})
    };
    let layer = put("application/vnd.dev.cosign.simplesigning.v1+json", "signed");
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": put("application/vnd.oci.image.config.v1+json", "{}"), "layers": [layer],
    });
    let manifest = put(manifest_type, &manifest.to_string());
    let index = cli.read("shop/artifact-index.json");
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    index["artifacts"].as_array_mut().unwrap().push(json!({
        "repository": "component-descriptors/acme.org/bar/product",
        "tag": tag, "digest": manifest["digest"], "mediaType": manifest_type,
    }));
    cli.write("shop/artifact-index.json", index.to_string());
    cli.ok("transfer ctf shop far.tar");
    let far = PRODUCT.replacen("shop", "far.tar", 1);
    for place in [PRODUCT, &far] {
        let report = cli.ok(&format!("check --only-local {place}"));
        let mut lines = report.lines().filter(|line| line.contains(&tag));
        let line = lines.next().expect("it is looked at");
        assert!(
            line.starts_with("referrer ") && line.contains("present"),
            "{line}"
        );
    }
    let file = layer["digest"].as_str().unwrap().replace(':', ".");
    std::fs::remove_file(cli.path(format!("shop/blobs/{file}"))).unwrap();
    let run = cli.run(&format!("check --only-local {PRODUCT}"));
    assert_eq!(run.code, Some(3), "{run}");
    assert!(run.stdout.contains("MISSING"), "{run}");
}

#[test]
fn references_are_looked_up() {
    let cli = signed();
    cli.ok(&format!("transfer cv {PRODUCT} alone"));
    let product = PRODUCT.replacen("shop", "alone", 1);
    assert_snapshot!(cli.run(&format!("check --only-local {product}")), @r"
    $ ocm check --only-local alone//acme.org/bar/product:1.0.0
    exit 3
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                                 OUTCOME
    reference  acme.org/bar/product:1.0.0  acme.org/bar/leaf:1.0.0                              MISSING: component version acme.org/bar/leaf:1.0.0 not found in <dir>/alone
    signature  acme.org/bar/product:1.0.0  default                                              present
    resource   acme.org/bar/product:1.0.0  architecture=amd64,name=file,os=linux,version=1.0.0  present, 6 B
    resource   acme.org/bar/product:1.0.0  name=tree,version=1.0.0                              present, 4.0 KiB
    resource   acme.org/bar/product:1.0.0  name=image,version=1.0.0                             present, 675 B
    source     acme.org/bar/product:1.0.0  name=code,version=1.0.0                              elsewhere
    --- stderr
    error: component version acme.org/bar/product:1.0.0 is not complete in <dir>/alone: 1 of 6 parts
    ");
    cli.ok(&format!("check --only-local --lookup shop {product}"));
}

#[test]
fn a_registry_is_asked_and_not_read() {
    let (cli, registry, place) = stored();
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    cli.ok(&format!("check --only-local {product}"));
    let requests = registry.take_requests();
    let read = requests
        .iter()
        .filter(|request| request.starts_with("GET") && request.contains(LEAF_DATA));
    assert_eq!(read.count(), 0, "{requests:?}");
}

#[test]
fn several_are_checked_and_none_that_is_not_there() {
    let cli = signed();
    let leaf = "shop//acme.org/bar/leaf:1.0.0";
    let run = cli.run(&format!("check --only-local {PRODUCT} {leaf} -o ndjson"));
    assert_eq!(
        (run.code, run.stdout.lines().count()),
        (Some(0), 2),
        "{run}"
    );
    assert_eq!(cli.run(&format!("check {leaf}9")).code, Some(3));
    assert_eq!(empty().run("check shop//acme.org/a:1.0.0").code, Some(3));
}

#[test]
fn of_several_the_severest_fault_decides_and_all_reports_are_printed() {
    let cli = signed();
    let leaf = "leaf//acme.org/bar/leaf:1.0.0";
    cli.ok("transfer cv shop//acme.org/bar/leaf:1.0.0 leaf");
    std::fs::remove_file(cli.path(format!("leaf/blobs/sha256.{LEAF_DATA}"))).unwrap();
    let none = "shop//acme.org/bar/none:1.0.0";
    let run = cli.run(&format!("check --only-local {none} {PRODUCT} -o ndjson"));
    assert_eq!(
        (run.code, run.stdout.lines().count()),
        (Some(3), 1),
        "{run}"
    );
    cli.write(format!("shop/blobs/sha256.{LEAF_DATA}"), "leaf");
    assert_snapshot!(cli.run(&format!("check --only-local {none} {leaf} {PRODUCT}")), @r"
    $ ocm check --only-local shop//acme.org/bar/none:1.0.0 leaf//acme.org/bar/leaf:1.0.0 shop//acme.org/bar/product:1.0.0
    exit 4
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                                 OUTCOME
    resource   acme.org/bar/leaf:1.0.0     name=data,version=1.0.0                              MISSING: blob sha256:<digest> of component-descriptors/acme.org/bar/leaf not found
    signature  acme.org/bar/product:1.0.0  default                                              present
    reference  acme.org/bar/product:1.0.0  acme.org/bar/leaf:1.0.0                              present
    resource   acme.org/bar/product:1.0.0  architecture=amd64,name=file,os=linux,version=1.0.0  present, 6 B
    resource   acme.org/bar/product:1.0.0  name=tree,version=1.0.0                              present, 4.0 KiB
    resource   acme.org/bar/product:1.0.0  name=image,version=1.0.0                             present, 675 B
    source     acme.org/bar/product:1.0.0  name=code,version=1.0.0                              elsewhere
    resource   acme.org/bar/leaf:1.0.0     name=data,version=1.0.0                              WRONG: cannot use blob sha256:<digest> of component-descriptors/acme.org/bar/leaf: content has 4 bytes, expected 9
    --- stderr
    warning: component version acme.org/bar/none:1.0.0 not found in <dir>/shop
    warning: component version acme.org/bar/leaf:1.0.0 is not complete in <dir>/leaf: 1 of 1 parts
    error: component version acme.org/bar/product:1.0.0 is not complete in <dir>/shop: 1 of 7 parts
    ");
}

const ROOT: &str = "tree//acme.org/root:1.0.0";

/// The first Go tool has signed this root, which keeps the digests of what is below, and has lost
/// those of component versions.
fn tree_top() -> Cli {
    let cli = empty();
    cli.copy(conformance("ctf/v1-tree-top"), "tree");
    cli.ok(&format!("check {ROOT}"));
    cli
}

/// Puts something else in the place of `acme.org/leaf:1.0.0`.
fn replace_leaf(cli: &Cli, elements: &str) {
    let leaf = "name: acme.org/leaf\nversion: 1.0.0\nprovider: {name: acme.org}\n";
    cli.write("leaf.yaml", format!("{leaf}{elements}"));
    cli.ok("add cv -r tree --component-version-conflict-policy replace leaf.yaml");
}

#[test]
fn content_that_the_root_keeps_another_digest_of_is_a_fault_among_others() {
    let cli = tree_top();
    replace_leaf(
        &cli,
        "resources:\n- {name: data, type: blob, input: {type: utf8, text: other}}\n",
    );
    assert_snapshot!(cli.run(&format!("check {ROOT}")), @r"
    $ ocm check tree//acme.org/root:1.0.0
    exit 4
    --- stdout
    CHECKED    COMPONENT VERSION      WHAT                     OUTCOME
    signature  acme.org/root:1.0.0    nestedDigests            WRONG: `name=data,version=1.0.0` of acme.org/leaf:1.0.0 has another digest than the root of the signed tree keeps for it
    signature  acme.org/root:1.0.0    sig                      WRONG: it signs digest <digest>, the descriptor has <digest>
    signature  acme.org/root:1.0.0    second                   WRONG: it signs digest <digest>, the descriptor has <digest>
    reference  acme.org/root:1.0.0    acme.org/middle:1.0.0    present
    reference  acme.org/root:1.0.0    acme.org/leaf:1.0.0      present
    reference  acme.org/middle:1.0.0  acme.org/leaf:1.0.0      present
    resource   acme.org/middle:1.0.0  name=data,version=1.0.0  present, 11 B
    resource   acme.org/leaf:1.0.0    name=data,version=1.0.0  present, 5 B
    --- stderr
    error: component version acme.org/root:1.0.0 is not complete in <dir>/tree: 3 of 8 parts
    ");
}

#[test]
fn signatures_of_a_root_that_cannot_be_completed_are_reported() {
    let cli = tree_top();
    replace_leaf(
        &cli,
        "componentReferences:\n- {name: root, componentName: acme.org/root, version: 1.0.0}\n",
    );
    assert_snapshot!(cli.run(&format!("check {ROOT}")), @r"
    $ ocm check tree//acme.org/root:1.0.0
    exit 4
    --- stdout
    CHECKED    COMPONENT VERSION      WHAT                     OUTCOME
    signature  acme.org/root:1.0.0    sig                      WRONG: acme.org/root:1.0.0 refers to itself, directly or by others
    signature  acme.org/root:1.0.0    second                   WRONG: acme.org/root:1.0.0 refers to itself, directly or by others
    reference  acme.org/root:1.0.0    acme.org/middle:1.0.0    present
    reference  acme.org/root:1.0.0    acme.org/leaf:1.0.0      present
    reference  acme.org/middle:1.0.0  acme.org/leaf:1.0.0      present
    reference  acme.org/leaf:1.0.0    acme.org/root:1.0.0      present
    resource   acme.org/middle:1.0.0  name=data,version=1.0.0  present, 11 B
    --- stderr
    error: component version acme.org/root:1.0.0 is not complete in <dir>/tree: 2 of 7 parts
    ");
}

#[test]
fn signatures_of_a_root_are_not_compared_where_something_below_is_missing() {
    let cli = tree_top();
    let index = cli.read("tree/artifact-index.json");
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    let artifacts = index["artifacts"].as_array_mut().unwrap();
    artifacts.retain(|it| it["repository"] != "component-descriptors/acme.org/leaf");
    cli.write("tree/artifact-index.json", index.to_string());
    assert_snapshot!(cli.run(&format!("check {ROOT}")), @r"
    $ ocm check tree//acme.org/root:1.0.0
    exit 3
    --- stdout
    CHECKED    COMPONENT VERSION      WHAT                     OUTCOME
    reference  acme.org/root:1.0.0    acme.org/leaf:1.0.0      MISSING: component version acme.org/leaf:1.0.0 not found in <dir>/tree
    signature  acme.org/root:1.0.0    sig                      NOT READABLE: the references of acme.org/middle:1.0.0 cannot be signed under jsonNormalisation/v3: component version acme.org/leaf:1.0.0 is referred to, but not available
    signature  acme.org/root:1.0.0    second                   NOT READABLE: the references of acme.org/middle:1.0.0 cannot be signed under jsonNormalisation/v3: component version acme.org/leaf:1.0.0 is referred to, but not available
    reference  acme.org/root:1.0.0    acme.org/middle:1.0.0    present
    resource   acme.org/middle:1.0.0  name=data,version=1.0.0  present, 11 B
    --- stderr
    error: component version acme.org/root:1.0.0 is not complete in <dir>/tree: 3 of 5 parts
    ");
}
