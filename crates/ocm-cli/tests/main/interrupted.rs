//! Commands that are stopped in the middle: what was there is intact, and the next run finishes.

use insta::assert_snapshot;
use ocm_testkit::{Cli, Fault, Registry};

use crate::world::signed;

/// The blob of `leaf data`.
const BLOB: &str = "5d999d4ed6b6438d14b263149f8f54c1957a44727f65e9f8c112f766090c38b1";

/// Returns the product in a registry that never sends one of its blobs.
fn stuck() -> (Cli, Registry, String) {
    let mut cli = signed();
    let registry = Registry::start();
    cli.name(registry.host(), "host");
    let place = format!("http://{}/shop", registry.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    cli.write(
        "new.yaml",
        "name: acme.org/before\nversion: 1.0.0\nprovider: {name: acme}\n",
    );
    registry.take_requests();
    registry.fail(usize::MAX, "GET", BLOB, Fault::Hold);
    (cli, registry, place)
}

#[track_caller]
fn check(signal: &str, target: &str) {
    let (cli, registry, place) = stuck();
    cli.ok(&format!("add cv -r {target} new.yaml"));
    let before = cli.ok(&format!("get cv {target} -o json"));
    let transfer = cli.start(&format!("transfer ctf {place} {target}"));
    registry.wait_for(&format!(
        "GET /v2/shop/component-descriptors/acme.org/bar/leaf/blobs/sha256:{BLOB}"
    ));
    let run = transfer.signal(signal);
    assert_ne!(run.code, Some(0), "{run}");
    let listed = cli.ok(&format!("list {target}"));
    assert!(!listed.contains("acme.org/bar/leaf"), "{listed}");
    let at_rest = cli.ok(&format!("get cv {target}//acme.org/before -o json"));
    assert_eq!(at_rest, before);
    registry.heal();
    cli.ok(&format!("transfer ctf {place} {target}"));
    cli.ok(&format!(
        "verify cv -k acme.pub {target}//acme.org/bar/product:1.0.0"
    ));
    cli.ok(&format!("get cv {target}//acme.org/before:1.0.0"));
    let mut left: Vec<String> = std::fs::read_dir(cli.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(
        left,
        ["acme", "acme.pub", "new.yaml", "shop", "src", target]
    );
}

#[test]
fn a_transfer_into_a_directory_is_killed() {
    check("KILL", "target");
}

#[test]
fn a_transfer_into_a_tar_is_killed() {
    check("KILL", "target.tar");
}

#[test]
fn a_transfer_into_a_directory_is_interrupted() {
    check("INT", "target");
}

#[test]
fn a_transfer_into_a_tar_is_interrupted() {
    check("INT", "target.tgz");
}

#[test]
fn an_interrupt_says_how_to_go_on() {
    let (cli, registry, place) = stuck();
    let transfer = cli.start(&format!("transfer ctf {place} far.tar"));
    registry.wait_for(BLOB);
    assert_snapshot!(transfer.signal("INT"), @r"
    $ ocm transfer ctf http://<host>/shop far.tar
    exit 130
    --- stderr
    error: interrupted; run the same command again to continue
    ");
    assert!(!cli.path("far.tar").exists());
}

#[test]
fn packing_is_killed_and_run_again() {
    let (cli, registry, _) = stuck();
    registry.fail(usize::MAX, "PUT", "/manifests/", Fault::Hold);
    let place = format!("http://{}/packed", registry.host());
    let add = format!("add cv -r {place} src/product.yaml");
    let adding = cli.start(&add);
    registry.wait_for("PUT /v2/packed/component-descriptors/acme.org/bar/");
    assert_eq!(adding.signal("KILL").code, None);
    registry.heal();
    cli.ok(&add);
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    cli.ok(&format!("sign cv -K acme {product}"));
    cli.ok(&format!("verify cv -k acme.pub {product}"));
}
