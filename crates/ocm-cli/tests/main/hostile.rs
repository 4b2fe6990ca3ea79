//! Archives that somebody has made to do harm: they are refused, and nothing is read or written that
//! should not be.

use std::fmt::Write as _;
use std::path::Path;

use insta::assert_snapshot;
use ocm_testkit::{Cli, Fault};

use crate::world::{LEAF_DATA, empty, names, packed, stored};

/// What is 5 GiB large, in bytes.
const LARGE: u64 = 5 << 30;

/// Returns an entry of a tar: a header that claims a size, and content.
pub(crate) fn entry(path: &str, kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].fill(b' ');
    header[156] = kind;
    if matches!(kind, b'1' | b'2') {
        header[157..168].copy_from_slice(b"/etc/passwd");
    }
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut entry = header.to_vec();
    entry.extend_from_slice(content);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn file(path: &str) -> Vec<u8> {
    entry(path, b'0', 4, b"evil")
}

/// Returns a tar of entries.
pub(crate) fn tar(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut tar = entries.concat();
    tar.extend_from_slice(&[0; 1024]);
    tar
}

/// Returns tars that are refused, by what is wrong with them.
fn tars() -> [(&'static str, Vec<u8>); 9] {
    [
        ("leads out", tar(&[file("../evil")])),
        ("leads out later", tar(&[file("a/../../evil")])),
        ("is absolute", tar(&[file("/tmp/evil")])),
        ("is a symbolic link", tar(&[entry("evil", b'2', 0, b"")])),
        ("is a hard link", tar(&[entry("evil", b'1', 0, b"")])),
        ("is a device", tar(&[entry("evil", b'3', 0, b"")])),
        ("is there twice", tar(&[file("evil"), file("evil")])),
        (
            "is less than it says",
            tar(&[entry("evil", b'0', LARGE, b"evil")]),
        ),
        (
            "is a file and a directory",
            tar(&[file("evil"), file("evil/evil")]),
        ),
    ]
}

#[test]
fn an_archive_with_a_hostile_entry_is_refused() {
    let cli = empty();
    let mut seen = String::new();
    for (what, tar) in tars() {
        cli.write("bad.tar", tar);
        writeln!(seen, "# {what}\n{}", cli.run("list bad.tar")).unwrap();
    }
    assert_eq!(names(&cli), ["bad.tar"]);
    assert_snapshot!(seen, @r"
    # leads out
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `../evil` has a path that leaves the archive

    # leads out later
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `a/../../evil` has a path that leaves the archive

    # is absolute
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `/tmp/evil` has an absolute path

    # is a symbolic link
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `evil` is a symbolic link

    # is a hard link
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `evil` is a hard link

    # is a device
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `evil` is a device

    # is there twice
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `evil` is there twice

    # is less than it says
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: cannot open <dir>/bad.tar
      caused by: malformed tar: entry `evil` ends beyond the archive, which may be cut off

    # is a file and a directory
    $ ocm list bad.tar
    exit 1
    --- stderr
    error: <dir>/bad.tar is malformed: no artifact-index.json
    ");
}

#[test]
fn content_with_a_hostile_entry_is_not_unpacked() {
    let cli = empty();
    let mut seen = String::new();
    for (what, tar) in tars() {
        cli.write("src/evil.tar", tar);
        cli.write(
            "src/app.yaml",
            "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\n\
            resources:\n- name: tree\n  type: directoryTree\n  \
            input: {type: file, path: evil.tar, mediaType: application/x-tar}\n",
        );
        cli.ok("add cv --replace -r shop src/app.yaml");
        let run = cli.run("download resource shop//acme.org/app:1.0.0 tree");
        writeln!(seen, "# {what}\n{run}").unwrap();
    }
    assert_eq!(names(&cli), ["shop", "src"]);
    assert_snapshot!(seen, @r"
    # leads out
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `../evil` has a path that leaves the archive

    # leads out later
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `a/../../evil` has a path that leaves the archive

    # is absolute
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `/tmp/evil` has an absolute path

    # is a symbolic link
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil` is a symbolic link that leads to an absolute path

    # is a hard link
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil` is a hard link

    # is a device
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil` is a device

    # is there twice
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil` is there twice

    # is less than it says
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil` ends early, so that the archive may be cut off

    # is a file and a directory
    $ ocm download resource shop//acme.org/app:1.0.0 tree
    exit 1
    --- stderr
    error: cannot download resource name=tree,version=1.0.0 of acme.org/app:1.0.0
      caused by: malformed tar: entry `evil/evil` is where another entry is
    ");
}

#[test]
fn an_image_layout_with_a_hostile_entry_is_not_packed() {
    let cli = packed();
    let before = cli.ok("get cv shop -o json");
    cli.write("bad.tar", tar(&[file("../evil")]));
    cli.write(
        "app.yaml",
        "name: acme.org/app\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n- name: image\n  \
         type: ociImage\n  input: {type: file, path: bad.tar, mediaType: \
         application/vnd.ocm.software.oci.layout.v1+tar}\n",
    );
    assert_snapshot!(cli.run("add cv -r shop app.yaml"), @r"
    $ ocm add cv -r shop app.yaml
    exit 1
    --- stderr
    error: app.yaml:5:3: resources[0]: cannot store the content of `image`
      caused by: cannot read OCI layout
      caused by: cannot open OCI layout
      caused by: malformed tar: entry `../evil` has a path that leaves the archive
    ");
    assert_eq!(cli.ok("get cv shop -o json"), before);
}

/// Writes a file that is 5 GiB large without taking any space.
fn write_large(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::File::create(path).unwrap().set_len(LARGE).unwrap();
}

/// Checks that no command has used more memory than any may; known where there is `/proc`.
#[track_caller]
fn check_memory(cli: &Cli) {
    let stats = String::from_utf8(cli.read("stats")).unwrap();
    for peak in stats.split("\"peakMemory\":").skip(1) {
        let end = peak.find(|c: char| !c.is_ascii_digit()).unwrap();
        let peak: u64 = peak[..end].parse().unwrap();
        assert!(peak < 64 << 20, "{stats}");
    }
}

#[test]
fn a_manifest_of_five_gibibytes_is_not_read() {
    let mut cli = empty();
    cli.set("OCM_STATS", cli.path("stats").to_str().unwrap());
    write_large(&cli.path(format!("large/blobs/sha256.{LEAF_DATA}")));
    cli.write(
        "large/artifact-index.json",
        format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"component-descriptors/acme.org/app","tag":"1.0.0","digest":"sha256:{LEAF_DATA}"}}]}}"#
        ),
    );
    assert_snapshot!(cli.run("get cv large//acme.org/app:1.0.0"), @r"
    $ ocm get cv large//acme.org/app:1.0.0
    exit 1
    --- stderr
    error: cannot read acme.org/app:1.0.0
      caused by: manifest component-descriptors/acme.org/app@sha256:<digest> of <dir>/large is larger than the limit of 4194304 bytes
    ");
    assert_snapshot!(cli.run("transfer ctf large far"), @r"
    $ ocm transfer ctf large far
    exit 1
    --- stderr
    error: cannot read acme.org/app:1.0.0 in <dir>/large
      caused by: cannot read acme.org/app:1.0.0
      caused by: manifest component-descriptors/acme.org/app@sha256:<digest> of <dir>/large is larger than the limit of 4194304 bytes
    ");
    write_large(&cli.path("index/artifact-index.json"));
    assert_snapshot!(cli.run("list index"), @r"
    $ ocm list index
    exit 1
    --- stderr
    error: <dir>/index/artifact-index.json is larger than the limit of 67108864 bytes
    ");
    check_memory(&cli);
}

#[test]
fn a_manifest_that_does_not_end_is_not_read_to_its_end() {
    let (mut cli, registry, place) = stored();
    cli.set("OCM_STATS", cli.path("stats").to_str().unwrap());
    registry.fail(usize::MAX, "GET", "/manifests/", Fault::Endless);
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/leaf:1.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/leaf:1.0.0
    exit 1
    --- stderr
    error: cannot read acme.org/bar/leaf:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/leaf:1.0.0 is larger than the limit of 4194304 bytes
    ");
    registry.heal();
    registry.fail(usize::MAX, "GET", "/blobs/", Fault::Endless);
    let leaf = format!("{place}//acme.org/bar/leaf:1.0.0");
    assert_snapshot!(cli.run(&format!("transfer cv {leaf} far")), @r"
    $ ocm transfer cv http://<host>/shop//acme.org/bar/leaf:1.0.0 far
    exit 4
    --- stderr
    error: cannot read acme.org/bar/leaf:1.0.0 in http://<host>/shop
      caused by: cannot read the descriptor of acme.org/bar/leaf:1.0.0
      caused by: cannot read component descriptor sha256:<digest>
      caused by: content has 5368709120 bytes, expected 806
    ");
    check_memory(&cli);
}
