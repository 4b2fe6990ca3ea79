//! Transfers of what somebody has signed, and of nothing else.

use insta::assert_snapshot;

use crate::world::{PRODUCT, check_product, empty, packed, registry, signed};

#[test]
fn what_is_signed_is_copied() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    assert_snapshot!(cli.run(&format!("transfer cv -r --verify default=acme.pub {PRODUCT} {place}")), @r"
    $ ocm transfer cv -r --verify default=acme.pub shop//acme.org/bar/product:1.0.0 http://<host>/shop
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     added
    acme.org/bar/product:1.0.0  added
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference
    transferred to http://<host>/shop: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 5 blobs copied, 0 mounted, 0 there already; 4.3 KiB moved in <n> s
    ");
    check_product(&cli, &place);
    cli.ok(&format!("transfer ctf --verify acme.pub {place} far.tar"));
    check_product(&cli, "far.tar");
    assert_snapshot!(cli.run(&format!("transfer ctf --require 1 {place} further")), @r"
    $ ocm transfer ctf --require 1 http://<host>/shop further
    exit 4
    --- stderr
    error: acme.org/bar/product:1.0.0 is not verified
      caused by: component version acme.org/bar/product:1.0.0 lacks signatures that are required
      caused by: any signature is required
    ");
}

#[test]
fn what_another_has_signed_is_not_copied() {
    let cli = signed();
    cli.ok("create keypair other --bits 2048");
    assert_snapshot!(cli.run(&format!("transfer cv -r --verify other.pub {PRODUCT} far")), @r"
    $ ocm transfer cv -r --verify other.pub shop//acme.org/bar/product:1.0.0 far
    exit 4
    --- stderr
    error: acme.org/bar/product:1.0.0 is not verified
      caused by: signature `default` is not valid
      caused by: the signature does not match the public key
    ");
    assert_snapshot!(cli.run(&format!("transfer cv -r --verify release=acme.pub {PRODUCT} far")), @r"
    $ ocm transfer cv -r --verify release=acme.pub shop//acme.org/bar/product:1.0.0 far
    exit 4
    --- stderr
    error: acme.org/bar/product:1.0.0 is not verified
      caused by: no signature `release`, there is `default`
    ");
    cli.write("policy.yaml", "require: [{signature: release}]\n");
    assert_snapshot!(cli.run(&format!("transfer cv -r --verify acme.pub --policy policy.yaml {PRODUCT} far")), @r"
    $ ocm transfer cv -r --verify acme.pub --policy policy.yaml shop//acme.org/bar/product:1.0.0 far
    exit 4
    --- stderr
    error: acme.org/bar/product:1.0.0 is not verified
      caused by: component version acme.org/bar/product:1.0.0 lacks signatures that are required
      caused by: signature `release` is required (there is no signature `release`)
    ");
    assert!(!cli.path("far").exists());
}

#[test]
fn what_nobody_has_signed_is_not_copied() {
    let cli = packed();
    cli.ok("create keypair acme --bits 2048");
    assert_snapshot!(cli.run(&format!("transfer cv -r --verify acme.pub {PRODUCT} far")), @r"
    $ ocm transfer cv -r --verify acme.pub shop//acme.org/bar/product:1.0.0 far
    exit 4
    --- stderr
    error: acme.org/bar/product:1.0.0 is not verified
      caused by: component version acme.org/bar/product:1.0.0 has no signatures
    ");
    assert!(!cli.path("far").exists());
}

#[test]
fn a_stored_plan_is_verified_too() {
    let cli = signed();
    cli.write(
        "plan.json",
        cli.ok(&format!("transfer cv -r {PRODUCT} far --dry-run -o json")),
    );
    cli.ok("create keypair other --bits 2048");
    let refused = cli.run("transfer cv --plan plan.json --verify other.pub");
    assert_eq!(refused.code, Some(4), "{refused}");
    cli.ok("transfer cv --plan plan.json --verify acme.pub");
    check_product(&cli, "far");
}

#[test]
fn what_is_referred_to_is_verified_wherever_it_is() {
    let cli = empty();
    for (name, reference) in [("base", None), ("desk", None), ("shop", Some("base"))] {
        let references = reference.map_or_else(String::new, |it| {
            format!(
                "componentReferences:\n\
                 - {{name: {it}, componentName: acme.org/{it}, version: 1.0.0}}\n"
            )
        });
        cli.write(
            format!("{name}.yaml"),
            format!(
                "name: acme.org/{name}\nversion: 1.0.0\nprovider: {{name: acme}}\n{references}"
            ),
        );
        cli.ok(&format!("add cv -r all {name}.yaml"));
    }
    cli.ok("create keypair acme --bits 2048");
    for name in ["shop", "desk"] {
        cli.ok(&format!("sign cv -K acme all//acme.org/{name}:1.0.0"));
    }
    cli.ok("transfer cv all//acme.org/shop:1.0.0 one");
    cli.ok("transfer cv all//acme.org/base:1.0.0 two");
    cli.ok("transfer cv all//acme.org/desk:1.0.0 two");
    let shop = "one//acme.org/shop:1.0.0";
    cli.ok(&format!(
        "transfer cv -r --verify acme.pub --lookup two {shop} far"
    ));
    cli.ok(&format!(
        "transfer cv -r --verify acme.pub {shop} two//acme.org/desk:1.0.0 farther"
    ));
    cli.ok(&format!(
        "transfer cv -r --verify acme.pub two//acme.org/desk:1.0.0 {shop} around"
    ));
    let flat = cli.ok(&format!("transfer cv {shop} flat --dry-run -o json"));
    cli.write("flat.json", flat);
    let refused = cli.run("transfer cv --plan flat.json --verify acme.pub");
    assert_eq!(refused.code, Some(4), "{refused}");
    let verified = cli.run("transfer cv --plan flat.json --verify acme.pub --lookup two");
    assert_eq!(verified.code, Some(0), "{verified}");
    assert!(!verified.to_string().contains("no effect"), "{verified}");
    let deep = cli.ok(&format!(
        "transfer cv -r --lookup two {shop} deep --dry-run -o json"
    ));
    cli.write("deep.json", deep);
    cli.ok("transfer cv --plan deep.json --verify acme.pub");
}
