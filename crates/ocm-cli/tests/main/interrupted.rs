//! Commands that are stopped in the middle: what was there is intact, and the next run finishes.
//!
//! A command is in the middle when it waits for a registry that does not answer, or when a file
//! that it writes has reached a size.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Fault, Registry};

use crate::world::{LEAF_DATA, SMALL, check_product, names, packed, signed, stored};

const FOREVER: usize = usize::MAX;

/// The signals that end a command: it can tidy up after the first, not after the second.
const SIGNALS: [&str; 2] = ["INT", "KILL"];

/// Returns the product in a registry that never sends one of its blobs.
fn stuck() -> (Cli, Registry, String) {
    let (cli, registry, place) = stored();
    cli.write("small.yaml", SMALL);
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::Hold);
    (cli, registry, place)
}

/// Stops a command that has asked for something, in a world where `target` has a component version
/// from before. It must not have written the component version that it was writing; and when it is
/// run again, nothing is left behind.
#[track_caller]
fn check(
    (cli, registry): (&Cli, &Registry),
    (signal, asked): (&str, &str),
    (target, written): (&str, &str),
    command: &str,
) {
    cli.ok(&format!("add cv -r {target} small.yaml"));
    let before = cli.ok(&format!("get cv {target} -o json"));
    let there = names(cli);
    registry.take_requests();
    let started = cli.start(command);
    registry.wait_for(asked);
    let run = started.signal(signal);
    assert_eq!(run.code, (signal == "INT").then_some(130), "{run}");
    registry.heal();
    let listed = cli.ok(&format!("list {target}"));
    assert!(!listed.contains(written), "{listed}");
    let small = cli.ok(&format!("get cv {target}//acme.org/small -o json"));
    assert_eq!(small, before);
    cli.ok(command);
    cli.ok(&format!("get cv {target}//acme.org/small:1.0.0"));
    assert_eq!(names(cli), there);
}

#[track_caller]
fn check_transfer(target: &str) {
    for signal in SIGNALS {
        let (cli, registry, place) = stuck();
        let asked = format!(
            "GET /v2/shop/component-descriptors/acme.org/bar/leaf/blobs/sha256:{LEAF_DATA}"
        );
        check(
            (&cli, &registry),
            (signal, &asked),
            (target, "acme.org/bar/leaf"),
            &format!("transfer ctf {place} {target}"),
        );
        check_product(&cli, target);
    }
}

#[test]
fn a_transfer_into_a_directory_is_stopped() {
    check_transfer("target");
}

#[test]
fn a_transfer_into_a_tar_is_stopped() {
    check_transfer("target.tar");
}

#[test]
fn a_transfer_into_a_compressed_tar_is_stopped() {
    check_transfer("target.tgz");
}

#[test]
fn a_transfer_into_a_registry_is_stopped() {
    for signal in SIGNALS {
        let (cli, registry, _) = stuck();
        let target = format!("http://{}/target", registry.host());
        let leaf = "/v2/target/component-descriptors/acme.org/bar/leaf/manifests/";
        registry.fail(FOREVER, "PUT", leaf, Fault::Hold);
        check(
            (&cli, &registry),
            (signal, &format!("PUT {leaf}")),
            (&target, "acme.org/bar/leaf"),
            &format!("transfer ctf shop {target}"),
        );
        check_product(&cli, &target);
    }
}

#[track_caller]
fn check_packing(target: &str) {
    for signal in SIGNALS {
        let (cli, registry, place) = stuck();
        let asked = format!("component-descriptors/acme.org/bar/leaf/blobs/sha256:{LEAF_DATA}");
        cli.write(
            "src/far.yaml",
            format!(
                "name: acme.org/far\nversion: 1.0.0\nprovider: {{name: acme}}\nresources:\n\
                 - {{name: here, type: blob, input: {{type: file, path: file.txt}}}}\n\
                 - {{name: data, type: blob, input: {{type: wget, url: '{place}/{asked}'}}}}\n"
            )
            .replace("/shop/component", "/v2/shop/component"),
        );
        check(
            (&cli, &registry),
            (signal, &asked),
            (target, "acme.org/far"),
            &format!("add cv -r {target} src/far.yaml"),
        );
        cli.ok(&format!(
            "download resource {target}//acme.org/far:1.0.0 data"
        ));
        assert_eq!(cli.read("data"), b"leaf data");
    }
}

#[test]
fn packing_into_a_directory_is_stopped() {
    check_packing("target");
}

#[test]
fn packing_into_a_tar_is_stopped() {
    check_packing("target.tar");
}

#[test]
fn packing_into_a_compressed_tar_is_stopped() {
    check_packing("target.tgz");
}

#[test]
fn packing_into_a_registry_is_stopped() {
    for signal in SIGNALS {
        let (cli, registry, _) = stuck();
        let target = format!("http://{}/packed", registry.host());
        let leaf = "/v2/packed/component-descriptors/acme.org/bar/leaf/manifests/";
        registry.fail(FOREVER, "PUT", leaf, Fault::Hold);
        check(
            (&cli, &registry),
            (signal, &format!("PUT {leaf}")),
            (&target, "acme.org/bar/leaf"),
            &format!("add cv -r {target} src/product.yaml"),
        );
        cli.ok(&format!(
            "sign cv -K acme {target}//acme.org/bar/product:1.0.0"
        ));
        check_product(&cli, &target);
    }
}

#[test]
fn signing_in_a_registry_is_stopped() {
    for signal in SIGNALS {
        let (cli, registry, place) = stored();
        let product = format!("{place}//acme.org/bar/product:1.0.0");
        let before = cli.ok(&format!("get cv {product} -o json"));
        registry.take_requests();
        registry.fail(FOREVER, "PUT", "/manifests/", Fault::Hold);
        let signing = cli.start(&format!("sign cv -K acme -s second {product}"));
        registry.wait_for("PUT /v2/shop/component-descriptors/acme.org/bar/product/manifests/");
        assert_ne!(signing.signal(signal).code, Some(0));
        registry.heal();
        assert_eq!(cli.ok(&format!("get cv {product} -o json")), before);
        cli.ok(&format!("sign cv -K acme -s second {product}"));
        cli.ok(&format!("verify cv -k acme.pub -s second {product}"));
    }
}

#[cfg(unix)]
#[test]
fn signing_in_an_archive_is_killed() {
    for (archive, kib) in [("disk", 1), ("disk.tar", 4), ("disk.tgz", 1)] {
        let cli = signed();
        cli.ok(&format!("transfer ctf shop {archive}"));
        let there = names(&cli);
        let sign = format!("sign cv -K acme -s second {archive}//acme.org/bar/product:1.0.0");
        let run = cli.run_until_killed(kib, &sign);
        assert_eq!(run.code, None, "{run}");
        check_product(&cli, archive);
        cli.ok(&sign);
        cli.ok(&format!(
            "verify cv -k acme.pub -s second {archive}//acme.org/bar/product:1.0.0"
        ));
        assert_eq!(names(&cli), there);
    }
}

/// The index of an archive is what its writer replaces last.
#[cfg(unix)]
#[test]
fn an_archive_is_killed_while_its_index_is_written() {
    let cli = packed();
    cli.write(
        "many.yaml",
        "name: acme.org/many\nversion: ${V}\nprovider: {name: acme}\n",
    );
    for version in 0..20 {
        cli.ok(&format!("add cv -r shop many.yaml V=1.0.{version}"));
    }
    let before = cli.ok("get cv shop -o json");
    let add = "add cv -r shop many.yaml V=2.0.0";
    assert!(cli.read("shop/artifact-index.json").len() > 3 * 1024);
    let run = cli.run_until_killed(3, add);
    assert_eq!(run.code, None, "{run}");
    assert_eq!(cli.ok("get cv shop -o json"), before);
    cli.ok(add);
    cli.ok("get cv shop//acme.org/many:2.0.0");
    let blobs = std::fs::read_dir(cli.path("shop")).unwrap().count();
    assert_eq!(blobs, 2, "an index and the blobs");
}

#[test]
fn what_a_killed_writer_left_is_tidied_up() {
    let cli = packed();
    cli.write(".far.tar.partial", "half of an archive");
    cli.write(".far.tar.rewrite", "half of another");
    cli.ok("transfer ctf shop far.tar");
    assert_eq!(names(&cli), ["far.tar", "shop", "src"]);
}

#[test]
fn a_download_is_stopped() {
    for signal in SIGNALS {
        let (cli, registry, place) = stuck();
        cli.write("data", "as it was");
        let there = names(&cli);
        let download = format!("download resource {place}//acme.org/bar/leaf:1.0.0 data");
        let downloading = cli.start(&download);
        registry.wait_for(LEAF_DATA);
        let run = downloading.signal(signal);
        assert_eq!(run.code, (signal == "INT").then_some(130), "{run}");
        assert_eq!(cli.read("data"), b"as it was");
        if signal == "INT" {
            assert_eq!(names(&cli), there);
        }
        registry.heal();
        cli.ok(&download);
        assert_eq!(cli.read("data"), b"leaf data");
        assert_eq!(names(&cli), there);
    }
}

#[test]
fn verifying_is_interrupted() {
    let (cli, registry, place) = stuck();
    let verifying = cli.start(&format!(
        "verify cv -k acme.pub {place}//acme.org/bar/product:1.0.0"
    ));
    registry.wait_for(LEAF_DATA);
    assert_snapshot!(verifying.signal("INT"), @r"
    $ ocm verify cv -k acme.pub http://<host>/shop//acme.org/bar/product:1.0.0
    exit 130
    --- stderr
    error: interrupted; run the same command again to continue
    ");
    registry.heal();
    check_product(&cli, &place);
}

/// Interrupts a transfer whose first component version is at the target, and runs it again.
#[track_caller]
fn check_continued(target: &str) {
    let (cli, registry, place) = stuck();
    registry.heal();
    let file = std::fs::read(cli.path("src/file.txt")).unwrap();
    let held = ocm::digest::Digest::sha256(file).to_string();
    registry.fail(FOREVER, "GET", &held, Fault::Hold);
    let transfer = cli.start(&format!("transfer ctf {place} {target}"));
    registry.wait_for(&held);
    assert_eq!(transfer.signal("INT").code, Some(130));
    let listed = cli.ok(&format!("list {target}"));
    assert!(listed.contains("acme.org/bar/leaf"), "{listed}");
    assert!(!listed.contains("acme.org/bar/product"), "{listed}");
    cli.ok(&format!(
        "download resource {target}//acme.org/bar/leaf:1.0.0 data -O leaf.txt"
    ));
    registry.heal();
    registry.take_requests();
    cli.ok(&format!("transfer ctf {place} {target}"));
    let again = registry.take_requests().join("\n");
    assert!(
        again.contains(&held) && !again.contains(LEAF_DATA),
        "{again}"
    );
    check_product(&cli, target);
}

#[test]
fn what_was_done_before_an_interrupt_is_kept_in_a_directory() {
    check_continued("kept");
}

#[test]
fn what_was_done_before_an_interrupt_is_kept_in_a_tar() {
    check_continued("kept.tar");
}

#[test]
fn what_was_done_before_an_interrupt_is_kept_in_a_compressed_tar() {
    check_continued("kept.tgz");
}

#[test]
fn an_interrupt_says_how_to_go_on() {
    let (cli, registry, place) = stuck();
    let transfer = cli.start(&format!("transfer ctf {place} far.tar"));
    registry.wait_for(LEAF_DATA);
    assert_snapshot!(transfer.signal("INT"), @r"
    $ ocm transfer ctf http://<host>/shop far.tar
    exit 130
    --- stderr
    error: interrupted; run the same command again to continue
    ");
    assert!(!cli.path("far.tar").exists());
}
