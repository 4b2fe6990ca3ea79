//! Archives that are damaged, hostile or read-only.

use insta::assert_snapshot;

use crate::world::{LEAF_DATA, PRODUCT, SMALL, check_product, packed, position, signed, tamper};

#[test]
fn one_changed_byte_ends_everything() {
    let cli = signed();
    cli.ok("transfer ctf shop disk.tar");
    tamper(&cli, "disk.tar", "leaf data");
    assert_snapshot!(cli.run("verify cv -k acme.pub disk.tar//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub disk.tar//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: disk.tar//acme.org/bar/product:1.0.0 is not verified
      caused by: resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0 is not what was signed
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert_snapshot!(cli.run("transfer ctf disk.tar far"), @r"
    $ ocm transfer ctf disk.tar far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert!(!cli.run("list far").stdout.contains("acme.org"));
    assert_snapshot!(cli.run("transfer ctf disk.tar far.tar"), @r"
    $ ocm transfer ctf disk.tar far.tar
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far.tar
      caused by: cannot store blob sha256:<digest> in <dir>/far.tar
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert!(!cli.path("far.tar").exists());
    assert_snapshot!(cli.run("download resource disk.tar//acme.org/bar/leaf:1.0.0 data"), @r"
    $ ocm download resource disk.tar//acme.org/bar/leaf:1.0.0 data
    exit 4
    --- stderr
    error: cannot download resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert!(!cli.path("data").exists());
}

#[test]
fn a_changed_tar_is_not_unpacked() {
    let cli = signed();
    cli.ok("transfer ctf shop disk.tar");
    let tree = "download resource disk.tar//acme.org/bar/product:1.0.0 tree";
    for text in ["sub/b", "ustar"] {
        let archive = cli.read("disk.tar");
        let at = position(&archive, b"sub/b");
        let in_tree = at + position(&archive[at..], text.as_bytes());
        let mut changed = archive.clone();
        changed[in_tree] ^= 1;
        cli.write("disk.tar", changed);
        let run = cli.run(tree);
        assert_eq!(run.code, Some(4), "{run}");
        cli.write("disk.tar", archive);
    }
    assert!(!cli.path("tree").exists());
    cli.ok(tree);
}

#[test]
fn a_changed_descriptor_is_noticed() {
    let cli = signed();
    cli.ok("transfer ctf shop disk.tar");
    tamper(&cli, "disk.tar", "acme.org/stage");
    assert_snapshot!(cli.run("verify cv -k acme.pub disk.tar//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub disk.tar//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: disk.tar//acme.org/bar/product:1.0.0 is not verified
      caused by: cannot read the descriptor of acme.org/bar/product:1.0.0
      caused by: cannot read component descriptor sha256:<digest>
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert_snapshot!(cli.run("transfer ctf disk.tar far"), @r"
    $ ocm transfer ctf disk.tar far
    exit 4
    --- stderr
    error: cannot read acme.org/bar/product:1.0.0 in <dir>/disk.tar
      caused by: cannot read the descriptor of acme.org/bar/product:1.0.0
      caused by: cannot read component descriptor sha256:<digest>
      caused by: cannot read blob sha256:<digest> of <dir>/disk.tar
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
}

#[test]
fn an_archive_that_is_cut_is_refused() {
    let cli = packed();
    for archive in ["disk.tar", "disk.tgz"] {
        cli.ok(&format!("transfer ctf shop {archive}"));
        let bytes = cli.read(archive);
        cli.write(archive, &bytes[..bytes.len() / 2]);
    }
    assert_snapshot!(cli.run("transfer ctf disk.tar far"), @r"
    $ ocm transfer ctf disk.tar far
    exit 1
    --- stderr
    error: cannot open <dir>/disk.tar
      caused by: malformed tar: entry `blobs/sha256.<digest>` ends beyond the archive, which may be cut off
    ");
    assert_snapshot!(cli.run("get cv disk.tar//acme.org/bar/product:1.0.0"), @r"
    $ ocm get cv disk.tar//acme.org/bar/product:1.0.0
    exit 1
    --- stderr
    error: cannot open <dir>/disk.tar
      caused by: malformed tar: entry `blobs/sha256.<digest>` ends beyond the archive, which may be cut off
    ");
    assert_snapshot!(cli.run("transfer ctf disk.tgz far"), @r"
    $ ocm transfer ctf disk.tgz far
    exit 1
    --- stderr
    error: cannot open <dir>/disk.tgz
      caused by: malformed gzip: it ends early, so it may be cut off
    ");
    cli.write("empty.tar", "");
    assert_snapshot!(cli.run("list empty.tar"), @r"
    $ ocm list empty.tar
    exit 1
    --- stderr
    error: cannot open <dir>/empty.tar
      caused by: malformed tar: it ends without its end mark, so it may be cut off
    ");
    cli.write("text.tar", "this is no archive".repeat(100));
    assert_snapshot!(cli.run("list text.tar"), @r"
    $ ocm list text.tar
    exit 1
    --- stderr
    error: cannot open <dir>/text.tar
      caused by: malformed tar: a header has a checksum that is no number
    ");
}

#[test]
fn a_missing_blob_is_named() {
    let cli = signed();
    std::fs::remove_file(cli.path(format!("shop/blobs/sha256.{LEAF_DATA}"))).unwrap();
    assert_snapshot!(cli.run("verify cv -k acme.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: shop//acme.org/bar/product:1.0.0 is not verified
      caused by: resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0 is not what was signed
      caused by: cannot read blob sha256:<digest> of <dir>/shop
      caused by: blob sha256:<digest> of <dir>/shop not found
    ");
    assert_snapshot!(cli.run("transfer ctf shop far"), @r"
    $ ocm transfer ctf shop far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: cannot read blob sha256:<digest> of <dir>/shop
      caused by: blob sha256:<digest> of <dir>/shop not found
    ");
    assert!(!cli.run("list far").stdout.contains("acme.org/bar/leaf"));
}

#[test]
fn an_index_that_names_a_missing_manifest_is_told() {
    let cli = packed();
    let index: String = String::from_utf8(cli.read("shop/artifact-index.json")).unwrap();
    let leaf = index
        .split("component-descriptors/acme.org/bar/leaf")
        .nth(1);
    let digest = &leaf.unwrap().split("sha256:").nth(1).unwrap()[..64];
    std::fs::remove_file(cli.path(format!("shop/blobs/sha256.{digest}"))).unwrap();
    assert_snapshot!(cli.run("get cv shop"), @r"
    $ ocm get cv shop
    exit 4
    --- stderr
    error: cannot read acme.org/bar/leaf:1.0.0
      caused by: the index of <dir>/shop refers to sha256:<digest>, which is missing
    ");
    assert_snapshot!(cli.run("transfer ctf shop far"), @r"
    $ ocm transfer ctf shop far
    exit 4
    --- stderr
    error: cannot read acme.org/bar/leaf:1.0.0 in <dir>/shop
      caused by: cannot read acme.org/bar/leaf:1.0.0
      caused by: the index of <dir>/shop refers to sha256:<digest>, which is missing
    ");
}

#[test]
fn an_index_that_is_none_is_refused() {
    let cli = packed();
    cli.write(
        "shop/artifact-index.json",
        "{\"schemaVersion\": 1, \"artifacts\": [",
    );
    assert_snapshot!(cli.run("list shop"), @r"
    $ ocm list shop
    exit 1
    --- stderr
    error: <dir>/shop/artifact-index.json is malformed: EOF while parsing a list at line 1 column 35
    ");
    assert_snapshot!(cli.run("add cv -r shop src/product.yaml"), @r"
    $ ocm add cv -r shop src/product.yaml
    exit 1
    --- stderr
    error: <dir>/shop/artifact-index.json is malformed: EOF while parsing a list at line 1 column 35
    ");
}

#[test]
fn a_file_in_the_way_stays() {
    let cli = packed();
    cli.write("far.tar", "not an archive at all");
    assert_snapshot!(cli.run("transfer ctf shop far.tar"), @r"
    $ ocm transfer ctf shop far.tar
    exit 1
    --- stderr
    error: cannot open <dir>/far.tar
      caused by: malformed tar: it ends without its end mark, so it may be cut off
    ");
    assert_eq!(cli.read("far.tar"), b"not an archive at all");
    cli.write("far/precious.txt", "here since 1999");
    assert_snapshot!(cli.run("transfer ctf shop far"), @r"
    $ ocm transfer ctf shop far
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     added
    acme.org/bar/product:1.0.0  added
    --- stderr
    transferred to far: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 5 blobs copied, 0 mounted, 0 there already; 4.3 KiB moved in <n> s
    ");
    assert_eq!(cli.read("far/precious.txt"), b"here since 1999");
}

/// Several processes write to one file at once; they wait for each other.
#[test]
fn writers_of_an_archive_in_one_file_lose_nothing_of_each_other() {
    let cli = signed();
    for name in ["a", "b", "c"] {
        let constructor = SMALL.replace("small", name);
        cli.write(format!("{name}.yaml"), constructor);
    }
    for archive in ["disk.tar", "disk.tgz"] {
        let started = [
            format!("add cv -r {archive} a.yaml"),
            format!("transfer ctf shop {archive}"),
            format!("add cv -r {archive} b.yaml"),
            format!("add cv -r {archive} c.yaml"),
        ]
        .map(|command| cli.start(&command));
        for run in started.map(ocm_testkit::Started::wait) {
            assert_eq!(run.code, Some(0), "{run}");
        }
        let listed = cli.ok(&format!("list {archive}"));
        let names = listed
            .lines()
            .filter_map(|line| line.split_whitespace().next());
        let expected = ["a", "b", "bar/leaf", "bar/product", "c"];
        let expected = expected.map(|name| format!("acme.org/{name}"));
        let names: Vec<&str> = names.filter(|name| name.contains('/')).collect();
        assert_eq!(names, expected, "{listed}");
        check_product(&cli, archive);
    }
}

#[test]
fn an_archive_in_one_file_is_added_to() {
    let cli = packed();
    cli.ok("transfer ctf shop disk.tar");
    cli.write("small.yaml", SMALL);
    cli.ok("add cv -r disk.tar small.yaml");
    assert_snapshot!(cli.run("list disk.tar"), @r"
    $ ocm list disk.tar
    exit 0
    --- stdout
    COMPONENT             LATEST  VERSIONS
    acme.org/bar/leaf     1.0.0   1
    acme.org/bar/product  1.0.0   1
    acme.org/small        1.0.0   1
    ");
    assert_eq!(
        cli.ok("get cv -o json disk.tar//acme.org/bar/product:1.0.0"),
        cli.ok(&format!("get cv -o json {PRODUCT}"))
    );
}
