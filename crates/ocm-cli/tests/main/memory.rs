//! Commands that the system gives no more than 256 MiB of memory: what is larger passes, and what is
//! hostile is refused.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ocm::digest::Digest;
use ocm_testkit::Cli;

use crate::hostile::{entry, tar};
use crate::world::{empty, odd};

/// What a process may have, in MiB.
const LIMIT: u64 = 256;

const MIB: u64 = 1024 * 1024;

/// More than the limit, in bytes.
const LARGE: u64 = 300 * MIB;

/// Returns a directory whose commands are limited.
fn limited() -> Cli {
    let mut cli = empty();
    cli.limit_memory(LIMIT);
    cli
}

#[test]
fn a_blob_larger_than_memory_moves_everywhere() {
    let cli = limited();
    cli.write(
        "large.yaml",
        "name: acme.org/large\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
         - {name: data, type: blob, input: {type: file, path: large.bin}}\n",
    );
    let file = std::fs::File::create(cli.path("large.bin")).unwrap();
    file.set_len(LARGE).unwrap();
    cli.ok("add cv -r shop large.yaml");
    let mut server = cli.start("serve served --listen 127.0.0.1:0");
    let host = server.wait_for("listening on ");
    let mut from = "shop".to_owned();
    for to in ["far.tar", &format!("{host}/shop"), "back.tgz", "back"] {
        cli.ok(&format!("transfer ctf {from} {to}"));
        let report = cli.run(&format!("check --content {to}//acme.org/large:1.0.0"));
        assert_eq!(report.code, Some(0), "{report}");
        to.clone_into(&mut from);
    }
}

/// Returns so many MiB of zeros, compressed: a thousandth of that. A stream of gzip may have any
/// number of members.
fn bomb(before: &[u8], mib: u64, after: &[u8]) -> Vec<u8> {
    let member = |bytes: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let zeros = member(&vec![0; usize::try_from(MIB).unwrap()]);
    let mut bytes = member(before);
    for _ in 0..mib {
        bytes.extend(&zeros);
    }
    bytes.extend(member(after));
    bytes
}

/// Returns a compressed tar with one entry that has so many MiB.
fn bomb_of_tar(path: &str, mib: u64) -> Vec<u8> {
    let head = entry(path, b'0', mib * MIB, b"");
    bomb(&head[..512], mib, &tar(&[]))
}

#[test]
fn archives_that_blow_up_are_refused() {
    let cli = limited();
    for path in ["artifact-index.json", "index.json", "blobs/sha256.0"] {
        let archive = bomb_of_tar(path, 400);
        assert!(archive.len() as u64 <= MIB, "{}", archive.len());
        cli.write("bomb.tgz", archive);
        for command in ["transfer ctf bomb.tgz far", "list bomb.tgz"] {
            let run = cli.run(command);
            assert_eq!(run.code, Some(1), "{run}");
        }
        assert!(!cli.path("far").exists());
    }
}

/// Artifacts that are packed in an archive, as the first Go tool stores them, whose index has more
/// than memory holds. Nothing says what is in the archive, so that it is a blob like any other
/// until it is asked for as an artifact.
#[test]
fn packed_artifacts_that_blow_up_do_no_harm() {
    for path in ["artifact-descriptor.json", "index.json", "oci-layout"] {
        let cli = limited();
        cli.write("bomb.bin", bomb_of_tar(path, 400));
        cli.write(
            "bomb.yaml",
            "name: acme.org/bomb\nversion: 1.0.0\nprovider: {name: acme}\nresources:\n\
             - {name: data, type: ociImage, input: {type: file, path: bomb.bin, \
             mediaType: application/vnd.oci.image.manifest.v1+tar+gzip}}\n",
        );
        cli.ok("add cv -r shop bomb.yaml");
        cli.ok("transfer ctf shop far");
        cli.ok("transfer ctf shop far.tar --upload-as ociArtifact");
        cli.ok("check --content far.tar//acme.org/bomb:1.0.0");
        let unpack = "download resource far.tar//acme.org/bomb:1.0.0 data --extraction-policy auto";
        let run = cli.run(unpack);
        assert!(run.code.is_some(), "{run}");
    }
}

/// Documents that are as large as they may be, each of another kind, and one that is larger.
#[test]
fn descriptors_take_no_more_memory_than_there_is() {
    const TEXTS: usize = 15 << 20;
    const NODES: usize = 990_000;
    let cli = limited();
    for (value, is_read) in [
        (format!("\"{}\"", "x".repeat(TEXTS)), true),
        (format!("\"{}\"", "x".repeat(2 * TEXTS)), false),
        (format!("[{}0]", "0,".repeat(NODES)), true),
        (format!("[{}0]", "0,".repeat(2 * NODES)), false),
        (format!("[{}0]", "{\"a\":0},".repeat(NODES / 9)), true),
        (format!("[{}0]", "{\"a\":0},".repeat(NODES / 5)), false),
        (format!("{}{}", "[".repeat(NODES), "]".repeat(NODES)), false),
    ] {
        let descriptor = format!(
            r#"{{"meta":{{"schemaVersion":"v2"}},"component":{{"name":"acme.org/odd","version":"1.0.0","provider":"acme","repositoryContexts":[],"sources":[],"componentReferences":[],"resources":[],"labels":[{{"name":"l","value":{value}}}]}}}}"#
        );
        odd(&cli, &descriptor);
        let start = &value[..10];
        for command in [
            "get cv odd//acme.org/odd:1.0.0",
            "check odd//acme.org/odd:1.0.0",
            "transfer ctf odd far",
            "transfer ctf odd far",
        ] {
            let run = cli.run(command);
            let expected = i32::from(!is_read);
            assert_eq!(run.code, Some(expected), "{command} {start} {}", run.stderr);
        }
        std::fs::remove_dir_all(cli.path("odd")).unwrap();
        if is_read {
            std::fs::remove_dir_all(cli.path("far")).unwrap();
        }
    }
}

/// A manifest of nearly four MiB that lists as many layers as fit.
#[test]
fn manifests_take_no_more_memory_than_there_is() {
    let cli = limited();
    let layer = format!(
        r#"{{"mediaType":"","digest":"sha256:{}","size":0}},"#,
        "0".repeat(64)
    );
    let layers = layer.repeat((4 << 20) / layer.len() - 10);
    for (name, manifest) in [
        (
            "layers",
            format!(
                r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
                layer.trim_end_matches(','),
                layers.trim_end_matches(',')
            ),
        ),
        ("zeros", format!(r#"{{"a":[{}0]}}"#, "0,".repeat(2_000_000))),
        (
            "objects",
            format!(r#"{{"a":[{}0]}}"#, "{\"\":0},".repeat(500_000)),
        ),
    ] {
        assert!(manifest.len() < 4 << 20);
        let digest = Digest::sha256(&manifest);
        let file = digest.to_string().replace(':', ".");
        cli.write(format!("{name}/blobs/{file}"), &manifest);
        cli.write(
            format!("{name}/artifact-index.json"),
            format!(
                r#"{{"schemaVersion":1,"artifacts":[{{"repository":"component-descriptors/acme.org/app","tag":"1.0.0","digest":"{digest}","mediaType":"application/vnd.oci.image.manifest.v1+json"}}]}}"#
            ),
        );
        for command in [
            format!("get cv {name}//acme.org/app:1.0.0"),
            format!("check {name}//acme.org/app:1.0.0"),
            format!("transfer ctf {name} far"),
        ] {
            let run = cli.run(&command);
            assert!(
                matches!(run.code, Some(1 | 3 | 4)),
                "{name} {:?} {}",
                run.code,
                run.stderr
            );
        }
        assert!(!cli.path("far").exists());
    }
}
