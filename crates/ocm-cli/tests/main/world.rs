//! A product to pack, and the directory to do it in.

use std::path::PathBuf;

use ocm_testkit::Cli;

/// The product that most tests are about.
pub(crate) const PRODUCT: &str = "shop//acme.org/bar/product:1.0.0";

const CONSTRUCTOR: &str = r"components:
- name: acme.org/bar/leaf
  version: 1.0.0
  provider: {name: acme.org}
  resources:
  - {name: data, type: blob, input: {type: utf8, text: leaf data}}
- name: acme.org/bar/product
  version: 1.0.0
  provider: {name: acme.org}
  labels:
  - {name: acme.org/stage, value: release, signing: true}
  componentReferences:
  - {name: leaf, componentName: acme.org/bar/leaf, version: 1.0.0}
  sources:
  - name: code
    type: git
    version: 1.0.0
    access: {type: gitHub, repoUrl: acme.org/bar, commit: 5af0bb1c6bd0e1b2f9a1a3a7a6a0d2dd2c2ae6a1}
  resources:
  - name: file
    type: blob
    extraIdentity: {os: linux, architecture: amd64}
    input: {type: file, path: file.txt, mediaType: text/plain}
  - {name: tree, type: directoryTree, input: {type: dir, path: tree}}
  - name: image
    type: ociImage
    input:
      type: file
      path: image.tar.gz
      mediaType: application/vnd.ocm.software.oci.layout.v1+tar+gzip
";

/// Returns an empty directory to run commands in.
pub(crate) fn empty() -> Cli {
    Cli::new(env!("CARGO_BIN_EXE_ocm"))
}

/// Returns a directory with the source of the product in `src`.
pub(crate) fn source() -> Cli {
    let cli = empty();
    let input = conformance("go-tools/input");
    cli.write("src/product.yaml", CONSTRUCTOR);
    for path in ["file.txt", "tree", "image.tar.gz"] {
        cli.copy(input.join(path), format!("src/{path}"));
    }
    cli
}

/// Returns a directory with the product packed into the archive `shop`.
pub(crate) fn packed() -> Cli {
    let cli = source();
    cli.ok("add cv -r shop src/product.yaml");
    cli
}

/// Returns a directory with the product packed and signed, and the keys `acme` and `acme.pub`.
pub(crate) fn signed() -> Cli {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    cli.ok(&format!("sign cv -K acme {PRODUCT}"));
    cli
}

/// Returns the path of conformance data.
pub(crate) fn conformance(path: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance");
    PathBuf::from(root).join(path)
}

/// Changes one bit in a file, where a text stands in it.
pub(crate) fn tamper(cli: &Cli, path: &str, text: &str) {
    let mut bytes = cli.read(path);
    let at = bytes
        .windows(text.len())
        .position(|window| window == text.as_bytes());
    bytes[at.unwrap()] ^= 1;
    cli.write(path, bytes);
}
