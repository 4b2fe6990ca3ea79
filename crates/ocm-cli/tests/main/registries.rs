//! Registries that fail.

use insta::assert_snapshot;
use ocm_testkit::{Fault, Registry};

use crate::world::{IMPATIENT, LEAF_DATA, check_product, packed, signed, stored};

const FOREVER: usize = usize::MAX;

/// A component version that refers to no other, so that it is known which one fails.
const LEAF: &str = "shop//acme.org/bar/leaf:1.0.0";

/// Returns a configuration with credentials for one host.
fn with_password(host: &str, port: &str, password: &str) -> String {
    format!(
        "{IMPATIENT}- type: credentials.config.ocm.software
  consumers:
  - identity: {{type: OCIRegistry, hostname: {host}, port: '{port}', scheme: http}}
    credentials:
    - type: Credentials/v1
      properties: {{username: ann, password: {password}}}
"
    )
}

#[test]
fn nobody_listens() {
    let (cli, mut registry, place) = stored();
    registry.stop();
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/product:1.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/product:1.0.0
    exit 7
    --- stderr
    error: cannot read acme.org/bar/product:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/product:1.0.0: cannot connect
      caused by: Connection refused (os error 111)
    ");
    assert_snapshot!(cli.run(&format!("transfer cv {LEAF} {place}")), @r"
    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 http://<host>/shop
    exit 7
    --- stderr
    error: cannot look for acme.org/bar/leaf:1.0.0 in http://<host>/shop
      caused by: cannot look for acme.org/bar/leaf:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/leaf:1.0.0: cannot connect
      caused by: Connection refused (os error 111)
    ");
}

#[test]
fn a_password_is_wanted() {
    let mut cli = packed();
    let registry = Registry::with_password("ann", "hunter2");
    cli.name(registry.host(), "host");
    let place = format!("http://{}/shop", registry.host());
    assert_snapshot!(cli.run(&format!("transfer cv {LEAF} {place}")), @r"
    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 http://<host>/shop
    exit 5
    --- stderr
    error: cannot look for acme.org/bar/leaf:1.0.0 in http://<host>/shop
      caused by: cannot look for acme.org/bar/leaf:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/leaf:1.0.0: not authenticated

    hint: log in with `docker login`, or configure credentials for the host in .ocmconfig; docs/guide/credentials.md shows both
    ");
    let (host, port) = registry.host().split_once(':').unwrap();
    cli.write(".ocmconfig", with_password(host, port, "wrong-secret"));
    let run = cli.run(&format!("transfer cv {LEAF} {place}"));
    assert!(!run.stderr.contains("wrong-secret"), "{run}");
    assert_snapshot!(run, @r"
    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 http://<host>/shop
    exit 5
    --- stderr
    error: cannot look for acme.org/bar/leaf:1.0.0 in http://<host>/shop
      caused by: cannot look for acme.org/bar/leaf:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/leaf:1.0.0: not authenticated

    hint: log in with `docker login`, or configure credentials for the host in .ocmconfig; docs/guide/credentials.md shows both
    ");
    cli.write(".ocmconfig", with_password(host, port, "hunter2"));
    let run = cli.run(&format!("transfer ctf shop {place} --loglevel debug"));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(!run.stderr.contains("hunter2"), "{run}");
    cli.ok(&format!("get cv {place}//acme.org/bar/product:1.0.0"));
}

#[test]
fn a_registry_that_is_busy_is_asked_again() {
    let (cli, registry, place) = stored();
    registry.fail(1, "GET", "/manifests/", Fault::RetryAfter(429, 0));
    registry.fail(1, "GET", "/blobs/", Fault::Status(503));
    cli.ok(&format!("transfer ctf {place} far"));
    registry.fail(1, "POST", "/blobs/", Fault::Status(500));
    let other = format!("http://{}/other", registry.host());
    cli.ok(&format!("transfer ctf shop {other}"));
}

#[test]
fn a_registry_that_stays_broken_is_named() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", "/manifests/", Fault::Status(503));
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/product:1.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/product:1.0.0
    exit 7
    --- stderr
    error: cannot read acme.org/bar/product:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/product:1.0.0: 503 Service Unavailable
    ");
}

#[test]
fn a_blob_that_may_not_be_read_is_named() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::Status(403));
    assert_snapshot!(cli.run(&format!("transfer ctf {place} far")), @r"
    $ ocm transfer ctf http://<host>/shop far
    exit 5
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: cannot read blob sha256:<digest> of <host>/shop/component-descriptors/acme.org/bar/leaf
      caused by: blob sha256:<digest> of <host>/shop/component-descriptors/acme.org/bar/leaf: not allowed

    hint: whoever may do this has other credentials; docs/guide/credentials.md shows where they are looked for
    ");
}

#[test]
fn a_password_does_not_follow_to_another_host() {
    let mut cli = signed();
    let registry = Registry::with_password("ann", "hunter2");
    let other = Registry::with_password("bob", "other");
    cli.name(registry.host(), "host");
    cli.name(other.host(), "other host");
    let (host, port) = registry.host().split_once(':').unwrap();
    cli.write(".ocmconfig", with_password(host, port, "hunter2"));
    let place = format!("http://{}/shop", registry.host());
    cli.ok(&format!("transfer ctf shop {place}"));
    let elsewhere = format!("http://{}/v2/shop/blobs/sha256:{LEAF_DATA}", other.host());
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::Redirect(elsewhere));
    let run = cli.run(&format!("transfer ctf {place} far"));
    assert_eq!(run.code, Some(5), "{run}");
    assert!(!other.take_requests().is_empty());
    assert_eq!(other.take_authorizations(), Vec::<String>::new());
}

#[test]
fn what_the_registry_does_not_have_is_named() {
    let (cli, registry, place) = stored();
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/product:7.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/product:7.0.0
    exit 3
    --- stderr
    error: component version acme.org/bar/product:7.0.0 not found in http://<host>/shop
    ");
    registry.fail(FOREVER, "GET", LEAF_DATA, Fault::Status(404));
    assert_snapshot!(cli.run(&format!("transfer ctf {place} far")), @r"
    $ ocm transfer ctf http://<host>/shop far
    exit 4
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to <dir>/far
      caused by: cannot store blob sha256:<digest> of <dir>/far
      caused by: cannot read blob sha256:<digest> of <host>/shop/component-descriptors/acme.org/bar/leaf
      caused by: blob sha256:<digest> of <host>/shop/component-descriptors/acme.org/bar/leaf not found
    ");
}

#[test]
fn a_registry_that_denies_is_named() {
    let (cli, registry, _) = stored();
    registry.fail(FOREVER, "POST", "/other/", Fault::Status(403));
    assert_snapshot!(cli.run(&format!("transfer cv {LEAF} http://{}/other", registry.host())), @r"
    $ ocm transfer cv shop//acme.org/bar/leaf:1.0.0 http://<host>/other
    exit 5
    --- stderr
    error: cannot transfer resource `name=data,version=1.0.0` of acme.org/bar/leaf:1.0.0
      caused by: cannot write to http://<host>/other
      caused by: upload to <host>/other/component-descriptors/acme.org/bar/leaf: not allowed

    hint: whoever may do this has other credentials; docs/guide/credentials.md shows where they are looked for
    ");
}
#[test]
fn a_registry_that_stays_busy_is_named() {
    let (cli, registry, place) = stored();
    for status in [429, 500] {
        registry.fail(FOREVER, "GET", "/manifests/", Fault::RetryAfter(status, 0));
        let run = cli.run(&format!("transfer ctf {place} far"));
        assert_eq!(run.code, Some(7), "{run}");
        registry.heal();
    }
    registry.fail(FOREVER, "GET", "/manifests/", Fault::RetryAfter(429, 0));
    registry.take_requests();
    assert_snapshot!(cli.run(&format!("get cv {place}//acme.org/bar/product:1.0.0")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/product:1.0.0
    exit 7
    --- stderr
    error: cannot read acme.org/bar/product:1.0.0
      caused by: <host>/shop/component-descriptors/acme.org/bar/product:1.0.0: 429 Too Many Requests
    ");
    let requests = registry.take_requests();
    let asked = requests
        .iter()
        .filter(|request| request.contains("/manifests/"));
    assert_eq!(asked.count(), 3, "{requests:#?}");
}

#[test]
fn a_registry_without_the_referrers_api_is_enough() {
    let (mut cli, registry, place) = stored();
    let far = Registry::start();
    cli.name(far.host(), "far");
    for registry in [&registry, &far] {
        registry.fail(FOREVER, "GET", "/referrers/", Fault::Status(404));
    }
    let far_place = format!("http://{}/far", far.host());
    cli.ok(&format!("transfer ctf {place} {far_place}"));
    check_product(&cli, &far_place);
    cli.ok(&format!("transfer ctf {far_place} far.tar"));
    check_product(&cli, "far.tar");
}

#[test]
fn a_registry_that_does_not_show_what_it_has_is_named() {
    let (cli, registry, place) = stored();
    registry.fail(FOREVER, "GET", "/_catalog", Fault::Status(401));
    assert_snapshot!(cli.run(&format!("list {place}")), @r"
    $ ocm list http://<host>/shop
    exit 1
    --- stderr
    error: cannot list http://<host>/shop
      caused by: http://<host> does not support listing repositories

    hint: name a component: `ocm list REPOSITORY COMPONENT` finds what it refers to as well; some registries list what they have only for who is logged in
    ");
    registry.heal();
    registry.fail(FOREVER, "GET", "/_catalog", Fault::Status(404));
    assert_snapshot!(cli.run(&format!("list {place}")), @r"
    $ ocm list http://<host>/shop
    exit 1
    --- stderr
    error: cannot list http://<host>/shop
      caused by: http://<host> does not support listing repositories

    hint: name a component: `ocm list REPOSITORY COMPONENT` finds what it refers to as well; some registries list what they have only for who is logged in
    ");
}

#[test]
fn a_component_leads_to_others_where_there_is_no_list() {
    let (cli, registry, place) = stored();
    let all = cli.ok(&format!("list {place}"));
    registry.fail(FOREVER, "GET", "/_catalog", Fault::Status(404));
    assert_eq!(cli.ok(&format!("list {place} acme.org/bar/product")), all);
    let leaf = cli.ok(&format!("list {place} acme.org/bar/leaf -o ndjson"));
    let expected = "{\"name\":\"acme.org/bar/leaf\",\"versions\":[\"1.0.0\"]}\n";
    assert_eq!(leaf, expected);
    let run = cli.run(&format!("list {place} acme.org/bar/leaf acme.org/none"));
    assert_eq!(run.code, Some(3), "{run}");
    let run = cli.run(&format!("list {place} UPPER"));
    assert_eq!(run.code, Some(2), "{run}");
}
