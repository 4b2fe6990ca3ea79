//! The main job from the first command to the last.

use insta::assert_snapshot;

use crate::world::{PRODUCT, check_product, is_read, registry, signed, source};

#[test]
fn a_product_is_packed_signed_and_verified() {
    let cli = source();
    assert_snapshot!(cli.run("create keypair acme --bits 2048"), @r"
    $ ocm create keypair acme --bits 2048
    exit 0
    --- stderr
    created private key <dir>/acme and public key <dir>/acme.pub
    ");
    assert_snapshot!(cli.run("add cv -r shop src/product.yaml"), @r"
    $ ocm add cv -r shop src/product.yaml
    exit 0
    --- stdout
    COMPONENT             VERSION  PROVIDER  OUTCOME
    acme.org/bar/leaf     1.0.0    acme.org  added
    acme.org/bar/product  1.0.0    acme.org  added
    --- stderr
    packed 2 component versions with 4.7 KiB of content into shop
    ");
    assert_snapshot!(cli.run("sign cv -K acme shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm sign cv -K acme shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    name: default
    digest:
      hashAlgorithm: SHA-256
      normalisationAlgorithm: jsonNormalisation/v4alpha1
      value: <digest>
    signature:
      algorithm: RSASSA-PSS
      value: <signature>
      mediaType: application/vnd.ocm.signature.rsa.pss
    --- stderr
    signed acme.org/bar/product:1.0.0 as `default` (digest <digest>)
    ");
    assert_snapshot!(cli.run("verify cv -k acme.pub shop//acme.org/bar/product:1.0.0"), @r"
    $ ocm verify cv -k acme.pub shop//acme.org/bar/product:1.0.0
    exit 0
    --- stdout
    CHECKED    COMPONENT VERSION           WHAT                                OUTCOME
    signature  acme.org/bar/product:1.0.0  default (RSASSA-PSS)                verified, by key sha256:<digest>
    reference  acme.org/bar/leaf:1.0.0     <short-hash>                        verified
    content    acme.org/bar/product:1.0.0  file (architecture=amd64,os=linux)  verified, 6 B
    content    acme.org/bar/product:1.0.0  tree                                verified, 4.0 KiB
    content    acme.org/bar/product:1.0.0  image                               verified, 675 B
    content    acme.org/bar/leaf:1.0.0     data                                verified, 9 B
    --- stderr
    verified acme.org/bar/product:1.0.0: 1 signature, 1 reference, content of 4 of 4 resources (4.7 KiB)
    ");
}

#[test]
fn a_product_is_packed_into_one_file_and_signed_there() {
    let cli = source();
    cli.ok("create keypair acme --bits 2048");
    for archive in ["shop.tar", "shop.tgz", "shop.tar.gz"] {
        cli.ok(&format!("add cv -r {archive} src/product.yaml"));
        assert!(cli.path(archive).is_file());
        let product = format!("{archive}//acme.org/bar/product:1.0.0");
        cli.ok(&format!("sign cv -K acme {product}"));
        cli.ok(&format!("verify cv -k acme.pub {product}"));
    }
}

#[test]
fn a_product_is_packed_straight_into_a_registry() {
    let mut cli = source();
    let (_registry, place) = registry(&mut cli);
    cli.ok("create keypair acme --bits 2048");
    assert_snapshot!(cli.run(&format!("add cv -r {place} src/product.yaml")), @r"
    $ ocm add cv -r http://<host>/shop src/product.yaml
    exit 0
    --- stdout
    COMPONENT             VERSION  PROVIDER  OUTCOME
    acme.org/bar/leaf     1.0.0    acme.org  added
    acme.org/bar/product  1.0.0    acme.org  added
    --- stderr
    packed 2 component versions with 4.7 KiB of content into http://<host>/shop
    ");
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    cli.ok(&format!("sign cv -K acme {product}"));
    check_product(&cli, &place);
    assert_snapshot!(cli.run(&format!("list {place}")), @r"
    $ ocm list http://<host>/shop
    exit 0
    --- stdout
    COMPONENT             LATEST  VERSIONS
    acme.org/bar/leaf     1.0.0   1
    acme.org/bar/product  1.0.0   1
    ");
}

#[test]
fn a_signature_survives_every_way() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    let mut from = "shop".to_owned();
    for to in ["disk.tar", "disk.tgz", &place, "far", "far.tar.gz"] {
        cli.ok(&format!("transfer ctf {from} {to}"));
        check_product(&cli, to);
        from = to.to_owned();
    }
    assert_eq!(
        cli.ok(&format!("get cv -o json {PRODUCT}")),
        cli.ok("get cv -o json far.tar.gz//acme.org/bar/product:1.0.0")
    );
}

#[test]
fn the_far_side_verifies_with_the_public_key_alone() {
    let mut cli = signed();
    let (_registry, place) = registry(&mut cli);
    assert_snapshot!(cli.run("transfer ctf shop disk.tar"), @r"
    $ ocm transfer ctf shop disk.tar
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     added
    acme.org/bar/product:1.0.0  added
    --- stderr
    transferred to disk.tar: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 5 blobs copied, 0 mounted, 0 there already; 4.3 KiB moved in <n> s
    ");
    std::fs::remove_file(cli.path("acme")).unwrap();
    std::fs::remove_dir_all(cli.path("shop")).unwrap();
    assert_snapshot!(cli.run(&format!("transfer ctf disk.tar {place}")), @r"
    $ ocm transfer ctf disk.tar http://<host>/shop
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     added
    acme.org/bar/product:1.0.0  added
    --- stderr
    transferred to http://<host>/shop: 2 component versions added, 0 updated, 0 replaced, 0 skipped; 5 blobs copied, 0 mounted, 0 there already; 4.3 KiB moved in <n> s
    ");
    let product = format!("{place}//acme.org/bar/product:1.0.0");
    check_product(&cli, &place);
    assert_snapshot!(cli.run(&format!("get cv {product} -o tree -r")), @r"
    $ ocm get cv http://<host>/shop//acme.org/bar/product:1.0.0 -o tree -r
    exit 0
    --- stdout
    NESTING  COMPONENT             VERSION  PROVIDER
    └─ ●     acme.org/bar/product  1.0.0    acme.org
       └─    acme.org/bar/leaf     1.0.0    acme.org
    ");
    assert_snapshot!(cli.run(&format!("download resource {product} file")), @r"
    $ ocm download resource http://<host>/shop//acme.org/bar/product:1.0.0 file
    exit 0
    --- stderr
    downloaded <dir>/file (digest sha256:<digest> verified)
    ");
}

#[test]
fn what_is_there_is_not_moved_again() {
    let mut cli = signed();
    let (registry, place) = registry(&mut cli);
    cli.ok(&format!("transfer cv -r {PRODUCT} {place}"));
    registry.take_requests();
    assert_snapshot!(cli.run(&format!("transfer cv -r {PRODUCT} {place}")), @r"
    $ ocm transfer cv -r shop//acme.org/bar/product:1.0.0 http://<host>/shop
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     skipped
    acme.org/bar/product:1.0.0  skipped
    --- stderr
    transferred to http://<host>/shop: 0 component versions added, 0 updated, 0 replaced, 2 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
    let requests = registry.take_requests();
    assert!(requests.iter().all(|it| is_read(it)), "{requests:#?}");
    cli.ok("transfer ctf shop disk.tgz");
    assert_snapshot!(cli.run("transfer ctf shop disk.tgz"), @r"
    $ ocm transfer ctf shop disk.tgz
    exit 0
    --- stdout
    COMPONENT VERSION           OUTCOME
    acme.org/bar/leaf:1.0.0     skipped
    acme.org/bar/product:1.0.0  skipped
    --- stderr
    transferred to disk.tgz: 0 component versions added, 0 updated, 0 replaced, 2 skipped; 0 blobs copied, 0 mounted, 0 there already; 0 B moved in <n> s
    ");
}
