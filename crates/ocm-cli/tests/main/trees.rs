//! Signing what refers to other component versions: digests are compared, filled in, kept.

use std::path::PathBuf;

use insta::assert_snapshot;
use ocm_testkit::Cli;

use crate::world::{PRODUCT, empty, packed};

const ROOT: &str = "tree//acme.org/root:1.0.0";

/// The algorithms of the first Go tool.
const AS_V1: &str = "-s sig -N jsonNormalisation/v3 -S RSASSA-PKCS1-V1_5";

fn conformance(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance")).join(path)
}

/// Returns a directory with a tree that the first Go tool has made, whose references have no
/// digests, and a key.
fn tree() -> Cli {
    let cli = empty();
    cli.copy(conformance("ctf/v1-tree"), "tree");
    cli.ok("create keypair acme --bits 2048");
    cli
}

fn descriptor(cli: &Cli, name: &str) -> String {
    cli.ok(&format!("get cv tree//acme.org/{name}:1.0.0 -o yaml"))
}

#[test]
fn digests_that_are_missing_are_filled_in_as_the_first_go_tool_does() {
    let cli = tree();
    let run = cli.run(&format!("sign cv -K acme {AS_V1} {ROOT}"));
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(
        run.stderr,
        "filled in digests of acme.org/middle:1.0.0\n\
         filled in digests of acme.org/root:1.0.0\n\
         signed acme.org/root:1.0.0 as `sig` (digest \
         b84781c9a3e5196f5abab203b95bfedae998c2f96bd83dcfac98509f99cb44d9)\n\
         warning: label `acme.org/stage` of reference `middle` of acme.org/root:1.0.0 is not \
         marked as signed, but the signature covers it: it does not hold any more when the label \
         changes\n"
    );
    let leaf = "4fb65f367f446a001d183fb75199dd3a570c2d0a8cfa2a4d131d6e75975a46a3";
    let middle = "e5f1714cae34624be33c956aa1f690ea3c4fcf6618412c1997902e6972c43a6a";
    assert!(descriptor(&cli, "middle").contains(leaf));
    let root = descriptor(&cli, "root");
    assert!(root.contains(leaf) && root.contains(middle));
    cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
}

#[test]
fn what_the_first_go_tool_has_filled_in_and_signed_is_verified() {
    let cli = empty();
    cli.copy(conformance("ctf/v1-tree-signed"), "tree");
    cli.copy(conformance("ctf/v1-tree.pub"), "v1.pub");
    assert_snapshot!(cli.run("verify cv -k v1.pub tree//acme.org/root:1.0.0"), @r"
    $ ocm verify cv -k v1.pub tree//acme.org/root:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION      WHAT                     OUTCOME
    signature  acme.org/root:1.0.0    sig (RSASSA-PKCS1-V1_5)  verified, by key sha256:<digest>
    reference  acme.org/leaf:1.0.0    <short-hash>             verified
    reference  acme.org/middle:1.0.0  <short-hash>             verified
    content    acme.org/middle:1.0.0  data                     verified, 11 B
    content    acme.org/leaf:1.0.0    data                     verified, 9 B
    --- stderr
    verified acme.org/root:1.0.0: 1 signature, 2 references, content of 2 of 2 resources (20 B)
    ");
}

#[test]
fn everything_below_is_signed_where_that_is_asked_for() {
    let cli = tree();
    cli.ok(&format!("sign cv -R -K acme {ROOT}"));
    for name in ["leaf", "middle", "root"] {
        cli.ok(&format!(
            "verify cv -k acme.pub tree//acme.org/{name}:1.0.0"
        ));
    }
    // What has the signature keeps it; what is above gets another one.
    let leaf = descriptor(&cli, "leaf");
    cli.ok("create keypair other --bits 2048");
    cli.ok(&format!("sign cv -R -K other -s other {ROOT}"));
    assert_ne!(descriptor(&cli, "leaf"), leaf);
    for (name, key) in [("default", "acme"), ("other", "other")] {
        cli.ok(&format!(
            "verify cv -k {key}.pub -s {name} tree//acme.org/leaf:1.0.0"
        ));
    }
}

#[test]
fn the_root_can_keep_all_digests_so_that_the_rest_stays_as_it_is() {
    let cli = tree();
    let before = ["leaf", "middle"].map(|name| descriptor(&cli, name));
    let run = cli.run(&format!("sign cv --digest-mode top -K acme {ROOT}"));
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(
        ["leaf", "middle"].map(|name| descriptor(&cli, name)),
        before
    );
    let root = descriptor(&cli, "root");
    assert!(root.contains("nestedDigests:"), "{root}");
    cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
    // The second signature is of the same digests.
    cli.ok(&format!("sign cv -K acme -s second {ROOT}"));
    cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
    assert_snapshot!(cli.run("sign cv -R -K acme -s third tree//acme.org/root:1.0.0"), @r"
    $ ocm sign cv -R -K acme -s third tree//acme.org/root:1.0.0
    exit 2
    --- stderr
    error: acme.org/root:1.0.0 keeps the digests of all that it refers to: what is below cannot be signed with it
    ");
}

/// Two signatures: ours, and one of the first Go tool, which has dropped the digests of the
/// component versions from what the root keeps.
#[test]
fn what_the_first_go_tool_leaves_of_digests_that_the_root_keeps_is_enough() {
    let cli = empty();
    cli.copy(conformance("ctf/v1-tree-top"), "tree");
    cli.copy(conformance("ctf/v1-tree.pub"), "v1.pub");
    let run = cli.run(&format!("verify cv -k v1.pub {ROOT}"));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(run.stderr.contains("2 signatures, 2 references"), "{run}");
    // Nobody vouches for what has changed below.
    let leaf = "name: acme.org/leaf\nversion: 1.0.0\nprovider: {name: acme.org}\n";
    cli.write("leaf.yaml", leaf);
    cli.ok("add cv -r tree --component-version-conflict-policy replace leaf.yaml");
    let run = cli.run(&format!("verify cv -k v1.pub --skip-content {ROOT}"));
    assert_eq!(run.code, Some(4), "{run}");
}

#[test]
fn a_digest_that_the_root_keeps_cannot_be_changed() {
    let cli = tree();
    cli.ok(&format!("sign cv --digest-mode top -K acme {ROOT}"));
    cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
    let leaf = "name: acme.org/leaf\nversion: 1.0.0\nprovider: {name: acme.org}\n";
    cli.write("leaf.yaml", leaf);
    cli.ok("add cv -r tree --component-version-conflict-policy replace leaf.yaml");
    let run = cli.run(&format!("verify cv -k acme.pub --skip-content {ROOT}"));
    assert_eq!(run.code, Some(4), "{run}");
}

#[test]
fn digests_that_the_root_keeps_are_covered_under_every_normalisation() {
    for normalisation in ["v1", "v2", "v3", "v4alpha1"] {
        let cli = tree();
        let algorithm = format!("-N jsonNormalisation/{normalisation}");
        cli.ok(&format!(
            "sign cv --digest-mode top {algorithm} -K acme {ROOT}"
        ));
        cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
    }
}

#[test]
fn nothing_is_filled_in_where_that_is_not_wanted() {
    let cli = tree();
    let before = descriptor(&cli, "root");
    assert_snapshot!(cli.run("sign cv --update=false -K acme tree//acme.org/root:1.0.0"), @r"
    $ ocm sign cv --update=false -K acme tree//acme.org/root:1.0.0
    exit 2
    --- stderr
    error: component version acme.org/root:1.0.0 cannot be signed
      caused by: a signature would not cover all content: reference `name=middle,version=1.0.0` has no digest, reference `name=leaf,version=1.0.0` has no digest

    hint: without --update=false, digests that are missing are computed
    ");
    cli.ok(&format!("sign cv --dry-run -K acme {ROOT}"));
    assert_eq!(descriptor(&cli, "root"), before);
}

#[test]
fn what_has_signatures_is_not_completed() {
    let cli = tree();
    // A root that keeps the digests signs without changing its references.
    cli.ok("sign cv --digest-mode top -K acme tree//acme.org/middle:1.0.0");
    assert_snapshot!(cli.run("sign cv -K acme tree//acme.org/root:1.0.0"), @r"
    $ ocm sign cv -K acme tree//acme.org/root:1.0.0
    exit 6
    --- stderr
    error: component version acme.org/middle:1.0.0 lacks digests: with them, its signature `default` would not hold any more

    hint: with --digest-mode top, the digests go into the signed component version
    ");
    cli.ok(&format!("sign cv --digest-mode top -K acme {ROOT}"));
    cli.ok(&format!("verify cv -k acme.pub {ROOT}"));
}

#[test]
fn content_is_compared_before_it_is_signed_unless_it_is_believed() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    let blob = "shop/blobs/sha256.5d999d4ed6b6438d14b263149f8f54c1957a44727f65e9f8c112f766090c38b1";
    std::fs::remove_file(cli.path(blob)).unwrap();
    cli.write(blob, "evil data");
    let run = cli.run(&format!("sign cv -K acme {PRODUCT}"));
    assert_eq!(run.code, Some(4), "{run}");
    assert!(run.stderr.contains("name=data"), "{run}");
    let run = cli.run(&format!("sign cv --verify=false -K acme {PRODUCT}"));
    assert_eq!(run.code, Some(0), "{run}");
    let run = cli.run(&format!("verify cv -k acme.pub {PRODUCT}"));
    assert_eq!(run.code, Some(4), "{run}");
}

#[test]
fn a_reference_to_something_else_is_not_signed() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    // The leaf is packed again with other content, under the same version.
    cli.write(
        "leaf.yaml",
        "name: acme.org/bar/leaf\nversion: 1.0.0\nprovider: {name: acme.org}\n",
    );
    cli.ok("add cv -r shop --component-version-conflict-policy replace leaf.yaml");
    let run = cli.run(&format!("sign cv -K acme {PRODUCT}"));
    assert_eq!(run.code, Some(4), "{run}");
}
