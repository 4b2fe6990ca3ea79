//! Registries that send other bytes than they promise.

use insta::assert_snapshot;
use ocm_testkit::Fault;

use crate::world::{LEAF_DATA, check_product, stored};

const FOREVER: usize = usize::MAX;

#[test]
fn a_stream_that_is_cut_once_is_continued() {
    let (cli, registry, place) = stored();
    registry.fail(1, "GET", "/blobs/", Fault::Cut);
    cli.ok(&format!("transfer ctf {place} far"));
    check_product(&cli, "far");
}

#[test]
fn a_stream_that_is_cut_every_time_ends_the_transfer() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::Cut);
    let run = cli.run(&format!("transfer ctf {place} far"));
    assert_eq!(run.code, Some(7), "{run}");
    assert!(
        run.stderr
            .contains("`name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0"),
        "{run}"
    );
    assert!(!cli.run("list far").stdout.contains("acme.org/bar/leaf"));
    registry.heal();
    cli.ok(&format!("transfer ctf {place} far"));
    check_product(&cli, "far");
}

#[test]
fn other_bytes_than_promised_are_refused() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::OtherBytes);
    assert_snapshot!(cli.run(&format!("transfer ctf {place} far")), @r"
    $ ocm transfer ctf http://<host>/shop far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    assert!(!cli.run("list far").stdout.contains("acme.org/bar/leaf"));
    assert_snapshot!(cli.run(&format!("verify cv -k acme.pub {place}//acme.org/bar/product:1.0.0")), @r"
    $ ocm verify cv -k acme.pub http://<host>/shop//acme.org/bar/product:1.0.0
    exit 4
    --- stderr
    error: http://<host>/shop//acme.org/bar/product:1.0.0 is not verified
      caused by: resource name=data,version=1.0.0 of acme.org/bar/leaf:1.0.0 is not what was signed
      caused by: content has digest sha256:<digest>, expected sha256:<digest>
    ");
    registry.heal();
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::MoreBytes);
    assert_snapshot!(cli.run(&format!("transfer ctf {place} far")), @r"
    $ ocm transfer ctf http://<host>/shop far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: content has 13 bytes, expected 9
    ");
    registry.heal();
    cli.ok(&format!("transfer ctf {place} far"));
}

#[test]
fn fewer_bytes_than_promised_are_refused() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::FewerBytes);
    assert_snapshot!(cli.run(&format!("transfer ctf {place} far")), @r"
    $ ocm transfer ctf http://<host>/shop far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: content has 4 bytes, expected 9
    ");
    assert!(!cli.run("list far").stdout.contains("acme.org/bar/leaf"));
    let verify = format!("verify cv -k acme.pub {place}//acme.org/bar/product:1.0.0");
    assert_eq!(cli.run(&verify).code, Some(4));
    registry.heal();
    cli.ok(&format!("transfer ctf {place} far"));
    check_product(&cli, "far");
}

#[test]
fn a_manifest_that_is_not_what_was_promised_is_refused() {
    let (cli, registry, place) = stored();
    for fault in [Fault::OtherBytes, Fault::FewerBytes, Fault::MoreBytes] {
        registry.fail(FOREVER, "GET", "/manifests/", fault);
        let run = cli.run(&format!("transfer ctf {place} far"));
        assert_eq!(run.code, Some(4), "{run}");
        registry.heal();
    }
    registry.fail(FOREVER, "GET", "/manifests/", Fault::OtherBytes);
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/leaf:1.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/leaf:1.0.0
    exit 4
    --- stderr
    error: cannot read acme.org/bar/leaf:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/leaf:1.0.0 has digest sha256:<digest>, expected sha256:<digest>
    ");
}
