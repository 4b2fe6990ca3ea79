//! A product to pack, the directory to do it in, and where it can go.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ocm::digest::Digest;
use ocm_testkit::{Cli, FaultProxy, Registry, Started};

/// The product that most tests are about.
pub(crate) const PRODUCT: &str = "shop//acme.org/bar/product:1.0.0";

/// The SHA-256 of `leaf data`, the one resource of the component that the product refers to.
pub(crate) const LEAF_DATA: &str =
    "5d999d4ed6b6438d14b263149f8f54c1957a44727f65e9f8c112f766090c38b1";

/// A component version with nothing in it.
pub(crate) const SMALL: &str = "name: acme.org/small\nversion: 1.0.0\nprovider: {name: acme}\n";

/// A component version whose one resource is the file `large.bin`.
pub(crate) const LARGE: &str = "name: acme.org/large\nversion: 1.0.0\nprovider: {name: acme}\n\
    resources:\n- {name: data, type: blob, input: {type: file, path: large.bin}}\n";

/// A configuration that tries again, but does not wait long.
pub(crate) const IMPATIENT: &str = "type: generic.config.ocm.software/v1
configurations:
- type: http.config.ocm.software
  retry: {maxRetries: 2, minWait: 1ms, maxWait: 5ms}
";

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

/// Starts a registry, and returns with it the place for components in it.
pub(crate) fn registry(cli: &mut Cli) -> (Registry, String) {
    let registry = Registry::start();
    cli.name(registry.host(), "host");
    let place = format!("http://{}/shop", registry.host());
    (registry, place)
}

/// Starts a registry behind a proxy.
pub(crate) fn proxied() -> (Registry, FaultProxy) {
    let registry = Registry::start();
    let proxy = FaultProxy::start(registry.host());
    (registry, proxy)
}

/// Starts `ocm serve` on a free port, and returns with it the URL that it says it listens at.
pub(crate) fn serve<'a>(cli: &'a Cli, arguments: &str) -> (Started<'a>, String) {
    listening(cli.start(&format!("serve {arguments} --listen 127.0.0.1:0")))
}

/// Waits until a server listens, and returns with it the URL.
pub(crate) fn listening(mut server: Started<'_>) -> (Started<'_>, String) {
    let url = server.wait_for("listening on ");
    (server, url)
}

/// Returns a directory as [`signed`] does, a registry that has the product, and its place there.
pub(crate) fn stored() -> (Cli, Registry, String) {
    let mut cli = signed();
    let (registry, place) = registry(&mut cli);
    cli.write(".ocmconfig", IMPATIENT);
    cli.ok(&format!("transfer ctf shop {place}"));
    registry.take_requests();
    (cli, registry, place)
}

/// Returns whether a request changes nothing in a registry.
pub(crate) fn is_read(request: &str) -> bool {
    let reads = ["GET ", "HEAD ", "POST /v2/_ocm/manifests/resolve"];
    reads.iter().any(|read| request.starts_with(read))
}

/// Checks that the product is whole, wherever it is, with the key that [`signed`] has made.
#[track_caller]
pub(crate) fn check_product(cli: &Cli, place: &str) {
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    let run = cli.run(&format!("verify cv -k acme.pub {product}"));
    let expected = "verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 4 \
                    of 4 resources (4.7 KiB)\n";
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (Some(0), expected),
        "{run}"
    );
}

/// Returns bytes that cannot be compressed, the same ones for a seed.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let words = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    });
    words.flatten().take(len).collect()
}

/// Returns what an archive is: the files of a directory by their paths, the bytes of a file by
/// none, unpacked if they are compressed.
pub(crate) fn content(cli: &Cli, archive: &str) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let path = cli.path(archive);
    if path.is_dir() {
        read_all(&path, "", &mut files);
        return files;
    }
    let mut bytes = cli.read(archive);
    if archive.ends_with("tgz") {
        let packed = std::mem::take(&mut bytes);
        let mut decoder = flate2::read::MultiGzDecoder::new(&packed[..]);
        decoder.read_to_end(&mut bytes).unwrap();
    }
    files.insert(String::new(), bytes);
    files
}

fn read_all(directory: &Path, prefix: &str, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        if entry.file_type().unwrap().is_dir() {
            read_all(&entry.path(), &name, files);
        } else {
            files.insert(name, std::fs::read(entry.path()).unwrap());
        }
    }
}

/// Returns the names of what is in the directory, sorted, without configuration.
pub(crate) fn names(cli: &Cli) -> Vec<String> {
    let entries = std::fs::read_dir(cli.path(".")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != ".ocmconfig").collect();
    names.sort();
    names
}

/// Writes an archive `odd` with one component version, `acme.org/odd:1.0.0`, whose component
/// descriptor is any text.
pub(crate) fn odd(cli: &Cli, descriptor: &str) {
    let descriptor_type = "application/vnd.ocm.software.component-descriptor.v2+json";
    let layer = put(cli, descriptor_type, descriptor);
    let config = put(cli, "application/vnd.oci.empty.v1+json", "{}");
    let manifest_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{manifest_type}","config":{config},"layers":[{layer}]}}"#
    );
    put(cli, manifest_type, &manifest);
    cli.write(
        "odd/artifact-index.json",
        format!(
            r#"{{"schemaVersion":1,"artifacts":[{{"repository":"component-descriptors/acme.org/odd","tag":"1.0.0","digest":"{}","mediaType":"{manifest_type}"}}]}}"#,
            Digest::sha256(&manifest)
        ),
    );
}

/// Writes a blob of the archive `odd`, and returns what points to it.
fn put(cli: &Cli, media_type: &str, content: &str) -> String {
    let digest = Digest::sha256(content);
    let name = digest.to_string().replace(':', ".");
    cli.write(format!("odd/blobs/{name}"), content);
    let size = content.len();
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}

/// Returns the path of conformance data.
pub(crate) fn conformance(path: &str) -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../conformance");
    PathBuf::from(root).join(path)
}

/// Changes one bit in a file, where a text stands in it.
pub(crate) fn tamper(cli: &Cli, path: &str, text: &str) {
    let mut bytes = cli.read(path);
    let at = position(&bytes, text.as_bytes());
    bytes[at] ^= 1;
    cli.write(path, bytes);
}

/// Returns where a text stands first.
pub(crate) fn position(bytes: &[u8], text: &[u8]) -> usize {
    let mut windows = bytes.windows(text.len());
    windows.position(|window| window == text).unwrap()
}
